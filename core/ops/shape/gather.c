/* core/ops/shape/gather.c - Gather: y[outer, m, inner] = x[outer, indices[m], inner]. Negative
 * indices count from the end (indices.h). */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/ops/shape/indices.h"

struct gather_job {
    const char *x;
    char *y;
    const int64_t *indices;
    size_t dim, picks, bytes; /* along the axis; indices; of what is inside of it */
};

static struct cb_status gather_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape, *indices = &in[1].shape;
    struct cb_shape y = { 0 };
    int axis;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_axis(node, node->attr.axis.axis, x->rank, &axis));
    CB_TRY(cb_indices_check(node, &in[1], &x->dim[axis], 1));
    if (x->rank - 1 + indices->rank > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants rank %d at most, has %d", node->name,
                       CB_MAX_RANK, x->rank - 1 + indices->rank);
    for (int i = 0; i < axis; i++)
        y.dim[y.rank++] = x->dim[i];
    for (int i = 0; i < indices->rank; i++)
        y.dim[y.rank++] = indices->dim[i];
    for (int i = axis + 1; i < x->rank; i++)
        y.dim[y.rank++] = x->dim[i];
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

static struct gather_job job_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int axis = cb_shape_axis(call->node->attr.axis.axis, x->rank);
    return (struct gather_job){
        .indices = call->in[1]->i,
        .dim = (size_t)x->dim[axis],
        .picks = cb_tensor_count(call->in[1]),
        .bytes = cb_shape_span(x, axis + 1, x->rank) * cb_dtype_size(call->in[0]->dtype),
    };
}

/* Where pick i of all lies in x, in bytes. */
static size_t pick(const struct gather_job *job, size_t i)
{
    const size_t k = cb_index_inside(job->indices[i % job->picks], (int64_t)job->dim);
    return (i / job->picks * job->dim + k) * job->bytes;
}

static void gather_picks(void *ctx, size_t begin, size_t end)
{
    const struct gather_job *job = ctx;
    for (size_t i = begin; i < end; i++)
        memcpy(job->y + i * job->bytes, job->x + pick(job, i), job->bytes);
}

static void gather_forward(const struct cb_op_call *call)
{
    struct gather_job job;
    const size_t bytes = cb_tensor_bytes(call->out[0]);
    if (bytes == 0)
        return;
    job = job_of(call);
    job.x = call->in[0]->data;
    job.y = call->out[0]->data;
    cb_walk_range(call->threads, bytes / job.bytes, 1 + CB_WALK_GRAIN / job.bytes, gather_picks,
                  &job);
}

static void gather_backward(const struct cb_op_call *call)
{
    struct gather_job job;
    size_t n;
    if (!call->din[0] || !call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    job = job_of(call);
    n = job.bytes / sizeof(float);
    for (size_t i = 0; i < cb_tensor_bytes(call->dout[0]) / job.bytes; i++)
        call->kernels->axpy(n, 1.0f, call->dout[0]->f + i * n,
                            call->din[0]->f + pick(&job, i) / sizeof(float));
}

/* clang-format off */
const struct cb_op_def cb_op_gather = {
    .name = "Gather", .min_in = 2, .max_in = 2, .max_out = 1,
    .infer = gather_infer, .forward = gather_forward, .backward = gather_backward,
};
