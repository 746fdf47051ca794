/* importers/onnx/wire.h - the protobuf wire format, read before protobuf-c does.
 *
 * A parser copies every field, and a network's weights are nearly all of its file: they must stay
 * where they are. So a message is first rewritten ("slim"): fields that we do not read are dropped,
 * and each TensorProto keeps its description while its data are replaced by the message's place in
 * the file (file_offset, file_length), where tensors.c reads them. Depth, counts and sizes are
 * bounded by limits.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/file.h"

enum cb_wire_message { CB_WIRE_MODEL, CB_WIRE_TENSOR };

/* Appends the slim form of `file`, a whole message of that kind, to `out` (whose limit holds).
 * Errors: CB_ERR_MODEL for what is no protobuf message or is over a limit; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_wire_slim(struct cb_bytes file, enum cb_wire_message root,
                                          struct cb_buf *out);

/* One field of a message. */
struct cb_wire_field {
    uint32_t number;
    enum { CB_WIRE_VARINT = 0, CB_WIRE_FIXED64 = 1, CB_WIRE_BYTES = 2, CB_WIRE_FIXED32 = 5 } type;
    struct cb_bytes data; /* the payload: of bytes without their length, of a varint its bytes */
    const uint8_t *start; /* its tag */
};

/* Takes the next field off the front of `message`. False at its end, or when what is left is no
 * field: then message->len is not 0. */
bool cb_wire_next(struct cb_bytes *message, struct cb_wire_field *field);

/* Takes a varint off the front of `bytes`; false when there is none. */
bool cb_wire_varint(struct cb_bytes *bytes, uint64_t *value);
