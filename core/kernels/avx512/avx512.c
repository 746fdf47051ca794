/* core/kernels/avx512/avx512.c - AVX-512 (F, BW, DQ, VL): 16 floats, tiles of 14 x 32. */
#include "core/kernels/avx512/words.h"

#include "core/kernels/simd/set.h"

void cb_kernels_use_avx512(struct cb_kernels *k)
{
    use_set(k);
}
