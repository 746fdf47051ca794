/* importers/onnx/loader.h - what the parts of one load share: load.c (header, constants, inputs and
 * outputs) and nodes.c. */
#pragma once

#include "importers/onnx/import.h"
#include "importers/onnx/load.h"
#include "importers/onnx/names.h"
#include "importers/onnx/refusals.h"

/* A list of nodes and the names that they see: the model's graph, the body of a function at one of
 * its calls, a branch that is taken, one iteration of a loop. All become part of the one graph. */
struct cb_onnx_scope {
    struct cb_onnx_loader *loader;
    const struct cb_onnx_scope *outer;   /* whose names are seen too; NULL: none */
    const struct cb_onnx_node *caller;   /* of the function that the nodes stand in; NULL: none */
    const Onnx__FunctionProto *function; /* that function */
    const char *prefix;                  /* of names: "" in the model's graph */
    int depth;
    Onnx__NodeProto **proto;
    size_t n_nodes;
    struct cb_onnx_names names;   /* seen in this scope */
    struct cb_onnx_names targets; /* outputs of nodes that are values of the caller */
    struct cb_onnx_node *nodes;   /* n_nodes */
};

/* One load. All but what `model` gets is in the scratch arena. */
struct cb_onnx_loader {
    struct cb_arena *scratch;
    struct cb_onnx_model *model;
    const Onnx__ModelProto *proto;
    const Onnx__GraphProto *graph;
    const Onnx__FunctionProto **functions; /* sorted; proto->n_functions */
    struct cb_onnx_import import;
    struct cb_onnx_scope top;
    struct cb_onnx_refusals refusals;
    struct cb_onnx_known *known; /* known.c; NULL: nothing was asked yet */
    bool blamed;                 /* the error that ends the load says at which node */
    size_t inlined;              /* nodes and arguments in scopes below the top */
};

static inline const char *cb_onnx_text_or(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* "" for ONNX's own domain, whichever way it is written. */
const char *cb_onnx_domain(const char *domain);

/* The opset of a domain in a list; 0 when it has none. */
int64_t cb_onnx_opset_of(Onnx__OperatorSetIdProto *const *opset, size_t n, const char *domain);

/* load.c: constants for a graph's initialisers, named in `names`. `bytes`: those that may stay as
 * they lie; or NULL. */
struct cb_byte_weights;
CB_MUST_USE struct cb_status cb_onnx_add_initializers(struct cb_onnx_scope *scope,
                                                      const Onnx__GraphProto *graph,
                                                      const struct cb_byte_weights *bytes);

/* load.c: the declared type of an input or output. Errors: CB_ERR_UNSUPPORTED names what it is. */
CB_MUST_USE struct cb_status cb_onnx_read_type(const Onnx__TypeProto *type, struct cb_onnx_io *io);

/* nodes.c. Room for the scope's names: `n` besides the outputs of its nodes, and targets. */
CB_MUST_USE struct cb_status cb_onnx_scope_begin(struct cb_onnx_scope *scope, size_t n,
                                                 size_t n_targets);

/* The scope's nodes become core nodes, in an order in which inputs come first. What is not
 * supported is noted in the loader's refusals. */
CB_MUST_USE struct cb_status cb_onnx_scope_import(struct cb_onnx_scope *scope);

/* What a name stands for, in the scope or around it; NULL: nothing. */
const struct cb_onnx_name *cb_onnx_scope_find(const struct cb_onnx_scope *scope, const char *name);

/* functions.c. The model's function that a node calls; NULL: none. */
CB_MUST_USE struct cb_status cb_onnx_functions_sort(struct cb_onnx_loader *l);
const Onnx__FunctionProto *cb_onnx_function_find(const struct cb_onnx_loader *l,
                                                 const Onnx__NodeProto *node);

/* The function's nodes in the call's place. */
CB_MUST_USE struct cb_status cb_onnx_call(struct cb_onnx_node *node,
                                          const Onnx__FunctionProto *function);

/* Value `to` is `from`: the same constant, or an Identity. */
CB_MUST_USE struct cb_status cb_onnx_add_alias(struct cb_onnx_node *node, int from, int to);

/* known.c. What constants, the shapes of inputs and the inputs that are given decide: the elements
 * of a value (data NULL: not known, or too many), its shape (rank -1: not known).
 */
CB_MUST_USE struct cb_status cb_onnx_known(struct cb_onnx_loader *l, int value,
                                           struct cb_tensor *out);
