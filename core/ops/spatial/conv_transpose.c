/* core/ops/spatial/conv_transpose.c - ConvTranspose, channels last: y = transposed conv(x, w) +
 * bias.
 *
 * x [N, spatial..., C], w [C, M/group, kernel...], bias [M], y [N, spatial..., M]. ONNX
 * ConvTranspose-22. It is the derivative by its input of the convolution that goes from y to x,
 * with the same w: so core/kernels/conv.h runs it, and that convolution runs its own derivative. */
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/ops/spatial/conv_shape.h"
#include "core/ops/spatial/window.h"

enum { X, W, BIAS };

static struct cb_status check_filter(const struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_shape *x = &in[X].shape, *w = &in[W].shape;
    const int64_t group = node->attr.conv_transpose.group;
    char b[CB_SHAPE_TEXT];
    CB_TRY(cb_conv_check_ranks(node, x, w));
    if (w->dim[1] < 1 || w->dim[0] != x->dim[x->rank - 1])
        return cb_fail(CB_ERR_MODEL, "%s: wants a filter [%lld,M/group,kernel...], has %s",
                       node->name, (long long)x->dim[x->rank - 1], cb_shape_text(w, b));
    if (group < 1 || w->dim[0] % group)
        return cb_fail(CB_ERR_MODEL, "%s: %lld groups do not divide %lld input channels",
                       node->name, (long long)group, (long long)w->dim[0]);
    return cb_ok();
}

/* Wanted sizes: of the spatial axes, or with those of N and C before them, as old files have it. */
static struct cb_status read_sizes(const struct cb_node *node, int rank, struct cb_shape *y)
{
    const struct cb_list *sizes = &node->attr.conv_transpose.sizes;
    const int skip = sizes->count - (rank - 2);
    if (sizes->count < 0)
        return cb_ok();
    if (skip != 0 && skip != 2)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d sizes of the output, has %d", node->name,
                       rank - 2, sizes->count);
    for (int i = 0; i < rank - 2; i++) {
        y->dim[1 + i] = sizes->v[skip + i];
        if (y->dim[1 + i] < 1)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of at least 1, has %lld", node->name,
                           (long long)y->dim[1 + i]);
    }
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[X].shape, *w = &in[W].shape;
    struct cb_shape y = { .rank = x->rank };
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    for (int i = W; i < node->n_in; i++)
        if (cb_args_given(node, in, i))
            CB_TRY(cb_args_same_dtype(node, &in[X], &in[i]));
    CB_TRY(check_filter(node, in));
    CB_TRY(read_sizes(node, x->rank, &y));
    CB_TRY(cb_window_infer_transposed(node, &node->attr.conv_transpose.window, x, w,
                                      node->attr.conv_transpose.more, &y.dim[1]));
    y.dim[0] = x->dim[0];
    if (__builtin_mul_overflow(w->dim[1], node->attr.conv_transpose.group, &y.dim[y.rank - 1]))
        return cb_fail(CB_ERR_TOO_LARGE, "%s: too many output channels", node->name);
    const struct cb_shape bias = { 1, { y.dim[y.rank - 1] } };
    if (cb_args_given(node, in, BIAS) && !cb_shape_equal(&in[BIAS].shape, &bias))
        return cb_fail(CB_ERR_MODEL, "%s: bias wants %s, has %s", node->name,
                       cb_shape_text(&bias, a), cb_shape_text(&in[BIAS].shape, b));
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

/* Of the convolution from y to x. */
static struct cb_conv_shape shape_of(const struct cb_op_call *call)
{
    return cb_conv_shape_of(&call->node->attr.conv_transpose.window,
                            call->node->attr.conv_transpose.group, &call->out[0]->shape,
                            &call->in[X]->shape);
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    return cb_conv_backward_packed_bytes(call->kernels, &s);
}

