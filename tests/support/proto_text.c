#include "tests/support/proto_text.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20)

static void put_varint(struct cb_buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        cb_buf_add(out, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
    cb_buf_add(out, &(uint8_t){ (uint8_t)v }, 1);
}

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *put_fields(struct cb_buf *out, const char *at);

/* What stands between brackets, as bytes; returns what follows. */
static const char *put_inner(struct cb_buf *inner, char kind, const char *at)
{
    char *end;
    switch (kind) {
    case '"':
        end = strchr(at, '"');
        cr_assert_not_null(end, "a text does not end: %s", at);
        cb_buf_add(inner, at, (size_t)(end - at));
        return end + 1;
    case '#':
        for (; isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]); at += 2) {
            const char hex[3] = { at[0], at[1], 0 };
            cb_buf_add(inner, &(uint8_t){ (uint8_t)strtoul(hex, NULL, 16) }, 1);
        }
        return at;
    case '[':
        for (at = skip_blanks(at); *at != ']'; at = skip_blanks(end)) {
            put_varint(inner, (uint64_t)strtoll(at, &end, 10));
            cr_assert(end > at, "no number: %s", at);
        }
        return at + 1;
    default:
        at = put_fields(inner, at);
        cr_assert_eq(*at, '}', "a message does not end: %s", at);
        return at + 1;
    }
}

static const char *put_field(struct cb_buf *out, const char *at)
{
    char *end;
    const uint32_t number = (uint32_t)strtoul(at, &end, 10);
    const char kind = *end;
    cr_assert(end > at, "no field number: %s", at);
    at = end + 1;
    switch (kind) {
    case ':':
        put_varint(out, number << 3);
        put_varint(out, (uint64_t)strtoll(at, &end, 10));
        return end;
    case '=':
        put_varint(out, number << 3 | 5);
        cb_buf_add(out, &(float){ strtof(at, &end) }, 4);
        return end;
    case '~':
        put_varint(out, number << 3 | 1);
        cb_buf_add(out, &(double){ strtod(at, &end) }, 8);
        return end;
    case '!': put_varint(out, number << 3 | (uint32_t)strtoul(at, &end, 10)); return end;
    default: {
        struct cb_buf inner;
        cb_buf_init(&inner, LIMIT);
        at = put_inner(&inner, kind, at);
        put_varint(out, number << 3 | 2);
        put_varint(out, inner.len);
        if (inner.len)
            cb_buf_add(out, inner.data, inner.len);
        cb_buf_deinit(&inner);
        return at;
    }
    }
}

static const char *put_fields(struct cb_buf *out, const char *at)
{
    for (at = skip_blanks(at); *at && *at != '}'; at = skip_blanks(at))
        at = put_field(out, at);
    return at;
}

void proto_text(struct cb_buf *out, const char *text)
{
    const char *end = put_fields(out, text);
    cr_assert_eq(*end, 0, "what is this: %s", end);
}
