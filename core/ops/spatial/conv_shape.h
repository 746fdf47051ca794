/* core/ops/spatial/conv_shape.h - what the kernels call the sizes of Conv, QuantisedConv and
 * ConvChain nodes, and what their shapes must be. */
#pragma once

#include "core/kernels/conv.h"
#include "core/kernels/conv_chain.h"
#include "core/ops/op.h"

/* x [N, spatial..., C] and a filter of the same rank, at least 3. Errors: CB_ERR_MODEL. */
CB_MUST_USE struct cb_status cb_conv_check_ranks(const struct cb_node *node,
                                                 const struct cb_shape *x,
                                                 const struct cb_shape *filter);

/* By an inferred node's window: x [N, spatial..., C] to y [N, spatial..., M]. */
struct cb_conv_shape cb_conv_shape_of(const struct cb_window *window, int64_t group,
                                      const struct cb_shape *x, const struct cb_shape *y);

/* x [N, H, W, C], the depthwise filter [M, 1, kh, kw] and its window, y [N, H', W', K]. */
struct cb_chain_shape cb_chain_shape_of(const struct cb_window *window, const struct cb_shape *x,
                                        const struct cb_shape *filter, bool expand, bool project,
                                        const struct cb_shape *y);
