/* core/ops/reduce/reduce.c - sums, means, extremes, products and norms over any axes.
 *
 * Neighbouring axes of one kind, kept or reduced, are merged first. Then the last axis decides:
 * reduced, each result is made of contiguous rows; kept, blocks of columns are reduced together
 * (the spatial mean of [N,H,W,C]). */
#include "core/ops/reduce/reduce_rows.h"

#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

/* The axes that are reduced. */
static struct cb_status axes_of(const struct cb_node *node, int rank, bool flags[CB_MAX_RANK])
{
    const struct cb_list *axes = &node->attr.reduce.axes;
    CB_TRY(cb_args_axes(node, axes, rank, flags));
    for (int i = 0; i < rank && axes->count <= 0; i++)
        flags[i] = !node->attr.reduce.noop_if_empty;
    return cb_ok();
}

static struct cb_status reduce_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    const struct cb_reduce_rows *rows = cb_reduce_rows_get(node->op);
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = { 0 };
    bool flags[CB_MAX_RANK];
    CB_TRY(cb_args_check(node, in));
    if (!cb_args_is_float(&in[0]) &&
        (!rows->whole || (in[0].dtype == CB_BOOL && !rows->takes_bool)))
        return cb_fail(CB_ERR_MODEL, "%s: wants real numbers, has %s", node->name,
                       cb_dtype_get(in[0].dtype)->name);
    CB_TRY(cb_args_list(node, in, 1, "axes", &node->attr.reduce.axes));
    CB_TRY(axes_of(node, x->rank, flags));
    for (int i = 0; i < x->rank; i++)
        if (!flags[i] || node->attr.reduce.keep_dims)
            y.dim[y.rank++] = flags[i] ? 1 : x->dim[i];
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* y's shape with the reduced axes as 1, and how many elements make one result. */
static struct cb_shape kept_shape(const struct cb_op_call *call, bool flags[CB_MAX_RANK], size_t *n)
{
    struct cb_shape kept = call->in[0]->shape;
    const struct cb_status st = axes_of(call->node, kept.rank, flags);
    *n = 1;
    for (int i = 0; i < kept.rank && !st.code; i++)
        if (flags[i]) {
            *n *= (size_t)kept.dim[i];
            kept.dim[i] = 1;
        }
    return kept;
}

/* Axes of one kind, outermost first, and the elements between their steps in x. */
struct axes {
    int rank;
    size_t dim[CB_MAX_RANK], step[CB_MAX_RANK];
};

struct reduce_job {
    const struct cb_reduce_rows *rows;
    const float *x;
    float *y;
    struct axes kept, reduced;
    size_t row;     /* elements of a contiguous reduced row; 0: the last axis is kept */
    size_t columns; /* of the last axis, when it is kept; else 1 */
    size_t blocks;  /* of columns */
    double n;       /* elements that make one result */
    bool shifts;
};

static void add_axis(struct axes *axes, size_t dim, size_t step)
{
    axes->dim[axes->rank] = dim;
    axes->step[axes->rank++] = step;
}

static struct reduce_job job_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct reduce_job job = { .rows = cb_reduce_rows_get(call->node->op),
                              .x = call->in[0]->f,
                              .y = call->out[0]->f,
                              .columns = 1,
                              .shifts = call->node->op == CB_OP_REDUCE_LOG_SUM_EXP };
    bool flags[CB_MAX_RANK];
    size_t n, step = cb_shape_count(x);
    struct axes all = { 0 };
    bool kind[CB_MAX_RANK] = { false };

    (void)kept_shape(call, flags, &n);
    job.n = (double)n;
    for (int i = 0; i < x->rank; i++) {
        step /= x->dim[i] ? (size_t)x->dim[i] : 1;
        if (x->dim[i] == 1)
            continue;
        if (all.rank > 0 && kind[all.rank - 1] == flags[i]) {
            all.dim[all.rank - 1] *= (size_t)x->dim[i];
            all.step[all.rank - 1] = step;
        } else {
            kind[all.rank] = flags[i];
            add_axis(&all, (size_t)x->dim[i], step);
        }
    }
    for (int i = 0; i + 1 < all.rank; i++)
        add_axis(kind[i] ? &job.reduced : &job.kept, all.dim[i], all.step[i]);
    if (all.rank > 0)
        *(kind[all.rank - 1] ? &job.row : &job.columns) = all.dim[all.rank - 1];
    job.blocks = (job.columns + CB_REDUCE_BLOCK - 1) / CB_REDUCE_BLOCK;
    return job;
}

