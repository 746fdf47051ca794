/* core/train/resampling.h - what training again on parts of the examples says: cross-validation and
 * learning curve, both from features that were made once. */
#pragma once

#include "core/train/head_trainer.h"

#define CB_MOST_FOLDS 20

typedef void cb_resampling_fn(void *ctx, int done, int total);

struct cb_resampling {
    const struct cb_head_job *job; /* its on_epoch is not called */
    cb_resampling_fn *on_step;     /* NULL: none */
    void *ctx;
};

/* Cross-validation (Stone, doi:10.1111/j.2517-6161.1974.tb00994.x) with stratified folds: every
 * example is judged once, by a head that was trained, as cb_head_train does it and with all its
 * choices, on the other folds. Views of an example teach where it does, and never judge. `out` has a row for each example, in order. Its interval takes the
 * examples as independent, which heads that share most of their examples are not quite. Errors:
 * CB_ERR_CONTENT a class too small to keep 2 examples outside every fold (says which);
 * CB_ERR_INPUT folds below 2 or above CB_MOST_FOLDS; as cb_head_train. */
CB_MUST_USE struct cb_status cb_cross_validate(const struct cb_resampling *resampling, int folds,
                                               struct cb_arena *arena, struct cb_evaluation *out);

struct cb_curve_point {
    int per_class; /* examples of each class that teach, or all where a class has fewer */
    int n;         /* examples that teach, of all classes */
    double accuracy, least, most; /* mean, and range over seeds */
    struct cb_interval interval;  /* of the mean, as if measured on one seed's held-out part */
};

/* 1, 2, 5, 10, ... 500000, and all. */
#define CB_CURVE_MOST 19

struct cb_curve {
    int n, seeds;
    struct cb_curve_point point[CB_CURVE_MOST];
};

/* Accuracy against the number of examples a class. For each seed a part is held out as
 * cb_head_train does, and heads learn from growing parts of the rest; of a hidden layer from 2 a
 * class on. Errors: as cb_head_train. */
CB_MUST_USE struct cb_status cb_learning_curve(const struct cb_resampling *resampling, int seeds,
                                               struct cb_curve *out);
