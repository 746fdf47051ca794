/* core/ops/shape/slice.c - Slice: along each axis the elements start, start + step, ... before end.
 * ONNX Slice-13. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

/* What is taken along each axis of x. */
struct box {
    int64_t first[CB_MAX_RANK], step[CB_MAX_RANK], count[CB_MAX_RANK];
};

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* An axis of `dim` elements, as it was asked for. */
struct range {
    int64_t dim, start, end, step;
};

/* Negative positions count from the end, those outside are brought to it. */
static void take(struct range r, struct box *box, int axis)
{
    const int64_t last = r.step > 0 ? r.dim : r.dim - 1, most = (int64_t)CB_MAX_ELEMENTS + 1;
    const int64_t start = clamp(r.start < 0 ? r.start + r.dim : r.start, 0, last);
    const int64_t end = clamp(r.end < 0 ? r.end + r.dim : r.end, r.step > 0 ? 0 : -1, last);
    const int64_t step = clamp(r.step, -most, most);
    const int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    box->first[axis] = start;
    box->step[axis] = step;
    box->count[axis] = span > 0 && r.dim > 0 ? (span + stride - 1) / stride : 0;
}

static struct cb_status box_of(const struct cb_node *node, const struct cb_shape *x,
                               struct box *box)
{
    const struct cb_list *starts = &node->attr.slice.starts, *ends = &node->attr.slice.ends;
    const struct cb_list *axes = &node->attr.slice.axes, *steps = &node->attr.slice.steps;
    bool seen[CB_MAX_RANK] = { false };
    if (starts->count < 0 || ends->count != starts->count ||
        (axes->count >= 0 && axes->count != starts->count) ||
        (steps->count >= 0 && steps->count != starts->count))
        return cb_fail(CB_ERR_MODEL,
                       "%s: wants as many ends, axes and steps as starts, has %d, %d, %d for %d",
                       node->name, ends->count, axes->count, steps->count, starts->count);
    for (int i = 0; i < x->rank; i++)
        take((struct range){ x->dim[i], 0, x->dim[i], 1 }, box, i);
    for (int i = 0; i < starts->count; i++) {
        const int64_t step = steps->count >= 0 ? steps->v[i] : 1;
        int axis;
        CB_TRY(cb_args_axis(node, axes->count >= 0 ? axes->v[i] : i, x->rank, &axis));
        if (seen[axis] || step == 0)
            return cb_fail(CB_ERR_MODEL, "%s: wants each axis once and steps other than 0, has %s",
                           node->name, step ? "an axis twice" : "step 0");
        seen[axis] = true;
        take((struct range){ x->dim[axis], starts->v[i], ends->v[i], step }, box, axis);
    }
    return cb_ok();
}

static struct cb_status slice_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    struct cb_shape y;
    struct box box;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "starts", &node->attr.slice.starts));
    CB_TRY(cb_args_list(node, in, 2, "ends", &node->attr.slice.ends));
    CB_TRY(cb_args_list(node, in, 3, "axes", &node->attr.slice.axes));
    CB_TRY(cb_args_list(node, in, 4, "steps", &node->attr.slice.steps));
    CB_TRY(box_of(node, &in[0].shape, &box));
    y = in[0].shape;
    for (int i = 0; i < y.rank; i++)
        y.dim[i] = box.count[i];
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* A walk over y: how x is stepped through, and at which element of x it begins. */
static struct cb_walk walk_of(const struct cb_op_call *call, ptrdiff_t step[CB_MAX_RANK],
                              size_t *first)
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct cb_walk walk = { .rank = x->rank };
    struct box box;
    *first = 0;
    cb_walk_strides(x, step);
    if (box_of(call->node, x, &box).code)
        return walk;
    for (int i = 0; i < x->rank; i++) {
        walk.dim[i] = (size_t)box.count[i];
        *first += (size_t)box.first[i] * (size_t)step[i];
        step[i] *= (ptrdiff_t)box.step[i];
    }
    return walk;
}

static void slice_forward(const struct cb_op_call *call)
{
    const size_t size = cb_dtype_size(call->in[0]->dtype);
    ptrdiff_t step[CB_MAX_RANK];
    size_t first;
    struct cb_walk walk = walk_of(call, step, &first);
    if (cb_tensor_count(call->out[0]) == 0)
        return;
    cb_walk_add_steps(&walk, step);
    cb_walk_add_dense(&walk);
    cb_walk_copy(&walk, call->threads, size, (const char *)call->in[0]->data + first * size,
                 call->out[0]->data);
}

static void slice_backward(const struct cb_op_call *call)
{
    ptrdiff_t step[CB_MAX_RANK];
    size_t first;
    struct cb_walk walk = walk_of(call, step, &first);
    if (!call->din[0] || !call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    cb_walk_add_dense(&walk);
    cb_walk_add_steps(&walk, step);
    cb_walk_accumulate(&walk, call->threads, call->dout[0]->f, call->din[0]->f + first);
}

/* clang-format off */
const struct cb_op_def cb_op_slice = {
    .name = "Slice", .min_in = 1, .max_in = 5, .max_out = 1,
    .params = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4,
    .infer = slice_infer, .forward = slice_forward, .backward = slice_backward,
};
