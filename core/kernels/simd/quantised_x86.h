/* core/kernels/simd/quantised_x86.h - the words of simd/quantised_lanes.h for vectors of x86, but
 * dot_L; and a multiply-add of 4 bytes that is exact on every CPU.
 *
 * vpmaddubsw would add two products in 16 bits, and saturate. Here bytes are parted into the even
 * and the odd ones, widened to 16 bits in their places, and multiplied by vpmaddwd, whose sums are
 * 32 bits wide. */
#pragma once

#include <immintrin.h>

#include "core/kernels/simd/vec.h"

/* clang-format off */
#define LANE_WORDS(lanes, bits, load, store, mm)                                      \
    typedef __m##bits##i lanes_##lanes;                                                            \
    typedef __m##bits reals_##lanes;                                                               \
    static ALWAYS_INLINE lanes_##lanes load_##lanes(const void *p) { return load(p); }             \
    static ALWAYS_INLINE void store_##lanes(void *p, lanes_##lanes v) { store(p, v); }             \
    static ALWAYS_INLINE lanes_##lanes most_##lanes(lanes_##lanes a, lanes_##lanes b)              \
    {                                                                                              \
        return mm##_max_epu8(a, b);                                                                \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes low8_##lanes(lanes_##lanes a, lanes_##lanes b)              \
    {                                                                                              \
        return mm##_unpacklo_epi8(a, b);                                                           \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes high8_##lanes(lanes_##lanes a, lanes_##lanes b)             \
    {                                                                                              \
        return mm##_unpackhi_epi8(a, b);                                                           \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes low16_##lanes(lanes_##lanes a, lanes_##lanes b)             \
    {                                                                                              \
        return mm##_unpacklo_epi16(a, b);                                                          \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes high16_##lanes(lanes_##lanes a, lanes_##lanes b)            \
    {                                                                                              \
        return mm##_unpackhi_epi16(a, b);                                                          \
    }                                                                                              \
    static ALWAYS_INLINE reals_##lanes finish_##lanes(lanes_##lanes sum, const float *scale,       \
                                                      const float *shift, float lo, float hi)      \
    {                                                                                              \
        const reals_##lanes v = mm##_cvtepi32_ps(sum) * mm##_loadu_ps(scale) +                     \
                                mm##_loadu_ps(shift);                                              \
        return mm##_min_ps(mm##_set1_ps(hi), mm##_max_ps(mm##_set1_ps(lo), v));                    \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes round_##lanes(reals_##lanes v, int zero)                    \
    {                                                                                              \
        return mm##_add_epi32(mm##_cvtps_epi32(v), mm##_set1_epi32(zero));                         \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes pack_##lanes(lanes_##lanes a, lanes_##lanes b,              \
                                                    lanes_##lanes c, lanes_##lanes d)              \
    {                                                                                              \
        return mm##_packus_epi16(mm##_packs_epi32(a, b), mm##_packs_epi32(c, d));                  \
    }
/* clang-format on */

#define LOAD_128(p)     _mm_loadu_si128((const __m128i *)(p))
#define LOAD_256(p)     _mm256_loadu_si256((const __m256i *)(p))
#define STORE_128(p, v) _mm_storeu_si128((__m128i *)(p), v)
#define STORE_256(p, v) _mm256_storeu_si256((__m256i *)(p), v)
LANE_WORDS(1, 128, LOAD_128, STORE_128, _mm)
LANE_WORDS(2, 256, LOAD_256, STORE_256, _mm256)

/* clang-format off */
#define EXACT_DOT(lanes, bits, mm)                                                                 \
    static ALWAYS_INLINE lanes_##lanes even_##lanes(lanes_##lanes w)                               \
    {                                                                                              \
        return mm##_srai_epi16(mm##_slli_epi16(w, 8), 8);                                          \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes parted_dot_##lanes(lanes_##lanes sum, lanes_##lanes even,   \
                                                          lanes_##lanes odd, lanes_##lanes w_even, \
                                                          lanes_##lanes w_odd)                     \
    {                                                                                              \
        sum = mm##_add_epi32(sum, mm##_madd_epi16(even, w_even));                                  \
        return mm##_add_epi32(sum, mm##_madd_epi16(odd, w_odd));                                   \
    }                                                                                              \
    static ALWAYS_INLINE lanes_##lanes dot_##lanes(lanes_##lanes sum, lanes_##lanes x,             \
                                                   lanes_##lanes w)                                \
    {                                                                                              \
        const lanes_##lanes even = mm##_srli_epi16(mm##_slli_epi16(x, 8), 8);                      \
        return parted_dot_##lanes(sum, even, mm##_srli_epi16(x, 8), even_##lanes(w),               \
                                  mm##_srai_epi16(w, 8));                                          \
    }
/* clang-format on */
