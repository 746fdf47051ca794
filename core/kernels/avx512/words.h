/* core/kernels/avx512/words.h - the words of simd/vec.h in 512 bits; tiles are 14 x 32, of floats,
 * pairs and bytes alike. */
#pragma once

#include <immintrin.h>

#include "core/kernels/simd/vec.h"

enum { W = 16, MR = 14, NR = 2 * W };
#define TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

typedef __m512 vec;

static ALWAYS_INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static ALWAYS_INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static ALWAYS_INLINE __mmask16 first(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static ALWAYS_INLINE vec vec_load_part(const float *p, size_t n)
{
    return n == W ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first(n), p);
}

static ALWAYS_INLINE void vec_store_part(float *p, size_t n, vec v)
{
    if (n == W)
        _mm512_storeu_ps(p, v);
    else
        _mm512_mask_storeu_ps(p, first(n), v);
}

/* Half a vector takes half the time: 512 bits go through units of 256. */
#define TILE_HALVES
enum { HALF = W / 2 };

typedef __m256 vec_half;

static ALWAYS_INLINE vec_half half_of(vec v)
{
    return _mm512_castps512_ps256(v);
}

static ALWAYS_INLINE vec_half half_max(vec_half a, vec_half b)
{
    return _mm256_max_ps(a, b);
}

static ALWAYS_INLINE vec_half half_min(vec_half a, vec_half b)
{
    return _mm256_min_ps(a, b);
}

static ALWAYS_INLINE vec_half half_load_part(const float *p, size_t n)
{
    return n == HALF ? _mm256_loadu_ps(p) : _mm256_maskz_loadu_ps((__mmask8)first(n), p);
}

static ALWAYS_INLINE void half_store_part(float *p, size_t n, vec_half v)
{
    if (n == HALF)
        _mm256_storeu_ps(p, v);
    else
        _mm256_mask_storeu_ps(p, (__mmask8)first(n), v);
}
