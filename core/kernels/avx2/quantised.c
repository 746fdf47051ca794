/* core/kernels/avx2/quantised.c - bytes on AVX2: 8 sums in a vector, tiles of 4 x 16. */
#include <string.h>

#include "core/kernels/avx2/words.h"
#include "core/kernels/simd/quantised_x86.h"

enum { MR = 4, NR = 2 * W };
#define TILE_HEIGHTS(X) X(1) X(2) X(3) X(4)

EXACT_DOT(1, 128, _mm)
EXACT_DOT(2, 256, _mm256)

typedef __m256i wide;
typedef struct {
    __m256i even, odd;
} qa;
typedef qa qb;

static ALWAYS_INLINE wide wide_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static ALWAYS_INLINE void wide_store_part(int32_t *p, size_t n, wide v)
{
    memcpy(p, &v, n * sizeof *p);
}

static ALWAYS_INLINE wide wide_minus(wide sum, wide v, int32_t x)
{
    return _mm256_sub_epi32(sum, _mm256_mullo_epi32(v, _mm256_set1_epi32(x)));
}

static ALWAYS_INLINE wide wide_sum(wide sum, const uint8_t *p)
{
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
}

static ALWAYS_INLINE vec wide_to_real(wide v)
{
    return _mm256_cvtepi32_ps(v);
}

static ALWAYS_INLINE vec bytes_load(const uint8_t *p, size_t n)
{
    uint64_t eight = 0;
    memcpy(&eight, p, n);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)eight)));
}

static ALWAYS_INLINE void bytes_store(uint8_t *p, size_t n, vec v, int zero)
{
    const __m256i wholes = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(zero));
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(wholes), _mm256_extracti128_si256(wholes, 1));
    const int64_t eight = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    memcpy(p, &eight, n);
}

static ALWAYS_INLINE qa qa_load(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    const __m256i x = _mm256_set1_epi32(four);
    return (qa){ _mm256_srli_epi16(_mm256_slli_epi16(x, 8), 8), _mm256_srli_epi16(x, 8) };
}

static ALWAYS_INLINE qb qb_load(const int8_t *p)
{
    const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return (qb){ even_2(w), _mm256_srai_epi16(w, 8) };
}

static ALWAYS_INLINE wide wide_dot(wide sum, qa a, qb b)
{
    return parted_dot_2(sum, a.even, a.odd, b.even, b.odd);
}

#include "core/kernels/simd/quantised.h"

void cb_kernels_use_avx2_quantised(struct cb_kernels *k)
{
    use_set("avx2", &k->quantised);
}
