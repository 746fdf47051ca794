/* core/kernels/neon/neon.c - AArch64's Advanced SIMD, which each such CPU has: 4 floats, tiles of
 * 12 x 8. Of the 32 registers 24 hold sums, and there is room for two of B and some of A. */
#include <arm_neon.h>

#include "core/kernels/simd/vec.h"

enum { W = 4, MR = 12, NR = 2 * W };
#define TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

typedef float32x4_t vec;

/* Comparisons, as vmaxq_f32 gives NaN where either is NaN. */
static ALWAYS_INLINE vec vec_max(vec a, vec b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static ALWAYS_INLINE vec vec_min(vec a, vec b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

static ALWAYS_INLINE vec vec_load_part(const float *p, size_t n)
{
    const float32x2_t none = vdup_n_f32(0);
    switch (n) {
    case 0: return vdupq_n_f32(0);
    case 1: return vcombine_f32(vld1_lane_f32(p, none, 0), none);
    case 2: return vcombine_f32(vld1_f32(p), none);
    case 3: return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
    default: return vld1q_f32(p);
    }
}

static ALWAYS_INLINE void vec_store_part(float *p, size_t n, vec v)
{
    switch (n) {
    case 0: return;
    case 1: vst1q_lane_f32(p, v, 0); return;
    case 2: vst1_f32(p, vget_low_f32(v)); return;
    case 3:
        vst1_f32(p, vget_low_f32(v));
        vst1q_lane_f32(p + 2, v, 2);
        return;
    default: vst1q_f32(p, v); return;
    }
}

#include "core/kernels/simd/set.h"

void cb_kernels_use_neon(struct cb_kernels *k)
{
    use_set(k);
}
