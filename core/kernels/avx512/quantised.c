/* core/kernels/avx512/quantised.c - bytes on AVX-512 without VNNI. */
#include "core/kernels/avx512/quantised_words.h"

EXACT_DOT(1, 128, _mm)
EXACT_DOT(2, 256, _mm256)
EXACT_DOT(4, 512, _mm512)

typedef struct {
    __m512i even, odd;
} qa;
typedef qa qb;

static ALWAYS_INLINE qa qa_load(const uint8_t *p)
{
    const __m512i x = all_of(p);
    return (qa){ _mm512_srli_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srli_epi16(x, 8) };
}

static ALWAYS_INLINE qb qb_load(const int8_t *p)
{
    const __m512i w = _mm512_loadu_si512(p);
    return (qb){ even_4(w), _mm512_srai_epi16(w, 8) };
}

static ALWAYS_INLINE wide wide_dot(wide sum, qa a, qb b)
{
    return parted_dot_4(sum, a.even, a.odd, b.even, b.odd);
}

#include "core/kernels/simd/quantised.h"

void cb_kernels_use_avx512_quantised(struct cb_kernels *k)
{
    use_set("avx512", &k->quantised);
}
