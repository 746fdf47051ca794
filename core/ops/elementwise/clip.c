/* core/ops/elementwise/clip.c - Relu and Clip: y = min(max(x, lo), hi). The gradient passes where x
 * lies within. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct clip_args {
    const struct cb_kernels *kernels;
    const struct cb_tensor *x, *dy;
    struct cb_tensor *to; /* y of forward, dx of backward */
    double lo, hi;
};

static struct cb_status clip_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    if (node->op == CB_OP_CLIP) {
        for (int i = 1; i < node->n_in; i++)
            if (cb_args_given(node, in, i))
                CB_TRY(cb_args_same_dtype(node, &in[0], &in[i]));
        CB_TRY(cb_args_number(node, in, 1, "lo", &node->attr.clip.lo));
        CB_TRY(cb_args_number(node, in, 2, "hi", &node->attr.clip.hi));
        if (node->attr.clip.lo > node->attr.clip.hi) /* the upper bound wins */
            node->attr.clip.lo = node->attr.clip.hi;
    }
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

/* value as an element of a whole type that is compared as unsigned. */
static uint64_t to_unsigned(double value)
{
    if (!(value > 0))
        return 0;
    return value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
}

static void clip_wholes(const struct clip_args *args, size_t begin, size_t end)
{
    const int64_t lo = cb_args_to_int(args->lo), hi = cb_args_to_int(args->hi);
    const uint64_t ulo = to_unsigned(args->lo), uhi = to_unsigned(args->hi);
    for (size_t i = begin; i < end; i++) {
        const int64_t x = args->x->i[i];
        if (args->x->dtype == CB_UINT64) {
            const uint64_t low = (uint64_t)x < ulo ? ulo : (uint64_t)x;
            args->to->i[i] = (int64_t)(low > uhi ? uhi : low);
        } else {
            const int64_t low = x < lo ? lo : x;
            args->to->i[i] = low > hi ? hi : low;
        }
    }
}

static void clip_values(void *ctx, size_t begin, size_t end)
{
    const struct clip_args *args = ctx;
    if (!cb_dtype_get(args->x->dtype)->is_float)
        clip_wholes(args, begin, end);
    else
        args->kernels->clamp(end - begin, args->x->f + begin, (float)args->lo, (float)args->hi,
                             args->to->f + begin);
}

static void clip_slopes(void *ctx, size_t begin, size_t end)
{
    const struct clip_args *args = ctx;
    const float lo = (float)args->lo, hi = (float)args->hi;
    const float *x = args->x->f, *dy = args->dy->f;
    float *dx = args->to->f;
    for (size_t i = begin; i < end; i++)
        dx[i] += x[i] > lo && x[i] < hi ? dy[i] : 0.0f;
}

static struct clip_args args_of(const struct cb_op_call *call)
{
    const bool relu = call->node->op == CB_OP_RELU;
    return (struct clip_args){
        .kernels = call->kernels,
        .x = call->in[0],
        .lo = relu ? 0 : call->node->attr.clip.lo,
        .hi = relu ? (double)INFINITY : call->node->attr.clip.hi,
    };
}

static void clip_forward(const struct cb_op_call *call)
{
    struct clip_args args = args_of(call);
    args.to = call->out[0];
    cb_walk_range(call->threads, cb_tensor_count(args.x), CB_WALK_GRAIN, clip_values, &args);
}

static void clip_backward(const struct cb_op_call *call)
{
    struct clip_args args = args_of(call);
    if (!call->din[0] || !call->dout[0])
        return;
    args.dy = call->dout[0];
    args.to = call->din[0];
    cb_walk_range(call->threads, cb_tensor_count(args.x), CB_WALK_GRAIN, clip_slopes, &args);
}

/* clang-format off */
const struct cb_op_def cb_op_relu = {
    .name = "Relu", .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,
    .infer = clip_infer, .forward = clip_forward, .backward = clip_backward,
};

const struct cb_op_def cb_op_clip = {
    .name = "Clip", .min_in = 1, .max_in = 3, .max_out = 1,
    .params = 1u << 1 | 1u << 2, .in_place = true,
    .infer = clip_infer, .forward = clip_forward, .backward = clip_backward,
};