/* Where the i-th combination of these axes lies. */
static size_t offset_of(const struct axes *axes, size_t i)
{
    size_t offset = 0;
    for (int k = axes->rank - 1; k >= 0; k--) {
        offset += i % axes->dim[k] * axes->step[k];
        i /= axes->dim[k];
    }
    return offset;
}

static size_t count_of(const struct axes *axes)
{
    size_t n = 1;
    for (int k = 0; k < axes->rank; k++)
        n *= axes->dim[k];
    return n;
}

/* Results that are made together: a block of columns, or one of rows. */
struct tile {
    const float *x;
    size_t columns;
    double acc[CB_REDUCE_BLOCK], shift[CB_REDUCE_BLOCK];
};

/* Takes in all that is reduced into the tile. */
static void gather(const struct reduce_job *job, const struct cb_reduce_rows *rows, struct tile *t)
{
    const size_t n = job->n > 0 ? count_of(&job->reduced) : 0;
    for (size_t j = 0; j < t->columns; j++)
        t->acc[j] = rows->start;
    for (size_t i = 0; i < n; i++) {
        const float *from = t->x + offset_of(&job->reduced, i);
        if (job->row)
            rows->row(job->row, from, t->shift, t->acc);
        else
            rows->columns(t->columns, from, t->shift, t->acc);
    }
}

static void reduce_tile(const struct reduce_job *job, struct tile *t, float *y)
{
    if (job->shifts) {
        gather(job, cb_reduce_rows_get(CB_OP_REDUCE_MAX), t);
        for (size_t j = 0; j < t->columns; j++)
            t->shift[j] = isfinite(t->acc[j]) ? t->acc[j] : 0;
    }
    gather(job, job->rows, t);
    for (size_t j = 0; j < t->columns; j++)
        y[j] = (float)job->rows->finish(t->acc[j], t->shift[j], job->n);
}

static void reduce_blocks(void *ctx, size_t begin, size_t end)
{
    const struct reduce_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        const size_t outer = i / job->blocks, column = i % job->blocks * CB_REDUCE_BLOCK;
        const size_t left = job->columns - column;
        struct tile t = {
            .x = job->x + offset_of(&job->kept, outer) + column,
            .columns = left < CB_REDUCE_BLOCK ? left : CB_REDUCE_BLOCK,
        };
        reduce_tile(job, &t, job->y + outer * job->columns + column);
    }
}

/* --- whole numbers: simple, they are shapes --- */

struct whole_job {
    int64_t (*step)(int64_t acc, int64_t x, bool is_unsigned);
    const struct cb_tensor *x;
    struct cb_tensor *y;
};

static void whole_row(void *ctx, const struct cb_walk_row *row)
{
    const struct whole_job *job = ctx;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++) {
        int64_t *to = job->y->i + row->at[1] + i * row->step[1];
        *to = job->step(*to, job->x->i[row->at[0] + i], job->x->dtype == CB_UINT64);
    }
}

/* The result of nothing. */
static int64_t whole_start(enum cb_op op, enum cb_dtype dtype)
{
    const unsigned bits = (unsigned)(8 * cb_dtype_get(dtype)->outer_size);
    const bool is_signed = dtype >= CB_INT8 && dtype <= CB_INT64;
    const int64_t top = dtype == CB_BOOL ? 1 : (int64_t)(UINT64_MAX >> (64 - bits + is_signed));
    if (op == CB_OP_REDUCE_MIN)
        return top;
    if (op == CB_OP_REDUCE_MAX)
        return is_signed ? -top - 1 : 0;
    return op == CB_OP_REDUCE_PROD;
}

static void reduce_wholes(const struct cb_op_call *call)
{
    const enum cb_op op = call->node->op;
    struct cb_tensor *y = call->out[0];
    struct whole_job job = { cb_reduce_rows_get(op)->whole, call->in[0], y };
    bool flags[CB_MAX_RANK];
    size_t n;
    const struct cb_shape kept = kept_shape(call, flags, &n);
    const size_t results = cb_tensor_count(y);
    struct cb_walk walk = cb_walk_over(&call->in[0]->shape);

    for (size_t i = 0; i < results; i++)
        y->i[i] = whole_start(op, y->dtype);
    cb_walk_add_dense(&walk);
    cb_walk_add_broadcast(&walk, &kept);
    cb_walk_run(&walk, NULL, whole_row, &job);
    for (size_t i = 0; i < results; i++) {
        if (op == CB_OP_REDUCE_MEAN)
            y->i[i] = n == 0                  ? 0
                      : y->dtype == CB_UINT64 ? (int64_t)((uint64_t)y->i[i] / n)
                                              : y->i[i] / (int64_t)n;
        else if (op == CB_OP_REDUCE_L2)
            y->i[i] = cb_args_to_int(sqrt((double)y->i[i])); /* a sum may have wrapped */
        y->i[i] = cb_dtype_wrap(y->dtype, y->i[i]);
    }
}

