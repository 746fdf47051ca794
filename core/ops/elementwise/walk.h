/* core/ops/elementwise/walk.h - a walk over the elements of a shape, in row-major order, for
 * operands of any strides.
 *
 * Broadcasting, slicing, transposing and tiling are all a shape and, per operand, a step for each
 * axis (0: the axis is broadcast; negative: it runs backwards). Axes that continue each other are
 * merged first, so that the rows handed out are as long as they can be and usual cases become one
 * loop over dense memory. */
#pragma once

#include "core/base/threads.h"
#include "core/tensor/tensor.h"

#define CB_WALK_OPERANDS 6
#define CB_WALK_RANK (2 * CB_MAX_RANK)
#define CB_WALK_GRAIN ((size_t)16384) /* elements that are worth a thread */

struct cb_walk {
    int rank, operands;
    size_t dim[CB_WALK_RANK];
    /* Elements to move for one step along an axis. */
    ptrdiff_t step[CB_WALK_OPERANDS][CB_WALK_RANK];
};

/* One row: n elements; operand k begins at element at[k] and moves by step[k]. */
struct cb_walk_row {
    size_t n;
    ptrdiff_t at[CB_WALK_OPERANDS], step[CB_WALK_OPERANDS];
};
typedef void cb_walk_fn(void *ctx, const struct cb_walk_row *row);

/* Elements between neighbours along each axis of a dense shape. */
void cb_walk_strides(const struct cb_shape *shape, ptrdiff_t step[CB_MAX_RANK]);

/* The same of a tensor, whose pixels may lie apart. */
void cb_walk_tensor_strides(const struct cb_tensor *tensor, ptrdiff_t step[CB_MAX_RANK]);

struct cb_walk cb_walk_over(const struct cb_shape *shape);

/* Adds an operand: dense, in the walk's own order; broadcast from `shape` (which fits); or of any
 * steps. */
void cb_walk_add_dense(struct cb_walk *walk);
void cb_walk_add_broadcast(struct cb_walk *walk, const struct cb_shape *shape);
void cb_walk_add_steps(struct cb_walk *walk, const ptrdiff_t step[]);

/* Hands every row to fn; pieces run on several threads unless threads is NULL (as they must not
 * when two rows write to one place). A row may be cut in two. */
void cb_walk_run(const struct cb_walk *walk, struct cb_threads *threads, cb_walk_fn *fn, void *ctx);

/* Operand 0 is copied, element by element of `size` bytes (1, 4 or 8), to operand 1; or added to
 * it. */
void cb_walk_copy(const struct cb_walk *walk, struct cb_threads *threads, size_t size,
                  const void *from, void *to);
void cb_walk_accumulate(const struct cb_walk *walk, struct cb_threads *threads, const float *from,
                        float *to);

/* fn over [0, n) in pieces of at least `grain`, on several threads when n is large. */
typedef void cb_range_fn(void *ctx, size_t begin, size_t end);
void cb_walk_range(struct cb_threads *threads, size_t n, size_t grain, cb_range_fn *fn, void *ctx);
