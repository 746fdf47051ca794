/* core/kernels/gemm.h - matrix product over the tiles of a set: C[m,n] = epilogue(A[m,k] x B[k,n]).
 *
 * With kernels->bf16, packing and running alike round A and B to bfloat16; sums stay floats.
 * B is packed once into panels of nr columns (the weights of a layer, at plan time; any other
 * matrix into scratch just before). A and C are used as they lie. */
#pragma once

#include <stdbool.h>

#include "core/base/threads.h"
#include "core/kernels/kernels.h"

/* Bytes of B[k,n] packed: panels [ceil(n / nr)][k][nr], the last one filled with zeros. */
size_t cb_gemm_packed_bytes(const struct cb_kernels *kernels, size_t k, size_t n);

/* Packs B. Element (row, column) of B is b[row * row_stride + column * column_stride]; `b` may be
 * unaligned (a mapped file) and `packed` is 64-byte aligned. */
void cb_gemm_pack(const struct cb_kernels *kernels, struct cb_threads *threads, size_t k, size_t n,
                  const void *b, size_t row_stride, size_t column_stride, void *packed);

/* Packs n filters of k weights [n][k], each times scale[filter] (NULL: 1). Where they are rounded,
 * a filter's sum is kept (bf16.h), which takes too long for what is packed at every run. */
void cb_gemm_pack_filters(const struct cb_kernels *kernels, struct cb_threads *threads, size_t k,
                          size_t n, const void *w, const float *scale, void *packed);

struct cb_gemm {
    size_t m, n, k;
    const float *a;
    size_t lda; /* floats between rows of A; its columns are contiguous */
    const void *packed;
    float *c;
    size_t ldc;             /* of the residual too */
    struct cb_prologue pre; /* to A: its columns are the channels */
    size_t image_rows;      /* rows of A that are one image; 0: all. For pre.image_step */
    struct cb_epilogue post;
};

/* Runs it on all threads. m, n or k may be 0 (k = 0 gives the epilogue of 0). */
void cb_gemm_run(const struct cb_kernels *kernels, struct cb_threads *threads,
                 const struct cb_gemm *gemm);

/* out[c][r] = in[r][c], in blocks; to bring a transposed A into rows. */
void cb_transpose_2d(struct cb_threads *threads, size_t rows, size_t columns, const float *in,
                     size_t in_stride, float *out, size_t out_stride);
