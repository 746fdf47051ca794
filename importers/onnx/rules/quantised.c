/* importers/onnx/rules/quantised.c - ONNX's quantised operators. A product whose scales, zeros and
 * weights are constants is written with DequantizeLinear and QuantizeLinear around the operator on
 * reals, which is what it means, and a pass makes bytes of it again; any other one as a product of
 * whole numbers, whose sums are scaled. */
#include "importers/onnx/rules/quantised.h"

#include <math.h>

#include "importers/onnx/attrs.h"

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

struct cb_onnx_quantised cb_onnx_quantised_at(const struct cb_onnx_node *node, int i)
{
    return cb_onnx_quantised_of(cb_onnx_optional(node, i), cb_onnx_optional(node, i + 1),
                                cb_onnx_optional(node, i + 2));
}

/* A node whose last input may be absent (-1). */
static struct cb_status add_three(struct cb_onnx_node *node, enum cb_op op,
                                  const union cb_attr *attr, const int in[3], int out)
{
    return cb_onnx_add(node, op, attr, (struct cb_onnx_args){ in[2] < 0 ? 2 : 3, in },
                       CB_ONNX_ARGS(out));
}

struct cb_status cb_onnx_dequantise(struct cb_onnx_node *node, struct cb_onnx_quantised x, int axis,
                                    int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_DEQUANTIZE);
    attr.quantise.axis = axis;
    CB_TRY(cb_onnx_temp(node, x.value, "real", out));
    return add_three(node, CB_OP_DEQUANTIZE, &attr, (int[]){ x.value, x.scale, x.zero }, *out);
}

struct cb_status cb_onnx_quantise(struct cb_onnx_node *node, int real, struct cb_onnx_quantised y,
                                  int axis, int like)
{
    union cb_attr attr = cb_attr_default(CB_OP_QUANTIZE);
    attr.quantise.axis = axis;
    attr.quantise.zero_first = y.zero_first;
    if (y.zero < 0)
        attr.quantise.to = node->import->graph->values[like].dtype;
    return add_three(node, CB_OP_QUANTIZE, &attr, (int[]){ real, y.scale, y.zero }, y.value);
}

struct cb_status cb_onnx_add_inner(struct cb_onnx_node *node, enum cb_op op,
                                   cb_onnx_rule_fn *import, struct cb_onnx_args in, int out)
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

static const struct cb_value *value_of(const struct cb_onnx_node *node, int v)
{
    return v >= 0 ? &node->import->graph->values[v] : NULL;
}

static bool is_known(const struct cb_onnx_node *node, struct cb_onnx_quantised x)
{
    const struct cb_value *scale = value_of(node, x.scale), *zero = value_of(node, x.zero);
    return scale && scale->data && scale->dtype == CB_FLOAT32 && (!zero || zero->data);
}

bool cb_onnx_becomes_bytes(const struct cb_onnx_node *node, struct cb_onnx_quantised x,
                           struct cb_onnx_quantised w, struct cb_onnx_quantised y)
{
    const struct cb_value *weights = value_of(node, w.value);
    return !value_of(node, x.value)->data && weights->data && is_known(node, x) &&
           is_known(node, w) && (y.scale < 0 || is_known(node, y)) &&
           cb_shape_count(&value_of(node, x.scale)->shape) == 1 &&
           (y.scale < 0 || cb_shape_count(&value_of(node, y.scale)->shape) == 1);
}

static struct cb_status to_float(struct cb_onnx_node *node, int x, int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_CAST);
    attr.cast.to = CB_FLOAT32;
    *out = x;
    return value_of(node, x)->dtype == CB_FLOAT32
               ? cb_ok()
               : cb_onnx_step(node, CB_OP_CAST, &attr, CB_ONNX_ARGS(x), out);
}

struct cb_status cb_onnx_as_column(struct cb_onnx_node *node, int x, int *out)
{
    const struct cb_shape *s = &value_of(node, x)->shape;
    union cb_attr attr = cb_attr_default(CB_OP_UNSQUEEZE);
    *out = x;
    if (s->rank != 1 || s->dim[0] == 1)
        return cb_ok();
    attr.squeeze.axes = (struct cb_list){ 1, { -1 } };
    return cb_onnx_step(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(x), out);
}

