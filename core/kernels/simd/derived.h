/* core/kernels/simd/derived.h - words that follow from those of the including file (vec.h). */
#pragma once

static ALWAYS_INLINE vec vec_all(float x)
{
    return x - (vec){ 0 };
}

static ALWAYS_INLINE vec vec_load(const float *p)
{
    return vec_load_part(p, W);
}

/* NaN stays NaN. */
static ALWAYS_INLINE vec vec_clamp(vec x, float lo, float hi)
{
    return vec_min(vec_all(hi), vec_max(vec_all(lo), x));
}
