#include "server/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

#define MAX_DEPTH 32

/* Length of the UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates); 0 when it is
 * none. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        const unsigned char lo = s[0] == 0xe0 ? 0xa0 : 0x80, hi = s[0] == 0xed ? 0x9f : 0xbf;
        return s[1] >= lo && s[1] <= hi && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        const unsigned char lo = s[0] == 0xf0 ? 0x90 : 0x80, hi = s[0] == 0xf4 ? 0x8f : 0xbf;
        return s[1] >= lo && s[1] <= hi && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 ? 4 : 0;
    }
    return 0;
}

static void put_text(struct cb_buf *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    cb_buf_add(out, "\"", 1);
    while (*s) {
        const size_t len = utf8_length(s);
        if (*s == '"' || *s == '\\')
            cb_buf_printf(out, "\\%c", *s);
        else if (*s < 32 || *s == 127)
            cb_buf_printf(out, "\\u%04x", *s);
        else if (len == 0)
            cb_buf_add(out, "\xef\xbf\xbd", 3);
        else
            cb_buf_add(out, s, len);
        s += len ? len : 1;
    }
    cb_buf_add(out, "\"", 1);
}

static void begin(struct cb_json *json, const char *key)
{
    if (json->comma)
        cb_buf_add(json->out, ",", 1);
    json->comma = true;
    if (key) {
        put_text(json->out, key);
        cb_buf_add(json->out, ":", 1);
    }
}

void cb_json_open(struct cb_json *json, const char *key, char bracket)
{
    begin(json, key);
    cb_buf_add(json->out, &bracket, 1);
    json->comma = false;
}

void cb_json_close(struct cb_json *json, char bracket)
{
    cb_buf_add(json->out, &bracket, 1);
    json->comma = true;
}

void cb_json_text(struct cb_json *json, const char *key, const char *text)
{
    if (!text) {
        cb_json_raw(json, key, NULL);
        return;
    }
    begin(json, key);
    put_text(json->out, text);
}

void cb_json_int(struct cb_json *json, const char *key, int64_t v)
{
    begin(json, key);
    cb_buf_printf(json->out, "%lld", (long long)v);
}

/* The shortest text, of 6 to 9 digits, that reads back as the same float: 0.2, not 0.200000003. */
static void print_real(struct cb_buf *out, double v)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v)
            break;
    }
    cb_buf_add(out, text, strlen(text));
}

void cb_json_real(struct cb_json *json, const char *key, double v)
{
    begin(json, key);
    if (isfinite(v))
        print_real(json->out, v);
    else
        cb_buf_add(json->out, "null", 4);
}

void cb_json_bool(struct cb_json *json, const char *key, bool v)
{
    cb_json_raw(json, key, v ? "true" : "false");
}

void cb_json_raw(struct cb_json *json, const char *key, const char *text)
{
    begin(json, key);
    cb_buf_printf(json->out, "%s", text ? text : "null");
}

void cb_json_time(struct cb_json *json, const char *key, int64_t wall_ms)
{
    char text[CB_CLOCK_TEXT];
    if (wall_ms == 0) {
        cb_json_raw(json, key, NULL);
        return;
    }
    cb_clock_text(wall_ms, text);
    cb_json_text(json, key, text);
}

static bool too_deep(struct cb_bytes text)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > MAX_DEPTH)
            return true;
    }
    return false;
}

struct cb_status cb_json_parse(struct cb_bytes text, cJSON **out)
{
    const char *start = (const char *)text.data, *end = NULL;
    cJSON *json;
    if (text.len == 0)
        return cb_fail(CB_ERR_INPUT, "the body is empty, a JSON object is wanted");
    if (too_deep(text))
        return cb_fail(CB_ERR_INPUT, "JSON: nested deeper than %d", MAX_DEPTH);
    json = cJSON_ParseWithLengthOpts(start, text.len, &end, 0);
    if (!json)
        return cb_fail(CB_ERR_INPUT, "JSON: malformed at byte %td", end ? end - start : 0);
    while (end < start + text.len && strchr(" \t\r\n", *end) && *end)
        end++;
    if (end != start + text.len || !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return cb_fail(CB_ERR_INPUT, "JSON: one object is wanted");
    }
    *out = json;
    return cb_ok();
}

struct cb_status cb_json_get_text(const cJSON *object, const char *key, const char *fallback,
                                  const char **out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    const bool given = item && !cJSON_IsNull(item);
    if (given && !cJSON_IsString(item))
        return cb_fail(CB_ERR_INPUT, "\"%s\" wants text", key);
    *out = given ? item->valuestring : fallback;
    return cb_ok();
}
