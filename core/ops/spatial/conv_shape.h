/* core/ops/spatial/conv_shape.h - what the kernels call the sizes of Conv, QuantisedConv and
 * ConvChain nodes. */
#pragma once

#include "core/kernels/conv.h"
#include "core/kernels/conv_chain.h"
#include "core/ops/op.h"

/* By an inferred node's window: x [N, spatial..., C] to y [N, spatial..., M]. */
struct cb_conv_shape cb_conv_shape_of(const struct cb_window *window, int64_t group,
                                      const struct cb_shape *x, const struct cb_shape *y);

/* x [N, H, W, C], the depthwise filter [M, 1, kh, kw] and its window, y [N, H', W', K]. */
struct cb_chain_shape cb_chain_shape_of(const struct cb_window *window, const struct cb_shape *x,
                                        const struct cb_shape *filter, bool expand, bool project,
                                        const struct cb_shape *y);
