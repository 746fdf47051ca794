/* core/ops/spatial/conv.c - Conv, channels last: y = act(clamp(x' * w + bias + residual, lo, hi)).
 *
 * x [N, spatial..., C], w [M, C/group, kernel...], bias [M], residual and y [N, spatial..., M]. A
 * 1x1 convolution may have x' = clamp(x * scale + shift, in_lo, in_hi), scale [C] or [N, 1..., C],
 * shift [C]; else x' = x. ONNX Conv-22; all but the product and the bias are this library's own,
 * and no gradient flows through act and scale. The work is done by core/kernels/conv.h. */
#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/clamp.h"
#include "core/ops/spatial/conv_shape.h"
#include "core/ops/spatial/window.h"

enum { X, W, BIAS, RESIDUAL, SCALE, SHIFT };

struct cb_status cb_conv_check_ranks(const struct cb_node *node, const struct cb_shape *x,
                                     const struct cb_shape *filter)
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    if (x->rank < 3 || filter->rank != x->rank)
        return cb_fail(
            CB_ERR_MODEL,
            "%s: wants an input [N,spatial...,C] and a filter of its rank, has %s and %s",
            node->name, cb_shape_text(x, a), cb_shape_text(filter, b));
    return cb_ok();
}

static struct cb_status check_filter(const struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_shape *x = &in[X].shape, *w = &in[W].shape;
    const int64_t group = node->attr.conv.group;
    char b[CB_SHAPE_TEXT];
    CB_TRY(cb_conv_check_ranks(node, x, w));
    if (w->dim[0] < 1 || w->dim[1] < 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants a filter [M,C/group,kernel...], has %s", node->name,
                       cb_shape_text(w, b));
    const int64_t c = x->dim[x->rank - 1];
    if (group < 1 || c % group || w->dim[0] % group)
        return cb_fail(CB_ERR_MODEL,
                       "%s: %lld groups do not divide %lld input and %lld output channels",
                       node->name, (long long)group, (long long)c, (long long)w->dim[0]);
    if (w->dim[1] != c / group)
        return cb_fail(CB_ERR_MODEL, "%s: filter wants %lld channels, input has %lld", node->name,
                       (long long)(w->dim[1] * group), (long long)c);
    return cb_ok();
}

static struct cb_status check_extras(const struct cb_node *node, const struct cb_arg in[],
                                     const struct cb_shape *y)
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    const struct cb_shape bias = { 1, { y->dim[y->rank - 1] } };
    if (cb_args_given(node, in, BIAS) && !cb_shape_equal(&in[BIAS].shape, &bias))
        return cb_fail(CB_ERR_MODEL, "%s: bias wants %s, has %s", node->name,
                       cb_shape_text(&bias, a), cb_shape_text(&in[BIAS].shape, b));
    if (cb_args_given(node, in, RESIDUAL) && !cb_shape_equal(&in[RESIDUAL].shape, y))
        return cb_fail(CB_ERR_MODEL, "%s: residual wants %s, has %s", node->name,
                       cb_shape_text(y, a), cb_shape_text(&in[RESIDUAL].shape, b));
    return cb_ok();
}

/* Numbers per channel of x, or per image and channel. */
static bool is_per_channel(const struct cb_shape *s, const struct cb_shape *x, bool per_image)
{
    const int64_t c = x->dim[x->rank - 1], count = (int64_t)cb_shape_count(s);
    return s->rank > 0 && s->dim[s->rank - 1] == c &&
           (count == c ||
            (per_image && s->rank == x->rank && s->dim[0] == x->dim[0] && count == c * x->dim[0]));
}

