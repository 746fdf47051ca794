/* importers/onnx/rules/rules.h - which rule imports an operator of an opset, and the rules by
 * family. */
#pragma once

#include "importers/onnx/import.h"

/* The operators of one domain. */
struct cb_onnx_rules {
    const struct cb_onnx_rule *rule;
    size_t n;
};

/* Those of a domain ("": ai.onnx); NULL where it is not known. */
const struct cb_onnx_rules *cb_onnx_rules_of(const char *domain);

/* The row for op_type in that opset of its domain; NULL when there is none. */
const struct cb_onnx_rule *cb_onnx_rule_find(const char *domain, const char *op_type,
                                             int64_t opset);

/* rules/microsoft.c: what ONNX Runtime adds when it optimises or quantises. */
extern const struct cb_onnx_rules cb_onnx_rules_microsoft;
cb_onnx_rule_fn cb_onnx_import_fast_gelu, cb_onnx_import_bias_gelu, cb_onnx_import_quick_gelu,
    cb_onnx_import_fused_matmul, cb_onnx_import_fused_gemm;

/* out = the activation that attribute `activation` names, of x; x itself where it names none.
 * params: n of alpha and beta, or of Clip min and max; 0: the operator's defaults. */
CB_MUST_USE struct cb_status cb_onnx_add_activation(struct cb_onnx_node *node, const float *params,
                                                    size_t n, int x, int out);

/* rules/image.c */
cb_onnx_rule_fn cb_onnx_import_conv, cb_onnx_import_pool, cb_onnx_import_global_pool,
    cb_onnx_import_lrn, cb_onnx_import_batch_norm;
cb_onnx_rule_fn cb_onnx_import_conv_transpose, cb_onnx_import_blocks,
    cb_onnx_import_lp_pool, cb_onnx_import_max_unpool,
    cb_onnx_import_grid_sample, cb_onnx_import_affine_grid;

/* rules/resize.c */
cb_onnx_rule_fn cb_onnx_import_resize, cb_onnx_import_upsample, cb_onnx_import_upsample_1;

/* rules/region.c */
cb_onnx_rule_fn cb_onnx_import_roi_align, cb_onnx_import_max_roi_pool, cb_onnx_import_col2im,
    cb_onnx_import_center_crop_pad, cb_onnx_import_fused_conv, cb_onnx_import_nhwc_max_pool;

/* rules/math.c */
cb_onnx_rule_fn cb_onnx_import_same, cb_onnx_import_unary, cb_onnx_import_selu_1,
    cb_onnx_import_gelu, cb_onnx_import_swish, cb_onnx_import_clip_1, cb_onnx_import_cast,
    cb_onnx_import_cast_like, cb_onnx_import_binary_1, cb_onnx_import_prelu_1, cb_onnx_import_mod,
    cb_onnx_import_chain, cb_onnx_import_mean, cb_onnx_import_shrink, cb_onnx_import_gemm;

/* rules/reduce.c */
cb_onnx_rule_fn cb_onnx_import_reduce, cb_onnx_import_arg, cb_onnx_import_softmax,
    cb_onnx_import_softmax_1, cb_onnx_import_lp_normalization;

/* rules/norm.c */
cb_onnx_rule_fn cb_onnx_import_layer_norm, cb_onnx_import_rms_norm,
    cb_onnx_import_mean_variance_norm, cb_onnx_import_instance_norm, cb_onnx_import_group_norm,
    cb_onnx_import_simplified_layer_norm, cb_onnx_import_skip_layer_norm,
    cb_onnx_import_skip_simplified_layer_norm, cb_onnx_import_embed_layer_norm;

/* rules/shape.c */
cb_onnx_rule_fn cb_onnx_import_reshape, cb_onnx_import_flatten, cb_onnx_import_squeeze,
    cb_onnx_import_transpose, cb_onnx_import_concat, cb_onnx_import_gather, cb_onnx_import_split,
    cb_onnx_import_slice, cb_onnx_import_pad, cb_onnx_import_pad_1, cb_onnx_import_tile_1,
    cb_onnx_import_shape, cb_onnx_import_constant_of_shape, cb_onnx_import_constant,
    cb_onnx_import_dropout;

/* rules/indices.c */
cb_onnx_rule_fn cb_onnx_import_places, cb_onnx_import_top_k, cb_onnx_import_trilu,
    cb_onnx_import_eye_like, cb_onnx_import_one_hot, cb_onnx_import_cumulate,
    cb_onnx_import_reverse_sequence, cb_onnx_import_unique, cb_onnx_import_compress,
    cb_onnx_import_is_nan, cb_onnx_import_is_inf, cb_onnx_import_bit_shift;

/* rules/loss.c */
cb_onnx_rule_fn cb_onnx_import_negative_log_likelihood, cb_onnx_import_softmax_cross_entropy;

/* rules/einsum.c */
cb_onnx_rule_fn cb_onnx_import_einsum;

/* rules/control.c */
cb_onnx_rule_fn cb_onnx_import_if, cb_onnx_import_loop, cb_onnx_import_scan, cb_onnx_import_scan_8;

/* rules/quantised.c */
cb_onnx_rule_fn cb_onnx_import_quantize, cb_onnx_import_dequantize, cb_onnx_import_dynamic_quantize,
    cb_onnx_import_qlinear_conv, cb_onnx_import_qlinear_matmul;

/* rules/quantised_microsoft.c */
cb_onnx_rule_fn cb_onnx_import_qlinear_sigmoid, cb_onnx_import_qlinear_leaky_relu,
    cb_onnx_import_qlinear_average_pool, cb_onnx_import_qlinear_global_pool,
    cb_onnx_import_qlinear_reduce_mean, cb_onnx_import_qlinear_softmax, cb_onnx_import_qlinear_add,
    cb_onnx_import_qlinear_mul, cb_onnx_import_qlinear_concat, cb_onnx_import_qlinear_where,
    cb_onnx_import_matmul_integer_to_float, cb_onnx_import_dynamic_quantize_matmul,
    cb_onnx_import_qgemm;
