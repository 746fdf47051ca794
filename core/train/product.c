#include "core/train/product.h"

#include <math.h>
#include <string.h>

#include "core/kernels/gemm.h"

/* c[m, n] = max(lo, a[m, k] b[k, n] + bias) with b packed. */
static void run(const struct cb_products *p, size_t m, size_t n, size_t k, const float *a, const void *packed,
                const float *bias, float lo, float *c)
{
    cb_gemm_run(&p->engine->kernels, p->engine->threads,
                &(struct cb_gemm){ .m = m, .n = n, .k = k, .a = a, .lda = k, .packed = packed, .c = c, .ldc = n,
                                   .post = { .bias = bias, .lo = lo, .hi = INFINITY } });
}

static struct cb_status pack(const struct cb_products *p, size_t k, size_t n, const float *b, size_t row_stride,
                             size_t column_stride, void **packed)
{
    CB_TRY(cb_arena_get(p->scratch, cb_gemm_packed_bytes(&p->engine->kernels, k, n), 1, "packed matrix", packed));
    cb_gemm_pack(&p->engine->kernels, p->engine->threads, k, n, b, row_stride, column_stride, *packed);
    return cb_ok();
}

struct cb_status cb_product_forward(const struct cb_products *p, size_t n, size_t in, size_t out, const float *x,
                                    const float *w, const float *b, float lo, float *y)
{
    const size_t mark = p->scratch->used;
    void *packed;
    CB_TRY(pack(p, in, out, w, 1, in, &packed));
    run(p, n, out, in, x, packed, b, lo, y);
    cb_arena_rewind(p->scratch, mark);
    return cb_ok();
}

struct cb_status cb_product_to_input(const struct cb_products *p, size_t n, size_t in, size_t out, const float *dy,
                                     const float *w, float *dx)
{
    const size_t mark = p->scratch->used;
    void *packed;
    CB_TRY(pack(p, out, in, w, in, 1, &packed));
    run(p, n, in, out, dy, packed, NULL, -INFINITY, dx);
    cb_arena_rewind(p->scratch, mark);
    return cb_ok();
}

struct cb_status cb_product_pack(const struct cb_products *p, size_t n, size_t in, const float *x, const void **packed)
{
    void *block;
    CB_TRY(pack(p, n, in, x, in, 1, &block));
    *packed = block;
    return cb_ok();
}

struct cb_status cb_product_to_weight(const struct cb_products *p, size_t n, size_t in, size_t out, const float *dy,
                                      const float *x, const void *packed, float *dw)
{
    const size_t mark = p->scratch->used;
    float *columns;
    CB_TRY(cb_arena_get(p->scratch, n * out, sizeof(float), "transposed gradient", &columns));
    if (!packed)
        CB_TRY(cb_product_pack(p, n, in, x, &packed));
    cb_transpose_2d(p->engine->threads, n, out, dy, out, columns, n);
    run(p, out, in, n, columns, packed, NULL, -INFINITY, dw);
    cb_arena_rewind(p->scratch, mark);
    return cb_ok();
}

void cb_product_to_bias(size_t n, size_t out, const float *dy, float *db)
{
    memset(db, 0, out * sizeof *db);
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < out; o++)
            db[o] += dy[i * out + o];
}
