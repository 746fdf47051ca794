/* importers/onnx/quantise/quantise_parts.h - what the parts of quantising share: quantise_graph.c
 * decides, quantise.c writes, upgrade.c brings old operators to opset 13. */
#pragma once

#include "core/base/arena.h"
#include "importers/onnx/names.h"
#include "importers/onnx/quantise/quantise.h"
#include "proto/onnx.pb-c.h"

#define CB_QDQ_OPSET 13

enum cb_quantise_kind {
    CB_QUANTISE_OTHER,
    CB_QUANTISE_PRODUCT, /* Conv, Gemm, MatMul with constant weights */
    CB_QUANTISE_SUM,     /* Add of two activations */
    CB_QUANTISE_MEAN,    /* pools that average */
    CB_QUANTISE_SAME,    /* the same numbers elsewhere, or the largest of them */
    CB_QUANTISE_CONCAT,
    CB_QUANTISE_GONE, /* a BatchNormalization that is folded, or what nobody reads */
};

struct cb_quantise_node {
    const Onnx__NodeProto *proto;
    struct cb_bytes raw; /* the NodeProto as it lies in the file */
    enum cb_quantise_kind kind;
    int n_in, n_out, *in, *out; /* values; -1: none */
    int folded;                 /* the BatchNormalization behind this convolution; -1: none */
    int axis;                   /* of a product's weights: its outputs */
};

struct cb_onnx_quantise {
    struct cb_arena *arena;
    struct cb_bytes file, graph_bytes;
    const Onnx__ModelProto *model;
    const struct cb_graph *graph, *inferred;
    struct cb_onnx_names names; /* of the graph's values */
    struct cb_quantise_node *nodes;
    int n_nodes;
    int64_t opset;
    /* per value of the graph */
    int *readers;                      /* how often it is read, outputs of the graph included */
    int *producer;                     /* node; -1 */
    const float **factors;             /* of channels, by which this value is divided; NULL: 1 */
    bool *leads;                       /* some product depends on it */
    bool *wanted;                      /* is quantised */
    int *group;                        /* values that share a range have one; follow to its root */
    int *values, n_values;             /* the wanted ones */
    struct cb_onnx_range *range, *own; /* per value: of the whole group; as observed */
};

/* The attribute of that name; NULL when there is none. */
const Onnx__AttributeProto *cb_quantise_attribute(const struct cb_quantise_node *node,
                                                  const char *name);
int64_t cb_quantise_int(const struct cb_quantise_node *node, const char *name, int64_t absent);
float cb_quantise_float(const struct cb_quantise_node *node, const char *name, float absent);

/* The root of a value's group. */
int cb_quantise_root(const struct cb_onnx_quantise *q, int value);

/* upgrade.c: whether a node of an opset below 13 can be written for 13; and what is to be written.
 */
struct cb_upgrade {
    const char *op;      /* NULL: as it was */
    const char *drop[4]; /* attributes that go */
    const char *list;    /* an attribute that becomes the next input; NULL: none */
    bool bounds;         /* Clip's min and max become inputs */
    int n_out;           /* outputs that stay; 0: all */
};
CB_MUST_USE struct cb_status cb_upgrade_node(const struct cb_onnx_quantise *q,
                                             const struct cb_quantise_node *node,
                                             struct cb_upgrade *out);
