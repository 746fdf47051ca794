/* core/ops/conv_shape.h - what the kernels call the sizes of Conv and ConvChain nodes. */
#pragma once

#include "core/kernels/conv.h"
#include "core/kernels/conv_chain.h"
#include "core/ops/op.h"

/* Of an inferred node: x [N, spatial..., C], w [M, C/group, kernel...], y [N, spatial..., M]. */
struct cb_conv_shape cb_conv_shape_of(const struct cb_node *node, const struct cb_shape *x,
                                      const struct cb_shape *w, const struct cb_shape *y);

/* x [N, H, W, C], the depthwise filter [M, 1, kh, kw] and its window, y [N, H', W', K]. */
struct cb_chain_shape cb_chain_shape_of(const struct cb_window *window, const struct cb_shape *x,
                                        const struct cb_shape *filter, bool expand, bool project,
                                        const struct cb_shape *y);
