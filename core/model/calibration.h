/* core/model/calibration.h - what numbers the activations of a network hold, and which range of
 * them bytes should cover.
 *
 * Every input is run twice: first the extremes are found, then a histogram between them. One thread
 * at a time. */
#pragma once

#include "core/exec/session.h"

/* How a range is chosen. MSE: the one with the least squared error, of rounding within and clipping
 * outside (arXiv:1810.05723). PERCENTILE: leaves out one number in 10,000 at each end. EXTREMES:
 * leaves out none. MIDDLE: half way between MSE and EXTREMES. Which is best depends on the network:
 * try. */
enum cb_calibration_method {
    CB_CALIBRATION_MSE,
    CB_CALIBRATION_PERCENTILE,
    CB_CALIBRATION_MIDDLE,
    CB_CALIBRATION_EXTREMES,
    CB_CALIBRATION_METHODS
};

/* "mse", "percentile", "middle", "extremes"; CB_CALIBRATION_METHODS when there is no such name. */
enum cb_calibration_method cb_calibration_method_find(const char *name);
const char *cb_calibration_method_name(enum cb_calibration_method method);

struct cb_calibration;

struct cb_calibration_options {
    const struct cb_graph *graph;
    struct cb_weights *weights;
    const struct cb_tensor *inputs; /* shapes; see cb_plan_options */
    bool nhwc_input;
    const int *values; /* whose ranges are wanted */
    int n_values;
};

/* Errors: as cb_plan_create. */
CB_MUST_USE struct cb_status cb_calibration_create(const struct cb_engine *engine,
                                                   const struct cb_calibration_options *options,
                                                   struct cb_calibration **out);
void cb_calibration_destroy(struct cb_calibration *calibration);

/* Where to write input i before each run. */
struct cb_tensor *cb_calibration_input(struct cb_calibration *calibration, int i);

/* Runs the network on what was written, and looks at all values. */
void cb_calibration_run(struct cb_calibration *calibration);

/* The largest magnitude of values[i] for each index along axis 1, so far; as cb_calibration_means.
 */
const float *cb_calibration_peaks(const struct cb_calibration *calibration, int i, size_t *n);

/* From extremes to histograms: then the same inputs once more. Where factors[i] is not NULL,
 * values[i] is looked at as if each index along axis 1 were divided by its factor: extremes and
 * means too. */
CB_MUST_USE struct cb_status cb_calibration_second(struct cb_calibration *calibration,
                                                   const float *const *factors);

/* The range of values[i]. */
void cb_calibration_range(const struct cb_calibration *calibration, int i,
                          enum cb_calibration_method method, float *lo, float *hi);

/* The mean of values[i] for each index along axis 1 ([N,C,...]): *n numbers; NULL when its rank is
 * below 2. */
const double *cb_calibration_means(const struct cb_calibration *calibration, int i, size_t *n);
