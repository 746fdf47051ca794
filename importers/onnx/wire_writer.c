#include "importers/onnx/wire_writer.h"

#include <string.h>

enum { VARINT = 0, BYTES = 2 };

static void put_varint(struct cb_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    cb_buf_add(out, bytes, n);
}

void cb_wire_put_int(struct cb_buf *out, uint32_t field, uint64_t value)
{
    put_varint(out, (uint64_t)field << 3 | VARINT);
    put_varint(out, value);
}

void cb_wire_put_length(struct cb_buf *out, uint32_t field, size_t len)
{
    put_varint(out, (uint64_t)field << 3 | BYTES);
    put_varint(out, len);
}

void cb_wire_put_bytes(struct cb_buf *out, uint32_t field, const void *data, size_t len)
{
    cb_wire_put_length(out, field, len);
    if (len)
        cb_buf_add(out, data, len);
}

void cb_wire_put_text(struct cb_buf *out, uint32_t field, const char *text)
{
    cb_wire_put_bytes(out, field, text, strlen(text));
}

void cb_wire_put_message(struct cb_buf *out, uint32_t field, struct cb_buf *message)
{
    cb_wire_put_bytes(out, field, message->data, message->len);
    out->failed |= message->failed;
    cb_buf_deinit(message);
}
