#include <criterion/criterion.h>

#include "cli/options.h"

struct values {
    bool flag;
    const char *text;
    int whole;
    double real;
    struct cb_size size;
    struct cb_texts list, many;
};

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "flag", .letter = 'f', .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct values, flag) },
    { .name = "text", .letter = 't', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct values, text), .value = "T" },
    { .name = "whole", .kind = CB_OPTION_INT, .offset = offsetof(struct values, whole),
      .value = "N", .min = 1, .max = 9 },
    { .name = "real", .kind = CB_OPTION_REAL, .offset = offsetof(struct values, real),
      .value = "X", .max = 1 },
    { .name = "size", .kind = CB_OPTION_SIZE, .offset = offsetof(struct values, size),
      .value = "S", .min = 1, .max = 99 },
    { .name = "list", .kind = CB_OPTION_LIST, .offset = offsetof(struct values, list),
      .value = "L" },
    { .name = "many", .letter = 'm', .kind = CB_OPTION_MANY,
      .offset = offsetof(struct values, many), .value = "M" },
};
/* clang-format on */

static struct cb_arena arena;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, 1 << 16).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(options, .init = setup, .fini = teardown);

#define PARSE(values, rest, ...) parse(values, rest, (char *[]){ __VA_ARGS__, NULL })

static struct cb_status parse(struct values *values, struct cb_texts *rest, char *const *argv)
{
    const struct cb_option_set set = { rows, CB_COUNT_OF(rows), values };
    int argc = 0;
    while (argv[argc])
        argc++;
    *values = (struct values){ 0 };
    return cb_options_parse(&arena, &set, 1, argc, argv, rest);
}

Test(options, every_form_of_a_value_is_read)
{
    struct values v;
    struct cb_texts rest;
    cr_assert(PARSE(&v, &rest, "-f", "--text=a=b", "--whole", "9", "--real", "0.5", "--size", "3x7")
                  .code == CB_OK);
    cr_expect(v.flag && v.whole == 9 && v.real == 0.5 && v.size.height == 3 && v.size.width == 7);
    cr_expect_str_eq(v.text, "a=b");
    cr_expect(rest.n == 0);
    cr_assert(PARSE(&v, &rest, "-tglued", "--size=5").code == CB_OK);
    cr_expect_str_eq(v.text, "glued");
    cr_expect(v.size.height == 5 && v.size.width == 5);
}

Test(options, what_is_no_option_is_kept_in_order)
{
    struct values v;
    struct cb_texts rest;
    cr_assert(PARSE(&v, &rest, "one", "--flag", "-", "--", "--flag", "-t").code == CB_OK);
    cr_assert(rest.n == 4);
    cr_expect_str_eq(rest.item[0], "one");
    cr_expect_str_eq(rest.item[1], "-");
    cr_expect_str_eq(rest.item[2], "--flag");
    cr_expect_str_eq(rest.item[3], "-t");
}

Test(options, lists_grow_one_at_a_time_or_up_to_the_next_option)
{
    struct values v;
    struct cb_texts rest;
    cr_assert(PARSE(&v, &rest, "--list", "a", "x", "--list", "b", "--many", "c", "d", "-f", "y",
                    "-m", "e")
                  .code == CB_OK);
    cr_expect(v.list.n == 2 && v.many.n == 3 && rest.n == 2);
    cr_expect_str_eq(v.list.item[1], "b");
    cr_expect_str_eq(v.many.item[1], "d");
    cr_expect_str_eq(v.many.item[2], "e");
    cr_expect_str_eq(rest.item[1], "y");
}

Test(options, refusals_name_the_option)
{
    static const struct {
        char *argv[3];
        const char *message;
    } cases[] = {
        { { "--nothing" }, "there is no option --nothing" },
        { { "-x" }, "there is no option -x" },
        { { "--flag=1" }, "--flag takes no value" },
        { { "--text" }, "--text wants a value" },
        { { "--whole", "10" }, "--whole: 10 is not within 1 to 9" },
        { { "--whole", "1x" }, "--whole: \"1x\" is no whole number" },
        { { "--whole", "99999999999999999999" },
          "--whole: \"99999999999999999999\" is no whole number" },
        { { "--real", "nan" }, "--real: \"nan\" is no number" },
        { { "--real", "-1" }, "--real: -1 is not within 0 to 1" },
        { { "--size", "3x" }, "--size: \"3x\" is no size; write HEIGHTxWIDTH" },
        { { "--size", "0x5" }, "--size: a side of 0x5 is not within 1 to 99" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct values v;
        struct cb_texts rest;
        const struct cb_status st = parse(&v, &rest, cases[i].argv);
        cr_expect(st.code == CB_ERR_INPUT, "%s", cases[i].argv[0]);
        cr_expect_str_eq(st.msg, cases[i].message);
    }
}
