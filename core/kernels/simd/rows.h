/* core/kernels/simd/rows.h - maxima and sums over rows of channels, found through pointers; one row
 * brought to mean 0 and variance 1. */
#pragma once

enum { ROW_VECTORS = 4 }; /* a pointer that was loaded serves so many vectors */

/* `vectors` vectors from i on, of whose last `part` floats count. */
static ALWAYS_INLINE void max_part(size_t i, const int vectors, size_t part, size_t count,
                                   const float *const *rows, float *y)
{
    vec best[ROW_VECTORS];
    UNROLL
    for (int j = 0; j < vectors; j++)
        best[j] = vec_load_part(rows[0] + i + j * W, j < vectors - 1 ? W : part);
    for (size_t t = 1; t < count; t++) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const vec x = vec_load_part(rows[t] + i + j * W, j < vectors - 1 ? W : part);
            best[j] = vec_max(x, best[j]);
        }
    }
    UNROLL
    for (int j = 0; j < vectors; j++)
        vec_store_part(y + i + j * W, j < vectors - 1 ? W : part, best[j]);
}

static ALWAYS_INLINE void sum_part(size_t i, const int vectors, size_t part, size_t count,
                                   const float *const *rows, float scale, float *y)
{
    vec sum[ROW_VECTORS];
    UNROLL
    for (int j = 0; j < vectors; j++)
        sum[j] = vec_load_part(rows[0] + i + j * W, j < vectors - 1 ? W : part);
    for (size_t t = 1; t < count; t++) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const vec x = vec_load_part(rows[t] + i + j * W, j < vectors - 1 ? W : part);
            sum[j] = sum[j] + x;
        }
    }
    UNROLL
    for (int j = 0; j < vectors; j++)
        vec_store_part(y + i + j * W, j < vectors - 1 ? W : part, vec_all(scale) * sum[j]);
}

/* BODY(i, vectors, part) over c floats. */
#define EACH_ROW_PART(c, BODY)                                                                     \
    do {                                                                                           \
        size_t i_ = 0;                                                                             \
        for (; i_ + ROW_VECTORS * W <= (c); i_ += ROW_VECTORS * W)                                 \
            BODY(i_, ROW_VECTORS, W);                                                              \
        for (; i_ + W <= (c); i_ += W)                                                             \
            BODY(i_, 1, W);                                                                        \
        if (i_ < (c))                                                                              \
            BODY(i_, 1, (c)-i_);                                                                   \
    } while (0)

static void max_rows(size_t count, size_t c, const float *const *rows, float *y)
{
#define BODY(i, vectors, part) max_part(i, vectors, part, count, rows, y)
    EACH_ROW_PART(c, BODY);
#undef BODY
}

static void sum_rows(size_t count, size_t c, const float *const *rows, float scale, float *y)
{
#define BODY(i, vectors, part) sum_part(i, vectors, part, count, rows, scale, y)
    EACH_ROW_PART(c, BODY);
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
