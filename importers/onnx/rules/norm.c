/* importers/onnx/rules/norm.c - normalisation by statistics of the tensor itself, as chains of core
 * operators: mean and variance along axes, then
 *
 *     y = (x - mean) / sqrt(variance + epsilon) * scale + bias
 *
 * Where ONNX asks for it (stash_type 1), narrow types are computed as float. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

static struct cb_status cast(struct cb_onnx_node *node, int x, enum cb_dtype to, int *out)
{
    const union cb_attr attr = { .cast = { to } };
    *out = x;
    return node->import->graph->values[x].dtype == to
               ? cb_ok()
               : cb_onnx_step(node, CB_OP_CAST, &attr, CB_ONNX_ARGS(x), out);
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
        CB_TRY(cb_onnx_step(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(x, norm->mean), &shifted));
    }
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(shifted, shifted), &squares));
    CB_TRY(cb_onnx_step(node, CB_OP_REDUCE_MEAN, &along, CB_ONNX_ARGS(squares), &variance));
    CB_TRY(cb_onnx_add_scalar(node, "epsilon", node->import->graph->values[x].dtype,
                              (double)norm->epsilon, &epsilon));
    CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(variance, epsilon), &safe));
    CB_TRY(cb_onnx_step(node, CB_OP_SQRT, NULL, CB_ONNX_ARGS(safe), &deviation));
    if (norm->inverse < 0)
        CB_TRY(cb_onnx_temp(node, node->out[0], "inverse", &norm->inverse));
    CB_TRY(cb_onnx_add(node, CB_OP_RECIPROCAL, NULL, CB_ONNX_ARGS(deviation),
                       CB_ONNX_ARGS(norm->inverse)));
    return cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(shifted, norm->inverse), out);
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
    return cb_onnx_step(node, CB_OP_RESHAPE, &attr, CB_ONNX_ARGS(x), out);
}

/* out has the shape of input 0 again. */
static struct cb_status unfold(struct cb_onnx_node *node, int folded, int out)
{
    int shape;
    CB_TRY(cb_onnx_step(node, CB_OP_SHAPE, NULL, CB_ONNX_ARGS(node->in[0]), &shape));
    return cb_onnx_add(node, CB_OP_RESHAPE, NULL, CB_ONNX_ARGS(folded, shape), CB_ONNX_ARGS(out));
}

/* folded * scale + bias, one of each for every row of the middle axis; out is unfolded. */
static struct cb_status scale_rows(struct cb_onnx_node *node, int folded, int out)
{
    union cb_attr attr = cb_attr_default(CB_OP_UNSQUEEZE);
    int scale, bias, scaled;
    attr.squeeze.axes = (struct cb_list){ 1, { 1 } };
    CB_TRY(cb_onnx_step(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(node->in[1]), &scale));
    CB_TRY(cb_onnx_step(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(node->in[2]), &bias));
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

/* SimplifiedLayerNormalization, which ONNX Runtime has in ONNX's own domain: RMSNormalization with
 * 1 / deviation as its second output. */
struct cb_status cb_onnx_import_simplified_layer_norm(struct cb_onnx_node *node)
{
    struct cb_onnx_node rms = *node;
    int out[3] = { node->out[0], -1, node->n_out > 1 ? node->out[1] : -1 };
    rms.out = out;
    rms.n_out = out[2] < 0 ? 1 : 3;
    return import_trailing(&rms, false);
}

/* y = the normal form of x along its last axis, times gamma, plus beta (-1: none); mean and
 * 1 / deviation where outputs 1 and 2 ask for them. */
static struct cb_status normalize_last(struct cb_onnx_node *node, int x, bool centered, int gamma,
                                       int beta)
{
    struct norm norm = { { 1, { -1 } }, .centered = centered, .mean = -1, .inverse = -1 };
    const enum cb_dtype dtype = node->import->graph->values[gamma].dtype;
    int normal;
    CB_TRY(cb_onnx_attr_float(node, "epsilon", 1e-12f, &norm.epsilon));
    if (dtype == CB_FLOAT16 || dtype == CB_BFLOAT16)
        CB_TRY(cast(node, x, CB_FLOAT32, &x));
    CB_TRY(normalize(node, x, &norm, &normal));
    CB_TRY(cast(node, normal, dtype, &normal));
    return scale_and_shift(node, normal, gamma, beta, node->out[0]);
}

/* The sum of x, skip and bias (-1: none), normalised; the sum itself is output 3. */
static struct cb_status import_skip(struct cb_onnx_node *node, bool centered, int beta, int bias)
{
    int sum, x = node->in[0], part;
    for (int i = 1; i < node->n_out && i < 3; i++)
        if (node->out[i] >= 0)
            return cb_fail(CB_ERR_UNSUPPORTED, "output %d, of training", i);
    if (node->n_out > 3 && node->out[3] >= 0)
        sum = node->out[3];
    else
        CB_TRY(cb_onnx_temp(node, x, "sum", &sum));
    if (bias >= 0) {
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(x, bias), &part));
        x = part;
    }
    CB_TRY(cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(x, node->in[1]), CB_ONNX_ARGS(sum)));
    return normalize_last(node, sum, centered, node->in[2], beta);
}