/* Sizes, which decide on the algorithms and what they pack. */
static uint64_t packed_form(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    uint64_t form = (uint64_t)s.group;
    for (int i = 0; i < 3; i++) {
        form = form * 1000003 + (uint64_t)s.in[i];
        form = form * 1000003 + (uint64_t)s.out[i];
        form = form * 1000003 + (uint64_t)s.stride[i];
        form = form * 1000003 + (uint64_t)s.dilation[i];
        form = form * 1000003 + (uint64_t)s.pad[i];
    }
    return form * 1000003 + (uint64_t)s.n;
}

static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_conv_shape s = shape_of(call);
    cb_conv_backward_pack(call->kernels, call->threads, &s, call->in[W]->data, packed);
}

/* The convolution's own weights, in backward. */
static size_t conv_packed_bytes(const struct cb_op_call *call, const struct cb_conv_shape *s)
{
    return cb_align_up(cb_conv_choose(call->kernels, s)->packed_bytes(call->kernels, s));
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_conv_shape s = shape_of(call);
    const size_t threads = cb_threads_count(call->threads);
    const size_t transposed = cb_conv_backward_scratch_bytes(call->kernels, &s, threads);
    const size_t conv =
        conv_packed_bytes(call, &s) +
        cb_conv_choose(call->kernels, &s)->scratch_bytes(call->kernels, &s, threads);
    return backward && conv > transposed ? conv : transposed;
}

static void fill_pixels(void *ctx, size_t begin, size_t end)
{
    const struct cb_op_call *call = ctx;
    const struct cb_tensor *bias = cb_args_in(call, BIAS), *y = call->out[0];
    const size_t channels = (size_t)y->shape.dim[y->shape.rank - 1];
    if (!bias)
        memset(y->f + begin * channels, 0, (end - begin) * channels * sizeof(float));
    for (size_t i = begin; bias && i < end; i++)
        memcpy(y->f + i * channels, bias->f, channels * sizeof(float));
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    cb_walk_range(call->threads, s.n * s.in[0] * s.in[1] * s.in[2], 1 + CB_WALK_GRAIN / s.cin,
                  fill_pixels, (void *)(uintptr_t)call);
    cb_conv_backward_data(call->kernels, call->threads, &s, call->in[X]->f, call->in[W]->f,
                          call->packed, call->scratch, call->out[0]->f);
}

/* dx = convolution of dy. */
static void backward_input(const struct cb_op_call *call, const struct cb_conv_shape *s)
{
    const struct cb_conv_algorithm *a = cb_conv_choose(call->kernels, s);
    const struct cb_conv_call conv = {
        .shape = s,
        .x = call->dout[0]->f,
        .packed = call->scratch,
        .y = call->din[X]->f,
        .y_stride = s->cout,
        .post = { .residual = call->din[X]->f, .lo = -INFINITY, .hi = INFINITY },
        .scratch = (char *)call->scratch + conv_packed_bytes(call, s),
        .threads = call->threads,
    };
    a->pack(call->kernels, s, call->threads, call->in[W]->data, NULL, call->scratch);
    a->run(call->kernels, &conv);
}

static void backward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = shape_of(call);
    struct cb_tensor *db = BIAS < call->node->n_in ? call->din[BIAS] : NULL;
    if (!call->dout[0])
        return;
    if (call->din[X])
        backward_input(call, &s);
    if (call->din[W])
        cb_conv_backward_weights(call->kernels, call->threads, &s, call->dout[0]->f, call->in[X]->f,
                                 call->scratch, call->din[W]->f);
    for (size_t i = 0, n = cb_tensor_count(call->dout[0]); db && i < n; i += s.cin)
        call->kernels->axpy(s.cin, 1, call->dout[0]->f + i, db->f);
}

const struct cb_op_def cb_op_conv_transpose = {
    .name = "ConvTranspose",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packed_bytes = packed_bytes,
    .packed_form = packed_form,
    .pack = pack,
    .forward = forward,
    .backward = backward,
};
