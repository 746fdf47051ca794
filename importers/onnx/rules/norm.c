/* importers/onnx/rules/norm.c - normalisation by statistics of the tensor itself, as chains of core
 * operators: mean and variance along axes, then
 *
 *     y = (x - mean) / sqrt(variance + epsilon) * scale + bias
 *
 * Where ONNX asks for it (stash_type 1), narrow types are computed as float. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

/* One operator into a new value of the type of `like`. */
static struct cb_status step(struct cb_onnx_node *node, enum cb_op op, const union cb_attr *attr,
                             struct cb_onnx_args in, int *out)
{
    CB_TRY(cb_onnx_temp(node, node->out[0], cb_op_get(op)->name, out));
    return cb_onnx_add(node, op, attr, in, CB_ONNX_ARGS(*out));
}

static struct cb_status cast(struct cb_onnx_node *node, int x, enum cb_dtype to, int *out)
{
    const union cb_attr attr = { .cast = { to } };
    *out = x;
    return node->import->graph->values[x].dtype == to
               ? cb_ok()
               : step(node, CB_OP_CAST, &attr, CB_ONNX_ARGS(x), out);
}

/* What a normalisation works along, and what it leaves. */
struct norm {
    struct cb_list axes;
    float epsilon;
    bool centered;     /* less the mean; without it the mean square stands for the variance */
    int mean, inverse; /* in: values to write, -1: new ones. out: where they are */
};

/* out = (x - mean) * inverse, inverse = 1 / sqrt(mean of squares + epsilon). */
static struct cb_status normalize(struct cb_onnx_node *node, int x, struct norm *norm, int *out)
{
    union cb_attr along = cb_attr_default(CB_OP_REDUCE_MEAN);
    int shifted = x, squares, variance, epsilon, safe, deviation;
    along.reduce.axes = norm->axes;
    if (norm->centered) {
        if (norm->mean < 0)
            CB_TRY(cb_onnx_temp(node, node->out[0], "mean", &norm->mean));
        CB_TRY(cb_onnx_add(node, CB_OP_REDUCE_MEAN, &along, CB_ONNX_ARGS(x),
                           CB_ONNX_ARGS(norm->mean)));
        CB_TRY(step(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(x, norm->mean), &shifted));
    }
    CB_TRY(step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(shifted, shifted), &squares));
    CB_TRY(step(node, CB_OP_REDUCE_MEAN, &along, CB_ONNX_ARGS(squares), &variance));
    CB_TRY(cb_onnx_add_scalar(node, "epsilon", node->import->graph->values[x].dtype,
                              (double)norm->epsilon, &epsilon));
    CB_TRY(step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(variance, epsilon), &safe));
    CB_TRY(step(node, CB_OP_SQRT, NULL, CB_ONNX_ARGS(safe), &deviation));
    if (norm->inverse < 0)
        CB_TRY(cb_onnx_temp(node, node->out[0], "inverse", &norm->inverse));
    CB_TRY(cb_onnx_add(node, CB_OP_RECIPROCAL, NULL, CB_ONNX_ARGS(deviation),
                       CB_ONNX_ARGS(norm->inverse)));
    return step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(shifted, norm->inverse), out);
}

/* out = x * scale + bias; bias -1: none. */
static struct cb_status scale_and_shift(struct cb_onnx_node *node, int x, int scale, int bias,
                                        int out)
{
    int scaled = out;
    if (bias >= 0)
        CB_TRY(cb_onnx_temp(node, node->out[0], "scaled", &scaled));
    CB_TRY(cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(x, scale), CB_ONNX_ARGS(scaled)));
    return bias < 0
               ? cb_ok()
               : cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(scaled, bias), CB_ONNX_ARGS(out));
}

/* The axes from `axis` to the last, counted from the end, so that the rank need not be known. */
static struct cb_status trailing_axes(const struct cb_onnx_node *node, struct cb_list *axes)
{
    const int rank = cb_onnx_in(node, 0)->shape.rank;
    int axis;
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &axis));
    if (axis >= 0 && rank < 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "axis %d of an input of unknown rank", axis);
    axes->count = axis < 0 ? -axis : rank - axis;
    if (axes->count < 1 || axes->count > CB_MAX_RANK)
        return cb_fail(CB_ERR_MODEL, "axis %d of an input of rank %d", axis, rank);
    for (int i = 0; i < axes->count; i++)
        axes->v[i] = i - axes->count;
    return cb_ok();
}

/* LayerNormalization-17, and with `centered` false RMSNormalization-23. Files of older opsets have
 * the first too, as ONNX Runtime made it: there y has the type of scale, which may differ from x's.
 */
static struct cb_status import_trailing(struct cb_onnx_node *node, bool centered)
{
    struct norm norm = { .centered = centered, .mean = -1, .inverse = -1 };
    const enum cb_dtype dtype = cb_onnx_in(node, 0)->dtype;
    bool stash;
    int x, normal;
    CB_TRY(trailing_axes(node, &norm.axes));
    CB_TRY(cb_onnx_attr_float(node, "epsilon", 1e-5f, &norm.epsilon));
    CB_TRY(cb_onnx_attr_flag(node, "stash_type", true, &stash));
    if (node->n_out > 1)
        norm.mean = node->out[1];
    if (node->n_out > 2)
        norm.inverse = node->out[2];
    stash &= dtype == CB_FLOAT16 || dtype == CB_BFLOAT16;
    CB_TRY(cast(node, node->in[0], stash ? CB_FLOAT32 : dtype, &x));
    CB_TRY(normalize(node, x, &norm, &normal));
    CB_TRY(cast(node, normal, cb_onnx_in(node, 1)->dtype, &normal));
    return scale_and_shift(node, normal, node->in[1], cb_onnx_has(node, 2) ? node->in[2] : -1,
                           node->out[0]);
}

