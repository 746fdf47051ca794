/* core/kernels/winograd.h - minimal filtering, F(m,k): m outputs of k taps by n = m + k - 1
 * products (Winograd; Lavin and Gray, arXiv:1509.09308).
 *
 * y = A^T [ (G g) * (B^T d) ], in two dimensions once along each axis. The n points are 0, infinity
 * and pairs of opposite numbers; B^T depends on n alone, A^T is its first m powers, G its first k,
 * so that one set of n points serves every k. n = 1 is an axis of one tap: nothing to do.
 *
 * Stride 2 has a set of its own, n = 5, m = 2, k = 3: inputs 0, 2 and 4 meet taps 0 and 2 as
 * F(2,2), inputs 1 and 3 meet tap 1 as they are; the last two rows of G are one. Products are 25
 * instead of 36 in two dimensions, and nothing is magnified.
 *
 * Points decide how much rounding is magnified. n = 6 has the square roots of 1/2 and 2 instead of
 * the usual 1 and 2: the error is half as large, about that of the plain sum. n = 8 has 1/2, 1 and
 * 2, the best found in a search; its error is four times as large. Private to core/kernels. */
#pragma once

#include <stddef.h>

enum {
    CB_WINOGRAD_POINTS_MAX = 8,
    CB_WINOGRAD_STRIDED = 5 /* the set for three taps of stride 2 */
};

/* Element (i, j) of B^T [n, n], n one of 1, 4, 5, 6, 8; of A^T [m, n]; of G [n, k]. */
float cb_winograd_bt(size_t n, size_t i, size_t j);
float cb_winograd_at(size_t n, size_t m, size_t i, size_t j);
double cb_winograd_g(size_t n, size_t k, size_t i, size_t j);

/* Rows of G that differ; the row among them that point i has. */
static inline size_t cb_winograd_rows(size_t n)
{
    return n == CB_WINOGRAD_STRIDED ? 4 : n;
}

static inline size_t cb_winograd_row(size_t n, size_t i)
{
    return n == CB_WINOGRAD_STRIDED && i == 4 ? 3 : i;
}
