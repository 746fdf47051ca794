/* core/kernels/avx2/avx2.c - AVX2 and FMA: 8 floats, tiles of 6 x 16. */
#include <immintrin.h>

#include "core/kernels/simd/vec.h"

enum { W = 8, MR = 6, NR = 2 * W };
#define TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)

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

#include "core/kernels/simd/set.h"

void cb_kernels_use_avx2(struct cb_kernels *k)
{
    use_set(k);
}
