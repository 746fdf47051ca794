/* importers/onnx/rules/quantised_microsoft.c - quantised operators of com.microsoft: what ONNX
 * Runtime's quantiser writes beside ONNX's own. Functions and pools of one tensor are taken apart
 * into DequantizeLinear, the operator on reals and QuantizeLinear. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/quantised.h"

/* The inputs whose bits are set must be there: optional ones stand between them. */
static struct cb_status want(const struct cb_onnx_node *node, unsigned bits)
{
    for (int i = 0; bits >> i; i++)
        if (bits >> i & 1 && !cb_onnx_has(node, i))
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    return cb_ok();
}

enum {
    OF_ONE = 1 << 0 | 1 << 1 | 1 << 3,
    OF_TWO = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6,
    OF_GEMM = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4,
};

/* The node's result with the scale and the zero that are inputs i and i + 1. */
static struct cb_onnx_quantised result_at(const struct cb_onnx_node *node, int i)
{
    return cb_onnx_quantised_of(node->out[0], cb_onnx_optional(node, i),
                                cb_onnx_optional(node, i + 1));
}

static struct cb_onnx_quantised zero_first_at(const struct cb_onnx_node *node, int i)
{
    struct cb_onnx_quantised y = result_at(node, i);
    y.zero_first = true;
    return y;
}

/* x, x_scale, x_zero?, y_scale, y_zero? around `op` by the rule `import`. */
static struct cb_status import_around(struct cb_onnx_node *node, enum cb_op op,
                                      cb_onnx_rule_fn *import)
{
    const struct cb_onnx_quantised result =
        op == CB_OP_AVERAGE_POOL ? zero_first_at(node, 3) : result_at(node, 3);
    int x, y;
    CB_TRY(want(node, OF_ONE));
    CB_TRY(cb_onnx_dequantise(node, cb_onnx_quantised_at(node, 0), 1, &x));
    CB_TRY(cb_onnx_temp(node, x, "result", &y));
    CB_TRY(cb_onnx_add_inner(node, op, import, CB_ONNX_ARGS(x), y));
    return cb_onnx_quantise(node, y, result, 1, node->in[0]);
}

struct cb_status cb_onnx_import_qlinear_sigmoid(struct cb_onnx_node *node)
{
    return import_around(node, CB_OP_SIGMOID, cb_onnx_import_unary);
}

struct cb_status cb_onnx_import_qlinear_leaky_relu(struct cb_onnx_node *node)
{
    return import_around(node, CB_OP_LEAKY_RELU, cb_onnx_import_unary);
}

struct cb_status cb_onnx_import_qlinear_average_pool(struct cb_onnx_node *node)
{
    return import_around(node, CB_OP_AVERAGE_POOL, cb_onnx_import_pool);
}

struct cb_status cb_onnx_import_qlinear_global_pool(struct cb_onnx_node *node)
{
    return import_around(node, CB_OP_GLOBAL_AVERAGE_POOL, cb_onnx_import_global_pool);
}

struct cb_status cb_onnx_import_qlinear_reduce_mean(struct cb_onnx_node *node)
{
    return import_around(node, CB_OP_REDUCE_MEAN, cb_onnx_import_reduce);
}

/* Its attribute `opset` says of which opset Softmax it is. */
struct cb_status cb_onnx_import_qlinear_softmax(struct cb_onnx_node *node)
{
    int64_t opset;
    CB_TRY(cb_onnx_attr_int(node, "opset", 13, &opset));
    return import_around(node, CB_OP_SOFTMAX,
                         opset < 13 ? cb_onnx_import_softmax_1 : cb_onnx_import_softmax);
}

/* a, a_scale, a_zero?, b, b_scale, b_zero?, y_scale, y_zero? */
struct cb_status cb_onnx_import_qlinear_add(struct cb_onnx_node *node)
{
    int a, b, y;
    CB_TRY(want(node, OF_TWO));
    CB_TRY(cb_onnx_dequantise(node, cb_onnx_quantised_at(node, 0), 1, &a));
    CB_TRY(cb_onnx_dequantise(node, cb_onnx_quantised_at(node, 3), 1, &b));
    CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(a, b), &y));
    return cb_onnx_quantise(node, y, zero_first_at(node, 6), 1, node->in[0]);
}

/* (a - a_zero) (b - b_zero) is exact; one factor, a_scale b_scale / y_scale, comes after it. */
struct cb_status cb_onnx_import_qlinear_mul(struct cb_onnx_node *node)
{
    struct cb_onnx_quantised a = cb_onnx_quantised_at(node, 0), b = cb_onnx_quantised_at(node, 3),
                             y = zero_first_at(node, 6);
    int x_scale = a.scale, w_scale = b.scale, one, ra, rb, product;
    CB_TRY(want(node, OF_TWO));
    CB_TRY(cb_onnx_add_scalar(node, "one", CB_FLOAT32, 1, &one));
    a.scale = b.scale = one;
    CB_TRY(cb_onnx_dequantise(node, a, 1, &ra));
    CB_TRY(cb_onnx_dequantise(node, b, 1, &rb));
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(ra, rb), &product));
    return cb_onnx_scale_sums(node, &(struct cb_onnx_sums){ .sums = product,
                                                            .x_scale = x_scale,
                                                            .w_scale = w_scale,
                                                            .axis = -1,
                                                            .bias = -1,
                                                            .alpha = 1,
                                                            .y = y,
                                                            .like = a.value });
}

