/* core/ops/elementwise/elementwise.c - operators of two inputs, broadcast against each other as
 * NumPy does.
 *
 * Gradients of a broadcast input are summed over the axes that it was broadcast along. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/elementwise_rows.h"

/* b's shape as it stands against a. The form before opset 7 puts b's axes at `axis` of a, or at its
 * end. */
static bool place_b(const struct cb_node *node, const struct cb_shape *a, const struct cb_shape *b,
                    struct cb_shape *placed)
{
    const int axis = node->attr.binary.axis;
    const int at = axis == -1 ? a->rank - b->rank : cb_shape_axis(axis, a->rank > 0 ? a->rank : 1);
    *placed = *b;
    if (!node->attr.binary.aligned)
        return true;
    if (at < 0 || at + b->rank > a->rank)
        return false;
    placed->rank = a->rank;
    for (int i = 0; i < a->rank; i++)
        placed->dim[i] = i >= at && i < at + b->rank ? b->dim[i - at] : 1;
    return true;
}

static struct cb_status want_types(const struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_elementwise_rows *rows = cb_elementwise_rows_get(node->op);
    const enum cb_dtype type = in[0].dtype;
    const bool real = cb_args_is_float(&in[0]);
    const bool takes = real              ? rows->real != NULL
                       : type == CB_BOOL ? rows->takes_bool
                                         : rows->takes_whole;
    if (!takes)
        return cb_fail(CB_ERR_MODEL, "%s: wants another type, has %s", node->name,
                       cb_dtype_get(type)->name);
    if (node->op == CB_OP_POW && in[1].dtype != CB_BOOL)
        return cb_ok();
    if ((node->op == CB_OP_SHIFT_LEFT || node->op == CB_OP_SHIFT_RIGHT) && type < CB_UINT8)
        return cb_fail(CB_ERR_MODEL, "%s: wants an unsigned type, has %s", node->name,
                       cb_dtype_get(type)->name);
    if (node->op == CB_OP_MOD && real && !node->attr.binary.fmod)
        return cb_fail(CB_ERR_MODEL, "%s: wants fmod for real numbers, has none", node->name);
    return cb_args_same_dtype(node, &in[0], &in[1]);
}

static struct cb_status binary_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    char ta[CB_SHAPE_TEXT], tb[CB_SHAPE_TEXT];
    struct cb_shape b, y;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(want_types(node, in));
    if (!place_b(node, &in[0].shape, &in[1].shape, &b) || !cb_shape_broadcast(&in[0].shape, &b, &y))
        return cb_fail(CB_ERR_MODEL, "%s: wants shapes that broadcast, has %s and %s", node->name,
                       cb_shape_text(&in[0].shape, ta), cb_shape_text(&in[1].shape, tb));
    if ((node->attr.binary.aligned || node->op == CB_OP_PRELU) && !cb_shape_equal(&y, &in[0].shape))
        return cb_fail(CB_ERR_MODEL, "%s: wants a second input that fits into %s, has %s",
                       node->name, cb_shape_text(&in[0].shape, ta),
                       cb_shape_text(&in[1].shape, tb));
    return cb_args_out(node, &out[0],
                       cb_elementwise_rows_get(node->op)->compares ? CB_BOOL : in[0].dtype, &y);
}

/* The walk over y with operands a, b and y; infer checked that b can be placed. */
static struct cb_walk walk_of(const struct cb_op_call *call, const struct cb_shape *y,
                              struct cb_shape *b)
{
    struct cb_walk walk = cb_walk_over(y);
    (void)place_b(call->node, &call->in[0]->shape, &call->in[1]->shape, b);
    cb_walk_add_broadcast(&walk, &call->in[0]->shape);
    cb_walk_add_broadcast(&walk, b);
    cb_walk_add_dense(&walk);
    return walk;
}

static struct cb_elementwise args_of(const struct cb_op_call *call)
{
    return (struct cb_elementwise){
        .kernels = call->kernels,
        .a = call->in[0],
        .b = call->in[1],
        .y = call->out[0],
        .dy = call->dout ? call->dout[0] : NULL,
        .lo = call->node->attr.binary.lo,
        .hi = call->node->attr.binary.hi,
        .fmod = call->node->attr.binary.fmod,
    };
}

static void binary_forward(const struct cb_op_call *call)
{
    const struct cb_elementwise_rows *rows = cb_elementwise_rows_get(call->node->op);
    struct cb_elementwise args = args_of(call);
    struct cb_shape b;
    const struct cb_walk walk = walk_of(call, &call->out[0]->shape, &b);
    cb_walk_fn *fn = cb_dtype_get(args.a->dtype)->is_float ? rows->real : rows->whole;
    if (args.a->dtype != args.b->dtype)
        fn = cb_elementwise_rows_pow_mixed;
    args.to = call->out[0];
    cb_walk_run(&walk, call->threads, fn, &args);
}

/* An input that is broadcast gathers its gradient on one thread: several rows add to one place. */
static void binary_backward(const struct cb_op_call *call)
{
    const struct cb_elementwise_rows *rows = cb_elementwise_rows_get(call->node->op);
    struct cb_elementwise args = args_of(call);
    if (!args.dy || !cb_dtype_get(args.a->dtype)->is_float || args.a->dtype != args.b->dtype)
        return;
    for (int i = 0; i < 2; i++) {
        struct cb_shape b;
        struct cb_walk walk = walk_of(call, &args.dy->shape, &b);
        const struct cb_shape *own = i ? &b : &call->in[0]->shape;
        const bool broadcast = cb_shape_count(own) != cb_shape_count(&args.dy->shape);
        if (!call->din[i])
            continue;
        args.to = call->din[i];
        cb_walk_add_broadcast(&walk, own);
        cb_walk_run(&walk, broadcast ? NULL : call->threads, i ? rows->slope_b : rows->slope_a,
                    &args);
    }
}

/* clang-format off */
#define BINARY(id, onnx_name, ...)                                                   \
    const struct cb_op_def cb_op_##id = {                                            \
        .name = onnx_name, .min_in = 2, .max_in = 2, .max_out = 1,                   \
        .infer = binary_infer, .forward = binary_forward, __VA_ARGS__                \
    };

#define ARITHMETIC .in_place = true, .backward = binary_backward

BINARY(add, "Add", ARITHMETIC)
BINARY(sub, "Sub", ARITHMETIC)
BINARY(mul, "Mul", ARITHMETIC)
BINARY(div, "Div", ARITHMETIC)
BINARY(pow, "Pow", ARITHMETIC)
BINARY(mod, "Mod", ARITHMETIC)
BINARY(min, "Min", ARITHMETIC)
BINARY(max, "Max", ARITHMETIC)
BINARY(prelu, "PRelu", ARITHMETIC)
BINARY(equal, "Equal", .result = cb_result_bool)
BINARY(greater, "Greater", .result = cb_result_bool)
BINARY(less, "Less", .result = cb_result_bool)
BINARY(greater_equal, "GreaterOrEqual", .result = cb_result_bool)
BINARY(less_equal, "LessOrEqual", .result = cb_result_bool)
BINARY(bitwise_and, "BitwiseAnd", .in_place = true)
BINARY(bitwise_or, "BitwiseOr", .in_place = true)
BINARY(bitwise_xor, "BitwiseXor", .in_place = true)
BINARY(shift_left, "BitShiftLeft", .in_place = true)
BINARY(shift_right, "BitShiftRight", .in_place = true)
BINARY(and, "And", .result = cb_result_bool)
BINARY(or, "Or", .result = cb_result_bool)
BINARY(xor, "Xor", .result = cb_result_bool)
