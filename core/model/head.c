#include "core/model/head.h"

#include <stdio.h>

struct attaching {
    struct cb_graph *graph;
    const struct cb_head *head;
    uint64_t key;
};

static struct cb_status add_value(struct attaching *a, const char *what, int *out)
{
    char name[64];
    snprintf(name, sizeof name, "head@%s", what);
    return cb_graph_add_value(a->graph, name, CB_FLOAT32, NULL, out);
}

static struct cb_status add_weight(struct attaching *a, const char *what, struct cb_shape shape,
                                   const float *data, int *out)
{
    const struct cb_tensor tensor = { .shape = shape,
                                      .dtype = CB_FLOAT32,
                                      .data = (void *)(uintptr_t)data };
    char name[64];
    snprintf(name, sizeof name, "head@%s", what);
    CB_TRY(cb_graph_add_constant(a->graph, name, &tensor, out));
    a->graph->values[*out].key = cb_key_mix(a->key, (uint64_t)*out);
    return cb_ok();
}

/* One node from `in` to a new value. */
static struct cb_status add_node(struct attaching *a, enum cb_op op, const union cb_attr *attr,
                                 const char *what, int in, int *out)
{
    struct cb_node *node;
    char name[64];
    snprintf(name, sizeof name, "head@%s", what);
    CB_TRY(add_value(a, what, out));
    CB_TRY(cb_graph_add_node(a->graph, op, name, 1, &in, 1, out, &node));
    node->attr = *attr;
    return cb_ok();
}

/* Whatever its rank, [N, C, ...] becomes [N, C]: C and the rest are parted, the rest is
 * averaged. */
static struct cb_status add_pooling(struct attaching *a, int bottleneck, int *out)
{
    union cb_attr cast = cb_attr_default(CB_OP_CAST), parted = cb_attr_default(CB_OP_RESHAPE),
                  mean = cb_attr_default(CB_OP_REDUCE_MEAN);
    int v = bottleneck;
    cast.cast.to = CB_FLOAT32;
    parted.reshape.dims = (struct cb_list){ 3, { 0, a->head->inputs, -1 } };
    mean.reduce.axes = (struct cb_list){ 1, { 2 } };
    mean.reduce.keep_dims = false;
    if (a->graph->values[v].dtype != CB_FLOAT32)
        CB_TRY(add_node(a, CB_OP_CAST, &cast, "cast", v, &v));
    CB_TRY(add_node(a, CB_OP_RESHAPE, &parted, "parted", v, &v));
    return add_node(a, CB_OP_REDUCE_MEAN, &mean, "features", v, out);
}

/* out = x w^T + b. */
static struct cb_status add_layer(struct attaching *a, const char *what, int x, const float *w,
                                  const float *b, int outs, int ins, int *out)
{
    char weight[32], bias[32], name[32];
    struct cb_node *node;
    int in[3] = { x };
    snprintf(weight, sizeof weight, "%s.weight", what);
    snprintf(bias, sizeof bias, "%s.bias", what);
    snprintf(name, sizeof name, "head@%s", what);
    CB_TRY(add_weight(a, weight, (struct cb_shape){ 2, { outs, ins } }, w, &in[1]));
    CB_TRY(add_weight(a, bias, (struct cb_shape){ 1, { outs } }, b, &in[2]));
    CB_TRY(add_value(a, what, out));
    CB_TRY(cb_graph_add_node(a->graph, CB_OP_GEMM, name, 3, in, 1, out, &node));
    node->attr.gemm.trans_b = true;
    return cb_ok();
}

struct cb_status cb_head_attach(struct cb_graph *graph, int bottleneck, const struct cb_head *head,
                                uint64_t key, int *logits)
{
    struct attaching a = { graph, head, key };
    const union cb_attr relu = cb_attr_default(CB_OP_RELU);
    const int inner = head->hidden ? head->hidden : head->inputs;
    int x;
    CB_TRY(add_pooling(&a, bottleneck, &x));
    if (head->hidden) {
        CB_TRY(add_layer(&a, "hidden", x, head->w1, head->b1, head->hidden, head->inputs, &x));
        CB_TRY(add_node(&a, CB_OP_RELU, &relu, "active", x, &x));
    }
    CB_TRY(add_layer(&a, "logits", x, head->w2, head->b2, head->classes, inner, logits));
    graph->n_outputs = 0;
    return cb_graph_add_output(graph, *logits);
}
