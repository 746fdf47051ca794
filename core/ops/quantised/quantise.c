/* core/ops/quantised/quantise.c - QuantizeLinear: y = saturate(round(x / scale) + zero), ties to
 * even; DequantizeLinear: y = (x - zero) * scale.
 *
 * ONNX QuantizeLinear-25, DequantizeLinear-25, for integers of 8 bits and more. scale and zero are
 * one number, one for each index along an axis, or one for each block along it. Some of
 * com.microsoft's operators add the zero before they round. Inside a plan the
 * whole numbers may be bytes (CB_QUINT8), then with one scale. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

enum { X, SCALE, ZERO };

struct range {
    int64_t lo, hi;
};

static struct range range_of(enum cb_dtype dtype)
{
    switch (dtype) {
    case CB_INT8:
    case CB_QINT8: return (struct range){ INT8_MIN, INT8_MAX };
    case CB_UINT8: return (struct range){ 0, UINT8_MAX };
    case CB_INT16: return (struct range){ INT16_MIN, INT16_MAX };
    case CB_UINT16: return (struct range){ 0, UINT16_MAX };
    case CB_INT32: return (struct range){ INT32_MIN, INT32_MAX };
    case CB_QUINT8: return (struct range){ 0, UINT8_MAX };
    default: return (struct range){ 0, 0 };
    }
}

/* scale is one number, x's sizes along the axis, or x's shape with blocks along it. */
static struct cb_status check_scale(struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_shape *x = &in[X].shape, *s = &in[SCALE].shape;
    const int64_t block = node->attr.quantise.block;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    int axis = 0;
    bool fits = cb_shape_count(s) == 1 && s->rank <= 1;
    if (!fits || block > 0)
        CB_TRY(cb_args_axis(node, node->attr.quantise.axis, x->rank, &axis));
    if (!fits && block == 0)
        fits = s->rank == 1 && s->dim[0] == x->dim[axis];
    if (block > 0) {
        fits = s->rank == x->rank;
        for (int i = 0; fits && i < x->rank; i++)
            fits =
                s->dim[i] == (i == axis ? x->dim[i] / block + (x->dim[i] % block != 0) : x->dim[i]);
    }
    if (!fits || block < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants a scale for %s (axis %d, blocks of %lld), has %s",
                       node->name, cb_shape_text(x, a), node->attr.quantise.axis, (long long)block,
                       cb_shape_text(s, b));
    if (!cb_args_given(node, in, ZERO))
        return cb_ok();
    const struct cb_shape *z = &in[ZERO].shape;
    if (!cb_shape_equal(z, s) && cb_shape_count(z) != 1 &&
        (cb_shape_count(s) != 1 || z->rank != 1 || block > 0 ||
         cb_shape_axis(node->attr.quantise.axis, x->rank) < 0 ||
         z->dim[0] != x->dim[cb_shape_axis(node->attr.quantise.axis, x->rank)]))
        return cb_fail(CB_ERR_MODEL, "%s: wants a zero point of scale's shape %s, has %s",
                       node->name, cb_shape_text(s, a), cb_shape_text(z, b));
    return cb_ok();
}

static struct cb_status want_type(const struct cb_node *node, enum cb_dtype dtype)
{
    if (range_of(dtype).hi == 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants int8, uint8, int16, uint16 or int32, has %s",
                       node->name, dtype < CB_DTYPE_COUNT ? cb_dtype_get(dtype)->name : "no type");
    return cb_ok();
}

static struct cb_status quantise_infer(struct cb_node *node, const struct cb_arg in[],
                                       struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (in[X].dtype != CB_INT32)
        CB_TRY(cb_args_want_float(node, &in[X]));
    CB_TRY(cb_args_want_float(node, &in[SCALE]));
    enum cb_dtype to = node->attr.quantise.to;
    if (cb_args_given(node, in, ZERO) && to != CB_QUINT8)
        to = in[ZERO].dtype;
    if (to == CB_DTYPE_NONE)
        to = CB_UINT8;
    if (to == CB_QINT8)
        return cb_fail(CB_ERR_MODEL, "%s: wants a type to quantise to", node->name);
    CB_TRY(want_type(node, to));
    CB_TRY(check_scale(node, in));
    return cb_args_out(node, &out[0], to, &in[X].shape);
}

static struct cb_status dequantise_infer(struct cb_node *node, const struct cb_arg in[],
                                         struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    CB_TRY(want_type(node, in[X].dtype));
    CB_TRY(cb_args_want_float(node, &in[SCALE]));
    const struct cb_arg whole = { .dtype = in[X].dtype == CB_QINT8 ? CB_INT8 : in[X].dtype };
    if (cb_args_given(node, in, ZERO) && in[X].dtype != CB_QUINT8)
        CB_TRY(cb_args_same_dtype(node, &whole, &in[ZERO]));
    CB_TRY(check_scale(node, in));
    const enum cb_dtype to = node->attr.quantise.to ? node->attr.quantise.to : in[SCALE].dtype;
    if ((int)to < 0 || to >= CB_DTYPE_COUNT || !cb_dtype_get(to)->is_float)
        return cb_fail(CB_ERR_MODEL, "%s: wants a real type to give, has %d", node->name, (int)to);
    return cb_args_out(node, &out[0], to, &in[X].shape);
}

struct conversion {
    const struct cb_kernels *kernels;
    const struct cb_tensor *x, *scale, *zero;
    struct cb_tensor *y;
    size_t axis_size, inner; /* x is [.., axis_size, inner]; 0: one scale */
    size_t block;            /* along the axis; 1: a number each */
    bool rows;               /* scale is one row along the axis, whatever stands before it */
    bool zero_first;
    struct range range;
};

