/* core/train/softmax_regression.h - a linear classifier with softmax, fitted on all examples at
 * once.
 *
 * loss = sum of weight x cross-entropy / sum of weights + l2 / 2 x |W|^2; biases are free: an
 * example's last input is 1, and its weights stand outside l2. Convex: L-BFGS finds the one minimum
 * from anywhere. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/exec/engine.h"

struct cb_regression_step {
    int step;
    double loss;             /* with l2 */
    const float *parameters; /* where it stands */
};

/* Parameters are W[classes, inputs], the last input's column being the biases. */
struct cb_regression {
    const struct cb_engine *engine;
    struct cb_arena *scratch;
    size_t n, inputs, classes;
    const int *labels;   /* [n] */
    const float *weight; /* [n]; 0: the row does not count */
    const bool *judges;  /* [n] which rows may judge in choose_l2; NULL: all */
    double l2;
    int max_steps;                                                     /* of L-BFGS */
    bool (*on_step)(void *ctx, const struct cb_regression_step *step); /* false: stop; NULL: none */
    void *ctx;
    void *by_input, *by_row; /* x^T [inputs, n] and x [n, inputs], packed for the matrix product */
    float *logits;           /* [classes, n] */
};

/* Packs x [n, inputs], centred, of variance about 1, the last input 1. x is not needed afterwards.
 * Memory stays in r->scratch. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_regression_init(struct cb_regression *r, const float *x);

/* Loss at `parameters` and its gradient, both [classes, inputs]. */
double cb_regression_loss(struct cb_regression *r, const float *parameters, float *gradient);

/* Mean cross-entropy (without l2) weighted by `weight`; `correct` (NULL: not wanted): how many rows
 * with a weight are right. */
double cb_regression_judge(struct cb_regression *r, const float *parameters, const float *weight,
                           int *correct);

/* Moves parameters to the minimum. Errors: CB_ERR_NOMEM; CB_ERR_CANCELLED when on_step said so. */
CB_MUST_USE struct cb_status cb_regression_fit(struct cb_regression *r, float *parameters);

/* The l2 of the smallest cross-entropy over the folds of `fold` ([n]: 0 to folds-1; another number:
 * judges nothing, and teaches where its weight is not 0). The grid goes from 10 down to 1e-4.
 * r->weight and r->l2 are as before. Errors: as fit. */
CB_MUST_USE struct cb_status cb_regression_choose_l2(struct cb_regression *r, const int *fold,
                                                     int folds, double *l2);
