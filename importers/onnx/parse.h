/* importers/onnx/parse.h - bytes of a file as protobuf-c's structs, without the tensors' data
 * (wire.h). */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"
#include "proto/onnx.pb-c.h"

/* The message is in `arena`, which is the limit on what it may take.
 * Errors: CB_ERR_MODEL, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_onnx_parse_model(struct cb_arena *arena, struct cb_bytes file,
                                                 Onnx__ModelProto **out);
CB_MUST_USE struct cb_status cb_onnx_parse_tensor(struct cb_arena *arena, struct cb_bytes file,
                                                  Onnx__TensorProto **out);
