/* core/kernels/simd/vec.h - the words that the fast sets are written in.
 *
 * A set is one .c file that defines these and then includes simd/set.h:
 *
 * W, vec                   floats in a vector, and its type: arithmetic is the C operators
 * MR, NR                   rows and columns of its tile; NR = 2 W
 * TILE_HEIGHTS(X)          X(1) .. X(MR)
 * vec_max(a, b)            a > b ? a : b in every place, so b where either is NaN
 * vec_min(a, b)            a < b ? a : b
 * vec_load_part(p, n)      the first n <= W floats, then zeros; nothing else is read
 * vec_store_part(p, n, v)  the first n <= W floats; nothing else is written
 *
 * All functions are static: code built for one CPU must not be merged with that for another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels/kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
