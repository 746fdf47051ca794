/* importers/onnx/rules/microsoft.c - operators of the domain com.microsoft, opset 1: what ONNX
 * Runtime writes into a file that it has optimised.
 *
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md says what they mean.
 * Each is some of ONNX's own in one, so a rule takes them apart again. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

#define MANY CB_MAX_ARGS

/* clang-format off */
static const struct cb_onnx_rule rules[] = {
    /* op_type                          since/until in out import                                   core operator */
    { "BiasGelu",                         1, 1, 2, 2, 1, cb_onnx_import_bias_gelu,                 CB_OP_GELU },
    { "DequantizeLinear",                 1, 1, 2, 3, 1, cb_onnx_import_dequantize,                CB_OP_DEQUANTIZE },
    { "DynamicQuantizeMatMul",            1, 1, 3, 5, 1, cb_onnx_import_dynamic_quantize_matmul,   CB_OP_INTEGER_MATMUL },
    { "EmbedLayerNormalization",          1, 1, 1, 9, 3, cb_onnx_import_embed_layer_norm,          CB_OP_MUL },
    { "FastGelu",                         1, 1, 1, 2, 1, cb_onnx_import_fast_gelu,                 CB_OP_GELU },
    { "FusedConv",                        1, 1, 2, 4, 1, cb_onnx_import_fused_conv,                CB_OP_CONV },
    { "FusedGemm",                        1, 1, 2, 3, 1, cb_onnx_import_fused_gemm,                CB_OP_GEMM },
    { "FusedMatMul",                      1, 1, 2, 2, 1, cb_onnx_import_fused_matmul,              CB_OP_MATMUL },
    { "Gelu",                             1, 1, 1, 1, 1, cb_onnx_import_same,                      CB_OP_GELU },
    { "MatMulIntegerToFloat",             1, 1, 4, 7, 1, cb_onnx_import_matmul_integer_to_float,   CB_OP_INTEGER_MATMUL },
    { "NhwcMaxPool",                      1, 1, 1, 1, 1, cb_onnx_import_nhwc_max_pool,             CB_OP_MAX_POOL },
    { "QGemm",                            1, 1, 6, 9, 1, cb_onnx_import_qgemm,                     CB_OP_QUANTIZE },
    { "QLinearAdd",                       1, 1, 2, 8, 1, cb_onnx_import_qlinear_add,               CB_OP_QUANTIZE },
    { "QLinearAveragePool",               1, 1, 2, 5, 1, cb_onnx_import_qlinear_average_pool,      CB_OP_QUANTIZE },
    { "QLinearConcat",                    1, 1, 5, MANY, 1, cb_onnx_import_qlinear_concat,            CB_OP_QUANTIZE },
    { "QLinearConv",                      1, 1, 2, 9, 1, cb_onnx_import_qlinear_conv,              CB_OP_QUANTIZE },
    { "QLinearGlobalAveragePool",         1, 1, 2, 5, 1, cb_onnx_import_qlinear_global_pool,       CB_OP_QUANTIZE },
    { "QLinearLeakyRelu",                 1, 1, 2, 5, 1, cb_onnx_import_qlinear_leaky_relu,        CB_OP_QUANTIZE },
    { "QLinearMul",                       1, 1, 2, 8, 1, cb_onnx_import_qlinear_mul,               CB_OP_QUANTIZE },
    { "QLinearReduceMean",                1, 1, 2, 5, 1, cb_onnx_import_qlinear_reduce_mean,       CB_OP_QUANTIZE },
    { "QLinearSigmoid",                   1, 1, 2, 5, 1, cb_onnx_import_qlinear_sigmoid,           CB_OP_QUANTIZE },
    { "QLinearSoftmax",                   1, 1, 2, 5, 1, cb_onnx_import_qlinear_softmax,           CB_OP_QUANTIZE },
    { "QLinearWhere",                     1, 1, 9, 9, 1, cb_onnx_import_qlinear_where,             CB_OP_QUANTIZE },
    { "QuantizeLinear",                   1, 1, 2, 3, 1, cb_onnx_import_quantize,                  CB_OP_QUANTIZE },
    { "QuickGelu",                        1, 1, 1, 1, 1, cb_onnx_import_quick_gelu,                CB_OP_MUL },
    { "SkipLayerNormalization",           1, 1, 3, 5, 4, cb_onnx_import_skip_layer_norm,           CB_OP_MUL },
    { "SkipSimplifiedLayerNormalization", 1, 1, 3, 4, 4, cb_onnx_import_skip_simplified_layer_norm,CB_OP_MUL },
    { "TransposeMatMul",                  1, 1, 2, 2, 1, cb_onnx_import_fused_matmul,              CB_OP_MATMUL },
};
/* clang-format on */

const struct cb_onnx_rules cb_onnx_rules_microsoft = { rules, CB_COUNT_OF(rules) };

