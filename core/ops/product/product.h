/* core/ops/product/product.h - products of matrices that lie in memory in any way. */
#pragma once

#include "core/kernels/gemm.h"
#include "core/ops/op.h"

/* Element (r, c) is at[r * row + c * column]. */
struct cb_matrix {
    const float *at;
    size_t row, column;
};

/* A[m,k] x B[k,n]. */
struct cb_product {
    size_t m, n, k;
    struct cb_matrix a, b;
    float alpha; /* multiplies the product */
};

static inline struct cb_matrix cb_matrix_flip(struct cb_matrix m)
{
    return (struct cb_matrix){ m.at, m.column, m.row };
}

/* Bytes of the rows of alpha * A in order; 0 when A is used as it lies. */
size_t cb_product_rows_bytes(const struct cb_product *product);

/* The rows of alpha * A, in `scratch` or as they lie, with their stride. */
const float *cb_product_rows(const struct cb_product *product, struct cb_threads *threads,
                             float *scratch, size_t *stride);

/* Bytes of B packed, rounded up to CB_ALIGN. */
size_t cb_product_packed_bytes(const struct cb_product *product, const struct cb_kernels *kernels);

void cb_product_pack(const struct cb_product *product, const struct cb_op_call *call, void *packed);

/* out[m,n] += alpha * A x B, dense. Scratch: the sum of the two byte counts above. */
void cb_product_add(const struct cb_product *product, const struct cb_op_call *call, void *scratch,
                    float *out);

/* That sum. */
size_t cb_product_scratch_bytes(const struct cb_product *product, const struct cb_kernels *kernels);
