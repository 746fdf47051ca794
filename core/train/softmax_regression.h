/* core/train/softmax_regression.h - a linear classifier with softmax, fitted on all examples at once.
 *
 * loss = sum of weight x cross-entropy / sum of weights + l2 / 2 x |W|^2; biases are free. Convex: L-BFGS finds the
 * one minimum from anywhere. */
#pragma once

#include <stdatomic.h>

#include "core/train/product.h"

struct cb_regression_step {
    int step;
    double loss;             /* with l2 */
    const float *parameters; /* where it stands */
};

struct cb_regression {
    struct cb_products products;
    size_t n, inputs, classes;
    const float *x;      /* [n, inputs], centred, of variance about 1 */
    const void *packed;  /* x by cb_product_pack */
    const int *labels;
    const float *weight; /* [n]; 0: the row does not count */
    double l2;
    float *logits;       /* [n, classes], for the calls' use */
    int max_steps;       /* of L-BFGS */
    bool (*on_step)(void *ctx, const struct cb_regression_step *step); /* false: stop; NULL: none */
    void *ctx;
    struct cb_status st; /* the first failure inside a call of the loss */
};

/* Elements of the parameters: W[classes, inputs], then b[classes]. */
size_t cb_regression_size(const struct cb_regression *r);

/* Loss at `parameters` and its gradient. On failure r->st is set and the loss is NAN. */
double cb_regression_loss(struct cb_regression *r, const float *parameters, float *gradient);

/* Mean cross-entropy over rows of weight > 0 in `weight` (without l2); `correct`: how many of them are right. */
double cb_regression_judge(struct cb_regression *r, const float *parameters, const float *weight, int *correct);

/* Moves parameters to the minimum. Errors: CB_ERR_NOMEM; CB_ERR_CANCELLED when on_step said so. */
CB_MUST_USE struct cb_status cb_regression_fit(struct cb_regression *r, float *parameters);

/* The l2 of the smallest cross-entropy over the folds of `fold` ([n]: 0 to folds-1; -1: judges nothing, and teaches where
 * its weight is not 0). The grid goes from 10 down to 1e-4. r->weight and r->l2 are as before. Errors: as fit. */
CB_MUST_USE struct cb_status cb_regression_choose_l2(struct cb_regression *r, const int *fold, int folds, double *l2);
