/* core/kernels/avx2/words.h - the words of simd/vec.h in 256 bits. */
#pragma once

#include <immintrin.h>

#include "core/kernels/simd/vec.h"

enum { W = 8 };

typedef __m256 vec;

static ALWAYS_INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static ALWAYS_INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static ALWAYS_INLINE __m256i first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static ALWAYS_INLINE vec vec_load_part(const float *p, size_t n)
{
    return n == W ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}

static ALWAYS_INLINE void vec_store_part(float *p, size_t n, vec v)
{
    if (n == W)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, first(n), v);
}
