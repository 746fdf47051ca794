/* core/ops/shape/one_hot.c - OneHot: y = values[1] where an index says so along a new axis of
 * `depth` elements, values[0] elsewhere. ONNX OneHot-11.
 *
 * Indices may be of any type of number; negative ones count from the end; what is outside chooses
 * nothing. */
#include "core/ops/args.h"
#include "core/ops/defs.h"

enum { INDICES, DEPTH, VALUES };

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *indices = &in[INDICES].shape;
    struct cb_shape y = { .rank = indices->rank + 1 };
    char text[CB_SHAPE_TEXT];
    int axis;
    CB_TRY(cb_args_check(node, in));
    if (indices->rank >= CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants rank %d at most, has %d", node->name,
                       CB_MAX_RANK, y.rank);
    CB_TRY(cb_args_axis(node, node->attr.one_hot.axis, y.rank, &axis));
    CB_TRY(cb_args_number(node, in, DEPTH, "a depth", &node->attr.one_hot.depth));
    if (!(node->attr.one_hot.depth >= 0 && node->attr.one_hot.depth <= (double)CB_MAX_ELEMENTS))
        return cb_fail(CB_ERR_MODEL, "%s: wants a depth of 0 or more, has %g", node->name,
                       node->attr.one_hot.depth);
    if (!cb_shape_equal(&in[VALUES].shape, &(struct cb_shape){ 1, { 2 } }))
        return cb_fail(CB_ERR_MODEL, "%s: wants [2] as values, has %s", node->name,
                       cb_shape_text(&in[VALUES].shape, text));
    for (int i = 0; i < y.rank; i++)
        y.dim[i] = i < axis    ? indices->dim[i]
                   : i == axis ? (int64_t)node->attr.one_hot.depth
                               : indices->dim[i - 1];
    return cb_args_out(node, &out[0], in[VALUES].dtype, &y);
}

/* Which of the `depth` elements index k chooses; depth: none. */
static size_t chosen(const struct cb_tensor *indices, size_t k, size_t depth)
{
    const int64_t d = (int64_t)depth, index = cb_args_to_int(cb_args_number_at(indices, k));
    return index >= 0 && index < d    ? (size_t)index
           : index < 0 && index >= -d ? (size_t)(index + d)
                                      : depth;
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_tensor *values = call->in[VALUES];
    struct cb_tensor *y = call->out[0];
    const int axis = cb_shape_axis(call->node->attr.one_hot.axis, y->shape.rank);
    const size_t depth = (size_t)y->shape.dim[axis], n = cb_tensor_count(call->in[INDICES]);
    const size_t inner = cb_shape_span(&y->shape, axis + 1, y->shape.rank);
    const bool real = cb_dtype_get(y->dtype)->is_float;
    for (size_t k = 0; k < n; k++) {
        const size_t hot = chosen(call->in[INDICES], k, depth);
        for (size_t j = 0; j < depth; j++) {
            const size_t at = (k / inner * depth + j) * inner + k % inner;
            if (real)
                y->f[at] = values->f[j == hot];
            else
                y->i[at] = values->i[j == hot];
        }
    }
}

static enum cb_dtype result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node, (void)i;
    return in[VALUES];
}

/* clang-format off */
const struct cb_op_def cb_op_one_hot = {
    .name = "OneHot", .min_in = 3, .max_in = 3, .max_out = 1, .params = 1u << DEPTH,
    .result = result, .infer = infer, .forward = forward,
};
