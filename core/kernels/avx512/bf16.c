/* core/kernels/avx512/bf16.c - products of pairs of bfloat16 (AVX512_BF16): twice the rate of
 * floats. */
#include <string.h>

#include "core/kernels/avx512/words.h"
#include "core/kernels/bf16.h"
#include "core/kernels/simd/derived.h"

/* The pair's bits, untouched by arithmetic. */
static ALWAYS_INLINE vec broadcast_pair(const float *p)
{
    int bits;
    memcpy(&bits, p, sizeof bits);
    return _mm512_castsi512_ps(_mm512_set1_epi32(bits));
}

#define TILE_BROADCAST(p) broadcast_pair(p)
#define TILE_ADD(sum, x, b) sum = _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(b))
#define TILE_ADD_HALF(sum, x, b) sum = _mm256_dpbf16_ps(sum, (__m256bh)half_of(x), (__m256bh)(b))
#include "core/kernels/simd/tile.h"

static void to_pairs(size_t n, const float *x, float *y)
{
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        const __m512 low = _mm512_loadu_ps(x + i), high = _mm512_loadu_ps(x + i + W);
        _mm512_storeu_si512((void *)(y + i / 2), (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    cb_bf16_pairs(n - i, x + i, y + i / 2);
}

void cb_kernels_use_avx512_bf16(struct cb_kernels *k)
{
    k->tile_pairs = tile;
    k->to_pairs = to_pairs;
    k->fast_pairs = true;
}
