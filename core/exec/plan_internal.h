/* core/exec/plan_internal.h - what a plan consists of; for exec/ alone. */
#pragma once

#include "core/exec/plan.h"

#define CB_NO_OFFSET SIZE_MAX

/* A value that lies inside another one's memory, from element `at` on, its pixels `stride` apart.
 */
struct cb_slice {
    int whole; /* -1: it has memory of its own */
    size_t at, stride;
};

/* The first `end` nodes run `count` times, each time on so many images. */
struct cb_chunks {
    int end; /* 0: all nodes run once */
    int64_t images, count;
    bool *batched; /* [n_values] made of the images, before `end`, or an input */
    bool *whole; /* [n_values] batched, and there for the whole batch: nodes before `end` see a part
                  */
};

struct cb_plan {
    struct cb_arena arena; /* the plan itself, its graph, its constants */
    const struct cb_engine *engine;
    struct cb_weights *weights;
    struct cb_graph graph;
    int *outputs, n_outputs; /* values wanted, in the caller's order */
    int *wrt, n_wrt;
    bool *wanted; /* [n_values when the plan began] its gradient is wanted */
    int n_wanted;
    const void **constant;  /* [n_values] aligned elements; NULL: computed, or only packed */
    size_t *offset;         /* [n_values] in the activation arena; CB_NO_OFFSET: none */
    struct cb_slice *slice; /* [n_values] */
    struct cb_chunks chunks;
    bool *kept;              /* [n_values] readable after a run */
    const void **packed;     /* [n_nodes] weights in the kernels' form; NULL: none */
    bool *on_path;           /* [n_nodes] gradients flow back through it; NULL without wrt */
    bool *has_grad;          /* [n_values] depends on a wrt, or is one; NULL without wrt */
    size_t activation_bytes; /* of the whole arena, scratch at its end included */
    size_t scratch_offset;
    int widest; /* most inputs or outputs of a node */
};

/* infer.c: types and shapes of all values for these inputs; what depends on known values alone
 * becomes constant. */
CB_MUST_USE struct cb_status cb_plan_infer(struct cb_plan *plan,
                                           const struct cb_plan_options *options);

/* path.c: which nodes gradients flow through, and what must stay readable after a run. */
CB_MUST_USE struct cb_status cb_plan_find_path(struct cb_plan *plan);

/* chunks.c: which nodes run for a few images at a time; `none`: no node does. Needs shapes, kept.
 * The second function needs the slices too. */
CB_MUST_USE struct cb_status cb_plan_find_chunks(struct cb_plan *plan, bool none);
void cb_plan_finish_chunks(struct cb_plan *plan);

/* slices.c: which values are slices of others; `none`: no value is. Needs shapes, kept. */
CB_MUST_USE struct cb_status cb_plan_find_slices(struct cb_plan *plan, bool none);

/* memory.c: offsets. Needs shapes, kept, slices, packed. */
CB_MUST_USE struct cb_status cb_plan_lay_out(struct cb_plan *plan);

/* choose.c: the algorithm of each node where several compete; `get` is cb_op_get. Needs shapes. */
CB_MUST_USE struct cb_status cb_plan_choose(struct cb_plan *plan,
                                            const struct cb_op_def *(*get)(enum cb_op));

/* constants.c: packed and constant, for all nodes at once and by all threads. What lies in
 * `temporary` is copied. */
CB_MUST_USE struct cb_status cb_plan_place_constants(struct cb_plan *plan,
                                                     const struct cb_arena *temporary);

/* A value's tensor as node i sees it (i at or beyond chunks.end: as the caller does), without its
 * data. */
struct cb_tensor cb_plan_tensor(const struct cb_plan *plan, int value, int i);

/* One node's call with the shapes of its tensors and no data, for asking sizes. */
struct cb_sketch {
    struct cb_op_call call;
    struct cb_tensor *tensors;   /* [2 * widest] */
    struct cb_tensor **pointers; /* [2 * widest] */
};
CB_MUST_USE struct cb_status cb_sketch_init(struct cb_sketch *sketch, struct cb_plan *plan);
void cb_sketch_node(struct cb_sketch *sketch, const struct cb_plan *plan,
                    const struct cb_node *node);

/* packing.c: constants in the form in which nodes read them, one at a time; one of these a thread.
 */
struct cb_packing {
    struct cb_plan *plan;
    struct cb_threads *threads;
    struct cb_sketch sketch;
    struct cb_arena arena;
    float *scaled; /* elements with their scale */
};
CB_MUST_USE struct cb_status cb_packing_init(struct cb_packing *packing, struct cb_plan *plan,
                                             struct cb_threads *threads, size_t largest_scaled);
void cb_packing_deinit(struct cb_packing *packing);

/* Key and size of the node's packed weights; false when it has none. */
bool cb_packing_key(struct cb_packing *packing, const struct cb_node *node, uint64_t *key,
                    size_t *bytes);

/* The most bytes that a value's elements take in `scaled`. */
size_t cb_packing_largest_scaled(const struct cb_plan *plan);

/* The value's elements, maybe unaligned; those with a scale stand in `scaled` until the next. */
const void *cb_packing_elements(struct cb_packing *packing, const struct cb_value *value);

/* Writes the packed weights. The elements that were packed are in sketch.tensors[1] afterwards.
 * `last`: they are read for the last time, the file's pages may go. */
void cb_packing_write(struct cb_packing *packing, const struct cb_node *node, void *block,
                      bool last);
