/* core/ops/spatial/conv_chain.c - [1x1] -> depthwise -> [1x1] convolution, channels last, in one
 * operator.
 *
 * x [N, H, W, C]; expand [M, C, 1, 1] makes [N, H, W, M] of it (absent: M = C); the depthwise
 * filter [M, 1, kh, kw] makes [N, H', W', M] of that; project [K, M, 1, 1] makes y [N, H', W', K]
 * (absent: K = M). Each stage has a bias, a clamp and an activation as Conv has, the last one a
 * residual [N, H', W', K]. Only a pass makes it (graph/passes/fuse_chain.c), where no gradient
 * flows. The work is done by core/kernels/conv_chain.h. */
#include "core/kernels/conv_chain.h"

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/conv_shape.h"
#include "core/ops/spatial/window.h"

/* FILTER is required, so it comes before what may be absent. */
enum { X, FILTER, BIAS, EXPAND, EXPAND_BIAS, PROJECT, PROJECT_BIAS, RESIDUAL };

static const int filter_of[CB_CHAIN_STAGES] = { EXPAND, FILTER, PROJECT };
static const int bias_of[CB_CHAIN_STAGES] = { EXPAND_BIAS, BIAS, PROJECT_BIAS };

/* The wanted shape of input i, if it is given. */
static struct cb_status check_shape(const struct cb_node *node, const struct cb_arg in[], int i,
                                    const char *what, const struct cb_shape *wanted)
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    if (cb_args_given(node, in, i) && !cb_shape_equal(&in[i].shape, wanted))
        return cb_fail(CB_ERR_MODEL, "%s: %s wants %s, has %s", node->name, what,
                       cb_shape_text(wanted, a), cb_shape_text(&in[i].shape, b));
    return cb_ok();
}

