#include "core/train/product.h"

#include <math.h>
#include <string.h>

#include "core/kernels/gemm.h"

/* Below this many multiplications waking the threads costs more than they save. */
#define WORTH_THREADS ((size_t)1 << 24)

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct cb_status cb_products_init(struct cb_products *p, const struct cb_engine *engine,
                                  struct cb_arena *arena, size_t rows, const size_t layers[3])
{
    const struct cb_kernels *k = &engine->kernels;
    size_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        bytes = larger(bytes, cb_gemm_packed_bytes(k, layers[i], layers[i + 1]));
        bytes = larger(bytes, cb_gemm_packed_bytes(k, layers[i + 1], layers[i]));
        bytes = larger(bytes, cb_gemm_packed_bytes(k, rows, layers[i]));
    }
    p->engine = engine;
    CB_TRY(cb_arena_get(arena, rows * larger(layers[1], layers[2]), sizeof(float), "products",
                        &p->columns));
    return cb_arena_get(arena, bytes, 1, "products", &p->packed);
}

/* c[m, n] = max(lo, a[m, k] b[k, n] + bias); element (row, column) of b is b[row x row_stride +
 * column x column_stride]. */
struct product {
    size_t m, n, k;
    const float *a, *b;
    size_t row_stride, column_stride;
    const float *bias;
    float lo, *c;
};

static void multiply(const struct cb_products *p, const struct product *q)
{
    struct cb_threads *threads = q->m * q->n * q->k < WORTH_THREADS ? NULL : p->engine->threads;
    const struct cb_gemm gemm = { .m = q->m,
                                  .n = q->n,
                                  .k = q->k,
                                  .a = q->a,
                                  .lda = q->k,
                                  .packed = p->packed,
                                  .c = q->c,
                                  .ldc = q->n,
                                  .post = { .bias = q->bias, .lo = q->lo, .hi = INFINITY } };
    cb_gemm_pack(&p->engine->kernels, threads, q->k, q->n, q->b, q->row_stride, q->column_stride,
                 p->packed);
    cb_gemm_run(&p->engine->kernels, threads, &gemm);
}

void cb_product_forward(const struct cb_products *p, size_t n, size_t in, size_t out,
                        const float *x, const float *w, const float *b, float lo, float *y)
{
    multiply(p, &(struct product){ .m = n,
                                   .n = out,
                                   .k = in,
                                   .a = x,
                                   .b = w,
                                   .row_stride = 1,
                                   .column_stride = in,
                                   .bias = b,
                                   .lo = lo,
                                   .c = y });
}

void cb_product_to_input(const struct cb_products *p, size_t n, size_t in, size_t out,
                         const float *dy, const float *w, float *dx)
{
    multiply(p, &(struct product){ .m = n,
                                   .n = in,
                                   .k = out,
                                   .a = dy,
                                   .b = w,
                                   .row_stride = in,
                                   .column_stride = 1,
                                   .lo = -INFINITY,
                                   .c = dx });
}

void cb_product_to_weight(const struct cb_products *p, size_t n, size_t in, size_t out,
                          const float *dy, const float *x, float *dw, float *db)
{
    memset(db, 0, out * sizeof *db);
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < out; o++) {
            db[o] += dy[i * out + o];
            p->columns[o * n + i] = dy[i * out + o];
        }
    multiply(p, &(struct product){ .m = out,
                                   .n = in,
                                   .k = n,
                                   .a = p->columns,
                                   .b = x,
                                   .row_stride = in,
                                   .column_stride = 1,
                                   .lo = -INFINITY,
                                   .c = dw });
}
