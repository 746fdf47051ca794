/* core/train/lbfgs.h - the minimum of a smooth function from its gradient: limited-memory BFGS.
 *
 * Liu and Nocedal, doi:10.1007/BF01589116, with a backtracking line search. Deterministic. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/arena.h"

struct cb_lbfgs {
    size_t n;
    double (*loss)(void *ctx, const float *x,
                   float *gradient); /* the value at x; fills gradient [n] */
    bool (*on_step)(void *ctx, int step, double loss,
                    const float *x); /* false: stop here; NULL: none */
    void *ctx;
    int max_steps;
    double tolerance; /* stops when |gradient| <= tolerance x max(1, |x|) */
};

struct cb_lbfgs_result {
    double loss;
    int steps;
    bool stopped; /* by on_step */
};

/* Moves x from where it stands to a minimum. Memory comes from `scratch` and is given back. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_lbfgs_run(const struct cb_lbfgs *problem, struct cb_arena *scratch,
                                          float *x, struct cb_lbfgs_result *out);
