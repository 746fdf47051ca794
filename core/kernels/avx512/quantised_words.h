/* core/kernels/avx512/quantised_words.h - the words of simd/quantised.h in 512 bits, and lanes of
 * all three widths. Left to the including file: qa, qb, qa_load, qb_load, wide_dot, dot_1, dot_2,
 * dot_4. */
#pragma once

#include <immintrin.h>
#include <string.h>

#include "core/kernels/simd/quantised_x86.h"
#include "core/kernels/simd/vec.h"

enum { W = 16, QUANTISED_MR = 14 };
#define QUANTISED_HEIGHTS(X)                                                                       \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define HAS_FOUR_LANES

typedef __m512 vec;
typedef __m512i wide;

static ALWAYS_INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static ALWAYS_INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static ALWAYS_INLINE vec vec_round(vec a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
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

static ALWAYS_INLINE wide wide_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static ALWAYS_INLINE vec wide_to_real(wide v)
{
    return _mm512_cvtepi32_ps(v);
}

static ALWAYS_INLINE vec bytes_load(const uint8_t *p, size_t n)
{
    const __m128i bytes = n == W ? _mm_loadu_si128((const __m128i *)(const void *)p)
                                 : _mm_maskz_loadu_epi8(first(n), p);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

static ALWAYS_INLINE void bytes_store(uint8_t *p, size_t n, vec v)
{
    const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v));
    if (n == W)
        _mm_storeu_si128((__m128i *)(void *)p, bytes);
    else
        _mm_mask_storeu_epi8(p, first(n), bytes);
}

/* 4 bytes in every 32 bits. */
static ALWAYS_INLINE __m512i all_of(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

LANE_WORDS(4, 512, _mm512_loadu_si512, _mm512_storeu_si512, _mm512)
