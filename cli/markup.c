#include "cli/markup.h"

#include <string.h>

#include "core/base/status.h"
#include "core/base/utf8.h"

void cb_markup_text(struct cb_buf *out, const char *text)
{
    static const struct {
        char c;
        const char *name;
    } special[] = {
        { '<', "&lt;" }, { '>', "&gt;" }, { '&', "&amp;" }, { '"', "&quot;" }, { '\\', "&#92;" }
    };
    for (size_t left = strlen(text), len; left; text += len, left -= len) {
        const char *name = NULL;
        len = cb_utf8_character(text, left);
        for (size_t i = 0; i < CB_COUNT_OF(special); i++)
            name = special[i].c == *text ? special[i].name : name;
        if (name || !len)
            cb_buf_printf(out, "%s", name ? name : "?");
        else
            cb_buf_add(out, text, len);
        len = len ? len : 1;
    }
}
