/* core/ops/reduce/cumulate.c - CumSum and CumProd: each element becomes the sum (the product) of
 * all up to it along an axis; without itself when `exclusive`, from the end when `reverse`.
 *
 * Real numbers are gathered in double. ONNX CumSum-14, CumProd-26. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct cumulate_job {
    const struct cb_tensor *x;
    struct cb_tensor *y;
    const float *dy; /* backward: */
    float *dx;
    size_t along, inner;
    bool product, exclusive, reverse;
};

static struct cb_status cumulate_infer(struct cb_node *node, const struct cb_arg in[],
                                       struct cb_arg out[])
{
    struct cb_list axis = { 1, { node->attr.cumulate.axis } };
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    CB_TRY(cb_args_list(node, in, 1, "an axis", &axis));
    if (axis.count != 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants one axis, has %d", node->name, axis.count);
    CB_TRY(cb_args_axis(node, axis.v[0], in[0].shape.rank, &node->attr.cumulate.axis));
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

/* Where the line's element k, in the order of gathering, lies. */
static size_t at_of(const struct cumulate_job *job, size_t line, size_t k)
{
    const size_t base = line / job->inner * job->along * job->inner + line % job->inner;
    return base + (job->reverse ? job->along - 1 - k : k) * job->inner;
}

static void real_lines(void *ctx, size_t begin, size_t end)
{
    const struct cumulate_job *job = ctx;
    for (size_t line = begin; line < end; line++) {
        double acc = job->product;
        for (size_t k = 0; k < job->along; k++) {
            const size_t at = at_of(job, line, k);
            const double v = (double)job->x->f[at];
            const double next = job->product ? acc * v : acc + v;
            job->y->f[at] = (float)(job->exclusive ? acc : next);
            acc = next;
        }
    }
}

static void whole_lines(void *ctx, size_t begin, size_t end)
{
    const struct cumulate_job *job = ctx;
    for (size_t line = begin; line < end; line++) {
        uint64_t acc = job->product;
        for (size_t k = 0; k < job->along; k++) {
            const size_t at = at_of(job, line, k);
            const uint64_t v = (uint64_t)job->x->i[at];
            const uint64_t next = job->product ? acc * v : acc + v;
            job->y->i[at] = cb_dtype_wrap(job->y->dtype, (int64_t)(job->exclusive ? acc : next));
            acc = next;
        }
    }
}

/* dx of a sum: the same sum of dy, from the other end. */
static void sum_slopes(void *ctx, size_t begin, size_t end)
{
    const struct cumulate_job *job = ctx;
    for (size_t line = begin; line < end; line++) {
        double acc = 0;
        for (size_t k = job->along; k-- > 0;) {
            const size_t at = at_of(job, line, k);
            const double next = acc + (double)job->dy[at];
            job->dx[at] += (float)(job->exclusive ? acc : next);
            acc = next;
        }
    }
}

/* dx of a product, at j: the sum over k of dy[k] times the product of what is gathered up to k,
 * less x[j]. In one walk per j, so that a zero does no harm. */
static void product_slopes(void *ctx, size_t begin, size_t end)
{
    const struct cumulate_job *job = ctx;
    for (size_t line = begin; line < end; line++)
        for (size_t j = 0; j < job->along; j++) {
            double acc = 1, sum = 0;
            for (size_t k = 0; k < job->along; k++) {
                const size_t at = at_of(job, line, k);
                const double without = k == j ? acc : acc * (double)job->x->f[at];
                if (job->exclusive ? k > j : k >= j)
                    sum += (double)job->dy[at] * (job->exclusive ? acc : without);
                acc = without;
            }
            job->dx[at_of(job, line, j)] += (float)sum;
        }
}

static void cumulate_run(const struct cb_op_call *call, struct cumulate_job job, cb_range_fn *fn)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int axis = call->node->attr.cumulate.axis;
    job.x = call->in[0];
    job.y = call->out[0];
    job.along = (size_t)x->dim[axis];
    job.inner = cb_shape_span(x, axis + 1, x->rank);
    job.product = call->node->op == CB_OP_CUM_PROD;
    job.exclusive = call->node->attr.cumulate.exclusive;
    job.reverse = call->node->attr.cumulate.reverse;
    if (cb_shape_count(x) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, axis) * job.inner,
                      1 + CB_WALK_GRAIN / job.along, fn, &job);
}

static void cumulate_forward(const struct cb_op_call *call)
{
    const bool real = cb_dtype_get(call->in[0]->dtype)->is_float;
    cumulate_run(call, (struct cumulate_job){ 0 }, real ? real_lines : whole_lines);
}

static void cumulate_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0])
        cumulate_run(call, (struct cumulate_job){ .dy = call->dout[0]->f, .dx = call->din[0]->f },
                     call->node->op == CB_OP_CUM_PROD ? product_slopes : sum_slopes);
}

/* clang-format off */
#define CUMULATE(onnx_name) {                                                                      \
    .name = onnx_name, .min_in = 1, .max_in = 2, .max_out = 1, .params = 1u << 1,                  \
    .infer = cumulate_infer, .forward = cumulate_forward, .backward = cumulate_backward,           \
}

const struct cb_op_def cb_op_cum_sum = CUMULATE("CumSum");
const struct cb_op_def cb_op_cum_prod = CUMULATE("CumProd");
