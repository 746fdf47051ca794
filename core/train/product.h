/* core/train/product.h - the matrix products that a fully connected layer learns by, for
 * mini-batches.
 *
 * Over the engine's matrix product; results do not depend on the number of threads. */
#pragma once

#include "core/base/arena.h"
#include "core/exec/engine.h"

/* Working memory. */
struct cb_products {
    const struct cb_engine *engine;
    float *columns; /* a transposed gradient */
    void *packed;
};

/* For layers [inputs -> hidden -> classes] on batches of `rows`. Memory lies in `arena`. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_products_init(struct cb_products *p, const struct cb_engine *engine,
                                              struct cb_arena *arena, size_t rows,
                                              const size_t layers[3]);

/* y[n, out] = max(lo, x[n, in] w[out, in]^T + b[out]); lo -INFINITY: no activation. Any number of
 * rows. */
void cb_product_forward(const struct cb_products *p, size_t n, size_t in, size_t out,
                        const float *x, const float *w, const float *b, float lo, float *y);

/* dx[n, in] = dy[n, out] w[out, in]. */
void cb_product_to_input(const struct cb_products *p, size_t n, size_t in, size_t out,
                         const float *dy, const float *w, float *dx);

/* dw[out, in] = dy[n, out]^T x[n, in]; db[out] = sum of dy over rows. */
void cb_product_to_weight(const struct cb_products *p, size_t n, size_t in, size_t out,
                          const float *dy, const float *x, float *dw, float *db);
