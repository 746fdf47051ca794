/* core/kernels/avx512/vnni.c - bytes on AVX-512 VNNI: vpdpbusd adds 4 products to each of 16 sums.
 */
#include "core/kernels/avx512/quantised_words.h"

typedef __m512i qa;
typedef __m512i qb;

static ALWAYS_INLINE qa qa_load(const uint8_t *p)
{
    return all_of(p);
}

static ALWAYS_INLINE qb qb_load(const int8_t *p)
{
    return _mm512_loadu_si512(p);
}

static ALWAYS_INLINE wide wide_dot(wide sum, qa a, qb b)
{
    return _mm512_dpbusd_epi32(sum, a, b);
}

#define dot_1 _mm_dpbusd_epi32
#define dot_2 _mm256_dpbusd_epi32
#define dot_4 _mm512_dpbusd_epi32

#include "core/kernels/simd/quantised.h"

void cb_kernels_use_vnni(struct cb_kernels *k)
{
    use_set("vnni", &k->quantised);
}
