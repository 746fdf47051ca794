/* core/graph/passes/quantised_constants.h - constants behind DequantizeLinear, as the pass
 * fuse-quantised wants them. */
#pragma once

#include "core/graph/passes/passes.h"

/* Whether `node` (Quantize- or DequantizeLinear) has one constant scale and zero for all of an
 * 8-bit tensor; then they, for the bytes 0 .. 255: an int8 q is kept as q + 128. */
bool cb_quantised_quantum(const struct cb_graph *graph, const struct cb_node *node,
                          struct cb_quantum *out);

/* A filter or matrix as signed bytes whose zero is 0, with a scale for each of its outputs. */
struct cb_quantised_weights {
    int value, scale; /* CB_QINT8 [M, ...], float [M] */
};

/* The weights that the DequantizeLinear `node` makes of constants, outputs along `axis` (0, or the
 * last: then the matrix is transposed). value -1 when they are of another kind. */
CB_MUST_USE struct cb_status cb_quantised_weights_of(struct cb_pass *pass,
                                                     const struct cb_node *node, int axis,
                                                     struct cb_quantised_weights *out);

/* DequantizeLinear of constants becomes a constant, which lives until weights are packed. */
CB_MUST_USE struct cb_status cb_quantised_fold_constants(struct cb_pass *pass);
