/* core/ops/reduce/reduce_rows.h - how each reduction takes in one more element, what it makes of
 * them in the end, and how its result changes with one of them.
 *
 * Sums of real numbers are kept in double. `shift` is what ReduceLogSumExp takes off first: the
 * greatest element. */
#pragma once

#include "core/ops/op.h"

#define CB_REDUCE_BLOCK 64 /* columns that are reduced together */

/* What the gradient needs of all the elements that make one result. */
struct cb_reduce_state {
    double product; /* of those that are not 0: ReduceProd */
    double count;   /* zeros: ReduceProd; elements equal to the result: ReduceMax, ReduceMin */
};

struct cb_reduce_rows {
    /* acc[j] takes in x[j], for n columns; acc[0] takes in x[0], x[1], ... of a row */
    void (*columns)(size_t n, const float *x, const double *shift, double *acc);
    void (*row)(size_t n, const float *x, const double *shift, double *acc);
    double start; /* the result of nothing, before finish */
    double (*finish)(double acc, double shift, double n);
    float (*slope)(float x, float y, double n, const struct cb_reduce_state *state);
    void (*prepare)(float x, float y,
                    struct cb_reduce_state *state);             /* NULL: slope needs no state */
    int64_t (*whole)(int64_t acc, int64_t x, bool is_unsigned); /* NULL: real numbers only */
    bool takes_bool;
};

/* op: one of CB_OP_REDUCE_SUM .. CB_OP_REDUCE_SUM_SQUARE */
const struct cb_reduce_rows *cb_reduce_rows_get(enum cb_op op);
