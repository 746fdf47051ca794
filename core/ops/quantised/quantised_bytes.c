/* core/ops/quantised/quantised_bytes.c - on bytes, element by element: the sum of two tensors of
 * one shape, and any function of one number as a table of its 256 values. */
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

static void add_forward(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    const struct cb_quantum a = attr->quantised_add.a, b = attr->quantised_add.b,
                            y = attr->quantised_add.y;
    struct adding adding = { .call = call };
    adding.add.scale_a = a.scale / y.scale;
    adding.add.scale_b = b.scale / y.scale;
    adding.add.shift = -((float)a.zero * adding.add.scale_a) - (float)b.zero * adding.add.scale_b;
    adding.add.lo = within(attr->quantised_add.lo, y);
    adding.add.hi = within(attr->quantised_add.hi, y);
    adding.add.zero = y.zero;
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
const struct cb_op_def cb_op_quantised_add = {
    .name = "QuantisedAdd", .min_in = 2, .max_in = 2, .max_out = 1, .in_place = true,
    .infer = add_infer, .forward = add_forward,
};

const struct cb_op_def cb_op_quantised_lookup = {
    .name = "QuantisedLookup", .min_in = 2, .max_in = 2, .max_out = 1, .in_place = true,
    .infer = lookup_infer, .forward = lookup_forward,
};
