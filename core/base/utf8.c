#include "core/base/utf8.h"

#include <stdint.h>

/* Lead bytes by length, and the least code that needs it. */
static const struct {
    uint8_t mask, lead;
    uint32_t least;
} forms[] = {
    { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
};

static bool is_character(uint32_t code, uint32_t least)
{
    const bool control =
        code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least && code <= 0x10ffff && !surrogate && !control;
}

size_t cb_utf8_character(const char *text, size_t left)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t n = 1; n <= sizeof forms / sizeof *forms && n <= left; n++) {
        uint32_t code = p[0] & (uint8_t)~forms[n - 1].mask;
        if ((p[0] & forms[n - 1].mask) != forms[n - 1].lead)
            continue;
        for (size_t i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (p[i] & 0x3f);
        }
        return is_character(code, forms[n - 1].least) ? n : 0;
    }
    return 0;
}

bool cb_utf8_ok(const char *text, size_t len)
{
    for (size_t n; len; text += n, len -= n)
        if ((n = cb_utf8_character(text, len)) == 0)
            return false;
    return true;
}
