/* core/graph/passes/quantised_constants.h - constants behind DequantizeLinear, as the pass
 * fuse-quantised wants them. */
#pragma once

#include "core/graph/passes/passes.h"

/* Whether `node` (Quantize- or DequantizeLinear) has one constant scale and zero for all of an
 * 8-bit tensor; then they, for the bytes 0 .. 255: an int8 q is kept as q + 128. */
bool cb_quantised_quantum(const struct cb_graph *graph, const struct cb_node *node,
                          struct cb_quantum *out);

/* A filter or matrix as signed bytes, with a scale for each of its outputs, and a zero for each where
 * that is not 0. */
struct cb_quantised_weights {
    int value, scale, zero; /* CB_QINT8 [M, ...], float [M], int32 [M] or -1 */
};

/* The weights that the DequantizeLinear `node` makes of constants, outputs along `axis` (0, or the
 * last: then the matrix is transposed). value -1 when they are of another kind. */
CB_MUST_USE struct cb_status cb_quantised_weights_of(struct cb_pass *pass,
                                                     const struct cb_node *node, int axis,
                                                     struct cb_quantised_weights *out);

/* A bias `value`, made by `producer` (NULL: nobody), as `count` reals, one of which may stand for all:
 * a constant, or DequantizeLinear of constants. *out -1 when it is neither. */
CB_MUST_USE struct cb_status cb_quantised_reals_of(struct cb_graph *graph, int value,
                                                   const struct cb_node *producer, size_t count,
                                                   int *out);

/* The same as the int32 that `producer` makes reals of, where their unit is x's scale times that of w
 * and 32 bits have room for them beside a sum of `depth` products. *out -1: it is not so. */
CB_MUST_USE struct cb_status cb_quantised_sums_of(struct cb_graph *graph,
                                                  const struct cb_node *producer,
                                                  const struct cb_quantised_weights *w,
                                                  float x_scale, size_t depth, int *out);

/* DequantizeLinear of constants becomes a constant, which lives until weights are packed. */
CB_MUST_USE struct cb_status cb_quantised_fold_constants(struct cb_pass *pass);
