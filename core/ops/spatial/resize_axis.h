/* core/ops/spatial/resize_axis.h - what Resize does along one axis, as a table of taps.
 *
 * ONNX Resize-19. Pixels beyond the ends are those at the ends, whose weights take theirs up. */
#pragma once

#include "core/ops/op.h"

/* y's place j is the sum over t < count of weight[j * count + t] * x's place first[j] + t; all of
 * them lie inside. */
struct cb_resize_axis {
    size_t in, out, count;
    size_t outer, inner; /* elements before and behind the axis, as it is resized */
    uint32_t *first;     /* [out] */
    float *weight;       /* [out][count] */
    bool *outside;       /* [out] beyond x: y is the attribute's constant there */
};

/* Whether the axis changes at all; attributes as infer left them. */
bool cb_resize_changes(const union cb_attr *attr, int axis, int64_t in, int64_t out);

/* `count` of an axis. */
size_t cb_resize_taps(const union cb_attr *attr, int axis, size_t in);

/* Bytes of the tables of one that has in, out and count; and the tables, made there. */
size_t cb_resize_table_bytes(const struct cb_resize_axis *a);
void cb_resize_table_fill(const union cb_attr *attr, int axis, void *memory,
                          struct cb_resize_axis *a);
