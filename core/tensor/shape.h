/* core/tensor/shape.h - the dimensions of a tensor: checked counts, strides, broadcasting. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CB_MAX_RANK 10
/* Of one tensor: keeps every product of sizes far from overflow. */
#define CB_MAX_ELEMENTS ((size_t)1 << 31)

/* Row-major, outermost first. rank -1: not known; a dim of -1: not known. */
struct cb_shape {
    int rank;
    int64_t dim[CB_MAX_RANK];
};

/* Elements of a known shape that cb_shape_check accepted. */
size_t cb_shape_count(const struct cb_shape *shape);

/* Product of dims [from, to). */
size_t cb_shape_span(const struct cb_shape *shape, int from, int to);

/* True when all dims are known, not negative, and their product is at most CB_MAX_ELEMENTS. */
bool cb_shape_check(const struct cb_shape *shape);

bool cb_shape_equal(const struct cb_shape *a, const struct cb_shape *b);

/* NumPy's broadcasting of two known shapes; false when they do not fit. */
bool cb_shape_broadcast(const struct cb_shape *a, const struct cb_shape *b, struct cb_shape *out);

/* Elements to step in `shape` for one step along each axis of `out`; 0 where it is broadcast. */
void cb_shape_strides(const struct cb_shape *shape, const struct cb_shape *out,
                      size_t stride[CB_MAX_RANK]);

/* "[1,3,224,224]"; unknown dims are "?". Returns text. */
#define CB_SHAPE_TEXT 128
const char *cb_shape_text(const struct cb_shape *shape, char text[CB_SHAPE_TEXT]);

/* axis from -rank .. rank-1 to 0 .. rank-1; -1 when it is outside. */
int cb_shape_axis(int64_t axis, int rank);