static struct cb_status check_prologue(const struct cb_node *node, const struct cb_arg in[],
                                       const struct cb_shape *y)
{
    static const char *const names[] = { "scale", "shift" };
    char a[CB_SHAPE_TEXT];
    for (int i = SCALE; i <= SHIFT; i++)
        if (cb_args_given(node, in, i) &&
            (!is_per_channel(&in[i].shape, &in[X].shape, i == SCALE) ||
             (i == SHIFT && !cb_args_given(node, in, SCALE))))
            return cb_fail(CB_ERR_MODEL, "%s: %s wants a number per input channel, has %s",
                           node->name, names[i - SCALE], cb_shape_text(&in[i].shape, a));
    if (!cb_args_given(node, in, SCALE))
        return cb_ok();
    const struct cb_conv_shape s =
        cb_conv_shape_of(&node->attr.conv.window, node->attr.conv.group, &in[X].shape, y);
    return cb_conv_takes_prologue(&s)
               ? cb_ok()
               : cb_fail(CB_ERR_MODEL, "%s: scale wants a 1x1 convolution of stride 1", node->name);
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[X].shape;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    for (int i = W; i < node->n_in; i++)
        if (cb_args_given(node, in, i))
            CB_TRY(cb_args_same_dtype(node, &in[X], &in[i]));
    CB_TRY(check_filter(node, in));
    struct cb_shape y = { .rank = x->rank };
    CB_TRY(cb_window_infer(node, &node->attr.conv.window, x, &in[W].shape, &y.dim[1]));
    y.dim[0] = x->dim[0];
    y.dim[y.rank - 1] = in[W].shape.dim[0];
    CB_TRY(check_extras(node, in, &y));
    CB_TRY(check_prologue(node, in, &y));
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

struct cb_conv_shape cb_conv_shape_of(const struct cb_window *window, int64_t group,
                                      const struct cb_shape *x, const struct cb_shape *y)
{
    const struct cb_grid g = cb_grid_make(window, x, y);
    struct cb_conv_shape s = {
        .n = g.n, .cin = g.c, .cout = (size_t)y->dim[y->rank - 1], .group = (size_t)group
    };
    for (int i = 0; i < 3; i++) {
        s.in[i] = g.in[i];
        s.out[i] = g.out[i];
        s.kernel[i] = g.kernel[i];
        s.stride[i] = g.stride[i];
        s.dilation[i] = g.dilation[i];
        s.pad[i] = g.pad[i];
    }
    return s;
}

static struct cb_conv_shape shape_of(const struct cb_op_call *call)
{
    return cb_conv_shape_of(&call->node->attr.conv.window, call->node->attr.conv.group,
                            &call->in[X]->shape, &call->out[0]->shape);
}

static struct cb_tensor *gradient(const struct cb_op_call *call, int i)
{
    return i < call->node->n_in ? call->din[i] : NULL;
}

static const struct cb_conv_algorithm *algorithm_of(const struct cb_op_call *call,
                                                    const struct cb_conv_shape *s)
{
    const int chosen = call->node->attr.conv.algorithm;
    if (cb_args_in(call, SCALE))
        return cb_conv_choose_scaled(call->kernels);
    return chosen ? cb_conv_algorithms[chosen - 1] : cb_conv_choose(call->kernels, s);
}

static int algorithms(const struct cb_op_call *call, int out[CB_ALGORITHMS_MAX])
{
    const struct cb_conv_shape s = shape_of(call);
    int n = 0;
    if (cb_args_in(call, SCALE))
        return 0; /* there is one alone */
    for (size_t i = 0; i < cb_conv_algorithm_count && n < CB_ALGORITHMS_MAX; i++)
        if (cb_conv_competes(call->kernels, &s, cb_conv_algorithms[i]))
            out[n++] = (int)i + 1;
    return n;
}

static void choose(struct cb_node *node, int algorithm)
{
    node->attr.conv.algorithm = algorithm;
}

static const char *algorithm(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    return algorithm_of(call, &s)->name;
}

static bool accurate(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    const struct cb_conv_algorithm *a = algorithm_of(call, &s);
    return !a->accurate || a->accurate(call->kernels, &s, call->in[W]->data, call->packed);
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    return algorithm_of(call, &s)->packed_bytes(call->kernels, &s);
}

/* The algorithm, and how the channels are grouped. */
static uint64_t packed_form(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    const struct cb_conv_algorithm *chosen = algorithm_of(call, &s);
    uint64_t i = 0;
    while (cb_conv_algorithms[i] != chosen)
        i++;
    return i << 32 | (uint64_t)s.group;
}

static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_conv_shape s = shape_of(call);
    algorithm_of(call, &s)->pack(call->kernels, &s, call->threads, call->in[W]->data, NULL, packed);
}

