/* importers/onnx/byte_weights.h - which int8 initialisers may stay bytes (CB_QINT8): those that
 * DequantizeLinear alone reads, as its first input. All other whole numbers are kept as int64. */
#pragma once

#include "importers/onnx/names.h"
#include "proto/onnx.pb-c.h"

struct cb_byte_weights {
    struct cb_onnx_names dequantised, others;
};

/* Tables in `arena`; names are borrowed from `graph`. */
CB_MUST_USE struct cb_status cb_byte_weights_find(const Onnx__GraphProto *graph,
                                                  struct cb_arena *arena,
                                                  struct cb_byte_weights *out);

bool cb_byte_weights_has(const struct cb_byte_weights *weights, const char *name);
