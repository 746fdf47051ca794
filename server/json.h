/* server/json.h - JSON out: written straight into a buffer. JSON in: cJSON behind checks and typed
 * readers.
 *
 * Writing: every value takes a key, NULL inside a list. Text that is not valid UTF-8 gets U+FFFD
 * for the bad bytes; numbers that JSON does not have (NaN, infinities) become null. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/file.h"

struct cb_json {
    struct cb_buf *out;
    bool comma; /* something stands before, on this level */
};

void cb_json_open(struct cb_json *json, const char *key, char bracket);     /* '{' or '[' */
void cb_json_close(struct cb_json *json, char bracket);                     /* '}' or ']' */
void cb_json_text(struct cb_json *json, const char *key, const char *text); /* NULL: null */
void cb_json_int(struct cb_json *json, const char *key, int64_t v);
void cb_json_real(struct cb_json *json, const char *key, double v); /* 9 digits: a float survives */
void cb_json_bool(struct cb_json *json, const char *key, bool v);
void cb_json_raw(struct cb_json *json, const char *key,
                 const char *text); /* JSON already; NULL: null */

/* Milliseconds since 1970 as "2024-05-01T12:00:00.000Z"; 0 gives null. */
void cb_json_time(struct cb_json *json, const char *key, int64_t wall_ms);

/* An object from outside. Errors: CB_ERR_INPUT malformed, nested deeper than 32, or not an object.
 * The caller releases `out` with cJSON_Delete. */
CB_MUST_USE struct cb_status cb_json_parse(struct cb_bytes text, cJSON **out);

/* A member of an object; absent or null gives the fallback. Errors: CB_ERR_INPUT names the key. */
CB_MUST_USE struct cb_status cb_json_get_text(const cJSON *object, const char *key,
                                              const char *fallback, const char **out);
