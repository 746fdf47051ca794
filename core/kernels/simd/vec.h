/* core/kernels/simd/vec.h - the words that the fast sets are written in.
 *
 * A set is one .c file that defines its vector (W floats, `vec`), its tile (MR rows, NR = 2 W columns), the four operations
 * below that the C language has no word for, and then includes simd/set.h:
 *   vec_max(a, b), vec_min(a, b)    b where either is NaN
 *   vec_load_part(p, n), vec_store_part(p, n, v)    the first n <= W floats; the rest of a load is 0, and memory
 *                                                   after the first n is not touched
 * All functions are static: code built for one CPU must not be merged with that for another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/kernels/kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