/* The rule's Gelu of x, or of x + bias where there is one. */
static struct cb_status add_gelu(struct cb_onnx_node *node, bool approximate)
{
    union cb_attr attr = cb_attr_default(CB_OP_GELU);
    int x = node->in[0], sum;
    attr.unary.approximate = approximate;
    if (cb_onnx_has(node, 1)) {
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(x, node->in[1]), &sum));
        x = sum;
    }
    return cb_onnx_add(node, CB_OP_GELU, &attr, CB_ONNX_ARGS(x), CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_bias_gelu(struct cb_onnx_node *node)
{
    return add_gelu(node, false);
}

struct cb_status cb_onnx_import_fast_gelu(struct cb_onnx_node *node)
{
    return add_gelu(node, true);
}

/* y = x * sigmoid(alpha * x) */
struct cb_status cb_onnx_import_quick_gelu(struct cb_onnx_node *node)
{
    const int x = node->in[0];
    int factor, scaled, gate;
    float alpha;
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.702f, &alpha));
    CB_TRY(cb_onnx_add_scalar(node, "alpha", cb_onnx_in(node, 0)->dtype, (double)alpha, &factor));
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(x, factor), &scaled));
    CB_TRY(cb_onnx_step(node, CB_OP_SIGMOID, NULL, CB_ONNX_ARGS(scaled), &gate));
    return cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(x, gate), CB_ONNX_ARGS(node->out[0]));
}

/* A factor of the product as its attributes ask for it: first axis 0 goes behind the batch's axes,
 * then the last two change places. */
static struct cb_status read_factor(struct cb_onnx_node *node, int i, const char *const attrs[2],
                                    int *out)
{
    static const int perms[] = { CB_PERM_BATCH, CB_PERM_SWAP_LAST };
    *out = node->in[i];
    for (int k = 0; k < 2; k++) {
        const union cb_attr attr = { .transpose = { .rank = perms[k] } };
        const int x = *out;
        bool wanted;
        CB_TRY(cb_onnx_attr_flag(node, attrs[k], false, &wanted));
        if (!wanted)
            continue;
        CB_TRY(cb_onnx_step(node, CB_OP_TRANSPOSE, &attr, CB_ONNX_ARGS(x), out));
    }
    return cb_ok();
}

/* y = alpha * a b, each of them transposed when asked for. */
struct cb_status cb_onnx_import_fused_matmul(struct cb_onnx_node *node)
{
    float alpha;
    int a, b, factor, product = node->out[0];
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.0f, &alpha));
    CB_TRY(read_factor(node, 0, (const char *const[]){ "transBatchA", "transA" }, &a));
    CB_TRY(read_factor(node, 1, (const char *const[]){ "transBatchB", "transB" }, &b));
    const bool scaled = alpha < 1.0f || alpha > 1.0f;
    if (scaled)
        CB_TRY(cb_onnx_temp(node, node->in[0], "product", &product));
    CB_TRY(cb_onnx_add(node, CB_OP_MATMUL, NULL, CB_ONNX_ARGS(a, b), CB_ONNX_ARGS(product)));
    if (!scaled)
        return cb_ok();
    CB_TRY(cb_onnx_add_scalar(node, "alpha", cb_onnx_in(node, 0)->dtype, (double)alpha, &factor));
    return cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(product, factor),
                       CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_add_activation(struct cb_onnx_node *node, const float *params, size_t n,
                                        int x, int out)
{
    static const struct {
        const char *name;
        enum cb_op op;
        size_t numbers; /* that it wants, where any are given */
    } kinds[] = { { "", CB_OP_IDENTITY, 0 },
                  { "Relu", CB_OP_RELU, 0 },
                  { "LeakyRelu", CB_OP_LEAKY_RELU, 1 },
                  { "Elu", CB_OP_ELU, 1 },
                  { "Sigmoid", CB_OP_SIGMOID, 0 },
                  { "HardSigmoid", CB_OP_HARD_SIGMOID, 2 },
                  { "Tanh", CB_OP_TANH, 0 },
                  { "Softplus", CB_OP_SOFTPLUS, 0 },
                  { "Softsign", CB_OP_SOFTSIGN, 0 },
                  { "ThresholdedRelu", CB_OP_THRESHOLDED_RELU, 1 },
                  { "HardSwish", CB_OP_HARD_SWISH, 0 },
                  { "Clip", CB_OP_CLIP, 2 } };
    const char *names[CB_COUNT_OF(kinds)];
    int kind;
    for (size_t i = 0; i < CB_COUNT_OF(kinds); i++)
        names[i] = kinds[i].name;
    CB_TRY(cb_onnx_attr_word(node, "activation", names, CB_COUNT_OF(kinds), &kind));
    const size_t numbers = kinds[kind].numbers;
    union cb_attr attr = cb_attr_default(kinds[kind].op);
    if (n && n < numbers)
        return cb_fail(CB_ERR_MODEL, "%s wants %zu numbers, has %zu", kinds[kind].name, numbers, n);
    if (n && kinds[kind].op == CB_OP_CLIP) {
        attr.clip.lo = (double)params[0];
        attr.clip.hi = (double)params[1];
    } else if (n && numbers) {
        attr.unary.alpha = params[0];
        attr.unary.beta = numbers > 1 ? params[1] : attr.unary.beta;
    }
    return cb_onnx_add(node, kinds[kind].op, &attr, CB_ONNX_ARGS(x), CB_ONNX_ARGS(out));
}

/* Gemm with an activation behind it, whose own alpha and beta are attributes activation_*. */
struct cb_status cb_onnx_import_fused_gemm(struct cb_onnx_node *node)
{
    static const char *const names[] = { "activation_alpha", "activation_beta" };
    struct cb_onnx_node gemm = *node;
    float params[2];
    size_t n = 0;
    int y;
    for (; n < 2 && cb_onnx_attr_find(node, names[n]); n++)
        CB_TRY(cb_onnx_attr_float(node, names[n], 0.0f, &params[n]));
    CB_TRY(cb_onnx_temp(node, node->in[0], "product", &y));
    gemm.out = &y;
    CB_TRY(cb_onnx_import_gemm(&gemm));
    return cb_onnx_add_activation(node, params, n, y, node->out[0]);
}
