/* importers/onnx/wire_writer.h - the protobuf wire format, written field by field.
 *
 * A buffer over its limit drops what is written (buf.h): check once, at the end. */
#pragma once

#include <stdint.h>

#include "core/base/buf.h"

void cb_wire_put_int(struct cb_buf *out, uint32_t field, uint64_t value);
void cb_wire_put_bytes(struct cb_buf *out, uint32_t field, const void *data, size_t len);
void cb_wire_put_text(struct cb_buf *out, uint32_t field, const char *text);

/* The tag and length of a field of `len` bytes; the bytes follow by cb_buf_add. */
void cb_wire_put_length(struct cb_buf *out, uint32_t field, size_t len);

/* What was gathered in `message` as a field of `out`; `message` is deinitialised. */
void cb_wire_put_message(struct cb_buf *out, uint32_t field, struct cb_buf *message);
