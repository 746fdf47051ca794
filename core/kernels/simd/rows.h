/* core/kernels/simd/rows.h - maxima and sums over rows of channels, found through pointers. */
#pragma once

static ALWAYS_INLINE void max_part(size_t i, size_t n, size_t count, const float *const *rows,
                                   float *y)
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

static ALWAYS_INLINE void sum_part(size_t i, size_t n, size_t count, const float *const *rows,
                                   float scale, float *y)
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
