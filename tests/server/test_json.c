#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "server/json.h"

static struct cb_bytes text_bytes(const char *text)
{
    return (struct cb_bytes){ (const uint8_t *)text, strlen(text) };
}

Test(server_json, writes_values_with_commas_where_they_belong)
{
    struct cb_buf out;
    struct cb_json json = { .out = &out };
    cb_buf_init(&out, 1000);
    cb_json_open(&json, NULL, '{');
    cb_json_int(&json, "a", -5);
    cb_json_open(&json, "b", '[');
    cb_json_real(&json, NULL, 0.5);
    cb_json_real(&json, NULL, NAN);
    cb_json_close(&json, ']');
    cb_json_open(&json, "c", '{');
    cb_json_close(&json, '}');
    cb_json_bool(&json, "d", true);
    cb_json_text(&json, "e", NULL);
    cb_json_time(&json, "f", 86400001);
    cb_json_close(&json, '}');
    cr_expect(eq(str, out.data,
                 "{\"a\":-5,\"b\":[0.5,null],\"c\":{},\"d\":true,\"e\":null,"
                 "\"f\":\"1970-01-02T00:00:00.001Z\"}"));
    cb_buf_deinit(&out);
}

Test(server_json, escapes_text_and_replaces_what_is_no_utf8)
{
    struct cb_buf out;
    struct cb_json json = { .out = &out };
    cb_buf_init(&out, 1000);
    cb_json_text(&json, NULL, "a\"\\\n\x7f\xc3\xa4|\xff|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
    cr_expect(
        eq(str, out.data,
           "\"a\\\"\\\\\\u000a\\u007f\xc3\xa4|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
           "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\""));
    cb_buf_deinit(&out);
}

Test(server_json, refuses_what_is_no_object_or_too_deep)
{
    static const char *const bad[] = {
        "", "[]", "1", "{", "{}x", "{\"a\":}", "{\"a\":1}{}", "nul"
    };
    char deep[200];
    cJSON *json;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(eq(int, cb_json_parse(text_bytes(bad[i]), &json).code, CB_ERR_INPUT), "%s",
                  bad[i]);
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    cr_expect(eq(int, cb_json_parse(text_bytes(deep), &json).code, CB_ERR_INPUT));
}

Test(server_json, reads_members_by_type_and_range)
{
    cJSON *json;
    const char *text;
    int64_t n;
    double v;
    bool b;
    cr_assert(eq(int,
                 cb_json_parse(
                     text_bytes(" {\"n\":3,\"f\":1.5,\"t\":\"x\",\"b\":true,\"z\":null} \n"), &json)
                     .code,
                 CB_OK));
    cr_expect(eq(int, cb_json_get_int(json, "n", 0, 0, 9, &n).code, CB_OK));
    cr_expect(eq(i64, n, 3));
    cr_expect(eq(int, cb_json_get_int(json, "n", 0, 4, 9, &n).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_json_get_int(json, "f", 0, 0, 9, &n).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_json_get_int(json, "z", 8, 0, 9, &n).code, CB_OK));
    cr_expect(eq(i64, n, 8));
    cr_expect(eq(int, cb_json_get_real(json, "f", 0, 0, 9, &v).code, CB_OK));
    cr_expect(eq(dbl, v, 1.5));
    cr_expect(eq(int, cb_json_get_text(json, "t", "", &text).code, CB_OK));
    cr_expect(eq(str, (char *)text, "x"));
    cr_expect(eq(int, cb_json_get_text(json, "n", "", &text).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_json_get_bool(json, "b", false, &b).code, CB_OK));
    cr_expect(b);
    cr_expect(eq(int, cb_json_get_bool(json, "t", false, &b).code, CB_ERR_INPUT));
    cJSON_Delete(json);
}
