/* core/graph/passes/affine.h - nodes that scale and shift channels by constants:
 * y = clamp(x * scale[c] + shift[c], lo, hi), channels being the last axis. */
#pragma once

#include "core/graph/graph.h"

struct cb_affine {
    float *scale; /* NULL: 1 */
    float *shift; /* NULL: there is no such thing */
    uint64_t key;
    bool durable; /* the key holds in every process (graph.h) */
    float lo, hi;
};

/* Whether `node` is such a node (BatchNormalization, or arithmetic with a constant per channel);
 * *data: x. If not, scale and shift are NULL. Both are the graph's arena's. */
CB_MUST_USE struct cb_status cb_affine_find(struct cb_graph *graph, const struct cb_node *node,
                                            int *data, struct cb_affine *out);

/* A real constant; one with a number for each of `channels` on the last axis, or a single one. */
bool cb_affine_is_constant(const struct cb_graph *graph, int value);
bool cb_affine_is_per_channel(const struct cb_graph *graph, int value, int rank, size_t channels);

/* Element i of a real constant, maybe unaligned. */
float cb_affine_number(const struct cb_value *value, size_t i);
