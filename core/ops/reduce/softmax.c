/* core/ops/reduce/softmax.c - Softmax: y = e^x / sum e^x along an axis; LogSoftmax: its logarithm.
 *
 * The greatest element is taken off first, so that nothing overflows. x is seen as [outer, along,
 * inner]; columns of `inner` are done together in blocks. Before opset 13 all axes from `axis` on
 * are one. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/approx.h"
#include "core/ops/elementwise/walk.h"

#define BLOCK 32
#define LANES 8

struct softmax_job {
    const float *x, *y, *dy;
    float *to; /* y of forward, dx of backward */
    size_t along, inner, blocks;
    bool log;
};

static struct cb_status softmax_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    int axis;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    CB_TRY(cb_args_axis(node, node->attr.softmax.axis, in[0].shape.rank, &axis));
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

/* The columns of a job's block: where they begin in x, and how many there are. */
static size_t block_of(const struct softmax_job *job, size_t i, size_t *columns)
{
    const size_t column = i % job->blocks * BLOCK, left = job->inner - column;
    *columns = left < BLOCK ? left : BLOCK;
    return i / job->blocks * job->along * job->inner + column;
}

static float greatest(size_t n, const float *x)
{
    float lane[LANES], top = x[0];
    size_t k = 0;
    for (size_t j = 0; j < LANES; j++)
        lane[j] = x[0];
    for (; k + LANES <= n; k += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] = x[k + j] > lane[j] ? x[k + j] : lane[j];
    for (; k < n; k++)
        top = x[k] > top ? x[k] : top;
    for (size_t j = 0; j < LANES; j++)
        top = lane[j] > top ? lane[j] : top;
    return top;
}

static double sum_of(size_t n, const float *x)
{
    double lane[LANES] = { 0 }, sum = 0;
    size_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)x[k + j];
    for (; k < n; k++)
        sum += (double)x[k];
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

/* A contiguous row. */
static void softmax_row(size_t n, const float *x, float *y)
{
    const float top = greatest(n, x);
    for (size_t k = 0; k < n; k++)
        y[k] = cb_approx_exp(x[k] - top);
    const float scale = (float)(1.0 / sum_of(n, y));
    for (size_t k = 0; k < n; k++)
        y[k] *= scale;
}

/* n columns, `inner` elements apart along the axis: y is e^(x - greatest) or its logarithm, then
 * the sum is taken off. */
static void softmax_columns(const struct softmax_job *job, size_t n, const float *x, float *y)
{
    float top[BLOCK];
    double sum[BLOCK] = { 0 };
    const size_t end = job->along * job->inner;
    for (size_t j = 0; j < n; j++)
        top[j] = x[j];
    for (size_t k = job->inner; k < end; k += job->inner)
        for (size_t j = 0; j < n; j++)
            top[j] = x[k + j] > top[j] ? x[k + j] : top[j];
    for (size_t k = 0; k < end; k += job->inner)
        for (size_t j = 0; j < n; j++) {
            const float v = x[k + j] - top[j], e = cb_approx_exp(v);
            y[k + j] = job->log ? v : e;
            sum[j] += (double)e;
        }
    for (size_t j = 0; j < n; j++)
        sum[j] = job->log ? log(sum[j]) : 1.0 / sum[j];
    for (size_t k = 0; k < end; k += job->inner)
        for (size_t j = 0; j < n; j++)
            y[k + j] = job->log ? y[k + j] - (float)sum[j] : y[k + j] * (float)sum[j];
}

static void softmax_blocks(void *ctx, size_t begin, size_t end)
{
    const struct softmax_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        size_t n;
        const size_t base = block_of(job, i, &n);
        if (job->inner == 1 && !job->log)
            softmax_row(job->along, job->x + base, job->to + base);
        else
            softmax_columns(job, n, job->x + base, job->to + base);
    }
}

/* Softmax: dx = y (dy - sum dy y). LogSoftmax: dx = dy - e^y sum dy. */
static void slope_blocks(void *ctx, size_t begin, size_t end)
{
    const struct softmax_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        double sum[BLOCK] = { 0 };
        size_t n;
        const size_t base = block_of(job, i, &n);
        const float *y = job->y + base, *dy = job->dy + base;
        float *dx = job->to + base;
        for (size_t k = 0; k < job->along; k++)
            for (size_t j = 0; j < n; j++) {
                const size_t at = k * job->inner + j;
                sum[j] += (double)dy[at] * (job->log ? 1.0 : (double)y[at]);
            }
        for (size_t k = 0; k < job->along; k++)
            for (size_t j = 0; j < n; j++) {
                const size_t at = k * job->inner + j;
                const float s = (float)sum[j];
                dx[at] += job->log ? dy[at] - cb_approx_exp(y[at]) * s : y[at] * (dy[at] - s);
            }
    }
}

static void softmax_run(const struct cb_op_call *call, struct softmax_job job, cb_range_fn *fn)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int axis = cb_shape_axis(call->node->attr.softmax.axis, x->rank);
    const int last = call->node->attr.softmax.flatten ? x->rank : axis + 1;
    job.along = cb_shape_span(x, axis, last);
    job.inner = cb_shape_span(x, last, x->rank);
    job.blocks = (job.inner + BLOCK - 1) / BLOCK;
    job.log = call->node->op == CB_OP_LOG_SOFTMAX;
    if (cb_shape_count(x) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, axis) * job.blocks,
                      1 + CB_WALK_GRAIN / 8 / (job.along * (job.inner < BLOCK ? job.inner : BLOCK)),
                      fn, &job);
}

static void softmax_forward(const struct cb_op_call *call)
{
    softmax_run(call, (struct softmax_job){ .x = call->in[0]->f, .to = call->out[0]->f },
                softmax_blocks);
}

static void softmax_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0])
        softmax_run(call,
                    (struct softmax_job){
                        .y = call->out[0]->f, .dy = call->dout[0]->f, .to = call->din[0]->f },
                    slope_blocks);
}

/* clang-format off */
#define SOFTMAX_DEF(onnx_name) {                                                                   \
    .name = onnx_name, .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,                   \
    .infer = softmax_infer, .forward = softmax_forward, .backward = softmax_backward,              \
}

const struct cb_op_def cb_op_softmax = SOFTMAX_DEF("Softmax");
const struct cb_op_def cb_op_log_softmax = SOFTMAX_DEF("LogSoftmax");
