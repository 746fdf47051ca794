/* core/kernels/avx512/quantised_words.h - the words of simd/quantised.h in 512 bits, and lanes of
 * all three widths. Left to the including file: qa, qb, qa_load, qb_load, wide_dot, dot_1, dot_2,
 * dot_4. */
#pragma once

#include <string.h>

#include "core/kernels/avx512/words.h"
#include "core/kernels/simd/quantised_x86.h"

#define HAS_FOUR_LANES

typedef __m512i wide;

static ALWAYS_INLINE wide wide_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static ALWAYS_INLINE void wide_store_part(int32_t *p, size_t n, wide v)
{
    _mm512_mask_storeu_epi32(p, first(n), v);
}

static ALWAYS_INLINE wide wide_minus(wide sum, wide v, int32_t x)
{
    return _mm512_sub_epi32(sum, _mm512_mullo_epi32(v, _mm512_set1_epi32(x)));
}

static ALWAYS_INLINE wide wide_sum(wide sum, const uint8_t *p)
{
    return _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_loadu_si512(p), _mm512_setzero_si512()));
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

static ALWAYS_INLINE void bytes_store(uint8_t *p, size_t n, vec v, int zero)
{
    const __m512i wholes = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(zero));
    const __m128i bytes = _mm512_cvtepi32_epi8(wholes);
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
