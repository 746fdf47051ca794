/* core/ops/shape/expand.c - Expand broadcasts x to a shape; Tile repeats it along each axis.
 * Gradients are summed up. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

static struct cb_status expand_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    const struct cb_list *dims = &node->attr.reshape.dims;
    char tx[CB_SHAPE_TEXT], ty[CB_SHAPE_TEXT];
    struct cb_shape wanted = { 0 }, y;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "a shape", &node->attr.reshape.dims));
    if (dims->count < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape, has none", node->name);
    wanted.rank = dims->count;
    for (int i = 0; i < wanted.rank; i++)
        wanted.dim[i] = dims->v[i];
    if (!cb_shape_broadcast(&in[0].shape, &wanted, &y))
        return cb_fail(CB_ERR_MODEL, "%s: wants a shape that %s broadcasts to, has %s", node->name,
                       cb_shape_text(&in[0].shape, tx), cb_shape_text(&wanted, ty));
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

static struct cb_status tile_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    const struct cb_list *repeats = &node->attr.tile.repeats;
    struct cb_shape y;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_list(node, in, 1, "repeats", &node->attr.tile.repeats));
    y = in[0].shape;
    if (repeats->count != y.rank)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d repeats, has %d", node->name, y.rank,
                       repeats->count);
    for (int i = 0; i < y.rank; i++)
        if (repeats->v[i] < 0 || __builtin_mul_overflow(y.dim[i], repeats->v[i], &y.dim[i]))
            return cb_fail(CB_ERR_MODEL, "%s: wants repeats of 0 or more, has %lld", node->name,
                           (long long)repeats->v[i]);
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* The walk over y in its own order, and the steps through x: 0 along what is repeated. */
static struct cb_walk walk_of(const struct cb_op_call *call, const struct cb_shape *y,
                              ptrdiff_t step[CB_WALK_RANK])
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct cb_walk walk = cb_walk_over(y);
    ptrdiff_t stride[CB_MAX_RANK];
    cb_walk_strides(x, stride);
    if (call->node->op == CB_OP_EXPAND) {
        for (int i = 0; i < y->rank; i++) {
            const int k = i - (y->rank - x->rank);
            step[i] = k < 0 || x->dim[k] == 1 ? 0 : stride[k];
        }
        return walk;
    }
    walk.rank = 2 * x->rank; /* each axis: the repeats, then x's own */
    for (int i = 0; i < x->rank; i++) {
        walk.dim[2 * i] = (size_t)call->node->attr.tile.repeats.v[i];
        walk.dim[2 * i + 1] = (size_t)x->dim[i];
        step[2 * i] = 0;
        step[2 * i + 1] = stride[i];
    }
    return walk;
}

static void repeat_forward(const struct cb_op_call *call)
{
    const struct cb_tensor *x = call->in[0];
    ptrdiff_t step[CB_WALK_RANK];
    struct cb_walk walk = walk_of(call, &call->out[0]->shape, step);
    if (cb_tensor_count(call->out[0]) == 0)
        return;
    cb_walk_add_steps(&walk, step);
    cb_walk_add_dense(&walk);
    cb_walk_copy(&walk, call->threads, cb_dtype_size(x->dtype), x->data, call->out[0]->data);
}

/* On one thread: several elements of dy add to one of dx. */
static void repeat_backward(const struct cb_op_call *call)
{
    ptrdiff_t step[CB_WALK_RANK];
    struct cb_walk walk;
    if (!call->din[0] || !call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    walk = walk_of(call, &call->dout[0]->shape, step);
    cb_walk_add_dense(&walk);
    cb_walk_add_steps(&walk, step);
    cb_walk_accumulate(&walk, NULL, call->dout[0]->f, call->din[0]->f);
}

/* clang-format off */
const struct cb_op_def cb_op_expand = {
    .name = "Expand", .min_in = 1, .max_in = 2, .max_out = 1, .params = 1u << 1,
    .infer = expand_infer, .forward = repeat_forward, .backward = repeat_backward,
};

const struct cb_op_def cb_op_tile = {
    .name = "Tile", .min_in = 1, .max_in = 2, .max_out = 1, .params = 1u << 1,
    .infer = tile_infer, .forward = repeat_forward, .backward = repeat_backward,
};
