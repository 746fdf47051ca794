/* core/kernels/simd/rows.h - maxima and sums over rows of channels, found through pointers; one row
 * brought to mean 0 and variance 1. */
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

/* The sum of (x[i] - mean)^power, power 1 or 2. */
static ALWAYS_INLINE float sum_of(size_t n, const float *x, float mean, const int power)
{
    enum { SUMS = 4 };
    vec sums[SUMS] = { 0 };
    size_t i = 0;
    for (; i + SUMS * W <= n; i += SUMS * W) {
        UNROLL
        for (size_t j = 0; j < SUMS; j++) {
            const vec d = vec_load(x + i + j * W) - mean;
            if (power == 2)
                sums[j] += d * d;
            else
                sums[j] += d;
        }
    }
    for (; i + W <= n; i += W) {
        const vec d = vec_load(x + i) - mean;
        if (power == 2)
            sums[0] += d * d;
        else
            sums[0] += d;
    }
    float sum = vec_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; i < n; i++)
        sum += power == 2 ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
    return sum;
}

static void normalize(size_t n, const float *x, float epsilon, bool centered, const float *scale,
                      const float *bias, float *y)
{
    const float count = (float)(n ? n : 1), mean = centered ? sum_of(n, x, 0, 1) / count : 0;
    const float inverse = 1 / __builtin_sqrtf(sum_of(n, x, mean, 2) / count + epsilon);
#define BODY(i, part)                                                                              \
    do {                                                                                           \
        vec v = (vec_load_part(x + i, part) - mean) * inverse;                                     \
        if (scale)                                                                                 \
            v *= vec_load_part(scale + i, part);                                                   \
        if (bias)                                                                                  \
            v += vec_load_part(bias + i, part);                                                    \
        vec_store_part(y + i, part, v);                                                            \
    } while (0)
    EACH_VECTOR(n, BODY);
#undef BODY
}
