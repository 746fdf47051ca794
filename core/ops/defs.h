/* core/ops/defs.h - the definition of every operator, each in the file of its family. Only table.c
 * and the families themselves need this; everyone else asks cb_op_get. */
#pragma once

#include "core/ops/op.h"

/* conv.c, pool.c, global_pool.c, batch_norm.c, lrn.c: channels last */
extern const struct cb_op_def cb_op_conv;
extern const struct cb_op_def cb_op_max_pool;
extern const struct cb_op_def cb_op_average_pool;
extern const struct cb_op_def cb_op_global_average_pool;
extern const struct cb_op_def cb_op_global_max_pool;
extern const struct cb_op_def cb_op_batch_norm;
extern const struct cb_op_def cb_op_lrn;

/* conv_chain.c: made by a pass alone */
extern const struct cb_op_def cb_op_conv_chain;

/* layer_norm.c */
extern const struct cb_op_def cb_op_layer_norm;

/* gemm.c, matmul.c */
extern const struct cb_op_def cb_op_gemm;
extern const struct cb_op_def cb_op_matmul;

/* activation.c, clip.c, cast.c: one input, one output, elementwise */
extern const struct cb_op_def cb_op_relu;
extern const struct cb_op_def cb_op_leaky_relu;
extern const struct cb_op_def cb_op_clip;
extern const struct cb_op_def cb_op_sigmoid;
extern const struct cb_op_def cb_op_tanh;
extern const struct cb_op_def cb_op_exp;
extern const struct cb_op_def cb_op_log;
extern const struct cb_op_def cb_op_sqrt;
extern const struct cb_op_def cb_op_reciprocal;
extern const struct cb_op_def cb_op_abs;
extern const struct cb_op_def cb_op_neg;
extern const struct cb_op_def cb_op_sign;
extern const struct cb_op_def cb_op_floor;
extern const struct cb_op_def cb_op_ceil;
extern const struct cb_op_def cb_op_round;
extern const struct cb_op_def cb_op_erf;
extern const struct cb_op_def cb_op_hard_sigmoid;
extern const struct cb_op_def cb_op_hard_swish;
extern const struct cb_op_def cb_op_silu;
extern const struct cb_op_def cb_op_elu;
extern const struct cb_op_def cb_op_selu;
extern const struct cb_op_def cb_op_celu;
extern const struct cb_op_def cb_op_softplus;
extern const struct cb_op_def cb_op_softsign;
extern const struct cb_op_def cb_op_thresholded_relu;
extern const struct cb_op_def cb_op_gelu;
extern const struct cb_op_def cb_op_mish;
extern const struct cb_op_def cb_op_sin;
extern const struct cb_op_def cb_op_cos;
extern const struct cb_op_def cb_op_not;
extern const struct cb_op_def cb_op_identity;
extern const struct cb_op_def cb_op_cast;

/* elementwise.c, where.c: inputs with broadcasting */
extern const struct cb_op_def cb_op_add;
extern const struct cb_op_def cb_op_sub;
extern const struct cb_op_def cb_op_mul;
extern const struct cb_op_def cb_op_div;
extern const struct cb_op_def cb_op_pow;
extern const struct cb_op_def cb_op_mod;
extern const struct cb_op_def cb_op_min;
extern const struct cb_op_def cb_op_max;
extern const struct cb_op_def cb_op_prelu;
extern const struct cb_op_def cb_op_equal;
extern const struct cb_op_def cb_op_greater;
extern const struct cb_op_def cb_op_less;
extern const struct cb_op_def cb_op_greater_equal;
extern const struct cb_op_def cb_op_less_equal;
extern const struct cb_op_def cb_op_and;
extern const struct cb_op_def cb_op_or;
extern const struct cb_op_def cb_op_xor;
extern const struct cb_op_def cb_op_where;

/* reduce.c, argmax.c, softmax.c */
extern const struct cb_op_def cb_op_reduce_sum;
extern const struct cb_op_def cb_op_reduce_mean;
extern const struct cb_op_def cb_op_reduce_max;
extern const struct cb_op_def cb_op_reduce_min;
extern const struct cb_op_def cb_op_reduce_prod;
extern const struct cb_op_def cb_op_reduce_l1;
extern const struct cb_op_def cb_op_reduce_l2;
extern const struct cb_op_def cb_op_reduce_log_sum;
extern const struct cb_op_def cb_op_reduce_log_sum_exp;
extern const struct cb_op_def cb_op_reduce_sum_square;
extern const struct cb_op_def cb_op_arg_max;
extern const struct cb_op_def cb_op_arg_min;
extern const struct cb_op_def cb_op_softmax;
extern const struct cb_op_def cb_op_log_softmax;

/* view.c: the same elements under another shape */
extern const struct cb_op_def cb_op_reshape;
extern const struct cb_op_def cb_op_flatten;
extern const struct cb_op_def cb_op_squeeze;
extern const struct cb_op_def cb_op_unsqueeze;

/* transpose.c, concat.c, slice.c, pad.c, expand.c, gather.c: elements moved, copied, left out */
extern const struct cb_op_def cb_op_transpose;
extern const struct cb_op_def cb_op_concat;
extern const struct cb_op_def cb_op_split;
extern const struct cb_op_def cb_op_slice;
extern const struct cb_op_def cb_op_pad;
extern const struct cb_op_def cb_op_expand;
extern const struct cb_op_def cb_op_tile;
extern const struct cb_op_def cb_op_gather;

/* shape_ops.c: numbers about shapes, made when the plan is made */
extern const struct cb_op_def cb_op_shape;
extern const struct cb_op_def cb_op_size;
extern const struct cb_op_def cb_op_constant_of_shape;
extern const struct cb_op_def cb_op_range;

/* quantise.c; quantised_conv.c, quantised_pool.c, quantised_bytes.c: on bytes */
extern const struct cb_op_def cb_op_quantize;
extern const struct cb_op_def cb_op_dequantize;
extern const struct cb_op_def cb_op_quantised_conv;
extern const struct cb_op_def cb_op_quantised_max_pool;
extern const struct cb_op_def cb_op_quantised_average_pool;
extern const struct cb_op_def cb_op_quantised_add;
extern const struct cb_op_def cb_op_quantised_lookup;
