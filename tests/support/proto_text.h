/* tests/support/proto_text.h - any protobuf message from a short text: what onnx_builder.h is too
 * well-behaved for.
 *
 *     1:8            field 1, a varint (negative numbers too)
 *     4"Relu"        field 4, bytes
 *     9#0000803f     field 9, bytes in hex
 *     2=0.5          field 2, a fixed32 float
 *     5~0.5          field 5, a fixed64 double
 *     7{ 1:1 }       field 7, a message
 *     7[ 1 -1 300 ]  field 7, packed varints
 *     3!7            field 3 with the tag of wire type 7 and nothing after it */
#pragma once

#include "core/base/buf.h"
#include "core/base/file.h"

/* Appends the message. */
void proto_text(struct cb_buf *out, const char *text);

/* One as bytes in `buf`, which the caller inits with cb_buf_init and deinits. */
static inline struct cb_bytes proto_bytes(struct cb_buf *buf, const char *text)
{
    buf->len = 0;
    proto_text(buf, text);
    return (struct cb_bytes){ (const uint8_t *)buf->data, buf->len };
}
