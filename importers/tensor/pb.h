/* importers/tensor/pb.h - a TensorProto in a file of its own, as ONNX's test data are. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/tensor/tensor.h"

/* The tensor in memory form, in `arena`. Errors: CB_ERR_MODEL for bytes that are no tensor,
 * CB_ERR_UNSUPPORTED types and external data, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_pb_read(struct cb_arena *arena, struct cb_bytes file,
                                        struct cb_tensor *out);

/* The same for a value of the declared type `dtype`: ONNX's test data have bfloat16 values as
 * uint16, the bits. */
CB_MUST_USE struct cb_status cb_pb_read_as(struct cb_arena *arena, struct cb_bytes file,
                                           enum cb_dtype dtype, struct cb_tensor *out);

/* The tensor's name, in `arena`; NULL when it has none. */
const char *cb_pb_name(struct cb_arena *arena, struct cb_bytes file);
