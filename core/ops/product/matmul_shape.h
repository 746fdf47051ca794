/* core/ops/product/matmul_shape.h - the sizes of a product of matrices by NumPy's rules: leading axes
 * are broadcast. Shared by MatMul and IntegerMatMul. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/tensor/shape.h"

/* Matrices [m,k] and [k,n], `batch` of them along leading axes. */
struct cb_matmul_shape {
    size_t m, n, k, batches;
    struct cb_shape batch; /* of y */
    size_t a_step[CB_MAX_RANK],
        b_step[CB_MAX_RANK]; /* matrices per step along each axis of batch */
    size_t b_count;          /* matrices in b */
};

/* m, n, k and batch; false when the shapes do not multiply. */
bool cb_matmul_shape_find(const struct cb_shape *a, const struct cb_shape *b,
                          struct cb_matmul_shape *out);

/* All of it, of shapes that multiply. With one matrix b, the matrices of a are the rows of one. */
struct cb_matmul_shape cb_matmul_shape_of(const struct cb_shape *a, const struct cb_shape *b);

/* The matrices of a and b that make matrix i of y. */
void cb_matmul_shape_at(const struct cb_matmul_shape *s, size_t i, size_t *a, size_t *b);
