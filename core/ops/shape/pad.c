/* core/ops/shape/pad.c - Pad: elements before and after each axis: a constant, or those of x
 * mirrored, held or repeated.
 *
 * Negative pads cut off instead; the other modes then continue what is left. ONNX Pad-21. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

/* The pads of every axis of x, from a list of pairs for `axes`. */
static struct cb_status spread(struct cb_node *node, int rank, const struct cb_list *begin,
                               const struct cb_list *end)
{
    struct cb_list *axes = &node->attr.pad.axes;
    const int n = axes->count >= 0 ? axes->count : rank;
    struct cb_list all[2] = { { .count = rank }, { .count = rank } };
    bool seen[CB_MAX_RANK];
    if (begin->count != n || end->count != n)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d pads before and after, has %d and %d",
                       node->name, n, begin->count, end->count);
    CB_TRY(cb_args_axes(node, axes, rank, seen));
    for (int i = 0; i < n; i++) {
        int axis = i;
        if (axes->count >= 0)
            CB_TRY(cb_args_axis(node, axes->v[i], rank, &axis));
        all[0].v[axis] = begin->v[i];
        all[1].v[axis] = end->v[i];
    }
    node->attr.pad.begin = all[0];
    node->attr.pad.end = all[1];
    axes->count = -1;
    return cb_ok();
}

static struct cb_status read_pads(struct cb_node *node, const struct cb_arg in[])
{
    struct cb_list begin = node->attr.pad.begin, end = node->attr.pad.end;
    CB_TRY(cb_args_list(node, in, 3, "axes", &node->attr.pad.axes));
    CB_TRY(cb_args_number(node, in, 2, "the value", &node->attr.pad.value));
    CB_TRY(cb_args_pads(node, in, 1, &begin, &end));
    return spread(node, in[0].shape.rank, &begin, &end);
}

/* What is left of an axis after its negative pads. */
static int64_t left_of(int64_t dim, int64_t begin, int64_t end)
{
    return dim + (begin < 0 ? begin : 0) + (end < 0 ? end : 0);
}

static struct cb_status pad_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    const int64_t most = (int64_t)CB_MAX_ELEMENTS;
    struct cb_shape y;
    CB_TRY(cb_args_check(node, in));
    if ((int)node->attr.pad.mode < CB_PAD_CONSTANT || node->attr.pad.mode > CB_PAD_WRAP)
        return cb_fail(CB_ERR_MODEL, "%s: wants a mode of padding, has %d", node->name,
                       (int)node->attr.pad.mode);
    CB_TRY(read_pads(node, in));
    y = in[0].shape;
    for (int i = 0; i < y.rank; i++) {
        const int64_t begin = node->attr.pad.begin.v[i], end = node->attr.pad.end.v[i];
        if (begin < -most || begin > most || end < -most || end > most ||
            y.dim[i] + begin + end < 0)
            return cb_fail(CB_ERR_MODEL, "%s: wants pads that fit %lld elements, has %lld and %lld",
                           node->name, (long long)y.dim[i], (long long)begin, (long long)end);
        if (node->attr.pad.mode != CB_PAD_CONSTANT && left_of(y.dim[i], begin, end) < 1 &&
            y.dim[i] + begin + end > 0)
            return cb_fail(CB_ERR_MODEL, "%s: wants elements along axis %d to pad with, has none",
                           node->name, i);
        y.dim[i] += begin + end;
    }
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* --- constant: the value everywhere, then x as a box in y --- */

/* The part of x that y holds: a walk over it, and where it begins in x and in y. */
static struct cb_walk box_of(const struct cb_op_call *call, size_t *in_x, size_t *in_y,
                             ptrdiff_t x_step[], ptrdiff_t y_step[])
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct cb_shape y = *x;
    struct cb_walk walk = { .rank = x->rank };
    *in_x = *in_y = 0;
    for (int i = 0; i < x->rank; i++)
        y.dim[i] += call->node->attr.pad.begin.v[i] + call->node->attr.pad.end.v[i];
    cb_walk_strides(x, x_step);
    cb_walk_strides(&y, y_step);
    for (int i = 0; i < x->rank; i++) {
        const int64_t begin = call->node->attr.pad.begin.v[i];
        const int64_t first = begin > 0 ? begin : 0;
        const int64_t end = begin + x->dim[i] < y.dim[i] ? begin + x->dim[i] : y.dim[i];
        walk.dim[i] = end > first ? (size_t)(end - first) : 0;
        *in_x += (size_t)(first - begin) * (size_t)x_step[i];
        *in_y += (size_t)first * (size_t)y_step[i];
    }
    return walk;
}

static bool is_empty(const struct cb_walk *walk)
{
    for (int i = 0; i < walk->rank; i++)
        if (walk->dim[i] == 0)
            return true;
    return false;
}

static void fill(struct cb_tensor *y, double value)
{
    const size_t n = cb_tensor_count(y);
    const int64_t whole = cb_dtype_wrap(y->dtype, cb_args_to_int(value));
    if (cb_dtype_get(y->dtype)->is_float)
        for (size_t i = 0; i < n; i++)
            y->f[i] = (float)value;
    else
        for (size_t i = 0; i < n; i++)
            y->i[i] = whole;
}