struct cb_status cb_onnx_scale_sums(struct cb_onnx_node *node, const struct cb_onnx_sums *s)
{
    union cb_attr mul = cb_attr_default(CB_OP_MUL);
    const bool quantised = s->y.scale >= 0;
    struct cb_onnx_quantised y = s->y;
    int x_scale, w_scale, y_scale, unit, real, alpha, out = s->bias < 0 ? y.value : -1;
    CB_TRY(to_float(node, s->x_scale, &x_scale));
    CB_TRY(to_float(node, s->w_scale, &w_scale));
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(w_scale, x_scale), &unit));
    if (s->alpha < 1 || s->alpha > 1) {
        CB_TRY(cb_onnx_add_scalar(node, "alpha", CB_FLOAT32, (double)s->alpha, &alpha));
        CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(unit, alpha), &unit));
    }
    if (quantised) {
        CB_TRY(to_float(node, y.scale, &y_scale));
        CB_TRY(cb_onnx_as_column(node, y_scale, &y_scale));
        CB_TRY(cb_onnx_step(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(unit, y_scale), &unit));
    }
    CB_TRY(to_float(node, s->sums, &real));
    mul.binary.aligned = s->axis >= 0;
    mul.binary.axis = s->axis;
    if (out < 0 || quantised)
        CB_TRY(cb_onnx_temp(node, real, "scaled", &out));
    CB_TRY(cb_onnx_add(node, CB_OP_MUL, &mul, CB_ONNX_ARGS(real, unit), CB_ONNX_ARGS(out)));
    if (!quantised)
        return s->bias < 0 ? cb_ok()
                           : cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(out, s->bias),
                                         CB_ONNX_ARGS(y.value));
    CB_TRY(cb_onnx_add_scalar(node, "one", CB_FLOAT32, 1, &y.scale));
    return cb_onnx_quantise(node, out, y, -2, s->like);
}

struct cb_status cb_onnx_dequantise_bias(struct cb_onnx_node *node, int bias,
                                         struct cb_onnx_quantised x, struct cb_onnx_quantised w,
                                         int axis, int *out)
{
    struct cb_onnx_quantised b = cb_onnx_quantised_of(bias, -1, -1);
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(w.scale, x.scale), &b.scale));
    return cb_onnx_dequantise(node, b, axis, out);
}

/* QLinearConv-10: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias?; the bias has the
 * scale x_scale * w_scale and the zero 0. com.microsoft's may be channels_last. */
struct cb_status cb_onnx_import_qlinear_conv(struct cb_onnx_node *node)
{
    const struct cb_onnx_quantised x = cb_onnx_quantised_at(node, 0),
                                   w = cb_onnx_quantised_at(node, 3);
    const struct cb_onnx_quantised y =
        cb_onnx_quantised_of(node->out[0], cb_onnx_optional(node, 6), cb_onnx_optional(node, 7));
    const int bias = cb_onnx_optional(node, 8);
    struct cb_onnx_sums s = { .x_scale = x.scale,
                              .w_scale = w.scale,
                              .axis = 1,
                              .bias = -1,
                              .alpha = 1,
                              .y = y,
                              .like = x.value };
    int rx, rw, b = -1, real, sum, shift;
    bool last;
    for (int i = 0; i <= 6; i++)
        if (i % 3 != 2 && i != 5 && !cb_onnx_has(node, i))
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    CB_TRY(cb_onnx_attr_flag(node, "channels_last", false, &last));
    if (cb_onnx_becomes_bytes(node, x, w, y)) {
        CB_TRY(cb_onnx_dequantise(node, x, 1, &rx));
        CB_TRY(cb_onnx_dequantise(node, w, 0, &rw));
        if (bias >= 0)
            CB_TRY(cb_onnx_dequantise_bias(node, bias, x, w, 0, &b));
        CB_TRY(cb_onnx_temp(node, rx, "product", &real));
        CB_TRY(cb_onnx_add_inner(node, CB_OP_CONV, cb_onnx_import_conv,
                                 (struct cb_onnx_args){ b < 0 ? 2 : 3, (int[]){ rx, rw, b } },
                                 real));
        return cb_onnx_quantise(node, real, y, 1, x.value);
    }
    CB_TRY(cb_onnx_temp(node, x.value, "product", &sum));
    CB_TRY(cb_onnx_add_inner(node, CB_OP_INTEGER_CONV, cb_onnx_import_conv,
                             CB_ONNX_ARGS(x.value, w.value, x.zero, w.zero), sum));
    s.axis = last ? -1 : 1;
    s.sums = sum;
    if (bias >= 0) {
        const union cb_attr add = {
            .binary = { .aligned = !last, .axis = s.axis, .lo = -INFINITY, .hi = INFINITY }
        };
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, &add, CB_ONNX_ARGS(sum, bias), &shift));
        s.sums = shift;
    }
    return cb_onnx_scale_sums(node, &s);
}

