#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "importers/catalogue/catalogue.h"
#include "importers/model/folder.h"

static struct cb_arena arena;
static struct cb_catalogue catalogue;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, (size_t)64 << 20).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(catalogue, .init = setup, .fini = teardown);

static struct cb_status parse(const char *text)
{
    return cb_catalogue_parse(cb_bytes_of_text(text), &arena, &catalogue);
}

Test(catalogue, embedded_one_is_valid_and_says_what_can_be_verified)
{
    const struct cb_status st = cb_catalogue_parse(cb_catalogue_embedded(), &arena, &catalogue);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_expect_gt(catalogue.n, 60);
    for (int i = 0; i < catalogue.n; i++) {
        const struct cb_catalogue_entry *e = &catalogue.entry[i];
        cr_expect(e->has_digest && e->bytes > 0 && e->opset > 0 && e->title, "%s", e->name);
        for (int k = 0; k < i; k++)
            cr_expect(memcmp(&e->digest, &catalogue.entry[k].digest, sizeof e->digest),
                      "%s and %s have the same digest", e->name, catalogue.entry[k].name);
    }
}

Test(catalogue, finds_by_name_and_by_other_names)
{
    cr_assert(cb_catalogue_parse(cb_catalogue_embedded(), &arena, &catalogue).code == CB_OK);
    const struct cb_catalogue_entry *e = cb_catalogue_find(&catalogue, "mnist");
    cr_assert(e && e == cb_catalogue_find(&catalogue, "mnist-12"));
    cr_expect_eq(e->bytes, 26143);
    cr_expect_eq(e->recipe->color, CB_GRAY);
    cr_expect(e->labels->n == 10 && strcmp(e->labels->item[9], "9") == 0);
    cr_expect_null(cb_catalogue_find(&catalogue, "mnis"));
}

Test(catalogue, reads_every_key)
{
    const struct cb_status st =
        parse("{\"format\":1,\"sources\":{\"s\":[\"https://a.b/\",\"https://c.d/e/\"]},"
              "\"recipes\":{\"r\":{\"color\":\"BGR\"}},"
              "\"labels\":{\"l\":{\"source\":\"s\",\"path\":\"l.txt\",\"form\":\"lines\","
              "\"count\":7}},\"models\":[{\"name\":\"m\",\"also\":[\"n\"],\"title\":\"T\","
              "\"source\":\"s\",\"path\":\"x/m.onnx\",\"bytes\":5,\"licence\":\"MIT\",\"opset\":9,"
              "\"parameters\":3,\"recipe\":\"r\",\"labels\":\"l\",\"top1\":70.5,\"top5\":90}]}");
    cr_assert(st.code == CB_OK, "%s", st.msg);
    const struct cb_catalogue_entry *e = cb_catalogue_find(&catalogue, "n");
    cr_assert(e && e->source->n == 2 && !e->has_digest);
    cr_expect_str_eq(e->source->address[1], "https://c.d/e/");
    cr_expect_str_eq(e->path, "x/m.onnx");
    cr_expect(e->bytes == 5 && e->opset == 9 && e->parameters == 3 && e->top1 == 70.5);
    cr_expect(e->labels->n == 7 && !e->labels->synsets && e->recipe->color == CB_BGR);
}

/* What is wrong, in place of "%s", and what the message must name. */
static const struct {
    const char *part, *says;
} wrong[] = {
    { "\"name\":\"../m\",\"source\":\"s\",\"path\":\"m\"", "model's \"name\"" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"../m\"", "path below" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"/m\"", "path below" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"a//m\"", "path below" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"a/.m\"", "path below" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"a/\"", "path below" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m?x\"", "path below" },
    { "\"name\":\"m\",\"source\":\"t\",\"path\":\"m\"", "name of a source" },
    { "\"name\":\"m\",\"source\":\"s\"", "\"path\"" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"sha256\":\"12\"", "64 hex digits" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"bytes\":0", "whole number" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"bytes\":1.5", "whole number" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"bytes\":1e300", "whole number" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"top1\":101", "at most 100" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"recipe\":\"r\"", "name of a recipe" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"labels\":\"l\"", "name of labels" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"size\":1", "no key \"size\"" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"path\":\"n\"", "comes twice" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\",\"also\":[\"m\",\"a b\"]", "model names" },
    { "\"name\":\"m\",\"source\":\"s\",\"path\":\"m\"},{\"name\":\"n\",\"also\":[\"m\"],"
      "\"source\":\"s\",\"path\":\"m\"",
      "\"m\" comes twice" },
};

Test(catalogue, refuses_entries_by_what_is_wrong_with_them)
{
    char text[700];
    for (size_t i = 0; i < CB_COUNT_OF(wrong); i++) {
        snprintf(text, sizeof text,
                 "{\"format\":1,\"sources\":{\"s\":[\"https://a.b/\"]},\"models\":[{%s}]}",
                 wrong[i].part);
        const struct cb_status st = parse(text);
        cr_expect(st.code == CB_ERR_INPUT && strstr(st.msg, wrong[i].says),
                  "%s: wants \"%s\" in: %s", wrong[i].part, wrong[i].says, st.msg);
    }
}

Test(catalogue, refuses_files_that_are_none)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"format\":2}",
        "{\"format\":1,\"models\":{}}",
        "{\"format\":1,\"sources\":[]}",
        "{\"format\":1,\"sources\":{\"s\":[]}}",
        "{\"format\":1,\"sources\":{\"s\":[\"http://a.b/\"]}}",
        "{\"format\":1,\"sources\":{\"s\":[\"https://a.b\"]}}",
        "{\"format\":1,\"sources\":{\"s\":[\"https://u@a.b/\"]}}",
        "{\"format\":1,\"recipes\":{\"r\":{\"colour\":1}}}",
        "{\"format\":1,\"labels\":{\"l\":{}}}",
        "{\"format\":1,\"labels\":{\"l\":{\"list\":[\"a\"],\"path\":\"b\"}}}",
        "{\"format\":1,\"labels\":{\"l\":{\"list\":[\"a\\nb\"]}}}",
        "{\"format\":1,\"extra\":1}",
    };
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++)
        cr_expect_eq(parse(bad[i]).code, CB_ERR_INPUT, "%s", bad[i]);
    cr_expect_eq(parse("{\"format\":1}").code, CB_OK);
}

Test(catalogue, ends_in_no_memory_when_the_arena_is_small)
{
    for (size_t budget = 4096; budget < (256u << 10); budget += 4096 * 7) {
        struct cb_arena small;
        cr_assert(cb_arena_init(&small, budget).code == CB_OK);
        const enum cb_code code =
            cb_catalogue_parse(cb_catalogue_embedded(), &small, &catalogue).code;
        cr_expect(code == CB_OK || code == CB_ERR_NOMEM, "%zu: %d", budget, code);
        cb_arena_deinit(&small);
    }
}
