/* core/train/metrics.h - figures that say how good probabilities are, each a pure function of them.
 *
 * A matrix of probabilities is [n, classes] by rows, labels [n] are 0 to classes-1. */
#pragma once

#include "core/base/arena.h"

/* Where a share lies: an interval that holds the true one in 95 of 100 samples. */
struct cb_interval {
    double low, high;
};

/* Wilson's score interval at 95 % of `part` in n (doi:10.1080/01621459.1927.10502953): inside
 * [0, 1] and of sense for small n too; n = 0 gives [0, 1]. */
struct cb_interval cb_wilson(int part, int n);

/* 2 precision x recall / (precision + recall); 0 where both are 0. */
double cb_f1(double precision, double recall);

/* Area under the receiver operating curve of one class against the rest: the probability that an
 * example of the class gets more of it than one of another class, a tie counting half (Mann and
 * Whitney's U by mid-ranks; Fawcett, doi:10.1016/j.patrec.2005.10.010). NAN where either side has
 * no example. Scratch comes from `arena` and is given back. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_roc_auc(struct cb_arena *arena, const float *probabilities,
                                        const int *labels, int n, int classes, int class_index,
                                        double *auc);

/* The curve itself: shares of the others (x) and of the class (y) that get at least a threshold,
 * which falls from point to point; equal probabilities make one step. */
struct cb_roc {
    int n;         /* points, from (0, 0) to (1, 1); 0: undefined, as the area is */
    double *x, *y; /* [n], in the caller's arena */
};
CB_MUST_USE struct cb_status cb_roc_curve(struct cb_arena *arena, const float *probabilities,
                                          const int *labels, int n, int classes, int class_index,
                                          struct cb_roc *out);

/* Mean over examples of the sum over classes of (probability - 1 or 0)^2: 0 is perfect, 2 the worst
 * (Brier, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2). 0 for n = 0. */
double cb_brier(const float *probabilities, const int *labels, int n, int classes);

/* Mean of -log(probability of the label), which is taken to be at least 1e-30. 0 for n = 0. */
double cb_negative_log_likelihood(const float *probabilities, const int *labels, int n,
                                  int classes);

/* How far the highest probability is what it claims to be: bins of equal width over it, the lower
 * edge outside, 0 in the first (Guo et al., arXiv:1706.04599, equations 2, 3 and 5). */
#define CB_RELIABILITY_BINS 15
struct cb_reliability {
    int count[CB_RELIABILITY_BINS];         /* examples */
    double confidence[CB_RELIABILITY_BINS]; /* mean of their highest probability; 0 when empty */
    double accuracy[CB_RELIABILITY_BINS];   /* share of them that is right; 0 when empty */
    double error; /* expected calibration error: sum of count / n x |accuracy - confidence| */
};
struct cb_reliability cb_reliability_of(const float *probabilities, const int *labels, int n,
                                        int classes);

/* The class of the highest probability; of equal ones the first. */
int cb_best_class(const float *row, int classes);