struct cb_status cb_onnx_add_product(struct cb_onnx_node *node, struct cb_onnx_quantised a,
                                     struct cb_onnx_quantised b, int bias,
                                     struct cb_onnx_quantised y)
{
    struct cb_onnx_sums s = {
        .w_scale = b.scale, .axis = -1, .bias = bias, .alpha = 1, .y = y, .like = a.value
    };
    const struct cb_value *weights = value_of(node, b.value);
    int ra, rb, real = y.value;
    if (cb_onnx_becomes_bytes(node, a, b, y) && weights->shape.rank == 2) {
        CB_TRY(cb_onnx_dequantise(node, a, -2, &ra));
        CB_TRY(cb_onnx_dequantise(node, b, -1, &rb));
        if (y.scale >= 0 || bias >= 0)
            CB_TRY(cb_onnx_temp(node, ra, "product", &real));
        CB_TRY(cb_onnx_add(node, CB_OP_MATMUL, NULL, CB_ONNX_ARGS(ra, rb), CB_ONNX_ARGS(real)));
        if (y.scale >= 0)
            return cb_onnx_quantise(node, real, y, -2, a.value);
        return bias < 0 ? cb_ok()
                        : cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(real, bias),
                                      CB_ONNX_ARGS(y.value));
    }
    CB_TRY(cb_onnx_as_column(node, a.scale, &s.x_scale));
    CB_TRY(cb_onnx_step(node, CB_OP_INTEGER_MATMUL, NULL,
                        CB_ONNX_ARGS(a.value, b.value, a.zero, b.zero), &s.sums));
    return cb_onnx_scale_sums(node, &s);
}

/* QLinearMatMul-21: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero. A list of a's scales
 * is one for each row, of b's one for each column. */
struct cb_status cb_onnx_import_qlinear_matmul(struct cb_onnx_node *node)
{
    const struct cb_onnx_quantised y = cb_onnx_quantised_of(node->out[0], node->in[6], node->in[7]);
    return cb_onnx_add_product(node, cb_onnx_quantised_at(node, 0), cb_onnx_quantised_at(node, 3),
                               -1, y);
}

static struct cb_status add_bound(struct cb_onnx_node *node, enum cb_op reduce, enum cb_op bound,
                                  int zero, int *out)
{
    union cb_attr attr = cb_attr_default(reduce);
    int extreme;
    attr.reduce.keep_dims = false;
    CB_TRY(cb_onnx_step(node, reduce, &attr, CB_ONNX_ARGS(node->in[0]), &extreme));
    return cb_onnx_step(node, bound, NULL, CB_ONNX_ARGS(extreme, zero), out);
}

/* The range of x and 0 becomes 0 .. 255; the zero is rounded, and so half way goes to the even
 * one. */
struct cb_status cb_onnx_quantise_dynamically(struct cb_onnx_node *node, int x,
                                              struct cb_onnx_quantised *out)
{
    union cb_attr clip = cb_attr_default(CB_OP_CLIP), cast = cb_attr_default(CB_OP_CAST);
    int none, levels, lo, hi, width, steps, below, rounded, clipped;
    CB_TRY(cb_onnx_add_scalar(node, "none", CB_FLOAT32, 0, &none));
    CB_TRY(cb_onnx_add_scalar(node, "levels", CB_FLOAT32, 255, &levels));
    CB_TRY(add_bound(node, CB_OP_REDUCE_MIN, CB_OP_MIN, none, &lo));
    CB_TRY(add_bound(node, CB_OP_REDUCE_MAX, CB_OP_MAX, none, &hi));
    CB_TRY(cb_onnx_step(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(hi, lo), &width));
    CB_TRY(cb_onnx_step(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(width, levels), &out->scale));
    CB_TRY(cb_onnx_step(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(lo, out->scale), &steps));
    CB_TRY(cb_onnx_step(node, CB_OP_NEG, NULL, CB_ONNX_ARGS(steps), &below));
    CB_TRY(cb_onnx_step(node, CB_OP_ROUND, NULL, CB_ONNX_ARGS(below), &rounded));
    clip.clip.lo = 0;
    clip.clip.hi = 255;
    CB_TRY(cb_onnx_step(node, CB_OP_CLIP, &clip, CB_ONNX_ARGS(rounded), &clipped));
    cast.cast.to = CB_UINT8;
    CB_TRY(cb_onnx_step(node, CB_OP_CAST, &cast, CB_ONNX_ARGS(clipped), &out->zero));
    if (out->value < 0)
        CB_TRY(cb_onnx_temp(node, x, "quantised", &out->value));
    return cb_onnx_add(node, CB_OP_QUANTIZE, NULL, CB_ONNX_ARGS(x, out->scale, out->zero),
                       CB_ONNX_ARGS(out->value));
}

/* DynamicQuantizeLinear-11 */
struct cb_status cb_onnx_import_dynamic_quantize(struct cb_onnx_node *node)
{
    struct cb_onnx_quantised y = { .value = node->out[0] };
    CB_TRY(cb_onnx_quantise_dynamically(node, node->in[0], &y));
    const int made[] = { y.scale, y.zero };
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] >= 0)
            CB_TRY(cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(made[i - 1]),
                               CB_ONNX_ARGS(node->out[i])));
    return cb_ok();
}
