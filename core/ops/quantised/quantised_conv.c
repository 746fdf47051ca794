/* core/ops/quantised/quantised_conv.c - convolution or product of bytes, channels last:
 * y = act(clamp(x * w + bias + residual, lo, hi)), in real units.
 *
 * x [N, spatial..., C] or [..., C] with a window of rank 0 (CB_QUINT8), w [M, C/group, kernel...]
 * (CB_QINT8), w_scale [M], bias [M], residual and y [N, spatial..., M], w_zero [M]; y is CB_QUINT8,
 * or float. A bias of whole numbers is in units of x's scale times w_scale. The pass fuse-quantised
 * makes it of Conv, Gemm and MatMul between DequantizeLinear and QuantizeLinear. The work is done
 * by core/kernels/quantised_conv.h. */
#include "core/kernels/quantised_conv.h"

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/conv_shape.h"
#include "core/ops/spatial/window.h"

enum { X, W, W_SCALE, BIAS, RESIDUAL, W_ZERO };

static struct cb_status check_types(const struct cb_node *node, const struct cb_arg in[])
{
    if (in[X].dtype != CB_QUINT8 || in[W].dtype != CB_QINT8 ||
        (cb_args_given(node, in, RESIDUAL) && in[RESIDUAL].dtype != CB_QUINT8))
        return cb_fail(CB_ERR_MODEL, "%s: wants bytes, has %s and %s", node->name,
                       cb_dtype_get(in[X].dtype)->name, cb_dtype_get(in[W].dtype)->name);
    CB_TRY(cb_args_want_float(node, &in[W_SCALE]));
    return cb_ok();
}

/* Rows of a matrix: x has no spatial axes. */
static bool is_product(const struct cb_node *node, const struct cb_shape *x)
{
    return x->rank == 2 || node->attr.quantised_conv.product;
}

static struct cb_status check_shapes(const struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_shape *x = &in[X].shape, *w = &in[W].shape;
    const int64_t group = node->attr.quantised_conv.group;
    const struct cb_shape per_filter = { 1, { w->rank > 0 ? w->dim[0] : 0 } };
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    const size_t most = CB_QUANTISED_DEPTH_MAX / (cb_args_given(node, in, W_ZERO) ? 2 : 1);
    if (x->rank < 2 || w->rank != (is_product(node, x) ? 2 : x->rank) || w->dim[0] < 1 ||
        group < 1 || w->dim[0] % group || w->dim[1] < 1 ||
        w->dim[1] * group != x->dim[x->rank - 1] || cb_shape_span(w, 1, w->rank) > most)
        return cb_fail(CB_ERR_MODEL, "%s: wants a filter [M,C/group,kernel...] for %s, has %s",
                       node->name, cb_shape_text(x, a), cb_shape_text(w, b));
    for (int i = W_SCALE; i <= W_ZERO; i++)
        if (i != RESIDUAL && cb_args_given(node, in, i) &&
            !cb_shape_equal(&in[i].shape, &per_filter))
            return cb_fail(CB_ERR_MODEL, "%s: wants a number a filter, %s, has %s", node->name,
                           cb_shape_text(&per_filter, a), cb_shape_text(&in[i].shape, b));
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    struct cb_shape y = in[X].shape;
    char a[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(check_types(node, in));
    CB_TRY(check_shapes(node, in));
    if (!is_product(node, &y))
        CB_TRY(cb_window_infer(node, &node->attr.quantised_conv.window, &in[X].shape, &in[W].shape,
                               &y.dim[1]));
    y.dim[y.rank - 1] = in[W].shape.dim[0];
    if (cb_args_given(node, in, RESIDUAL) && !cb_shape_equal(&in[RESIDUAL].shape, &y))
        return cb_fail(CB_ERR_MODEL, "%s: wants a residual of %s", node->name,
                       cb_shape_text(&y, a));
    return cb_args_out(node, &out[0],
                       node->attr.quantised_conv.to_real ? in[W_SCALE].dtype : CB_QUINT8, &y);
}

/* A convolution by its window; a product's rows are the pixels of a 1x1 one. */
static struct cb_conv_shape shape_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[X]->shape, *y = &call->out[0]->shape;
    const union cb_attr *attr = &call->node->attr;
    if (!is_product(call->node, x))
        return cb_conv_shape_of(&attr->quantised_conv.window, attr->quantised_conv.group, x, y);
    const size_t rows = cb_shape_span(x, 0, x->rank - 1);
    return (struct cb_conv_shape){
        .n = 1,
        .cin = (size_t)x->dim[x->rank - 1],
        .cout = (size_t)y->dim[y->rank - 1],
        .group = (size_t)attr->quantised_conv.group,
        .in = { 1, 1, rows },
        .out = { 1, 1, rows },
        .kernel = { 1, 1, 1 },
        .stride = { 1, 1, 1 },
        .dilation = { 1, 1, 1 },
    };
}