static void constant_forward(const struct cb_op_call *call)
{
    const size_t size = cb_dtype_size(call->in[0]->dtype);
    ptrdiff_t x_step[CB_MAX_RANK], y_step[CB_MAX_RANK];
    size_t in_x, in_y;
    struct cb_walk walk = box_of(call, &in_x, &in_y, x_step, y_step);
    fill(call->out[0], call->node->attr.pad.value);
    if (is_empty(&walk))
        return;
    cb_walk_add_steps(&walk, x_step);
    cb_walk_add_steps(&walk, y_step);
    cb_walk_copy(&walk, call->threads, size, (const char *)call->in[0]->data + in_x * size,
                 (char *)call->out[0]->data + in_y * size);
}

static void constant_backward(const struct cb_op_call *call)
{
    ptrdiff_t x_step[CB_MAX_RANK], y_step[CB_MAX_RANK];
    size_t in_x, in_y;
    struct cb_walk walk = box_of(call, &in_x, &in_y, x_step, y_step);
    if (is_empty(&walk))
        return;
    cb_walk_add_steps(&walk, y_step);
    cb_walk_add_steps(&walk, x_step);
    cb_walk_accumulate(&walk, call->threads, call->dout[0]->f + in_y, call->din[0]->f + in_x);
}

/* --- the other modes: every element of y is one of x --- */

struct source_job {
    const struct cb_op_call *call;
    const struct cb_shape *x, *y;
};

/* The place along an axis of x that place i of y shows. */
static int64_t source(const struct cb_op_call *call, int axis, int64_t i)
{
    const int64_t begin = call->node->attr.pad.begin.v[axis],
                  end = call->node->attr.pad.end.v[axis];
    const int64_t n = left_of(call->in[0]->shape.dim[axis], begin, end),
                  first = begin < 0 ? -begin : 0;
    const enum cb_pad_mode mode = call->node->attr.pad.mode;
    const int64_t period = mode == CB_PAD_WRAP ? n : n > 1 ? 2 * (n - 1) : 1;
    i -= begin > 0 ? begin : 0;
    if (mode == CB_PAD_EDGE)
        return first + (i < 0 ? 0 : i >= n ? n - 1 : i);
    i %= period;
    i += i < 0 ? period : 0;
    return first + (i < n ? i : period - i);
}

/* Element of x that begins the row of y with this number. */
static size_t row_source(const struct source_job *job, size_t row)
{
    size_t at = 0, step = (size_t)job->x->dim[job->x->rank - 1];
    for (int k = job->x->rank - 2; k >= 0; k--) {
        const size_t dim = (size_t)job->y->dim[k];
        at += step * (size_t)source(job->call, k, (int64_t)(row % dim));
        step *= (size_t)job->x->dim[k];
        row /= dim;
    }
    return at;
}

static void source_rows(void *ctx, size_t begin, size_t end)
{
    const struct source_job *job = ctx;
    const struct cb_tensor *x = job->call->in[0], *y = job->call->out[0];
    const int last = job->x->rank - 1;
    const size_t n = (size_t)job->y->dim[last], size = cb_dtype_size(x->dtype);
    for (size_t row = begin; row < end; row++) {
        const size_t base = row_source(job, row);
        if (job->x->dim[last] == job->y->dim[last] &&
            job->call->node->attr.pad.begin.v[last] == 0) {
            memcpy((char *)y->data + row * n * size, (const char *)x->data + base * size, n * size);
            continue;
        }
        for (size_t j = 0; j < n; j++) {
            const size_t from = base + (size_t)source(job->call, last, (int64_t)j);
            if (cb_dtype_get(x->dtype)->is_float)
                y->f[row * n + j] = x->f[from];
            else
                y->i[row * n + j] = x->i[from];
        }
    }
}

static void source_backward(const struct source_job *job)
{
    const int last = job->x->rank - 1;
    const size_t n = (size_t)job->y->dim[last], rows = cb_shape_count(job->y) / n;
    for (size_t row = 0; row < rows; row++) {
        const size_t base = row_source(job, row);
        for (size_t j = 0; j < n; j++)
            job->call->din[0]->f[base + (size_t)source(job->call, last, (int64_t)j)] +=
                job->call->dout[0]->f[row * n + j];
    }
}

static void pad_forward(const struct cb_op_call *call)
{
    struct source_job job = { call, &call->in[0]->shape, &call->out[0]->shape };
    const size_t count = cb_shape_count(job.y);
    if (count == 0)
        return;
    if (call->node->attr.pad.mode == CB_PAD_CONSTANT || job.y->rank == 0) {
        constant_forward(call);
    } else {
        const size_t n = (size_t)job.y->dim[job.y->rank - 1];
        cb_walk_range(call->threads, count / n, 1 + CB_WALK_GRAIN / n, source_rows, &job);
    }
}

static void pad_backward(const struct cb_op_call *call)
{
    struct source_job job = { .call = call, .x = &call->in[0]->shape };
    if (!call->din[0] || !call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    job.y = &call->dout[0]->shape;
    if (call->node->attr.pad.mode == CB_PAD_CONSTANT || job.y->rank == 0)
        constant_backward(call);
    else
        source_backward(&job);
}

/* clang-format off */
const struct cb_op_def cb_op_pad = {
    .name = "Pad", .min_in = 1, .max_in = 4, .max_out = 1, .params = 1u << 1 | 1u << 2 | 1u << 3,
    .infer = pad_infer, .forward = pad_forward, .backward = pad_backward,
};
