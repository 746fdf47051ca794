/* importers/onnx/rules/reduce.c - operators along axes. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

/* Logarithms of whole numbers take the way through float, and drop what is behind the point. */
static struct cb_status add_through_float(struct cb_onnx_node *node, const union cb_attr *attr)
{
    const union cb_attr to_real = { .cast = { CB_FLOAT32 } };
    const union cb_attr back = { .cast = { cb_onnx_in(node, 0)->dtype } };
    const int axes = cb_onnx_has(node, 1) ? node->in[1] : -1;
    int real, reduced;
    CB_TRY(cb_onnx_step(node, CB_OP_CAST, &to_real, CB_ONNX_ARGS(node->in[0]), &real));
    CB_TRY(cb_onnx_step(node, node->rule->op, attr, CB_ONNX_ARGS(real, axes), &reduced));
    return cb_onnx_add(node, CB_OP_CAST, &back, CB_ONNX_ARGS(reduced), CB_ONNX_ARGS(node->out[0]));
}

/* axes is an attribute until opset 17 (ReduceSum: 12), an input after it; files that have both do
 * not exist. */
struct cb_status cb_onnx_import_reduce(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_list(node, "axes", &attr.reduce.axes));
    CB_TRY(cb_onnx_attr_flag(node, "keepdims", true, &attr.reduce.keep_dims));
    CB_TRY(cb_onnx_attr_flag(node, "noop_with_empty_axes", false, &attr.reduce.noop_if_empty));
    const enum cb_dtype dtype = cb_onnx_in(node, 0)->dtype;
    const bool logarithm =
        node->rule->op == CB_OP_REDUCE_LOG_SUM || node->rule->op == CB_OP_REDUCE_LOG_SUM_EXP;
    if (logarithm && dtype != CB_DTYPE_NONE && !cb_dtype_get(dtype)->is_float)
        return add_through_float(node, &attr);
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_arg(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &attr.arg.axis));
    CB_TRY(cb_onnx_attr_flag(node, "keepdims", true, &attr.arg.keep_dims));
    CB_TRY(cb_onnx_attr_flag(node, "select_last_index", false, &attr.arg.last));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_softmax(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &attr.softmax.axis));
    return cb_onnx_add_same(node, &attr);
}

/* Below opset 13: over all axes from `axis` on. */
struct cb_status cb_onnx_import_softmax_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_axis(node, "axis", 1, &attr.softmax.axis));
    attr.softmax.flatten = true;
    return cb_onnx_add_same(node, &attr);
}

/* x / norm, and 0 where the norm is 0: there x is 0 too, and is divided by 1. */
static struct cb_status add_division_by_norm(struct cb_onnx_node *node, int norm)
{
    const int x = node->in[0];
    const enum cb_dtype dtype = cb_onnx_in(node, 0)->dtype;
    int zero, one, is_zero, divisor;
    CB_TRY(cb_onnx_add_scalar(node, "zero", dtype, 0, &zero));
    CB_TRY(cb_onnx_add_scalar(node, "one", dtype, 1, &one));
    CB_TRY(cb_onnx_step(node, CB_OP_EQUAL, NULL, CB_ONNX_ARGS(norm, zero), &is_zero));
    CB_TRY(cb_onnx_step(node, CB_OP_WHERE, NULL, CB_ONNX_ARGS(is_zero, one, norm), &divisor));
    return cb_onnx_add(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(x, divisor), CB_ONNX_ARGS(node->out[0]));
}

/* LpNormalization along one axis, p 1 or 2. */
struct cb_status cb_onnx_import_lp_normalization(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_REDUCE_L2);
    const int x = node->in[0];
    int axis, norm;
    int64_t p;
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &axis));
    CB_TRY(cb_onnx_attr_int(node, "p", 2, &p));
    if (p != 1 && p != 2)
        return cb_fail(CB_ERR_MODEL, "p is %lld", (long long)p);
    attr.reduce.axes = (struct cb_list){ 1, { axis } };
    CB_TRY(cb_onnx_step(node, p == 1 ? CB_OP_REDUCE_L1 : CB_OP_REDUCE_L2, &attr, CB_ONNX_ARGS(x),
                        &norm));
    return add_division_by_norm(node, norm);
}