static void reduce_forward(const struct cb_op_call *call)
{
    struct reduce_job job;
    size_t work;
    if (cb_tensor_count(call->out[0]) == 0)
        return;
    if (!cb_dtype_get(call->in[0]->dtype)->is_float) {
        reduce_wholes(call);
        return;
    }
    job = job_of(call);
    work = (size_t)job.n * (job.columns < CB_REDUCE_BLOCK ? job.columns : CB_REDUCE_BLOCK);
    cb_walk_range(call->threads, cb_tensor_count(call->out[0]) / job.columns * job.blocks,
                  1 + CB_WALK_GRAIN / (work + 1), reduce_blocks, &job);
}

/* --- gradient: one walk over x, y broadcast along it --- */

struct slope_job {
    const struct cb_reduce_rows *rows;
    const float *x, *y, *dy;
    float *dx;
    struct cb_reduce_state *state;
    double n;
};

static void prepare_row(void *ctx, const struct cb_walk_row *row)
{
    const struct slope_job *job = ctx;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++) {
        const ptrdiff_t k = row->at[1] + i * row->step[1];
        job->rows->prepare(job->x[row->at[0] + i], job->y[k], &job->state[k]);
    }
}

static void slope_row(void *ctx, const struct cb_walk_row *row)
{
    const struct slope_job *job = ctx;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++) {
        const ptrdiff_t at = row->at[0] + i, k = row->at[1] + i * row->step[1];
        const struct cb_reduce_state *state = job->state ? &job->state[k] : NULL;
        job->dx[at] += job->dy[k] * job->rows->slope(job->x[at], job->y[k], job->n, state);
    }
}

static size_t reduce_scratch(const struct cb_op_call *call, bool backward)
{
    const bool needs = backward && cb_reduce_rows_get(call->node->op)->prepare;
    return needs ? cb_tensor_count(call->out[0]) * sizeof(struct cb_reduce_state) : 0;
}

static void reduce_backward(const struct cb_op_call *call)
{
    const struct cb_reduce_rows *rows = cb_reduce_rows_get(call->node->op);
    struct slope_job job = { .rows = rows,
                             .x = call->in[0]->f,
                             .y = call->out[0]->f,
                             .state = rows->prepare ? call->scratch : NULL };
    struct cb_walk walk = cb_walk_over(&call->in[0]->shape);
    struct cb_shape kept;
    bool flags[CB_MAX_RANK];
    size_t n;
    if (!call->dout[0] || !call->din[0])
        return;
    kept = kept_shape(call, flags, &n);
    job.dy = call->dout[0]->f;
    job.dx = call->din[0]->f;
    job.n = (double)n;
    cb_walk_add_dense(&walk);
    cb_walk_add_broadcast(&walk, &kept);
    if (rows->prepare) {
        for (size_t i = 0; i < cb_tensor_count(call->out[0]); i++)
            job.state[i] = (struct cb_reduce_state){ .product = 1 };
        cb_walk_run(&walk, NULL, prepare_row, &job);
    }
    cb_walk_run(&walk, call->threads, slope_row, &job);
}

/* clang-format off */
#define REDUCTION(id, onnx_name)                                                                   \
    const struct cb_op_def cb_op_reduce_##id = {                                                   \
        .name = onnx_name, .min_in = 1, .max_in = 2, .max_out = 1, .params = 1u << 1,              \
        .infer = reduce_infer, .scratch = reduce_scratch, .forward = reduce_forward,               \
        .backward = reduce_backward,                                                               \
    };

REDUCTION(sum, "ReduceSum")
REDUCTION(mean, "ReduceMean")
REDUCTION(max, "ReduceMax")
REDUCTION(min, "ReduceMin")
REDUCTION(prod, "ReduceProd")
REDUCTION(l1, "ReduceL1")
REDUCTION(l2, "ReduceL2")
REDUCTION(log_sum, "ReduceLogSum")
REDUCTION(log_sum_exp, "ReduceLogSumExp")
REDUCTION(sum_square, "ReduceSumSquare")