/* com.microsoft: input, skip, gamma, beta?, bias? */
struct cb_status cb_onnx_import_skip_layer_norm(struct cb_onnx_node *node)
{
    return import_skip(node, true, cb_onnx_optional(node, 3), cb_onnx_optional(node, 4));
}

/* com.microsoft: input, skip, gamma, bias? */
struct cb_status cb_onnx_import_skip_simplified_layer_norm(struct cb_onnx_node *node)
{
    return import_skip(node, false, -1, cb_onnx_optional(node, 3));
}

/* Rows of `table` by `ids`. */
static struct cb_status add_rows(struct cb_onnx_node *node, int table, int ids, int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_GATHER);
    CB_TRY(cb_onnx_temp(node, table, "rows", out));
    return cb_onnx_add(node, CB_OP_GATHER, &attr, CB_ONNX_ARGS(table, ids), CB_ONNX_ARGS(*out));
}

/* 0, 1, .. for the positions of ids [N, S]. */
static struct cb_status add_positions(struct cb_onnx_node *node, int ids, int *out)
{
    union cb_attr length = cb_attr_default(CB_OP_SHAPE), scalar = cb_attr_default(CB_OP_SQUEEZE);
    int size, count, zero, one;
    length.shape.start = 1;
    length.shape.end = 2;
    scalar.squeeze.axes = (struct cb_list){ 1, { 0 } };
    CB_TRY(cb_onnx_step(node, CB_OP_SHAPE, &length, CB_ONNX_ARGS(ids), &size));
    CB_TRY(cb_onnx_step(node, CB_OP_SQUEEZE, &scalar, CB_ONNX_ARGS(size), &count));
    CB_TRY(cb_onnx_add_scalar(node, "zero", CB_INT64, 0, &zero));
    CB_TRY(cb_onnx_add_scalar(node, "one", CB_INT64, 1, &one));
    return cb_onnx_step(node, CB_OP_RANGE, NULL, CB_ONNX_ARGS(zero, count, one), out);
}

/* com.microsoft: input_ids [N, S], segment_ids?, and the embeddings of words, positions and
 * segments?, gamma, beta, mask?, position_ids?; the sum of the embeddings, normalised. Output 1 was
 * how many of each row the mask lets through; 2 is the sum. */
struct cb_status cb_onnx_import_embed_layer_norm(struct cb_onnx_node *node)
{
    static const int needed[] = { 2, 3, 5, 6 };
    const int ids = node->in[0], segments = cb_onnx_optional(node, 1),
              mask = cb_onnx_optional(node, 7);
    int positions = cb_onnx_optional(node, 8), word, position, segment, part, sum;
    for (size_t i = 0; i < CB_COUNT_OF(needed); i++)
        if (!cb_onnx_has(node, needed[i]))
            return cb_fail(CB_ERR_MODEL, "input %d is missing", needed[i]);
    if (node->n_out > 1 && node->out[1] >= 0) {
        union cb_attr along = cb_attr_default(CB_OP_REDUCE_SUM);
        const union cb_attr to = { .cast = { CB_INT32 } };
        int count;
        if (mask < 0)
            return cb_fail(CB_ERR_UNSUPPORTED, "output 1 without a mask");
        along.reduce.axes = (struct cb_list){ 1, { 1 } };
        along.reduce.keep_dims = false;
        CB_TRY(cb_onnx_step(node, CB_OP_REDUCE_SUM, &along, CB_ONNX_ARGS(mask), &count));
        CB_TRY(cb_onnx_add(node, CB_OP_CAST, &to, CB_ONNX_ARGS(count), CB_ONNX_ARGS(node->out[1])));
    }
    if (positions < 0)
        CB_TRY(add_positions(node, ids, &positions));
    CB_TRY(add_rows(node, node->in[2], ids, &word));
    CB_TRY(add_rows(node, node->in[3], positions, &position));
    if (node->n_out > 2 && node->out[2] >= 0)
        sum = node->out[2];
    else
        CB_TRY(cb_onnx_temp(node, node->out[0], "sum", &sum));
    if (segments >= 0 && node->in[4] >= 0) {
        CB_TRY(add_rows(node, node->in[4], segments, &segment));
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(word, segment), &part));
        word = part;
    }
    CB_TRY(cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(word, position), CB_ONNX_ARGS(sum)));
    return normalize_last(node, sum, true, node->in[5], node->in[6]);
}
