/* core/ops/elementwise/cast.c - Cast, Identity, Not and BitwiseNot: the element's type, truth or
 * bits change, nothing else. Dropout, for as long as it drops nothing.
 *
 * Cast to a whole type goes towards zero and wraps to the type's width; to a narrower real type
 * rounds to what the type can hold; to bool asks whether the element differs from 0. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/tensor/half.h"

struct cast_args {
    const struct cb_tensor *x;
    struct cb_tensor *y;
};

static struct cb_status cast_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    const enum cb_dtype to = node->attr.cast.to;
    CB_TRY(cb_args_check(node, in));
    if (!cb_dtype_is_outer(to))
        return cb_fail(CB_ERR_MODEL, "%s: wants a type to cast to, has %d", node->name, (int)to);
    return cb_args_out(node, &out[0], to, &in[0].shape);
}

/* Whether it is converted by way of 32 signed bits. */
static bool is_narrow(enum cb_dtype dtype)
{
    return dtype == CB_INT8 || dtype == CB_INT16 || dtype == CB_INT32 || dtype == CB_UINT8 ||
           dtype == CB_UINT16;
}

/* Real to whole. ONNX leaves open what becomes of a number that does not fit: the lowest of the 32
 * or 64 bits that the CPU converts to, and of that what the type has room for. */
static int64_t to_whole(enum cb_dtype to, float x)
{
    if (to == CB_BOOL)
        return x != 0;
    if (is_narrow(to) && !(x >= -0x1p31f && x < 0x1p31f))
        return cb_dtype_wrap(to, INT32_MIN);
    if (to == CB_UINT64 && x >= 0x1p63f && x < 0x1p64f)
        return (int64_t)(uint64_t)x;
    if (!(x >= -0x1p63f && x < 0x1p63f))
        return cb_dtype_wrap(to, INT64_MIN);
    return cb_dtype_wrap(to, (int64_t)x);
}

static void cast_values(void *ctx, size_t begin, size_t end)
{
    const struct cast_args *args = ctx;
    const enum cb_dtype from = args->x->dtype, to = args->y->dtype;
    const bool real = cb_dtype_get(from)->is_float, to_real = cb_dtype_get(to)->is_float;
    for (size_t i = begin; i < end; i++) {
        if (real && to_real)
            args->y->f[i] = cb_half_round(to, args->x->f[i]);
        else if (real)
            args->y->i[i] = to_whole(to, args->x->f[i]);
        else if (to_real)
            args->y->f[i] = cb_half_round(to, from == CB_UINT64 ? (float)(uint64_t)args->x->i[i]
                                                                : (float)args->x->i[i]);
        else
            args->y->i[i] = cb_dtype_wrap(to, args->x->i[i]);
    }
}

static void cast_forward(const struct cb_op_call *call)
{
    struct cast_args args = { call->in[0], call->out[0] };
    cb_walk_range(call->threads, cb_tensor_count(args.x), CB_WALK_GRAIN, cast_values, &args);
}

static struct cb_status identity_infer(struct cb_node *node, const struct cb_arg in[],
                                       struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

/* What training drops is drawn anew each time. */
static struct cb_status dropout_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_number(node, in, 1, "a ratio", &node->attr.dropout.ratio));
    CB_TRY(cb_args_number(node, in, 2, "a mode", &node->attr.dropout.training));
    if (node->attr.dropout.training != 0 && node->attr.dropout.ratio != 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants inference or ratio 0, has training with %g",
                       node->name, node->attr.dropout.ratio);
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

static void identity_forward(const struct cb_op_call *call)
{
    const size_t bytes = cb_tensor_bytes(call->in[0]);
    if (bytes > 0 && call->out[0]->data != call->in[0]->data)
        memcpy(call->out[0]->data, call->in[0]->data, bytes);
}

/* dx += dy: of Identity, and of Cast from real to real, whose rounding is taken as none. */
static void pass_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0] && cb_dtype_get(call->dout[0]->dtype)->is_float)
        call->kernels->axpy(cb_tensor_count(call->in[0]), 1.0f, call->dout[0]->f, call->din[0]->f);
}

static struct cb_status not_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype != CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants bool, has %s", node->name,
                       cb_dtype_get(in[0].dtype)->name);
    return cb_args_out(node, &out[0], CB_BOOL, &in[0].shape);
}

static void not_forward(const struct cb_op_call *call)
{
    const size_t n = cb_tensor_count(call->in[0]);
    for (size_t i = 0; i < n; i++)
        call->out[0]->i[i] = !call->in[0]->i[i];
}

static struct cb_status bitwise_not_infer(struct cb_node *node, const struct cb_arg in[],
                                          struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (cb_args_is_float(&in[0]) || in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants whole numbers, has %s", node->name,
                       cb_dtype_get(in[0].dtype)->name);
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

static void bitwise_not_forward(const struct cb_op_call *call)
{
    const size_t n = cb_tensor_count(call->in[0]);
    for (size_t i = 0; i < n; i++)
        call->out[0]->i[i] = cb_dtype_wrap(call->out[0]->dtype, ~call->in[0]->i[i]);
}

static enum cb_dtype cast_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)in, (void)i;
    return node->attr.cast.to;
}

/* clang-format off */
const struct cb_op_def cb_op_cast = {
    .name = "Cast", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = cast_result, .infer = cast_infer, .forward = cast_forward, .backward = pass_backward,
};

const struct cb_op_def cb_op_identity = {
    .name = "Identity", .min_in = 1, .max_in = 1, .max_out = 1, .view = true, .in_place = true,
    .infer = identity_infer, .forward = identity_forward, .backward = pass_backward,
};

const struct cb_op_def cb_op_dropout = {
    .name = "Dropout", .min_in = 1, .max_in = 3, .max_out = 1, .params = 1u << 1 | 1u << 2,
    .view = true, .in_place = true,
    .infer = dropout_infer, .forward = identity_forward, .backward = pass_backward,
};

const struct cb_op_def cb_op_not = {
    .name = "Not", .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,
    .result = cb_result_bool, .infer = not_infer, .forward = not_forward,
};

const struct cb_op_def cb_op_bitwise_not = {
    .name = "BitwiseNot", .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,
    .infer = bitwise_not_infer, .forward = bitwise_not_forward,
};
