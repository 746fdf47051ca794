/* core/ops/elementwise/elementwise_rows.h - the inner loops of the operators with two inputs: one
 * row of a walk at a time.
 *
 * Operands of the walk: 0 is a, 1 is b, 2 the output (dense), 3 what a gradient is added to. */
#pragma once

#include "core/ops/elementwise/walk.h"
#include "core/ops/op.h"

struct cb_elementwise {
    const struct cb_kernels *kernels;
    const struct cb_tensor *a, *b, *y, *dy; /* y, dy: backward alone */
    struct cb_tensor *to;                   /* y of forward, da or db of backward */
    float lo, hi;                           /* Add's clamp */
    bool fmod;                              /* Mod's sign is the dividend's */
};

/* What an operator does with real and with whole numbers (and bool); NULL: it takes none. */
struct cb_elementwise_rows {
    cb_walk_fn *real, *whole, *slope_a, *slope_b;
    bool takes_bool, takes_whole; /* which of the types that `whole` computes */
    bool compares;                /* y is bool */
};

const struct cb_elementwise_rows *cb_elementwise_rows_get(enum cb_op op);

/* Pow of two different types: through double. */
void cb_elementwise_rows_pow_mixed(void *ctx, const struct cb_walk_row *row);
