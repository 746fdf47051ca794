/* core/ops/list.h - every operator, a row each, by family: the folder that defines it.
 *
 * CB_OPS(X) expands X(NAME, name) for each: enum cb_op, the declarations and the table follow from
 * it. */
#pragma once

/* clang-format off */
#define CB_OPS(X) \
    /* spatial: windows over [N, spatial..., C]; conv_chain is made by a pass alone */ \
    X(CONV, conv) \
    X(CONV_CHAIN, conv_chain) \
    X(CONV_TRANSPOSE, conv_transpose) \
    X(MAX_POOL, max_pool) \
    X(AVERAGE_POOL, average_pool) \
    X(LP_POOL, lp_pool) \
    X(MAX_UNPOOL, max_unpool) \
    X(GRID_SAMPLE, grid_sample) \
    X(AFFINE_GRID, affine_grid) \
    X(ROI_ALIGN, roi_align) \
    X(MAX_ROI_POOL, max_roi_pool) \
    X(DEPTH_TO_SPACE, depth_to_space) \
    X(SPACE_TO_DEPTH, space_to_depth) \
    X(GLOBAL_AVERAGE_POOL, global_average_pool) \
    X(GLOBAL_MAX_POOL, global_max_pool) \
    /* spatial: any axes */ \
    X(RESIZE, resize) \
    X(COL2IM, col2im) \
    /* norm: batch_norm, lrn channels last too */ \
    X(BATCH_NORM, batch_norm) \
    X(LRN, lrn) \
    X(LAYER_NORM, layer_norm) \
    /* product */ \
    X(GEMM, gemm) \
    X(MATMUL, matmul) \
    X(DET, det) \
    /* elementwise: one input, one output */ \
    X(RELU, relu) \
    X(LEAKY_RELU, leaky_relu) \
    X(CLIP, clip) \
    X(SIGMOID, sigmoid) \
    X(TANH, tanh) \
    X(EXP, exp) \
    X(LOG, log) \
    X(SQRT, sqrt) \
    X(RECIPROCAL, reciprocal) \
    X(ABS, abs) \
    X(NEG, neg) \
    X(SIGN, sign) \
    X(FLOOR, floor) \
    X(CEIL, ceil) \
    X(ROUND, round) \
    X(ERF, erf) \
    X(HARD_SIGMOID, hard_sigmoid) \
    X(HARD_SWISH, hard_swish) \
    X(SILU, silu) \
    X(ELU, elu) \
    X(SELU, selu) \
    X(CELU, celu) \
    X(SOFTPLUS, softplus) \
    X(SOFTSIGN, softsign) \
    X(THRESHOLDED_RELU, thresholded_relu) \
    X(GELU, gelu) \
    X(MISH, mish) \
    X(SIN, sin) \
    X(COS, cos) \
    X(TAN, tan) \
    X(ASIN, asin) \
    X(ACOS, acos) \
    X(ATAN, atan) \
    X(SINH, sinh) \
    X(COSH, cosh) \
    X(ASINH, asinh) \
    X(ACOSH, acosh) \
    X(ATANH, atanh) \
    X(SHRINK, shrink) \
    X(NOT, not) \
    X(BITWISE_NOT, bitwise_not) \
    X(IDENTITY, identity) \
    X(DROPOUT, dropout) \
    X(CAST, cast) \
    /* elementwise: inputs with broadcasting */ \
    X(ADD, add) \
    X(SUB, sub) \
    X(MUL, mul) \
    X(DIV, div) \
    X(POW, pow) \
    X(MOD, mod) \
    X(MIN, min) \
    X(MAX, max) \
    X(PRELU, prelu) \
    X(EQUAL, equal) \
    X(GREATER, greater) \
    X(LESS, less) \
    X(GREATER_EQUAL, greater_equal) \
    X(LESS_EQUAL, less_equal) \
    X(BITWISE_AND, bitwise_and) \
    X(BITWISE_OR, bitwise_or) \
    X(BITWISE_XOR, bitwise_xor) \
    X(SHIFT_LEFT, shift_left) \
    X(SHIFT_RIGHT, shift_right) \
    X(AND, and) \
    X(OR, or) \
    X(XOR, xor) \
    X(WHERE, where) \
    /* reduce */ \
    X(REDUCE_SUM, reduce_sum) \
    X(REDUCE_MEAN, reduce_mean) \
    X(REDUCE_MAX, reduce_max) \
    X(REDUCE_MIN, reduce_min) \
    X(REDUCE_PROD, reduce_prod) \
    X(REDUCE_L1, reduce_l1) \
    X(REDUCE_L2, reduce_l2) \
    X(REDUCE_LOG_SUM, reduce_log_sum) \
    X(REDUCE_LOG_SUM_EXP, reduce_log_sum_exp) \
    X(REDUCE_SUM_SQUARE, reduce_sum_square) \
    X(ARG_MAX, arg_max) \
    X(ARG_MIN, arg_min) \
    X(HARDMAX, hardmax) \
    X(TOP_K, top_k) \
    X(CUM_SUM, cum_sum) \
    X(CUM_PROD, cum_prod) \
    X(SOFTMAX, softmax) \
    X(LOG_SOFTMAX, log_softmax) \
    /* shape, view.c: the same elements under another shape */ \
    X(RESHAPE, reshape) \
    X(FLATTEN, flatten) \
    X(SQUEEZE, squeeze) \
    X(UNSQUEEZE, unsqueeze) \
    /* shape: elements moved, copied, left out */ \
    X(TRANSPOSE, transpose) \
    X(CONCAT, concat) \
    X(SPLIT, split) \
    X(SLICE, slice) \
    X(PAD, pad) \
    X(EXPAND, expand) \
    X(TILE, tile) \
    X(GATHER, gather) \
    X(GATHER_ELEMENTS, gather_elements) \
    X(GATHER_ND, gather_nd) \
    X(SCATTER_ELEMENTS, scatter_elements) \
    X(SCATTER_ND, scatter_nd) \
    X(TRILU, trilu) \
    X(REVERSE_SEQUENCE, reverse_sequence) \
    X(ONE_HOT, one_hot) \
    X(NON_ZERO, non_zero) \
    X(UNIQUE, unique) \
    /* shape, shape_ops.c: numbers about shapes, made when the plan is made */ \
    X(SHAPE, shape) \
    X(SIZE, size) \
    X(CONSTANT_OF_SHAPE, constant_of_shape) \
    X(RANGE, range) \
    /* quantised: reals as whole numbers with a scale, and back */ \
    X(QUANTIZE, quantize) \
    X(DEQUANTIZE, dequantize) \
    X(INTEGER_CONV, integer_conv) \
    X(INTEGER_MATMUL, integer_matmul) \
    /* quantised: on bytes (CB_QUINT8); a pass makes them */ \
    X(QUANTISED_CONV, quantised_conv) \
    X(QUANTISED_COPY, quantised_copy) \
    X(QUANTISED_MAX_POOL, quantised_max_pool) \
    X(QUANTISED_AVERAGE_POOL, quantised_average_pool) \
    X(QUANTISED_ADD, quantised_add) \
    X(QUANTISED_LOOKUP, quantised_lookup)
/* clang-format on */
