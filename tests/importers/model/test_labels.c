#include <criterion/criterion.h>
#include <string.h>

#include "importers/model/labels.h"

static struct cb_arena arena;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, 1 << 20).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(labels, .init = setup, .fini = teardown);

static struct cb_status parse(const char *text, const char *const **labels, int *n)
{
    return cb_labels_parse((struct cb_bytes){ (const uint8_t *)text, strlen(text) }, &arena, labels,
                           n);
}

Test(labels, are_lines_whatever_ends_them)
{
    const char *const *labels;
    int n;
    cr_assert(parse("\xef\xbb\xbfone\r\ntwo, 2\n\nfour \xc3\xa9\n\n\n", &labels, &n).code == CB_OK);
    cr_assert(n == 4);
    cr_expect_str_eq(labels[0], "one");
    cr_expect_str_eq(labels[1], "two, 2");
    cr_expect_str_eq(labels[2], "");
    cr_expect_str_eq(labels[3], "four \xc3\xa9");
    cr_assert(parse("a\nb", &labels, &n).code == CB_OK);
    cr_expect(n == 2);
    cr_assert(parse("", &labels, &n).code == CB_OK);
    cr_expect(n == 0);
}

Test(labels, what_is_no_text_is_refused_with_its_line)
{
    static const char *const bad[] = { "a\n\xff",    "a\n\xc3",         "a\n\xc0\x80",
                                       "a\n\x1b[2J", "a\n\xed\xa0\x80", "a\n\xc2\x85" };
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++) {
        const char *const *labels;
        int n;
        const struct cb_status st = parse(bad[i], &labels, &n);
        cr_expect(st.code == CB_ERR_INPUT, "case %zu", i);
        cr_expect_str_eq(st.msg, "labels: line 2 is no UTF-8 text");
    }
}
