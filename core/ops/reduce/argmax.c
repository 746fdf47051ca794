/* core/ops/reduce/argmax.c - ArgMax and ArgMin: where along an axis the extreme lies, its first or
 * its last place. Hardmax: 1 at the first place of the greatest, 0 elsewhere; before opset 13 all
 * axes from `axis` on are one. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct arg_job {
    const struct cb_tensor *x;
    int64_t *y;
    size_t along, inner; /* x is [outer, along, inner] */
    bool least, last;
};

struct hardmax_job {
    struct arg_job arg; /* of the greatest, at its first place */
    float *y;
};

static struct cb_status arg_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = { 0 };
    int axis;
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    CB_TRY(cb_args_axis(node, node->attr.arg.axis, x->rank, &axis));
    if (x->dim[axis] == 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants elements along axis %d, has none", node->name,
                       axis);
    for (int i = 0; i < x->rank; i++)
        if (i != axis || node->attr.arg.keep_dims)
            y.dim[y.rank++] = i == axis ? 1 : x->dim[i];
    return cb_args_out(node, &out[0], CB_INT64, &y);
}

/* True when element a comes before b, by value; NaN comes before all others. */
static bool exceeds(const struct arg_job *job, size_t a, size_t b)
{
    const struct cb_tensor *x = job->x;
    const size_t more = job->least ? b : a, other = job->least ? a : b;
    if (cb_dtype_get(x->dtype)->is_float)
        return x->f[more] > x->f[other] || (isnan(x->f[a]) && !isnan(x->f[b]));
    if (x->dtype == CB_UINT64)
        return (uint64_t)x->i[more] > (uint64_t)x->i[other];
    return x->i[more] > x->i[other];
}

static void arg_outer(void *ctx, size_t begin, size_t end)
{
    const struct arg_job *job = ctx;
    for (size_t o = begin; o < end; o++) {
        const size_t base = o * job->along * job->inner;
        int64_t *y = job->y + o * job->inner;
        for (size_t i = 0; i < job->inner; i++)
            y[i] = 0;
        for (size_t k = 1; k < job->along; k++)
            for (size_t i = 0; i < job->inner; i++) {
                const size_t at = base + k * job->inner + i,
                             best = base + (size_t)y[i] * job->inner + i;
                if (job->last ? !exceeds(job, best, at) : exceeds(job, at, best))
                    y[i] = (int64_t)k;
            }
    }
}

static void arg_forward(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int axis = cb_shape_axis(call->node->attr.arg.axis, x->rank);
    struct arg_job job = {
        .x = call->in[0],
        .y = call->out[0]->i,
        .along = (size_t)x->dim[axis],
        .inner = cb_shape_span(x, axis + 1, x->rank),
        .least = call->node->op == CB_OP_ARG_MIN,
        .last = call->node->attr.arg.last,
    };
    if (cb_shape_count(x) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, axis),
                      1 + CB_WALK_GRAIN / (job.along * job.inner + 1), arg_outer, &job);
}

static struct cb_status hardmax_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    const int rank = in[0].shape.rank, axis = node->attr.softmax.axis;
    int k;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    if (!node->attr.softmax.flatten || axis != rank) /* flattened behind the last axis: rows of 1 */
        CB_TRY(cb_args_axis(node, axis, rank, &k));
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

static void hardmax_outer(void *ctx, size_t begin, size_t end)
{
    const struct hardmax_job *job = ctx;
    for (size_t o = begin; o < end; o++)
        for (size_t i = 0; i < job->arg.inner; i++) {
            const size_t first = o * job->arg.along * job->arg.inner + i;
            size_t best = first;
            for (size_t k = 0, at = first; k < job->arg.along; k++, at += job->arg.inner) {
                job->y[at] = 0;
                if (exceeds(&job->arg, at, best))
                    best = at;
            }
            job->y[best] = 1;
        }
}

static void hardmax_forward(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const bool flatten = call->node->attr.softmax.flatten;
    const int given = call->node->attr.softmax.axis;
    const int axis = given == x->rank ? given : cb_shape_axis(given, x->rank);
    const int last = flatten ? x->rank : axis + 1;
    struct hardmax_job job = { { .x = call->in[0] }, call->out[0]->f };
    job.arg.along = cb_shape_span(x, axis, last);
    job.arg.inner = cb_shape_span(x, last, x->rank);
    if (cb_shape_count(x) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, axis),
                      1 + CB_WALK_GRAIN / (job.arg.along * job.arg.inner), hardmax_outer, &job);
}

/* clang-format off */
const struct cb_op_def cb_op_arg_max = {
    .name = "ArgMax", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = cb_result_int64, .infer = arg_infer, .forward = arg_forward,
};

const struct cb_op_def cb_op_arg_min = {
    .name = "ArgMin", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = cb_result_int64, .infer = arg_infer, .forward = arg_forward,
};

const struct cb_op_def cb_op_hardmax = {
    .name = "Hardmax", .min_in = 1, .max_in = 1, .max_out = 1,
    .infer = hardmax_infer, .forward = hardmax_forward,
};
