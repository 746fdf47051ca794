/* core/graph/passes/match.h - how passes look at the surroundings of a node: who makes a value, who
 * else reads it, which constant it is. */
#pragma once

#include "core/graph/passes/passes.h"

struct cb_match {
    struct cb_pass *pass;
    struct cb_graph *graph;
    int *producer,
        *uses;      /* as cb_graph_producers and cb_graph_uses give; the pass keeps them right */
    bool *has_grad; /* the gradient of something flows through the value (or is wanted of it) */
    int n_values;   /* when the pass began */
};

CB_MUST_USE struct cb_status cb_match_init(struct cb_match *match, struct cb_pass *pass);

/* The node that makes `value`; NULL: an input, a constant, or -1. */
struct cb_node *cb_match_producer(const struct cb_match *match, int value);

/* The same when nobody else reads the value and it may be rewritten away; else NULL. */
struct cb_node *cb_match_private(const struct cb_match *match, int value);

/* Whether `value` is a real constant of one element; which. */
bool cb_match_scalar(const struct cb_match *match, int value, double *out);

/* Whether `node` is `op` of two operands of which one is a scalar; the other one. Operands of DIV,
 * SUB and POW stand in order: the scalar is the second. */
bool cb_match_with_scalar(const struct cb_match *match, const struct cb_node *node, enum cb_op op,
                          int *other, double *scalar);

/* Whether v is `want` but for what a float of another program may have lost. */
bool cb_match_near(double v, double want);

/* node becomes `op` of `n_in` inputs with default attributes; its output stays. `in` is the
 * arena's. */
void cb_match_become(struct cb_node *node, enum cb_op op, int n_in, int *in);
