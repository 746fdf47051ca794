/* core/graph/graph.h - a network as values and nodes.
 *
 * Values are known by their index, for ever: passes add values and rewrite nodes but never
 * renumber, so an index found in the imported graph is valid in every copy. Nodes stand in an order
 * in which each comes after those that make its inputs. A graph lives in the arena it was made in;
 * copies share constants' elements with the original. */
#pragma once

#include "core/base/arena.h"
#include "core/ops/op.h"

struct cb_value {
    const char *name;
    enum cb_dtype dtype;
    struct cb_shape shape; /* rank -1 or dims of -1 where not known */
    const void *data;      /* a constant's elements (dtype.h), maybe unaligned; NULL: computed */
    uint64_t key;          /* a constant's identity in every copy: packed weights are kept by it */
    bool mapped;           /* data lies in a mapped file: its pages may be let go after packing */
    bool durable;          /* the key follows from the model's file alone: the same in every run */
    const float *scale;    /* the elements are data times this, by channel; NULL: as they lie */
    bool scale_last;       /* channels are the last axis; else the first */
};

struct cb_graph {
    struct cb_arena *arena;
    struct cb_value *values;
    struct cb_node *nodes;
    int *inputs, *outputs;
    int n_values, n_nodes, n_inputs, n_outputs;
    int cap_values, cap_nodes, cap_inputs, cap_outputs;
};

/* Each adds one and gives its index. Names are copied, a constant's data is borrowed. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_graph_add_value(struct cb_graph *graph, const char *name,
                                                enum cb_dtype dtype, const struct cb_shape *shape,
                                                int *out);
CB_MUST_USE struct cb_status cb_graph_add_constant(struct cb_graph *graph, const char *name,
                                                   const struct cb_tensor *tensor, int *out);
CB_MUST_USE struct cb_status cb_graph_add_node(struct cb_graph *graph, enum cb_op op,
                                               const char *name, int n_in, const int *in, int n_out,
                                               const int *out, struct cb_node **node);
CB_MUST_USE struct cb_status cb_graph_add_input(struct cb_graph *graph, int value);
CB_MUST_USE struct cb_status cb_graph_add_output(struct cb_graph *graph, int value);

void cb_graph_init(struct cb_graph *graph, struct cb_arena *arena);

/* A copy in `arena`: nodes and values are its own, names and constants' elements are shared. */
CB_MUST_USE struct cb_status cb_graph_copy(const struct cb_graph *from, struct cb_arena *arena,
                                           struct cb_graph *to);

/* The value of that name; -1 when there is none. */
int cb_graph_find(const struct cb_graph *graph, const char *name);

/* Index of the node that makes each value, -1 for none: int[n_values] in `arena`. */
CB_MUST_USE struct cb_status cb_graph_producers(const struct cb_graph *graph,
                                                struct cb_arena *arena, int **out);

/* How often each value is read, by nodes and as graph outputs: int[n_values] in `arena`. */
CB_MUST_USE struct cb_status cb_graph_uses(const struct cb_graph *graph, struct cb_arena *arena,
                                           int **out);

/* Puts nodes into an order in which inputs come first. Errors: CB_ERR_MODEL names a node on a
 * cycle, or an input that nothing makes. */
CB_MUST_USE struct cb_status cb_graph_sort(struct cb_graph *graph);

/* The invariants: indices in range, order, one producer each, argument counts. `after` is blamed in
 * the message. */
CB_MUST_USE struct cb_status cb_graph_verify(const struct cb_graph *graph, const char *after);

/* A constant as a tensor (data maybe unaligned). */
struct cb_tensor cb_value_tensor(const struct cb_value *value);

/* Identity of something derived from constants: order matters. */
uint64_t cb_key_mix(uint64_t key, uint64_t with);
