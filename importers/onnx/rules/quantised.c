/* importers/onnx/rules/quantised.c - quantised operators. There are two core forms, QuantizeLinear
 * and DequantizeLinear; the rest is written with them around the operator on reals, which is what
 * it means. A pass makes bytes of them again. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

static struct cb_status read_attributes(const struct cb_onnx_node *node, union cb_attr *attr)
{
    int64_t type;
    CB_TRY(cb_onnx_attr_axis(node, "axis", 1, &attr->quantise.axis));
    CB_TRY(cb_onnx_attr_int(node, "block_size", 0, &attr->quantise.block));
    if (attr->quantise.block < 0 || attr->quantise.block > INT32_MAX)
        return cb_fail(CB_ERR_MODEL, "block_size is %lld", (long long)attr->quantise.block);
    CB_TRY(cb_onnx_attr_int(node, "output_dtype", 0, &type));
    attr->quantise.to = cb_onnx_dtype(type);
    if (type != 0 && attr->quantise.to == CB_DTYPE_NONE)
        return cb_fail(CB_ERR_UNSUPPORTED, "output_dtype %s (%lld)", cb_onnx_dtype_name(type),
                       (long long)type);
    return cb_ok();
}

struct cb_status cb_onnx_import_quantize(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_QUANTIZE);
    CB_TRY(read_attributes(node, &attr));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_dequantize(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_DEQUANTIZE);
    CB_TRY(read_attributes(node, &attr));
    return cb_onnx_add_same(node, &attr);
}

/* The reals of a quantised input: of `axis`, when its scale is a list. */
static struct cb_status add_dequantised(struct cb_onnx_node *node, int x, int scale, int zero,
                                        int axis, int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_DEQUANTIZE);
    attr.quantise.axis = axis;
    CB_TRY(cb_onnx_temp(node, x, "real", out));
    if (zero < 0)
        return cb_onnx_add(node, CB_OP_DEQUANTIZE, &attr, CB_ONNX_ARGS(x, scale),
                           CB_ONNX_ARGS(*out));
    return cb_onnx_add(node, CB_OP_DEQUANTIZE, &attr, CB_ONNX_ARGS(x, scale, zero),
                       CB_ONNX_ARGS(*out));
}

/* `op` of reals `in` to `out`, with this node's attributes. */
static struct cb_status add_inner(struct cb_onnx_node *node, enum cb_op op, cb_onnx_rule_fn *import,
                                  struct cb_onnx_args in, int out)
{
    struct cb_onnx_rule rule = *node->rule;
    struct cb_onnx_node inner = *node;
    int outs[1] = { out };
    rule.op = op;
    inner.rule = &rule;
    inner.n_in = in.n;
    inner.in = (int *)(uintptr_t)in.v;
    inner.n_out = 1;
    inner.out = outs;
    return import(&inner);
}

/* QLinearConv-10: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias?; the bias has the
 * scale x_scale * w_scale and the zero 0. */
struct cb_status cb_onnx_import_qlinear_conv(struct cb_onnx_node *node)
{
    const int *in = node->in;
    const int x_scale = in[1], w_scale = in[4], y_scale = in[6], y_zero = in[7];
    int x, w, b = -1, y, unit;
    CB_TRY(add_dequantised(node, in[0], x_scale, in[2], 1, &x));
    CB_TRY(add_dequantised(node, in[3], w_scale, in[5], 0, &w));
    if (cb_onnx_has(node, 8)) {
        CB_TRY(cb_onnx_temp(node, w_scale, "unit", &unit));
        CB_TRY(
            cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(w_scale, x_scale), CB_ONNX_ARGS(unit)));
        CB_TRY(add_dequantised(node, in[8], unit, -1, 0, &b));
    }
    CB_TRY(cb_onnx_temp(node, x, "product", &y));
    CB_TRY(add_inner(node, CB_OP_CONV, cb_onnx_import_conv,
                     (struct cb_onnx_args){ b < 0 ? 2 : 3, (int[]){ x, w, b } }, y));
    return cb_onnx_add(node, CB_OP_QUANTIZE, NULL, CB_ONNX_ARGS(y, y_scale, y_zero),
                       CB_ONNX_ARGS(node->out[0]));
}

/* QLinearMatMul-21: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero. A list of a's scales
 * is one for each row, of b's one for each column. */
struct cb_status cb_onnx_import_qlinear_matmul(struct cb_onnx_node *node)
{
    const int *in = node->in;
    const int y_scale = in[6], y_zero = in[7];
    int a, b, y;
    CB_TRY(add_dequantised(node, in[0], in[1], in[2], -2, &a));
    CB_TRY(add_dequantised(node, in[3], in[4], in[5], -1, &b));
    CB_TRY(cb_onnx_temp(node, a, "product", &y));
    CB_TRY(cb_onnx_add(node, CB_OP_MATMUL, NULL, CB_ONNX_ARGS(a, b), CB_ONNX_ARGS(y)));
    return cb_onnx_add(node, CB_OP_QUANTIZE, NULL, CB_ONNX_ARGS(y, y_scale, y_zero),
                       CB_ONNX_ARGS(node->out[0]));
}

