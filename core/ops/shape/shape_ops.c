/* core/ops/shape/shape_ops.c - Shape, Size, ConstantOfShape, Range: numbers about shapes, made when
 * the plan is made. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

/* The axes [from, to) that Shape tells of. */
static void shape_span(const struct cb_node *node, int rank, int *from, int *to)
{
    const int64_t start = node->attr.shape.start, end = node->attr.shape.end;
    const int64_t a = start < -rank ? 0 : start < 0 ? start + rank : start > rank ? rank : start;
    const int64_t b = end < -rank ? 0 : end < 0 ? end + rank : end > rank ? rank : end;
    *from = (int)a;
    *to = (int)(b > a ? b : a);
}

static struct cb_status shape_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    int from, to;
    CB_TRY(cb_args_check(node, in));
    shape_span(node, in[0].shape.rank, &from, &to);
    return cb_args_out(node, &out[0], CB_INT64, &(struct cb_shape){ 1, { to - from } });
}

static void shape_forward(const struct cb_op_call *call)
{
    int from, to;
    shape_span(call->node, call->in[0]->shape.rank, &from, &to);
    for (int i = from; i < to; i++)
        call->out[0]->i[i - from] = call->in[0]->shape.dim[i];
}

static struct cb_status size_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    return cb_args_out(node, &out[0], CB_INT64, &(struct cb_shape){ .rank = 0 });
}

static void size_forward(const struct cb_op_call *call)
{
    call->out[0]->i[0] = (int64_t)cb_tensor_count(call->in[0]);
}

static struct cb_status want_type(const struct cb_node *node, enum cb_dtype dtype)
{
    if (!cb_dtype_is_outer(dtype))
        return cb_fail(CB_ERR_MODEL, "%s: wants an element type, has %d", node->name, (int)dtype);
    return cb_ok();
}

static struct cb_status fill_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    const struct cb_list *dims = &node->attr.fill.dims;
    struct cb_shape y = { 0 };
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 0, "a shape", &node->attr.fill.dims));
    CB_TRY(want_type(node, node->attr.fill.dtype));
    if (dims->count < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape, has none", node->name);
    y.rank = dims->count;
    for (int i = 0; i < y.rank; i++)
        y.dim[i] = dims->v[i];
    return cb_args_out(node, &out[0], node->attr.fill.dtype, &y);
}

/* Element i is start + i * step. */
static void count_up(struct cb_tensor *y, double start, double step)
{
    const size_t n = cb_tensor_count(y);
    if (cb_dtype_get(y->dtype)->is_float)
        for (size_t i = 0; i < n; i++)
            y->f[i] = (float)(start + step * (double)i);
    else
        for (size_t i = 0; i < n; i++)
            y->i[i] = cb_dtype_wrap(y->dtype, cb_args_to_int(start + step * (double)i));
}

static void fill_forward(const struct cb_op_call *call)
{
    count_up(call->out[0], call->node->attr.fill.value, 0);
}

static struct cb_status range_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    double n;
    CB_TRY(cb_args_check(node, in));
    for (int i = 0; i < node->n_in; i++)
        if (cb_args_given(node, in, i)) {
            CB_TRY(cb_args_same_dtype(node, &in[i], &in[0]));
            node->attr.range.dtype = in[i].dtype;
        }
    CB_TRY(cb_args_number(node, in, 0, "a start", &node->attr.range.start));
    CB_TRY(cb_args_number(node, in, 1, "a limit", &node->attr.range.limit));
    CB_TRY(cb_args_number(node, in, 2, "a step", &node->attr.range.step));
    CB_TRY(want_type(node, node->attr.range.dtype));
    n = ceil((node->attr.range.limit - node->attr.range.start) / node->attr.range.step);
    if (node->attr.range.step == 0 || !(n <= (double)CB_MAX_ELEMENTS))
        return cb_fail(CB_ERR_MODEL, "%s: wants at most %zu numbers, has %g to %g by %g",
                       node->name, CB_MAX_ELEMENTS, node->attr.range.start, node->attr.range.limit,
                       node->attr.range.step);
    return cb_args_out(node, &out[0], node->attr.range.dtype,
                       &(struct cb_shape){ 1, { n > 0 ? (int64_t)n : 0 } });
}

static void range_forward(const struct cb_op_call *call)
{
    count_up(call->out[0], call->node->attr.range.start, call->node->attr.range.step);
}

static enum cb_dtype fill_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)in, (void)i;
    return node->attr.fill.dtype;
}

/* clang-format off */
const struct cb_op_def cb_op_shape = {
    .name = "Shape", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = cb_result_int64, .infer = shape_infer, .forward = shape_forward,
};

const struct cb_op_def cb_op_size = {
    .name = "Size", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = cb_result_int64, .infer = size_infer, .forward = size_forward,
};

const struct cb_op_def cb_op_constant_of_shape = {
    .name = "ConstantOfShape", .min_in = 0, .max_in = 1, .max_out = 1, .params = 1u << 0,
    .result = fill_result, .infer = fill_infer, .forward = fill_forward,
};

const struct cb_op_def cb_op_range = {
    .name = "Range", .min_in = 0, .max_in = 3, .max_out = 1, .params = 1u << 0 | 1u << 1 | 1u << 2,
    .infer = range_infer, .forward = range_forward,
};
