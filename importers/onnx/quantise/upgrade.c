/* importers/onnx/quantise/upgrade.c - operators of opsets 7 to 12 as opset 13 has them:
 * QuantizeLinear by channel needs 13, and a file has one opset for all. */
#include <string.h>

#include "importers/onnx/quantise/quantise_parts.h"

/* Those that mean the same from opset 7 to 13, with the attributes that went away. */
/* clang-format off */
static const char *const unchanged[] = {
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil",
    "Concat", "Constant", "ConstantOfShape", "Conv", "Cos", "Div", "Elu", "Equal", "Erf", "Exp",
    "Expand", "Flatten", "Floor", "Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater",
    "HardSigmoid", "Identity", "InstanceNormalization", "LRN", "LeakyRelu", "Less", "Log", "MatMul",
    "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal",
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSumSquare", "Relu", "Reshape", "Selu", "Shape", "Sigmoid",
    "Sign", "Sin", "Size", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu",
    "Tile", "Transpose", "Where", "Xor",
};
/* clang-format on */

/* Attributes that became an input, and since when. */
static const struct {
    const char *op, *attribute;
    int64_t since;
} lists[] = {
    { "Squeeze", "axes", 13 },
    { "Unsqueeze", "axes", 13 },
    { "ReduceSum", "axes", 13 },
    { "Split", "split", 13 },
};

static bool is(const struct cb_quantise_node *node, const char *op)
{
    return strcmp(node->proto->op_type, op) == 0;
}

/* Below 13 Softmax is over all axes from `axis` (1) on, from 13 over one: the same where the others
 * have length 1. */
static struct cb_status check_softmax(const struct cb_onnx_quantise *q,
                                      const struct cb_quantise_node *node)
{
    const struct cb_shape *s = &q->inferred->values[node->in[0]].shape;
    const int axis = cb_shape_axis(cb_quantise_int(node, "axis", 1), s->rank);
    for (int i = axis + 1; axis >= 0 && i < s->rank; i++)
        if (s->dim[i] != 1)
            return cb_fail(CB_ERR_UNSUPPORTED, "%s: over several axes, which opset 13 has not",
                           node->proto->op_type);
    return cb_ok();
}

struct cb_status cb_upgrade_node(const struct cb_onnx_quantise *q,
                                 const struct cb_quantise_node *node, struct cb_upgrade *out)
{
    *out = (struct cb_upgrade){ 0 };
    if (q->opset >= CB_QDQ_OPSET)
        return cb_ok();
    for (size_t i = 0; i < CB_COUNT_OF(unchanged); i++)
        if (is(node, unchanged[i])) {
            out->drop[0] = is(node, "BatchNormalization") ? "spatial" : NULL;
            return cb_ok();
        }
    for (size_t i = 0; i < CB_COUNT_OF(lists); i++)
        if (is(node, lists[i].op)) {
            if (q->opset < lists[i].since && cb_quantise_attribute(node, lists[i].attribute))
                out->list = out->drop[0] = lists[i].attribute;
            return cb_ok();
        }
    if (is(node, "Dropout")) {
        if (node->n_out > 1 && q->readers[node->out[1]] > 0)
            return cb_fail(CB_ERR_UNSUPPORTED, "Dropout: its mask is used");
        *out = (struct cb_upgrade){ .op = "Identity", .drop = { "ratio", "is_test" }, .n_out = 1 };
        return cb_ok();
    }
    if (is(node, "Clip")) {
        out->bounds = q->opset < 11;
        out->drop[0] = out->bounds ? "min" : NULL;
        out->drop[1] = out->bounds ? "max" : NULL;
        return cb_ok();
    }
    if (is(node, "Softmax") || is(node, "LogSoftmax"))
        return check_softmax(q, node);
    if ((is(node, "Slice") && q->opset >= 10) || (is(node, "Pad") && q->opset >= 11))
        return cb_ok();
    return cb_fail(CB_ERR_UNSUPPORTED, "%s of opset %lld cannot be brought to opset %d",
                   node->proto->op_type, (long long)q->opset, CB_QDQ_OPSET);
}
