/* core/exec/plan.h - a graph made ready for one set of input shapes: everything that can fail,
 * fails here.
 *
 * Shapes are inferred and what depends on shapes alone is computed; passes rewrite the copy;
 * weights are packed; every activation gets its offset in one arena (disjoint while both live). A
 * plan is immutable and shared by sessions. */
#pragma once

#include "core/exec/engine.h"
#include "core/exec/weights.h"
#include "core/graph/graph.h"

struct cb_plan;

struct cb_plan_options {
    const struct cb_tensor *inputs; /* one per graph input: type, shape; data where known */
    const int *outputs;             /* values wanted; NULL: the graph's outputs */
    int n_outputs;
    const int *wrt;                 /* values whose gradient is wanted (grad.h); or NULL */
    int n_wrt;
    bool no_passes;                 /* the graph as imported: the reference for every pass */
    bool shapes_only;               /* stops after inference: no sessions */
    bool nhwc_input;                /* input 0 comes [N,H,W,C], the graph wants [N,C,H,W] */
};

CB_MUST_USE struct cb_status cb_plan_create(const struct cb_engine *engine,
                                            const struct cb_graph *graph,
                                            struct cb_weights *weights,
                                            const struct cb_plan_options *options,
                                            struct cb_plan **out);
void cb_plan_destroy(struct cb_plan *plan);

/* After the passes, shapes known. */
const struct cb_graph *cb_plan_graph(const struct cb_plan *plan);

/* Of the arena that each session takes, scratch included. */
size_t cb_plan_activation_bytes(const struct cb_plan *plan);

/* The inputs of a graph that must be given with their elements, since shapes depend on them:
 * flags[n_inputs]. */
CB_MUST_USE struct cb_status cb_plan_known_inputs(const struct cb_graph *graph,
                                                  struct cb_arena *scratch, bool *flags);
