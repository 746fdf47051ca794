#include "cli/output.h"

#include <stdio.h>

#include "core/model/model.h"

#define MAX_ANSWER ((size_t)1 << 30)

struct cb_json cb_output_begin(struct cb_buf *buf)
{
    cb_buf_init(buf, MAX_ANSWER);
    return (struct cb_json){ .out = buf };
}

struct cb_status cb_output_json(struct cb_buf *buf, struct cb_status st)
{
    if (st.code == CB_OK && buf->failed)
        st = cb_fail(CB_ERR_NOMEM, "the JSON answer takes too much memory");
    if (st.code == CB_OK)
        puts(buf->data);
    cb_buf_deinit(buf);
    return st;
}

const char *cb_output_clean(const char *text, char *out, size_t room)
{
    size_t n = 0;
    for (; text[n] && n + 1 < room; n++)
        out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
    out[n] = 0;
    return out;
}

void cb_output_class(struct cb_json *json, const char *key, const struct cb_model *model, int index,
                     float probability)
{
    char number[32];
    cb_json_open(json, key, '{');
    cb_json_int(json, "index", index);
    cb_json_text(json, "label", cb_model_label(model, index, number));
    cb_json_real(json, "probability", (double)probability);
    cb_json_close(json, '}');
}
