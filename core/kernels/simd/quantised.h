/* core/kernels/simd/quantised.h - all loops on bytes of a fast set. The including file defines the
 * words of simd/vec.h, and for 32-bit sums:
 *
 * wide                     W 32-bit integers, 4 W bytes
 * wide_load(p)
 * wide_store_part(p, n, v) n <= W integers
 * wide_minus(sum, v, x)    sum - v * x, x a number
 * wide_sum(v, p)           v + sums of the 4 W bytes at p, in W / 2 integers of 64 bits
 * qa, qb                   4 bytes of a row for all columns; 4 bytes of W columns each
 * qa_load(p), qb_load(p)
 * wide_dot(sum, qa, qb)    sum += the products of 4 unsigned bytes and 4 signed ones
 * wide_to_real(v)          W floats
 * bytes_load(p, n)         n <= W bytes as floats; nothing else is read
 * bytes_store(p, n, v, z)  n <= W floats of -z .. 255 - z, rounded to even, plus the number z
 * and those of quantised_lanes.h. */
#pragma once

#include "core/kernels/simd/derived.h"

/* n <= W columns from `column` on of a row whose sums are `sum`; `row` in elements. */
static ALWAYS_INLINE void finish_columns(const struct cb_quantised_tile *t, size_t row,
                                         size_t column, size_t n, wide sum, vec scale, vec shift)
{
    const size_t at = row * t->out_stride + column;
    if (t->row_sums)
        sum = wide_minus(sum, wide_load(t->post.w_zero + column), t->row_sums[row]);
    if (t->sums) {
        wide_store_part(t->sums + at, n, sum);
        return;
    }
    vec v = wide_to_real(sum) * scale + shift;
    if (t->post.residual)
        v += bytes_load(t->post.residual + at, n) * vec_all(t->post.residual_scale);
    v = vec_clamp(v, t->post.lo, t->post.hi);
    if (t->bytes)
        bytes_store(t->bytes + at, n, v, t->post.zero);
    else
        vec_store_part(t->reals + at, n, v);
}

static ALWAYS_INLINE void finish_rows(const struct cb_quantised_tile *t, const bool two,
                                      wide (*sums)[2])
{
    const vec scale0 = vec_load_part(t->post.scale, W), shift0 = vec_load_part(t->post.shift, W);
    const vec scale1 = vec_load_part(t->post.scale + W, W),
              shift1 = vec_load_part(t->post.shift + W, W);
    for (size_t i = 0; i < t->m; i++) {
        finish_columns(t, i, 0, two ? W : t->n, sums[i][0], scale0, shift0);
        if (two)
            finish_columns(t, i, W, t->n - W, sums[i][1], scale1, shift1);
    }
}

static void finish_tile(const struct cb_quantised_tile *t, const bool two, wide (*sums)[2])
{
    if (two)
        finish_rows(t, true, sums);
    else
        finish_rows(t, false, sums);
}

static ALWAYS_INLINE void tile_of(const struct cb_quantised_tile *t, const int rows, const bool two)
{
    enum { STEP = NR * CB_QUANTISED_GROUP };
    wide sum0[MR], sum1[MR];
    const wide start0 = wide_load(t->post.start), start1 = wide_load(t->post.start + W);
    UNROLL
    for (int i = 0; i < rows; i++) {
        sum0[i] = start0;
        sum1[i] = start1;
    }
    const int8_t *b = t->panel;
    for (size_t tap = 0; tap < t->taps; tap++) {
        const uint8_t *a[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            a[i] = t->rows[tap * MR + (size_t)i];
        for (size_t k = 0; k < t->groups * CB_QUANTISED_GROUP; k += CB_QUANTISED_GROUP, b += STEP) {
            const qb b0 = qb_load(b), b1 = two ? qb_load(b + STEP / 2) : b0;
            UNROLL
            for (int i = 0; i < rows; i++) {
                const qa x = qa_load(a[i] + k);
                sum0[i] = wide_dot(sum0[i], x, b0);
                if (two)
                    sum1[i] = wide_dot(sum1[i], x, b1);
            }
        }
    }
    /* Through memory: an epilogue unrolled for every row would be most of the program, and keep the
     * sums out of the registers before it. */
    wide done[MR][2];
    UNROLL
    for (int i = 0; i < rows; i++) {
        done[i][0] = sum0[i];
        done[i][1] = sum1[i];
    }
    finish_tile(t, two, done);
}

#define TILE_OF(m)                                                                                 \
    static void tile_##m##_1(const struct cb_quantised_tile *t)                                    \
    {                                                                                              \
        tile_of(t, m, false);                                                                      \
    }                                                                                              \
    static void tile_##m##_2(const struct cb_quantised_tile *t)                                    \
    {                                                                                              \
        tile_of(t, m, true);                                                                       \
    }
TILE_HEIGHTS(TILE_OF)
#undef TILE_OF

#define TILE_ROW(m) { tile_##m##_1, tile_##m##_2 },
static void (*const tiles[MR][2])(const struct cb_quantised_tile *) = {
    TILE_HEIGHTS(TILE_ROW)
};
#undef TILE_ROW

static void tile(const struct cb_quantised_tile *t)
{
    if (t->m > 0 && t->n > 0)
        tiles[t->m - 1][t->n > W](t);
}

/* ---- elementwise and rows ---- */

enum { RUN = 64 }; /* channels whose results stay in registers */

/* clang-format off */
#define MAX_RUNS(lanes)                                                                            \
    for (; c + 16 * lanes <= channels; c += 16 * lanes) {                                          \
        lanes_##lanes best = load_##lanes(rows[0] + c);                                            \
        for (size_t t = 1; t < count; t++)                                                         \
            best = most_##lanes(best, load_##lanes(rows[t] + c));                                  \
        store_##lanes(y + c, best);                                                                \
    }
/* clang-format on */

static void max_rows(size_t count, size_t channels, const uint8_t *const *rows, uint8_t *y)
{
    size_t c = 0;
#ifdef HAS_FOUR_LANES
    MAX_RUNS(4)
#endif
    MAX_RUNS(2)
    MAX_RUNS(1)
    for (; c < channels; c++) {
        uint8_t best = rows[0][c];
        for (size_t t = 1; t < count; t++)
            best = rows[t][c] > best ? rows[t][c] : best;
        y[c] = best;
    }
}

static ALWAYS_INLINE void mean_run(size_t n, size_t count, size_t c, const uint8_t *const *rows,
                                   const struct cb_quantised_mean *m, uint8_t *y)
{
    float real[RUN];
    int32_t sum[RUN];
    for (size_t i = 0; i < n; i++)
        sum[i] = m->start;
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < n; i++)
            sum[i] += rows[t][c + i];
    for (size_t i = 0; i < n; i++)
        real[i] = (float)sum[i] * m->scale;
    for (size_t i = 0; i < n; i += W) {
        const size_t part = n - i < W ? n - i : W;
        const vec v = vec_load_part(real + i, part);
        bytes_store(y + c + i, part, vec_clamp(v, (float)-m->zero, (float)(255 - m->zero)),
                    m->zero);
    }
}

