/* core/train/product.h - the three matrix products that a fully connected layer learns by.
 *
 * Over the engine's matrix product; results do not depend on the number of threads. Memory for packing comes from
 * `scratch` and is given back before the call returns. */
#pragma once

#include "core/base/arena.h"
#include "core/exec/engine.h"

struct cb_products {
    const struct cb_engine *engine;
    struct cb_arena *scratch;
};

/* y[n, out] = max(lo, x[n, in] w[out, in]^T + b[out]); lo -INFINITY: no activation; b NULL: none. */
CB_MUST_USE struct cb_status cb_product_forward(const struct cb_products *p, size_t n, size_t in, size_t out,
                                                const float *x, const float *w, const float *b, float lo, float *y);

/* dx[n, in] = dy[n, out] w[out, in]. */
CB_MUST_USE struct cb_status cb_product_to_input(const struct cb_products *p, size_t n, size_t in, size_t out,
                                                 const float *dy, const float *w, float *dx);

/* dw[out, in] = dy[n, out]^T x[n, in]; `packed` is x as cb_product_pack made it, NULL: packed here. */
CB_MUST_USE struct cb_status cb_product_to_weight(const struct cb_products *p, size_t n, size_t in, size_t out,
                                                  const float *dy, const float *x, const void *packed, float *dw);

/* db[out] = sum of dy[n, out] over rows. */
void cb_product_to_bias(size_t n, size_t out, const float *dy, float *db);

/* x[n, in] packed for many calls of cb_product_to_weight; stays in `scratch`. */
CB_MUST_USE struct cb_status cb_product_pack(const struct cb_products *p, size_t n, size_t in, const float *x,
                                             const void **packed);