/* Sums of whole numbers, as reals: exact while they stay below 2^24. */
static struct cb_status add_integer_product(struct cb_onnx_node *node, enum cb_op op,
                                            cb_onnx_rule_fn *import, int axis_a, int axis_b)
{
    union cb_attr cast = cb_attr_default(CB_OP_CAST);
    int one, a, b, y;
    CB_TRY(cb_onnx_add_scalar(node, "one", CB_FLOAT32, 1, &one));
    CB_TRY(add_dequantised(node, node->in[0], one, cb_onnx_has(node, 2) ? node->in[2] : -1, axis_a,
                           &a));
    CB_TRY(add_dequantised(node, node->in[1], one, cb_onnx_has(node, 3) ? node->in[3] : -1, axis_b,
                           &b));
    CB_TRY(cb_onnx_temp(node, a, "product", &y));
    CB_TRY(add_inner(node, op, import, CB_ONNX_ARGS(a, b), y));
    cast.cast.to = CB_INT32;
    return cb_onnx_add(node, CB_OP_CAST, &cast, CB_ONNX_ARGS(y), CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_conv_integer(struct cb_onnx_node *node)
{
    return add_integer_product(node, CB_OP_CONV, cb_onnx_import_conv, 1, 0);
}

struct cb_status cb_onnx_import_matmul_integer(struct cb_onnx_node *node)
{
    return add_integer_product(node, CB_OP_MATMUL, cb_onnx_import_same, -2, -1);
}

static struct cb_status add_step(struct cb_onnx_node *node, enum cb_op op, const char *what, int a,
                                 int b, int *out)
{
    CB_TRY(cb_onnx_temp(node, node->in[0], what, out));
    if (b < 0)
        return cb_onnx_add(node, op, NULL, CB_ONNX_ARGS(a), CB_ONNX_ARGS(*out));
    return cb_onnx_add(node, op, NULL, CB_ONNX_ARGS(a, b), CB_ONNX_ARGS(*out));
}

static struct cb_status add_bound(struct cb_onnx_node *node, enum cb_op reduce, enum cb_op bound,
                                  int zero, int *out)
{
    union cb_attr attr = cb_attr_default(reduce);
    int extreme;
    attr.reduce.keep_dims = false;
    CB_TRY(cb_onnx_temp(node, node->in[0], "extreme", &extreme));
    CB_TRY(cb_onnx_add(node, reduce, &attr, CB_ONNX_ARGS(node->in[0]), CB_ONNX_ARGS(extreme)));
    return add_step(node, bound, "bound", extreme, zero, out);
}

/* DynamicQuantizeLinear-11: the range of x and 0 becomes 0 .. 255. */
struct cb_status cb_onnx_import_dynamic_quantize(struct cb_onnx_node *node)
{
    union cb_attr clip = cb_attr_default(CB_OP_CLIP), cast = cb_attr_default(CB_OP_CAST);
    int none, levels, lo, hi, width, scale, steps, below, rounded, clipped, zero;
    CB_TRY(cb_onnx_add_scalar(node, "none", CB_FLOAT32, 0, &none));
    CB_TRY(cb_onnx_add_scalar(node, "levels", CB_FLOAT32, 255, &levels));
    CB_TRY(add_bound(node, CB_OP_REDUCE_MIN, CB_OP_MIN, none, &lo));
    CB_TRY(add_bound(node, CB_OP_REDUCE_MAX, CB_OP_MAX, none, &hi));
    CB_TRY(add_step(node, CB_OP_SUB, "width", hi, lo, &width));
    CB_TRY(add_step(node, CB_OP_DIV, "scale", width, levels, &scale));
    CB_TRY(add_step(node, CB_OP_DIV, "steps", lo, scale, &steps));
    CB_TRY(add_step(node, CB_OP_NEG, "below", steps, -1, &below));
    CB_TRY(add_step(node, CB_OP_ROUND, "rounded", below, -1, &rounded));
    clip.clip.lo = 0;
    clip.clip.hi = 255;
    CB_TRY(cb_onnx_temp(node, node->in[0], "clipped", &clipped));
    CB_TRY(cb_onnx_add(node, CB_OP_CLIP, &clip, CB_ONNX_ARGS(rounded), CB_ONNX_ARGS(clipped)));
    cast.cast.to = CB_UINT8;
    CB_TRY(cb_onnx_temp(node, node->in[0], "zero", &zero));
    CB_TRY(cb_onnx_add(node, CB_OP_CAST, &cast, CB_ONNX_ARGS(clipped), CB_ONNX_ARGS(zero)));
    CB_TRY(cb_onnx_add(node, CB_OP_QUANTIZE, NULL, CB_ONNX_ARGS(node->in[0], scale, zero),
                       CB_ONNX_ARGS(node->out[0])));
    const int made[] = { scale, zero };
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0)
            CB_TRY(cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(made[i - 1]),
                               CB_ONNX_ARGS(node->out[i])));
    return cb_ok();
}