static void mean_rows(size_t count, size_t channels, const uint8_t *const *rows,
                      const struct cb_quantised_mean *mean, uint8_t *y)
{
    size_t c = 0;
    for (; c + RUN <= channels; c += RUN)
        mean_run(RUN, count, c, rows, mean, y);
    if (c < channels)
        mean_run(channels - c, count, c, rows, mean, y);
}

static int32_t sum_bytes(size_t n, const uint8_t *x)
{
    static const int32_t none[W];
    uint64_t parts[W / 2], total = 0;
    size_t i = 0;
    wide sum = wide_load(none);
    for (; i + 4 * W <= n; i += 4 * W)
        sum = wide_sum(sum, x + i);
    memcpy(parts, &sum, sizeof parts);
    for (size_t k = 0; k < W / 2; k++)
        total += parts[k];
    for (; i < n; i++)
        total += x[i];
    return (int32_t)total;
}

static ALWAYS_INLINE void add_part(size_t i, size_t n, const uint8_t *a, const uint8_t *b,
                                   const struct cb_quantised_add *add, uint8_t *y)
{
    const vec x = bytes_load(a + i, n) - vec_all(add->origin);
    const vec z = bytes_load(b + i, n) - vec_all(add->origin);
    const vec v = x * vec_all(add->scale_a) + (z * vec_all(add->scale_b) + vec_all(add->shift));
    bytes_store(y + i, n, vec_clamp(v, add->lo, add->hi), add->zero);
}

static void add_bytes(size_t n, const uint8_t *a, const uint8_t *b,
                      const struct cb_quantised_add *add, uint8_t *y)
{
    size_t i = 0;
    for (; i + W <= n; i += W)
        add_part(i, W, a, b, add, y);
    if (i < n)
        add_part(i, n - i, a, b, add, y);
}

/* The zero is added after rounding: x / scale may lie half way between two bytes. Bounds come
 * first, so that the rounded number fits; a NaN becomes the lower one. */
static ALWAYS_INLINE void quantise_part(size_t i, size_t n, const float *x, struct cb_quantum q,
                                        uint8_t *y)
{
    const vec v = vec_load_part(x + i, n) / vec_all(q.scale);
    const vec bound = vec_min(vec_all((float)(255 - q.zero)), vec_max(v, vec_all((float)-q.zero)));
    bytes_store(y + i, n, bound, q.zero);
}

static void quantise(size_t n, const float *x, struct cb_quantum q, uint8_t *y)
{
    size_t i = 0;
    for (; i + W <= n; i += W)
        quantise_part(i, W, x, q, y);
    if (i < n)
        quantise_part(i, n - i, x, q, y);
}

static ALWAYS_INLINE void dequantise_part(size_t i, size_t n, const uint8_t *x, struct cb_quantum q,
                                          float *y)
{
    const vec v = bytes_load(x + i, n) - vec_all((float)q.zero);
    vec_store_part(y + i, n, v * vec_all(q.scale));
}

static void dequantise(size_t n, const uint8_t *x, struct cb_quantum q, float *y)
{
    size_t i = 0;
    for (; i + W <= n; i += W)
        dequantise_part(i, W, x, q, y);
    if (i < n)
        dequantise_part(i, n - i, x, q, y);
}

/* ---- depthwise ---- */

#include "core/kernels/simd/quantised_depthwise.h"

static void use_set(const char *name, struct cb_quantised_kernels *k)
{
    *k = (struct cb_quantised_kernels){
        .name = name,
        .mr = MR,
        .nr = 2 * W,
        .tile = tile,
        .depthwise = depthwise,
        .max_rows = max_rows,
        .mean_rows = mean_rows,
        .sum = sum_bytes,
        .add = add_bytes,
        .quantise = quantise,
        .dequantise = dequantise,
    };
}
