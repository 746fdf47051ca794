/* core/ops/conv_shape.h - what the kernels call the sizes of a Conv node. */
#pragma once

#include "core/kernels/conv.h"
#include "core/ops/op.h"

/* Of an inferred node: x [N, spatial..., C], w [M, C/group, kernel...], y [N, spatial..., M]. */
struct cb_conv_shape cb_conv_shape_of(const struct cb_node *node, const struct cb_shape *x,
                                      const struct cb_shape *w, const struct cb_shape *y);
