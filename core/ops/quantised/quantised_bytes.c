/* core/ops/quantised/quantised_bytes.c - on bytes, element by element: whole numbers as bytes and
 * back, the sum of two tensors of one shape, and any function of one number as a table of its 256
 * values. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

static struct cb_status want_bytes(const struct cb_node *node, const struct cb_arg *arg)
{
    if (arg->dtype != CB_QUINT8)
        return cb_fail(CB_ERR_MODEL, "%s: wants bytes, has %s", node->name,
                       cb_dtype_get(arg->dtype)->name);
    return cb_ok();
}

/* int8 or uint8 to bytes, or bytes to them; an int8 q is the byte q + 128. */
static struct cb_status copy_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    const enum cb_dtype from = in[0].dtype, to = node->attr.cast.to;
    CB_TRY(cb_args_check(node, in));
    const enum cb_dtype whole = from == CB_QUINT8 ? to : from;
    if ((from == CB_QUINT8) == (to == CB_QUINT8) || (whole != CB_INT8 && whole != CB_UINT8))
        return cb_fail(CB_ERR_MODEL, "%s: wants bytes of int8 or uint8, has %s", node->name,
                       cb_dtype_get(from)->name);
    return cb_args_out(node, &out[0], to, &in[0].shape);
}

static void copy_values(void *ctx, size_t begin, size_t end)
{
    const struct cb_op_call *call = ctx;
    const struct cb_tensor *x = call->in[0];
    struct cb_tensor *y = call->out[0];
    const int64_t shift = x->dtype == CB_INT8 || y->dtype == CB_INT8 ? 128 : 0;
    if (y->dtype == CB_QUINT8)
        for (size_t i = begin; i < end; i++)
            y->u8[i] = (uint8_t)(x->i[i] + shift);
    else
        for (size_t i = begin; i < end; i++)
            y->i[i] = x->u8[i] - shift;
}

static void copy_forward(const struct cb_op_call *call)
{
    cb_walk_range(call->threads, cb_tensor_count(call->out[0]), CB_WALK_GRAIN, copy_values,
                  (void *)(uintptr_t)call);
}

static enum cb_dtype copy_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)in, (void)i;
    return node->attr.cast.to;
}

static struct cb_status add_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(want_bytes(node, &in[0]));
    CB_TRY(want_bytes(node, &in[1]));
    if (!cb_shape_equal(&in[0].shape, &in[1].shape))
        return cb_fail(CB_ERR_MODEL, "%s: wants two equal shapes, has %s and %s", node->name,
                       cb_shape_text(&in[0].shape, a), cb_shape_text(&in[1].shape, b));
    return cb_args_out(node, &out[0], CB_QUINT8, &in[0].shape);
}

struct adding {
    const struct cb_op_call *call;
    struct cb_quantised_add add;
};

static void add_values(void *ctx, size_t begin, size_t end)
{
    const struct adding *a = ctx;
    a->call->kernels->quantised.add(end - begin, a->call->in[0]->u8 + begin,
                                    a->call->in[1]->u8 + begin, &a->add,
                                    a->call->out[0]->u8 + begin);
}

/* A bound of reals as one of what a byte has room for, less the zero. */
static float within(float v, struct cb_quantum y)
{
    const float least = (float)-y.zero, most = least + 255;
    return v / y.scale > least ? (v / y.scale < most ? v / y.scale : most) : least;
}

/* With zero_first the numbers are taken as those of int8 or uint8, less the origin, and the zero is
 * added before they are rounded: in ONNX Runtime's order, so that what lies half way goes where it
 * goes there. */
static void add_forward(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    const struct cb_quantum a = attr->quantised_add.a, b = attr->quantised_add.b,
                            y = attr->quantised_add.y;
    const int origin = attr->quantised_add.origin;
    const float first = attr->quantised_add.zero_first ? (float)(y.zero - origin) : 0;
    struct adding adding = { .call = call };
    adding.add.origin = (float)origin;
    adding.add.scale_a = a.scale / y.scale;
    adding.add.scale_b = b.scale / y.scale;
    adding.add.shift = first - ((float)(a.zero - origin) * adding.add.scale_a +
                                (float)(b.zero - origin) * adding.add.scale_b);
    adding.add.lo = within(attr->quantised_add.lo, y) + first;
    adding.add.hi = within(attr->quantised_add.hi, y) + first;
    adding.add.zero = attr->quantised_add.zero_first ? origin : y.zero;
    cb_walk_range(call->threads, cb_tensor_count(call->out[0]), CB_WALK_GRAIN, add_values, &adding);
}

static struct cb_status lookup_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    const struct cb_shape table = { 1, { 256 } };
    CB_TRY(cb_args_check(node, in));
    CB_TRY(want_bytes(node, &in[0]));
    CB_TRY(want_bytes(node, &in[1]));
    if (!cb_shape_equal(&in[1].shape, &table))
        return cb_fail(CB_ERR_MODEL, "%s: wants a table of 256 bytes", node->name);
    return cb_args_out(node, &out[0], CB_QUINT8, &in[0].shape);
}

static void lookup_values(void *ctx, size_t begin, size_t end)
{
    const struct cb_op_call *call = ctx;
    const uint8_t *x = call->in[0]->u8, *table = call->in[1]->u8;
    uint8_t *y = call->out[0]->u8;
    for (size_t i = begin; i < end; i++)
        y[i] = table[x[i]];
}

static void lookup_forward(const struct cb_op_call *call)
{
    cb_walk_range(call->threads, cb_tensor_count(call->out[0]), CB_WALK_GRAIN, lookup_values,
                  (void *)(uintptr_t)call);
}

/* clang-format off */
const struct cb_op_def cb_op_quantised_copy = {
    .name = "QuantisedCopy", .min_in = 1, .max_in = 1, .max_out = 1,
    .result = copy_result, .infer = copy_infer, .forward = copy_forward,
};

const struct cb_op_def cb_op_quantised_add = {
    .name = "QuantisedAdd", .min_in = 2, .max_in = 2, .max_out = 1, .in_place = true,
    .infer = add_infer, .forward = add_forward,
};

const struct cb_op_def cb_op_quantised_lookup = {
    .name = "QuantisedLookup", .min_in = 2, .max_in = 2, .max_out = 1, .in_place = true,
    .infer = lookup_infer, .forward = lookup_forward,
};