/* The filters; `wide` becomes the shape of what is expanded, *channels those of y. */
static struct cb_status check_filters(const struct cb_node *node, const struct cb_arg in[],
                                      struct cb_shape *wide, int64_t *channels)
{
    const struct cb_shape *x = &in[X].shape, *w = &in[FILTER].shape;
    const bool expand = cb_args_given(node, in, EXPAND);
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    if (x->rank != 4 || w->rank != 4 || w->dim[1] != 1 || w->dim[0] < 1)
        return cb_fail(CB_ERR_MODEL,
                       "%s: wants an input [N,H,W,C] and a filter [M,1,kh,kw], has %s and %s",
                       node->name, cb_shape_text(x, a), cb_shape_text(w, b));
    const int64_t middle = w->dim[0];
    *wide = *x;
    wide->dim[3] = middle;
    *channels = middle;
    if (!expand && x->dim[3] != middle)
        return cb_fail(CB_ERR_MODEL, "%s: filter wants %lld channels, input has %lld", node->name,
                       (long long)middle, (long long)x->dim[3]);
    CB_TRY(check_shape(node, in, EXPAND, "expansion",
                       &(struct cb_shape){ 4, { middle, x->dim[3], 1, 1 } }));
    if (!cb_args_given(node, in, PROJECT))
        return cb_ok();
    *channels = in[PROJECT].shape.rank == 4 && in[PROJECT].shape.dim[0] > 0
                    ? in[PROJECT].shape.dim[0]
                    : middle;
    return check_shape(node, in, PROJECT, "projection",
                       &(struct cb_shape){ 4, { *channels, middle, 1, 1 } });
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    static const char *const bias_names[] = { "the expansion's bias", "bias",
                                              "the projection's bias" };
    struct cb_window *window = &node->attr.chain.window;
    struct cb_shape wide, y = { .rank = 4 };
    struct cb_arg unused;
    int64_t channels = 0;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    for (int i = FILTER; i < node->n_in; i++)
        if (cb_args_given(node, in, i))
            CB_TRY(cb_args_same_dtype(node, &in[X], &in[i]));
    CB_TRY(check_filters(node, in, &wide, &channels));
    CB_TRY(cb_window_infer(node, window, &wide, &in[FILTER].shape, &y.dim[1]));
    if (window->dilation[0] != 1 || window->dilation[1] != 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants a dilation of 1, has %lld and %lld", node->name,
                       (long long)window->dilation[0], (long long)window->dilation[1]);
    y.dim[0] = wide.dim[0];
    y.dim[3] = wide.dim[3];
    /* What stands between the stages is never whole, but its size bounds what a band of it takes.
     */
    CB_TRY(cb_args_out(node, &unused, in[X].dtype, &wide));
    CB_TRY(cb_args_out(node, &unused, in[X].dtype, &y));
    y.dim[3] = channels;
    for (int s = 0; s < CB_CHAIN_STAGES; s++) {
        const int64_t made = s == CB_CHAIN_PROJECT ? channels : wide.dim[3];
        if (s != CB_CHAIN_DEPTHWISE && !cb_args_given(node, in, filter_of[s]) &&
            cb_args_given(node, in, bias_of[s]))
            return cb_fail(CB_ERR_MODEL, "%s: %s wants a filter, has none", node->name,
                           bias_names[s]);
        CB_TRY(check_shape(node, in, bias_of[s], bias_names[s], &(struct cb_shape){ 1, { made } }));
    }
    CB_TRY(check_shape(node, in, RESIDUAL, "residual", &y));
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

struct cb_chain_shape cb_chain_shape_of(const struct cb_window *window, const struct cb_shape *x,
                                        const struct cb_shape *filter, bool expand, bool project,
                                        const struct cb_shape *y)
{
    struct cb_chain_shape s = {
        .expand = expand,
        .project = project,
        .n = (size_t)x->dim[0],
        .cin = (size_t)x->dim[3],
        .mid = (size_t)filter->dim[0],
        .cout = (size_t)y->dim[3],
    };
    for (int i = 0; i < 2; i++) {
        s.in[i] = (size_t)x->dim[1 + i];
        s.out[i] = (size_t)y->dim[1 + i];
        s.kernel[i] = (size_t)filter->dim[2 + i];
        s.stride[i] = (size_t)window->stride[i];
        s.pad[i] = (size_t)window->pad_begin[i];
    }
    return s;
}

static struct cb_chain_shape shape_of(const struct cb_op_call *call)
{
    return cb_chain_shape_of(&call->node->attr.chain.window, &call->in[X]->shape,
                             &call->in[FILTER]->shape, cb_args_in(call, EXPAND) != NULL,
                             cb_args_in(call, PROJECT) != NULL, &call->out[0]->shape);
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_chain_shape s = shape_of(call);
    return cb_chain_packed_bytes(call->kernels, &s);
}

static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_chain_shape s = shape_of(call);
    for (int stage = 0; stage < CB_CHAIN_STAGES; stage++)
        if (filter_of[stage] == call->packing)
            cb_chain_pack(call->kernels, call->threads, &s, stage, call->in[call->packing]->data,
                          packed);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_chain_shape s = shape_of(call);
    (void)backward;
    return cb_align_up(call->packed ? 0 : packed_bytes(call)) +
           cb_chain_scratch_bytes(call->kernels, &s, cb_threads_count(call->threads));
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_chain_shape s = shape_of(call);
    const struct cb_tensor *residual = cb_args_in(call, RESIDUAL);
    const union cb_attr *attr = &call->node->attr;
    struct cb_chain_call chain = {
        .shape = &s,
        .x = call->in[X]->f,
        .packed = call->packed,
        .y = call->out[0]->f,
        .scratch = call->scratch,
        .threads = call->threads,
    };
    for (int i = 0; i < CB_CHAIN_STAGES; i++) {
        const struct cb_tensor *bias = cb_args_in(call, bias_of[i]);
        chain.post[i] = (struct cb_epilogue){
            .bias = bias ? bias->f : NULL,
            .lo = attr->chain.lo[i],
            .hi = attr->chain.hi[i],
            .act = attr->chain.act[i],
        };
    }
    chain.post[s.project ? CB_CHAIN_PROJECT : CB_CHAIN_DEPTHWISE].residual =
        residual ? residual->f : NULL;
    if (!call->packed) {
        for (int i = 0; i < CB_CHAIN_STAGES; i++)
            if (cb_args_in(call, filter_of[i]))
                cb_chain_pack(call->kernels, call->threads, &s, i, call->in[filter_of[i]]->data,
                              call->scratch);
        chain.packed = call->scratch;
        chain.scratch = (char *)call->scratch + cb_align_up(packed_bytes(call));
    }
    cb_chain_run(call->kernels, &chain);
}

const struct cb_op_def cb_op_conv_chain = {
    .name = "ConvChain",
    .min_in = 2,
    .max_in = 8,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packs = 1u << FILTER | 1u << EXPAND | 1u << PROJECT,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .forward = forward,
};
