/* importers/onnx/import.h - one ONNX node on its way into the graph: what the rules (rules/)
 * work with.
 *
 * A rule adds core nodes that make the node's outputs from its inputs. Its messages do not name the
 * node: load.c puts "OP NAME: " before them, and gathers what is CB_ERR_UNSUPPORTED over the whole
 * model. */
#pragma once

#include "core/graph/graph.h"
#include "importers/onnx/tensors.h"
#include "proto/onnx.pb-c.h"

struct cb_onnx_scope;

struct cb_onnx_import {
    struct cb_graph *graph;
    struct cb_onnx_files *files;
    struct cb_arena *scratch;       /* gone when the model is loaded */
    bool mapped;                    /* the model's bytes are a mapped file */
    const struct cb_tensor *inputs; /* those that are given for the load (load.h) */
    int n_inputs;
    int *channels_last; /* [n_named] a value's channels-last copy; -1 where there is none yet */
    int n_named;        /* of them; values that rules make come after, for a while */
    int cap_named;
};

struct cb_onnx_node {
    struct cb_onnx_import *import;
    const struct cb_onnx_scope *scope; /* loader.h */
    const Onnx__NodeProto *proto;
    const struct cb_onnx_rule *rule;
    const char *name;
    const char *domain; /* of its operator; "": ai.onnx */
    int64_t opset;      /* of that domain; 0: the file names none */
    int n_in, n_out;    /* without absent ones at the end */
    int *in, *out;      /* values; -1: absent */
};

typedef struct cb_status cb_onnx_rule_fn(struct cb_onnx_node *node);

struct cb_onnx_rule {
    const char *op_type;
    int since, until;   /* opsets of its domain for which `import` is right */
    int min_in, max_in; /* the first min_in inputs, and output 0, are there when it is called */
    int max_out;        /* -n: n, and old files name more that mean nothing */
    cb_onnx_rule_fn *import;
    enum cb_op op; /* CB_OP_COUNT: none, `import` looks after the outputs */
};

/* A short list of values, for cb_onnx_add. */
struct cb_onnx_args {
    int n;
    const int *v;
};
/* clang-format off */
#define CB_ONNX_ARGS(...)                                                                          \
    (struct cb_onnx_args) { (int)CB_COUNT_OF(((int[]){ __VA_ARGS__ })), (int[]){ __VA_ARGS__ } }
/* clang-format on */

/* Adds a core node; attr NULL: the operator's defaults. It takes the ONNX node's name, with the
 * operator's after it when that is not the rule's own. */
CB_MUST_USE struct cb_status cb_onnx_add(struct cb_onnx_node *node, enum cb_op op,
                                         const union cb_attr *attr, struct cb_onnx_args in,
                                         struct cb_onnx_args out);

/* The node as it stands: the rule's operator, the same inputs and outputs. */
CB_MUST_USE struct cb_status cb_onnx_add_same(struct cb_onnx_node *node, const union cb_attr *attr);

/* A new value "NAME@what" of the type of value `like`, which it is named after. */
CB_MUST_USE struct cb_status cb_onnx_temp(struct cb_onnx_node *node, int like, const char *what,
                                          int *out);

/* cb_onnx_add to one new value, which is named after the node's first output and the operator. */
CB_MUST_USE struct cb_status cb_onnx_step(struct cb_onnx_node *node, enum cb_op op,
                                          const union cb_attr *attr, struct cb_onnx_args in,
                                          int *out);

/* New constants, named "NODE@what". A type that is not known (CB_DTYPE_NONE) is taken for float. */
CB_MUST_USE struct cb_status cb_onnx_add_scalar(struct cb_onnx_node *node, const char *what,
                                                enum cb_dtype dtype, double value, int *out);
CB_MUST_USE struct cb_status cb_onnx_add_ints(struct cb_onnx_node *node, const char *what,
                                              int count, const int64_t *v, int *out);

/* Makes value v the constant `tensor`, whose data are borrowed. */
void cb_onnx_set_constant(struct cb_onnx_import *import, int v, const struct cb_tensor *tensor,
                          bool mapped);

/* The only element of input i, when that is a constant of one element. */
bool cb_onnx_known_scalar(const struct cb_onnx_node *node, int i, double *out);

static inline const struct cb_value *cb_onnx_in(const struct cb_onnx_node *node, int i)
{
    return &node->import->graph->values[node->in[i]];
}

static inline bool cb_onnx_has(const struct cb_onnx_node *node, int i)
{
    return i < node->n_in && node->in[i] >= 0;
}

/* Input i; -1 where it is absent. */
static inline int cb_onnx_optional(const struct cb_onnx_node *node, int i)
{
    return cb_onnx_has(node, i) ? node->in[i] : -1;
}
