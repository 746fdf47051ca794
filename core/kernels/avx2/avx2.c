/* core/kernels/avx2/avx2.c - AVX2 and FMA: 8 floats, tiles of 6 x 16. */
#include "core/kernels/avx2/words.h"

enum { MR = 6, NR = 2 * W };
#define TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)

#include "core/kernels/simd/set.h"

void cb_kernels_use_avx2(struct cb_kernels *k)
{
    use_set(k);
}
