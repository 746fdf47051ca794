/* core/kernels/simd/rows.h - sums and maxima over rows of channels that are found through pointers. */
#pragma once

static ALWAYS_INLINE void depthwise_part(size_t i, size_t n, size_t taps, size_t c, const float *const *rows,
                                         const float *w, const struct cb_epilogue *post, float *y)
{
    vec sum = vec_all(0);
    for (size_t t = 0; t < taps; t++)
        sum += vec_load_part(rows[t] + i, n) * vec_load_part(w + t * c + i, n);
    if (post->bias)
        sum += vec_load_part(post->bias + i, n);
    if (post->residual)
        sum += vec_load_part(post->residual + i, n);
    vec_store_part(y + i, n, vec_clamp(sum, post->lo, post->hi));
}

static void depthwise(size_t taps, size_t c, const float *const *rows, const float *w,
                      const struct cb_epilogue *post, float *y)
{
#define BODY(i, part) depthwise_part(i, part, taps, c, rows, w, post, y)
    EACH_VECTOR(c, BODY);
#undef BODY
}

static ALWAYS_INLINE void max_part(size_t i, size_t n, size_t count, const float *const *rows, float *y)
{
    vec best = vec_load_part(rows[0] + i, n);
    for (size_t t = 1; t < count; t++)
        best = vec_max(vec_load_part(rows[t] + i, n), best);
    vec_store_part(y + i, n, best);
}

static void max_rows(size_t count, size_t c, const float *const *rows, float *y)
{
#define BODY(i, part) max_part(i, part, count, rows, y)
    EACH_VECTOR(c, BODY);
#undef BODY
}

static ALWAYS_INLINE void sum_part(size_t i, size_t n, size_t count, const float *const *rows, float scale,
                                   float *y)
{
    vec sum = vec_load_part(rows[0] + i, n);
    for (size_t t = 1; t < count; t++)
        sum += vec_load_part(rows[t] + i, n);
    vec_store_part(y + i, n, vec_all(scale) * sum);
}

static void sum_rows(size_t count, size_t c, const float *const *rows, float scale, float *y)
{
#define BODY(i, part) sum_part(i, part, count, rows, scale, y)
    EACH_VECTOR(c, BODY);
#undef BODY
}