/* y_scale, y_zero, then each part with its own. */
struct cb_status cb_onnx_import_qlinear_concat(struct cb_onnx_node *node)
{
    const struct cb_onnx_quantised y =
        cb_onnx_quantised_of(node->out[0], node->in[0], cb_onnx_optional(node, 1));
    const int parts = node->n_in / 3;
    int *reals, joined;
    CB_TRY(want(node, 1));
    if (node->n_in % 3 == 0)
        return cb_fail(CB_ERR_MODEL, "wants three inputs for each part, has %d", node->n_in - 2);
    CB_TRY(cb_arena_get(node->import->scratch, (size_t)parts, sizeof *reals, "parts", &reals));
    for (int i = 0; i < parts; i++) {
        const struct cb_onnx_quantised part = cb_onnx_quantised_at(node, 2 + 3 * i);
        if (part.value < 0 || part.scale < 0)
            return cb_fail(CB_ERR_MODEL, "part %d is missing", i);
        CB_TRY(cb_onnx_dequantise(node, part, 1, &reals[i]));
    }
    CB_TRY(cb_onnx_temp(node, reals[0], "joined", &joined));
    CB_TRY(cb_onnx_add_inner(node, CB_OP_CONCAT, cb_onnx_import_concat,
                             (struct cb_onnx_args){ parts, reals }, joined));
    return cb_onnx_quantise(node, joined, y, 1, node->in[2]);
}

/* condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero */
struct cb_status cb_onnx_import_qlinear_where(struct cb_onnx_node *node)
{
    int x, y, z;
    CB_TRY(cb_onnx_dequantise(node, cb_onnx_quantised_at(node, 1), 1, &x));
    CB_TRY(cb_onnx_dequantise(node, cb_onnx_quantised_at(node, 4), 1, &y));
    CB_TRY(cb_onnx_step(node, CB_OP_WHERE, NULL, CB_ONNX_ARGS(node->in[0], x, y), &z));
    return cb_onnx_quantise(node, z, result_at(node, 7), 1, node->in[1]);
}

/* a, b, a_scale, b_scale, a_zero?, b_zero?, bias? */
struct cb_status cb_onnx_import_matmul_integer_to_float(struct cb_onnx_node *node)
{
    return cb_onnx_add_product(
        node, cb_onnx_quantised_of(node->in[0], node->in[2], cb_onnx_optional(node, 4)),
        cb_onnx_quantised_of(node->in[1], node->in[3], cb_onnx_optional(node, 5)),
        cb_onnx_optional(node, 6), cb_onnx_quantised_of(node->out[0], -1, -1));
}

/* a (real), b, b_scale, b_zero?, bias? */
struct cb_status cb_onnx_import_dynamic_quantize_matmul(struct cb_onnx_node *node)
{
    struct cb_onnx_quantised a = { .value = -1 };
    CB_TRY(cb_onnx_quantise_dynamically(node, node->in[0], &a));
    return cb_onnx_add_product(node, a, cb_onnx_quantised_at(node, 1), cb_onnx_optional(node, 4),
                               cb_onnx_quantised_of(node->out[0], -1, -1));
}

static struct cb_status flip(struct cb_onnx_node *node, bool wanted, int *x)
{
    const union cb_attr attr = { .transpose = { .rank = CB_PERM_SWAP_LAST } };
    const int from = *x;
    return wanted ? cb_onnx_step(node, CB_OP_TRANSPOSE, &attr, CB_ONNX_ARGS(from), x) : cb_ok();
}

/* a, a_scale, a_zero, b, b_scale, b_zero, c?, y_scale?, y_zero?: y = alpha a b + c, where c is
 * int32 in units of alpha a_scale b_scale; without y_scale it is real. */
struct cb_status cb_onnx_import_qgemm(struct cb_onnx_node *node)
{
    struct cb_onnx_quantised a = cb_onnx_quantised_at(node, 0), b = cb_onnx_quantised_at(node, 3),
                             y = result_at(node, 7);
    struct cb_onnx_sums s = {
        .x_scale = a.scale, .w_scale = b.scale, .axis = -1, .bias = -1, .y = y, .like = a.value
    };
    int c = cb_onnx_optional(node, 6), ra, rb, product;
    bool trans_a, trans_b;
    CB_TRY(want(node, OF_GEMM));
    CB_TRY(cb_onnx_attr_flag(node, "transA", false, &trans_a));
    CB_TRY(cb_onnx_attr_flag(node, "transB", false, &trans_b));
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.0f, &s.alpha));
    if (cb_onnx_becomes_bytes(node, a, b, y) && !trans_a && s.alpha >= 1 && s.alpha <= 1) {
        union cb_attr gemm = cb_attr_default(CB_OP_GEMM);
        gemm.gemm.trans_b = trans_b;
        CB_TRY(cb_onnx_dequantise(node, a, 1, &ra));
        CB_TRY(cb_onnx_dequantise(node, b, trans_b ? 0 : 1, &rb));
        if (c >= 0)
            CB_TRY(cb_onnx_dequantise_bias(node, c, a, b, -1, &c));
        product = y.value;
        if (y.scale >= 0)
            CB_TRY(cb_onnx_temp(node, ra, "product", &product));
        CB_TRY(cb_onnx_add(node, CB_OP_GEMM, &gemm,
                           (struct cb_onnx_args){ c < 0 ? 2 : 3, (int[]){ ra, rb, c } },
                           CB_ONNX_ARGS(product)));
        return y.scale < 0 ? cb_ok() : cb_onnx_quantise(node, product, y, 1, a.value);
    }
    CB_TRY(flip(node, trans_a, &a.value));
    CB_TRY(flip(node, trans_b, &b.value));
    CB_TRY(cb_onnx_step(node, CB_OP_INTEGER_MATMUL, NULL,
                        CB_ONNX_ARGS(a.value, b.value, a.zero, b.zero), &s.sums));
    if (c >= 0)
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(s.sums, c), &s.sums));
    return cb_onnx_scale_sums(node, &s);
}
