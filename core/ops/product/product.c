#include "core/ops/product/product.h"

#include <math.h>

#include "core/base/arena.h"
#include "core/base/file.h"

/* Weights that are read for the last time are packed in steps of this size: file and packed form
 * together then take little more than one of them. */
#define STEP_ELEMENTS ((size_t)4 << 20)

size_t cb_product_rows_bytes(const struct cb_product *p)
{
    return p->a.column == 1 && p->alpha == 1 ? 0 : cb_align_up(p->m * p->k * sizeof(float));
}

const float *cb_product_rows(const struct cb_product *p, struct cb_threads *threads, float *scratch,
                             size_t *stride)
{
    if (!cb_product_rows_bytes(p)) {
        *stride = p->a.row;
        return p->a.at;
    }
    *stride = p->k;
    if (p->a.row == 1)
        cb_transpose_2d(threads, p->k, p->m, p->a.at, p->a.column, scratch, p->k);
    else
        for (size_t r = 0; r < p->m; r++)
            for (size_t c = 0; c < p->k; c++)
                scratch[r * p->k + c] = p->a.at[r * p->a.row + c * p->a.column];
    for (size_t i = 0; p->alpha != 1 && i < p->m * p->k; i++)
        scratch[i] *= p->alpha;
    return scratch;
}

size_t cb_product_packed_bytes(const struct cb_product *p, const struct cb_kernels *kernels)
{
    return cb_align_up(cb_gemm_packed_bytes(kernels, p->k, p->n));
}

void cb_product_pack(const struct cb_product *p, const struct cb_op_call *call, void *packed)
{
    const size_t nr = call->kernels->nr, panels = (p->n + nr - 1) / nr,
                 panel = cb_gemm_packed_bytes(call->kernels, p->k, nr) / sizeof(float);
    const bool in_steps =
        call->mapped && p->b.row == 1; /* a panel's columns lie together in the file */
    const size_t step = in_steps && panel ? STEP_ELEMENTS / panel + 1 : panels;
    for (size_t at = 0; at < panels; at += step) {
        const float *from = p->b.at + at * nr * p->b.column;
        const size_t n = (at + step) * nr < p->n ? step * nr : p->n - at * nr;
        cb_gemm_pack(call->kernels, call->threads, p->k, n, from, p->b.row, p->b.column,
                     (float *)packed + at * panel);
        if (in_steps)
            cb_file_let_go(from, n * p->b.column * sizeof(float));
    }
}

size_t cb_product_scratch_bytes(const struct cb_product *p, const struct cb_kernels *kernels)
{
    return cb_product_rows_bytes(p) + cb_product_packed_bytes(p, kernels);
}

void cb_product_add(const struct cb_product *p, const struct cb_op_call *call, void *scratch,
                    float *out)
{
    float *packed = (float *)(void *)((char *)scratch + cb_product_rows_bytes(p));
    struct cb_gemm gemm = { .m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .packed = packed,
                            .c = out,
                            .ldc = p->n,
                            .post = { .residual = out, .lo = -INFINITY, .hi = INFINITY } };
    gemm.a = cb_product_rows(p, call->threads, scratch, &gemm.lda);
    cb_product_pack(p, call, packed);
    cb_gemm_run(call->kernels, call->threads, &gemm);
}
