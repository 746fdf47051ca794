/* core/ops/shape/view.c - Reshape, Flatten, Squeeze, Unsqueeze: the same elements under another
 * shape. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

static struct cb_status same_count(const struct cb_node *node, const struct cb_arg *x,
                                   struct cb_arg *out, const struct cb_shape *y)
{
    char tx[CB_SHAPE_TEXT], ty[CB_SHAPE_TEXT];
    CB_TRY(cb_args_out(node, out, x->dtype, y));
    if (cb_shape_count(y) != cb_shape_count(&x->shape))
        return cb_fail(CB_ERR_MODEL, "%s: wants as many elements as %s, has %s", node->name,
                       cb_shape_text(&x->shape, tx), cb_shape_text(y, ty));
    return cb_ok();
}

/* The one dim that is -1, from what the others leave. */
static struct cb_status fill_open(const struct cb_node *node, const struct cb_shape *x, int open,
                                  struct cb_shape *y)
{
    size_t count = cb_shape_count(x), others;
    char tx[CB_SHAPE_TEXT];
    y->dim[open] = 1;
    if (!cb_shape_check(y))
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape for %s, has too many elements", node->name,
                       cb_shape_text(x, tx));
    others = cb_shape_count(y);
    if (others == 0 || count % others)
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape for %s, has -1 beside %zu elements",
                       node->name, cb_shape_text(x, tx), others);
    y->dim[open] = (int64_t)(count / others);
    return cb_ok();
}

static struct cb_status reshape_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    struct cb_list *dims = &node->attr.reshape.dims;
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = { 0 };
    int open = -1;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "a shape", dims));
    if (dims->count < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape, has none", node->name);
    y.rank = dims->count;
    for (int i = 0; i < y.rank; i++) {
        y.dim[i] = dims->v[i];
        if (dims->v[i] == 0 && !node->attr.reshape.allow_zero) {
            if (i >= x->rank)
                return cb_fail(CB_ERR_MODEL, "%s: wants an input axis %d to copy, has rank %d",
                               node->name, i, x->rank);
            y.dim[i] = x->dim[i];
        } else if (dims->v[i] == -1 && open < 0) {
            open = i;
        } else if (dims->v[i] < 0) {
            return cb_fail(CB_ERR_MODEL, "%s: wants one -1 and no other negative dims, has %lld",
                           node->name, (long long)dims->v[i]);
        }
    }
    if (open >= 0)
        CB_TRY(fill_open(node, x, open, &y));
    return same_count(node, &in[0], &out[0], &y);
}

static struct cb_status flatten_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    int axis = node->attr.axis.axis;
    CB_TRY(cb_args_check(node, in));
    if (axis != x->rank) /* which leaves nothing for the second axis */
        CB_TRY(cb_args_axis(node, axis, x->rank, &axis));
    const struct cb_shape y = {
        2, { (int64_t)cb_shape_span(x, 0, axis), (int64_t)cb_shape_span(x, axis, x->rank) }
    };
    return same_count(node, &in[0], &out[0], &y);
}

static struct cb_status squeeze_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    struct cb_list *axes = &node->attr.squeeze.axes;
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = { 0 };
    bool flags[CB_MAX_RANK];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "axes", axes));
    CB_TRY(cb_args_axes(node, axes, x->rank, flags));
    for (int i = 0; i < x->rank; i++) {
        if (flags[i] && x->dim[i] != 1)
            return cb_fail(CB_ERR_MODEL, "%s: wants 1 along axis %d, has %lld", node->name, i,
                           (long long)x->dim[i]);
        if (axes->count < 0 ? x->dim[i] != 1 : !flags[i])
            y.dim[y.rank++] = x->dim[i];
    }
    return same_count(node, &in[0], &out[0], &y);
}

static struct cb_status unsqueeze_infer(struct cb_node *node, const struct cb_arg in[],
                                        struct cb_arg out[])
{
    struct cb_list *axes = &node->attr.squeeze.axes;
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = { 0 };
    bool flags[CB_MAX_RANK];
    int from = 0;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "axes", axes));
    if (axes->count < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants axes, has none", node->name);
    y.rank = x->rank + axes->count;
    if (y.rank > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants rank %d at most, has %d", node->name,
                       CB_MAX_RANK, y.rank);
    CB_TRY(cb_args_axes(node, axes, y.rank, flags));
    for (int i = 0; i < y.rank; i++)
        y.dim[i] = flags[i] ? 1 : x->dim[from++];
    return same_count(node, &in[0], &out[0], &y);
}

static void view_forward(const struct cb_op_call *call)
{
    const size_t bytes = cb_tensor_bytes(call->in[0]);
    if (bytes > 0 && call->out[0]->data != call->in[0]->data)
        memcpy(call->out[0]->data, call->in[0]->data, bytes);
}

static void view_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0])
        call->kernels->axpy(cb_tensor_count(call->in[0]), 1.0f, call->dout[0]->f, call->din[0]->f);
}

/* clang-format off */
#define VIEW(id, onnx_name, most_in)                                                               \
    const struct cb_op_def cb_op_##id = {                                                          \
        .name = onnx_name, .min_in = 1, .max_in = most_in, .max_out = 1,                           \
        .params = most_in > 1 ? 1u << 1 : 0, .view = true, .in_place = true,                       \
        .infer = id##_infer, .forward = view_forward, .backward = view_backward,                   \
    };

VIEW(reshape, "Reshape", 2)
VIEW(flatten, "Flatten", 1)
VIEW(squeeze, "Squeeze", 2)
VIEW(unsqueeze, "Unsqueeze", 2)