/* Bytes of the masked gradient at the start of backward's scratch. */
static size_t masked_bytes(const struct cb_op_call *call)
{
    return cb_clamp_bytes(call, call->node->attr.conv.lo, call->node->attr.conv.hi);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_conv_shape s = shape_of(call);
    const size_t threads = cb_threads_count(call->threads);
    if (backward)
        return masked_bytes(call) + cb_conv_backward_scratch_bytes(call->kernels, &s, threads);
    return cb_align_up(call->packed ? 0 : packed_bytes(call)) +
           algorithm_of(call, &s)->scratch_bytes(call->kernels, &s, threads);
}

/* A residual lies as the output does: dense. */
static bool takes_stride(const struct cb_op_call *call, int i)
{
    const struct cb_conv_shape s = shape_of(call);
    return i < 0 ? !cb_args_in(call, RESIDUAL) : i == X && cb_conv_takes_stride(&s);
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    const struct cb_tensor *bias = cb_args_in(call, BIAS), *residual = cb_args_in(call, RESIDUAL);
    const struct cb_tensor *scale = cb_args_in(call, SCALE), *shift = cb_args_in(call, SHIFT);
    const union cb_attr *attr = &call->node->attr;
    struct cb_conv_call conv = {
        .shape = &s,
        .x = call->in[X]->f,
        .x_stride = call->in[X]->pixel_stride,
        .packed = call->packed,
        .y = call->out[0]->f,
        .y_stride = cb_tensor_pixel_stride(call->out[0]),
        .post = { .bias = bias ? bias->f : NULL,
                  .residual = residual ? residual->f : NULL,
                  .lo = attr->conv.lo,
                  .hi = attr->conv.hi,
                  .act = attr->conv.act },
        .pre = { .scale = scale ? scale->f : NULL,
                 .shift = shift ? shift->f : NULL,
                 .image_step = scale && cb_tensor_count(scale) > s.cin ? s.cin : 0,
                 .lo = attr->conv.in_lo,
                 .hi = attr->conv.in_hi },
        .scratch = call->scratch,
        .threads = call->threads,
    };
    if (!call->packed) {
        pack(call, call->scratch);
        conv.packed = call->scratch;
        conv.scratch = (char *)call->scratch + cb_align_up(packed_bytes(call));
    }
    algorithm_of(call, &s)->run(call->kernels, &conv);
}

static void backward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    struct cb_tensor *dx = gradient(call, X), *dw = gradient(call, W), *db = gradient(call, BIAS);
    struct cb_tensor *dresidual = gradient(call, RESIDUAL);
    void *rest = (char *)call->scratch + masked_bytes(call);
    if (!call->dout[0])
        return;
    const float *g =
        cb_clamp_gradient(call, call->node->attr.conv.lo, call->node->attr.conv.hi, call->scratch);
    if (dx)
        cb_conv_backward_data(call->kernels, call->threads, &s, g, call->in[W]->f, NULL, rest,
                              dx->f);
    if (dw)
        cb_conv_backward_weights(call->kernels, call->threads, &s, call->in[X]->f, g, rest, dw->f);
    for (size_t i = 0, n = cb_tensor_count(call->out[0]); db && i < n; i += s.cout)
        call->kernels->axpy(s.cout, 1, g + i, db->f);
    if (dresidual)
        call->kernels->axpy(cb_tensor_count(dresidual), 1, g, dresidual->f);
}

const struct cb_op_def cb_op_conv = {
    .name = "Conv",
    .min_in = 2,
    .max_in = 6,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packed_bytes = packed_bytes,
    .packed_form = packed_form,
    .pack = pack,
    .algorithms = algorithms,
    .choose = choose,
    .algorithm = algorithm,
    .accurate = accurate,
    .takes_stride = takes_stride,
    .forward = forward,
    .backward = backward,
};
