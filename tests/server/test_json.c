#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "server/json.h"

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
        cr_expect(eq(int, cb_json_parse(cb_bytes_of_text(bad[i]), &json).code, CB_ERR_INPUT), "%s",
                  bad[i]);
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    cr_expect(eq(int, cb_json_parse(cb_bytes_of_text(deep), &json).code, CB_ERR_INPUT));
}

Test(server_json, reads_text_or_the_fallback)
{
    cJSON *json;
    const char *text;
    cr_assert(
        eq(int, cb_json_parse(cb_bytes_of_text(" {\"n\":3,\"t\":\"x\",\"z\":null} \n"), &json).code,
           CB_OK));
    cr_expect(eq(int, cb_json_get_text(json, "t", "", &text).code, CB_OK));
    cr_expect(eq(str, (char *)text, "x"));
    cr_expect(eq(int, cb_json_get_text(json, "z", "y", &text).code, CB_OK));
    cr_expect(eq(str, (char *)text, "y"));
    cr_expect(eq(int, cb_json_get_text(json, "n", "", &text).code, CB_ERR_INPUT));
    cJSON_Delete(json);
}
