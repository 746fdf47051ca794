/* importers/onnx/rules/loss.c - losses of classification, put together from core operators.
 *
 * For each target t at [n, d...] the loss is -x[n, t, d...] * weight[t]. Targets that are ignored
 * count nothing: they choose class 0, and their loss and weight are 0. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

struct loss {
    int x, target;       /* [N, C, d...] logarithms of probabilities; [N, d...] */
    int weight;          /* of each target, -1: all 1 */
    int ignored, zero;   /* which targets are, -1: none; a real 0 */
    enum cb_dtype dtype; /* of x */
};

/* Finds what is ignored, and makes those targets class 0. */
static struct cb_status set_ignored(struct cb_onnx_node *node, struct loss *loss)
{
    const enum cb_dtype own = node->import->graph->values[loss->target].dtype;
    const enum cb_dtype dtype = own == CB_DTYPE_NONE ? CB_INT64 : own;
    int64_t index;
    int ignore, first;
    if (!cb_onnx_attr_find(node, "ignore_index"))
        return cb_ok();
    CB_TRY(cb_onnx_attr_int(node, "ignore_index", 0, &index));
    CB_TRY(cb_onnx_add_scalar(node, "ignore_index", dtype, (double)index, &ignore));
    CB_TRY(cb_onnx_add_scalar(node, "first", dtype, 0, &first));
    CB_TRY(cb_onnx_add_scalar(node, "zero", loss->dtype, 0, &loss->zero));
    CB_TRY(
        cb_onnx_step(node, CB_OP_EQUAL, NULL, CB_ONNX_ARGS(loss->target, ignore), &loss->ignored));
    return cb_onnx_step(node, CB_OP_WHERE, NULL, CB_ONNX_ARGS(loss->ignored, first, loss->target),
                        &loss->target);
}

/* The weight of each target; none where all are 1. */
static struct cb_status set_weights(struct cb_onnx_node *node, struct loss *loss)
{
    int one;
    if (cb_onnx_has(node, 2))
        CB_TRY(cb_onnx_step(node, CB_OP_GATHER, NULL, CB_ONNX_ARGS(node->in[2], loss->target),
                            &loss->weight));
    if (loss->ignored < 0)
        return cb_ok();
    if (loss->weight >= 0)
        return cb_onnx_step(node, CB_OP_WHERE, NULL,
                            CB_ONNX_ARGS(loss->ignored, loss->zero, loss->weight), &loss->weight);
    CB_TRY(cb_onnx_add_scalar(node, "one", loss->dtype, 1, &one));
    return cb_onnx_step(node, CB_OP_WHERE, NULL, CB_ONNX_ARGS(loss->ignored, loss->zero, one),
                        &loss->weight);
}

/* out = -x[n, target, d...] * weight, before any reduction. */
static struct cb_status add_each(struct cb_onnx_node *node, const struct loss *loss, int *out)
{
    union cb_attr classes = cb_attr_default(CB_OP_UNSQUEEZE);
    union cb_attr along = cb_attr_default(CB_OP_GATHER_ELEMENTS);
    int indices, picked;
    classes.squeeze.axes = (struct cb_list){ 1, { 1 } };
    along.places.axis = 1;
    CB_TRY(cb_onnx_step(node, CB_OP_UNSQUEEZE, &classes, CB_ONNX_ARGS(loss->target), &indices));
    CB_TRY(
        cb_onnx_step(node, CB_OP_GATHER_ELEMENTS, &along, CB_ONNX_ARGS(loss->x, indices), &picked));
    CB_TRY(cb_onnx_step(node, CB_OP_SQUEEZE, &classes, CB_ONNX_ARGS(picked), &picked));
    CB_TRY(cb_onnx_step(node, CB_OP_NEG, NULL, CB_ONNX_ARGS(picked), out));
    if (cb_onnx_has(node, 2))
        CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(*out, loss->weight), out));
    if (loss->ignored >= 0) /* chosen, so that an infinity at class 0 does no harm */
        CB_TRY(cb_onnx_step(node, CB_OP_WHERE, NULL, CB_ONNX_ARGS(loss->ignored, loss->zero, *out),
                            out));
    return cb_ok();
}

/* The mean is weighted: the sum over that of the weights. */
static struct cb_status add_reduced(struct cb_onnx_node *node, const struct loss *loss, int each)
{
    static const char *const words[] = { "mean", "sum", "none" };
    union cb_attr all = cb_attr_default(CB_OP_REDUCE_SUM);
    const struct cb_onnx_args out = CB_ONNX_ARGS(node->out[0]);
    int word, sum, weights;
    all.reduce.keep_dims = false;
    CB_TRY(cb_onnx_attr_word(node, "reduction", words, 3, &word));
    if (word == 2)
        return cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(each), out);
    if (word == 1)
        return cb_onnx_add(node, CB_OP_REDUCE_SUM, &all, CB_ONNX_ARGS(each), out);
    if (loss->weight < 0)
        return cb_onnx_add(node, CB_OP_REDUCE_MEAN, &all, CB_ONNX_ARGS(each), out);
    CB_TRY(cb_onnx_step(node, CB_OP_REDUCE_SUM, &all, CB_ONNX_ARGS(each), &sum));
    CB_TRY(cb_onnx_step(node, CB_OP_REDUCE_SUM, &all, CB_ONNX_ARGS(loss->weight), &weights));
    return cb_onnx_add(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(sum, weights), out);
}

static struct cb_status add_loss(struct cb_onnx_node *node, int x)
{
    struct loss loss = { .x = x,
                         .target = node->in[1],
                         .weight = -1,
                         .ignored = -1,
                         .dtype = cb_onnx_in(node, 0)->dtype };
    int each;
    CB_TRY(set_ignored(node, &loss));
    CB_TRY(set_weights(node, &loss));
    CB_TRY(add_each(node, &loss, &each));
    return add_reduced(node, &loss, each);
}

struct cb_status cb_onnx_import_negative_log_likelihood(struct cb_onnx_node *node)
{
    return add_loss(node, node->in[0]);
}

/* SoftmaxCrossEntropyLoss: the logarithms, which may be an output too, are made here. */
struct cb_status cb_onnx_import_softmax_cross_entropy(struct cb_onnx_node *node)
{
    union cb_attr classes = cb_attr_default(CB_OP_LOG_SOFTMAX);
    int logs = node->n_out > 1 ? node->out[1] : -1;
    classes.softmax.axis = 1;
    if (logs < 0)
        CB_TRY(cb_onnx_temp(node, node->in[0], "log_prob", &logs));
    CB_TRY(cb_onnx_add(node, CB_OP_LOG_SOFTMAX, &classes, CB_ONNX_ARGS(node->in[0]),
                       CB_ONNX_ARGS(logs)));
    return add_loss(node, logs);
}