static struct conversion conversion_of(const struct cb_op_call *call)
{
    const struct cb_node *node = call->node;
    const struct cb_shape *x = &call->in[X]->shape;
    struct conversion c = { .kernels = call->kernels,
                            .x = call->in[X],
                            .scale = call->in[SCALE],
                            .zero = node->n_in > ZERO ? call->in[ZERO] : NULL,
                            .y = call->out[0],
                            .block = node->attr.quantise.block > 0
                                         ? (size_t)node->attr.quantise.block
                                         : 1,
                            .rows = node->attr.quantise.block == 0,
                            .zero_first = node->attr.quantise.zero_first,
                            .range = range_of(call->out[0]->dtype) };
    if (cb_tensor_count(c.scale) > 1 || (c.zero && cb_tensor_count(c.zero) > 1)) {
        const int axis = cb_shape_axis(node->attr.quantise.axis, x->rank);
        c.axis_size = (size_t)x->dim[axis];
        c.inner = cb_shape_span(x, axis + 1, x->rank);
    }
    return c;
}

/* Which scale element i has. */
static size_t index_of(const struct conversion *c, size_t i)
{
    if (!c->axis_size)
        return 0;
    const size_t at = i / c->inner % c->axis_size, outer = i / c->inner / c->axis_size;
    if (c->rows)
        return at;
    const size_t blocks = c->axis_size / c->block + (c->axis_size % c->block != 0);
    return (outer * blocks + at / c->block) * c->inner + i % c->inner;
}

/* Element k of a list, or the only one. */
static size_t part_of(const struct cb_tensor *t, size_t k)
{
    return cb_tensor_count(t) == 1 ? 0 : k;
}

static int64_t zero_of(const struct conversion *c, size_t k)
{
    return c->zero ? c->zero->i[part_of(c->zero, k)] : 0;
}

static float scale_of(const struct conversion *c, size_t k)
{
    return c->scale->f[part_of(c->scale, k)];
}

static struct cb_quantum quantum_of(const struct conversion *c)
{
    return (struct cb_quantum){ c->scale->f[0], (int)zero_of(c, 0) };
}

/* The quotient is taken in double when x is a whole number, which a float may not hold. */
static int64_t quantise_one(const struct conversion *c, size_t i, size_t k)
{
    const double scale = (double)scale_of(c, k);
    const double v = cb_dtype_get(c->x->dtype)->is_float ? (double)(c->x->f[i] / scale_of(c, k))
                                                         : (double)c->x->i[i] / scale;
    const double zero = (double)zero_of(c, k);
    const double r = c->zero_first ? rint((double)(float)(v + zero)) : rint(v) + zero;
    if (!(r > (double)c->range.lo)) /* and NaN */
        return c->range.lo;
    return r < (double)c->range.hi ? (int64_t)r : c->range.hi;
}

static void quantise_values(void *ctx, size_t begin, size_t end)
{
    const struct conversion *c = ctx;
    if (c->y->dtype == CB_QUINT8 && c->zero_first) {
        const struct cb_quantum q = quantum_of(c);
        for (size_t i = begin; i < end; i++) {
            const float v = c->x->f[i] / q.scale + (float)q.zero;
            const float within = v > 0 ? (v < 255 ? v : 255) : 0;
            c->y->u8[i] = (uint8_t)(within + 0x1.8p23f - 0x1.8p23f); /* to even */
        }
        return;
    }
    if (c->y->dtype == CB_QUINT8) {
        c->kernels->quantised.quantise(end - begin, c->x->f + begin, quantum_of(c),
                                       c->y->u8 + begin);
        return;
    }
    for (size_t i = begin; i < end; i++)
        c->y->i[i] = quantise_one(c, i, index_of(c, i));
}

static void dequantise_values(void *ctx, size_t begin, size_t end)
{
    const struct conversion *c = ctx;
    if (c->x->dtype == CB_QUINT8) {
        c->kernels->quantised.dequantise(end - begin, c->x->u8 + begin, quantum_of(c),
                                         c->y->f + begin);
        return;
    }
    for (size_t i = begin; i < end; i++) {
        const size_t k = index_of(c, i);
        const int64_t x = c->x->dtype == CB_QINT8 ? c->x->i8[i] : c->x->i[i];
        c->y->f[i] = (float)(x - zero_of(c, k)) * scale_of(c, k);
    }
}

static void quantise_forward(const struct cb_op_call *call)
{
    struct conversion c = conversion_of(call);
    cb_walk_range(call->threads, cb_tensor_count(c.x), CB_WALK_GRAIN, quantise_values, &c);
}

static void dequantise_forward(const struct cb_op_call *call)
{
    struct conversion c = conversion_of(call);
    cb_walk_range(call->threads, cb_tensor_count(c.x), CB_WALK_GRAIN, dequantise_values, &c);
}

static enum cb_dtype quantize_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)i;
    if (node->attr.quantise.to != CB_DTYPE_NONE)
        return node->attr.quantise.to;
    return node->n_in > 2 && node->in[2] >= 0 ? in[2] : CB_UINT8;
}

static enum cb_dtype dequantize_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)i;
    return node->attr.quantise.to ? node->attr.quantise.to : in[1];
}

/* clang-format off */
const struct cb_op_def cb_op_quantize = {
    .name = "QuantizeLinear", .min_in = 2, .max_in = 3, .max_out = 1, .late = true,
    .result = quantize_result, .infer = quantise_infer, .forward = quantise_forward,
};

const struct cb_op_def cb_op_dequantize = {
    .name = "DequantizeLinear", .min_in = 2, .max_in = 3, .max_out = 1, .late = true,
    .result = dequantize_result, .infer = dequantise_infer, .forward = dequantise_forward,
};