static bool has_zeros(const struct cb_op_call *call)
{
    return cb_args_in(call, W_ZERO) != NULL;
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    return cb_quantised_conv_packed_bytes(call->kernels, &s, has_zeros(call));
}

/* How the channels are grouped, and for which tile. */
static uint64_t packed_form(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    return (uint64_t)call->kernels->quantised.nr << 32 | (uint64_t)s.group;
}

/* With zeros, all is done when those come, after the weights. */
static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_conv_shape s = shape_of(call);
    const bool zeros = has_zeros(call);
    if (!zeros || call->packing == W_ZERO)
        cb_quantised_conv_pack(call->kernels, &s, call->in[W]->i8,
                               zeros ? call->in[W_ZERO]->i : NULL, packed);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_conv_shape s = shape_of(call);
    (void)backward;
    return cb_align_up(call->packed ? 0 : packed_bytes(call)) +
           cb_quantised_conv_scratch_bytes(call->kernels, &s, has_zeros(call),
                                           cb_threads_count(call->threads));
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    const union cb_attr *attr = &call->node->attr;
    const struct cb_tensor *bias = cb_args_in(call, BIAS), *residual = cb_args_in(call, RESIDUAL);
    const bool real = attr->quantised_conv.to_real;
    struct cb_quantised_conv conv = {
        .shape = &s,
        .x = call->in[X]->u8,
        .x_quantum = attr->quantised_conv.x,
        .packed = call->packed,
        .zeros = has_zeros(call),
        .w_scale = call->in[W_SCALE]->f,
        .bias = bias && bias->dtype != CB_INT32 ? bias->f : NULL,
        .whole = bias && bias->dtype == CB_INT32 ? bias->i : NULL,
        .residual = residual ? residual->u8 : NULL,
        .residual_quantum = attr->quantised_conv.residual,
        .bytes = real ? NULL : call->out[0]->u8,
        .y_quantum = attr->quantised_conv.y,
        .reals = real ? call->out[0]->f : NULL,
        .lo = attr->quantised_conv.lo,
        .hi = attr->quantised_conv.hi,
        .act = attr->quantised_conv.act,
        .scratch = call->scratch,
        .threads = call->threads,
    };
    if (!call->packed) {
        cb_quantised_conv_pack(call->kernels, &s, call->in[W]->i8,
                               conv.zeros ? call->in[W_ZERO]->i : NULL, call->scratch);
        conv.packed = call->scratch;
        conv.scratch = (char *)call->scratch + cb_align_up(packed_bytes(call));
    }
    cb_quantised_conv_run(call->kernels, &conv);
}

const struct cb_op_def cb_op_quantised_conv = {
    .name = "QuantisedConv",
    .min_in = 3,
    .max_in = 6,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packs = 1u << W | 1u << W_ZERO,
    .packed_bytes = packed_bytes,
    .packed_form = packed_form,
    .pack = pack,
    .forward = forward,
};