struct cb_status cb_onnx_import_layer_norm(struct cb_onnx_node *node)
{
    return import_trailing(node, true);
}

struct cb_status cb_onnx_import_rms_norm(struct cb_onnx_node *node)
{
    return import_trailing(node, false);
}

/* MeanVarianceNormalization-9; its function has this epsilon. */
struct cb_status cb_onnx_import_mean_variance_norm(struct cb_onnx_node *node)
{
    struct norm norm = { .centered = true, .epsilon = 1e-9f, .mean = -1, .inverse = -1 };
    int normal;
    CB_TRY(cb_onnx_attr_list(node, "axes", &norm.axes));
    if (norm.axes.count < 0)
        norm.axes = (struct cb_list){ 3, { 0, 2, 3 } };
    CB_TRY(normalize(node, node->in[0], &norm, &normal));
    return cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(normal),
                       CB_ONNX_ARGS(node->out[0]));
}

/* x as [N, middle, rest], whatever its rank; middle 0: the channels as they are. */
static struct cb_status fold(struct cb_onnx_node *node, int x, int64_t middle, int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_RESHAPE);
    attr.reshape.dims = (struct cb_list){ 3, { 0, middle, -1 } };
    return step(node, CB_OP_RESHAPE, &attr, CB_ONNX_ARGS(x), out);
}

/* out has the shape of input 0 again. */
static struct cb_status unfold(struct cb_onnx_node *node, int folded, int out)
{
    int shape;
    CB_TRY(step(node, CB_OP_SHAPE, NULL, CB_ONNX_ARGS(node->in[0]), &shape));
    return cb_onnx_add(node, CB_OP_RESHAPE, NULL, CB_ONNX_ARGS(folded, shape), CB_ONNX_ARGS(out));
}

/* folded * scale + bias, one of each for every row of the middle axis; out is unfolded. */
static struct cb_status scale_rows(struct cb_onnx_node *node, int folded, int out)
{
    union cb_attr attr = cb_attr_default(CB_OP_UNSQUEEZE);
    int scale, bias, scaled;
    attr.squeeze.axes = (struct cb_list){ 1, { 1 } };
    CB_TRY(step(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(node->in[1]), &scale));
    CB_TRY(step(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(node->in[2]), &bias));
    CB_TRY(cb_onnx_temp(node, node->out[0], "rows", &scaled));
    CB_TRY(scale_and_shift(node, folded, scale, bias, scaled));
    return unfold(node, scaled, out);
}

/* InstanceNormalization: statistics of each channel of each image. */
struct cb_status cb_onnx_import_instance_norm(struct cb_onnx_node *node)
{
    struct norm norm = { { 1, { -1 } }, .centered = true, .mean = -1, .inverse = -1 };
    int folded, normal;
    CB_TRY(cb_onnx_attr_float(node, "epsilon", 1e-5f, &norm.epsilon));
    CB_TRY(fold(node, node->in[0], 0, &folded));
    CB_TRY(normalize(node, folded, &norm, &normal));
    return scale_rows(node, normal, node->out[0]);
}

/* GroupNormalization: statistics of each group of channels; scale and bias for each group (opset
 * 18) or each channel (21). */
struct cb_status cb_onnx_import_group_norm(struct cb_onnx_node *node)
{
    struct norm norm = { { 1, { -1 } }, .centered = true, .mean = -1, .inverse = -1 };
    const enum cb_dtype dtype = cb_onnx_in(node, 0)->dtype;
    int x, folded, normal, whole;
    int64_t groups;
    bool stash = true;
    CB_TRY(cb_onnx_attr_wanted(node, "num_groups"));
    CB_TRY(cb_onnx_attr_int(node, "num_groups", 1, &groups));
    CB_TRY(cb_onnx_attr_float(node, "epsilon", 1e-5f, &norm.epsilon));
    CB_TRY(cb_onnx_attr_flag(node, "stash_type", true, &stash));
    if (groups < 1 || groups > INT32_MAX)
        return cb_fail(CB_ERR_MODEL, "num_groups is %lld", (long long)groups);
    stash &= node->rule->since >= 21 && (dtype == CB_FLOAT16 || dtype == CB_BFLOAT16);
    CB_TRY(cast(node, node->in[0], stash ? CB_FLOAT32 : dtype, &x));
    CB_TRY(fold(node, x, groups, &folded));
    CB_TRY(normalize(node, folded, &norm, &normal));
    CB_TRY(cast(node, normal, dtype, &normal));
    if (node->rule->since < 21)
        return scale_rows(node, normal, node->out[0]);
    CB_TRY(cb_onnx_temp(node, node->out[0], "whole", &whole));
    CB_TRY(unfold(node, normal, whole));
    CB_TRY(fold(node, whole, 0, &folded));
    return scale_rows(node, folded, node->out[0]);
}
