/* core/train/split.h - which examples teach and which judge, by class; and how much each counts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"

/* held_out[n]: true for round(fraction x count) of each class, at least 1 and never all, picked by
 * `seed`. Every class has at least 2 examples. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_split_held_out(struct cb_arena *arena, const int *labels, int n,
                                               int classes, float fraction, uint64_t seed,
                                               bool **held_out);

/* fold[n]: 0 to folds-1 for cross-validation, each class dealt out evenly; -1 for an example that
 * is held out, or the only one of its class that is not (it always teaches). Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_split_folds(struct cb_arena *arena, const int *labels, int n,
                                            int classes, const bool *held_out, int folds,
                                            uint64_t seed, int **fold);

/* Weight of each class: its share undone (balance), so that the mean over examples is 1; all 1
 * without balance. weight[classes]. */
void cb_split_class_weights(const int *labels, int n, int classes, bool balance, float *weight);
