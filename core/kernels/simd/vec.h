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
 * A set whose shorter vectors take less time may define TILE_HALVES, HALF = W / 2, vec_half,
 * half_of(v) (the first half of v) and half_max, half_min, half_load_part, half_store_part.
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

/* What was loaded is not loaded again for each of its uses: a load costs as much as a product. */
#if defined(__aarch64__)
#define KEEP_IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define KEEP_IN_REGISTER(v) __asm__("" : "+v"(v))
#endif
