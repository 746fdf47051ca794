/* core/kernels/simd/winograd_taps.h - Winograd's products on filters as they are: some channels'
 * 3x3 taps are transformed and meet a few tiles at once, so that the transformed weights never
 * leave the registers. */
#pragma once

/* Channels at a time: each sum is loaded and stored once for so many products; with two points of
 * each they fill half of the registers. */
#if defined(__AVX2__) && !defined(__AVX512F__)
enum { TAPS_CHANNELS = 4 };
#else
enum { TAPS_CHANNELS = 8 };
#endif

/* The filters' transform along the first axis, [channel][point][3]. */
static ALWAYS_INLINE void taps_columns(const struct cb_winograd_taps *t, const int n,
                                       const int count, size_t c,
                                       vec half[TAPS_CHANNELS][POINTS * 3])
{
    const float *w = t->w + c * 9 * W;
    for (int ch = 0; ch < count; ch++, w += 9 * W)
        UNROLL
    for (int x = 0; x < 3; x++) {
        vec g[3], o[POINTS];
        UNROLL
        for (int y = 0; y < 3; y++)
            g[y] = vec_load(w + (y * 3 + x) * W);
        filter_points(n, 3, g, o);
        UNROLL
        for (int i = 0; i < n; i++)
            half[ch][i * 3 + x] = o[i];
    }
}

/* Weights come from memory: those of the channels after the next are asked for, evenly over the
 * sums of all points. */
static ALWAYS_INLINE void taps_ahead(const struct cb_winograd_taps *t, const int n, const int count,
                                     size_t c, size_t point)
{
    const int lines = (2 * 9 * count + n * n - 1) / (n * n);
    const float *w = t->w + ((c + 2 * TAPS_CHANNELS) * 9 + point / 2 * (size_t)lines) * W;
    UNROLL
    for (int i = 0; i < lines; i++)
        __builtin_prefetch(w + i * W, 0, 2);
}

/* The sums of points `a` and `b` of all tiles, u the weights of each channel there. */
static ALWAYS_INLINE void taps_sums(const struct cb_winograd_taps *t, const int count, size_t c,
                                    size_t a, size_t b, vec u[TAPS_CHANNELS][2])
{
    const float *in_a = t->in + a * t->plane + c, *in_b = t->in + b * t->plane + c;
    float *out_a = t->out + a * NR, *out_b = t->out + b * NR;
    const size_t row = t->row, step = t->step;
    for (size_t tile = t->tiles; tile > 0; tile--) {
        vec sum_a = in_a[0] * u[0][0], sum_b = in_b[0] * u[0][1];
        UNROLL
        for (int ch = 1; ch < count; ch++) {
            sum_a += in_a[ch] * u[ch][0];
            sum_b += in_b[ch] * u[ch][1];
        }
        vec_store_part(out_a, W, vec_load(out_a) + sum_a);
        vec_store_part(out_b, W, vec_load(out_b) + sum_b);
        in_a += row;
        in_b += row;
        out_a += step;
        out_b += step;
    }
}

static ALWAYS_INLINE void taps_of(const struct cb_winograd_taps *t, const int n, const int count,
                                  size_t c)
{
    vec half[TAPS_CHANNELS][POINTS * 3], u[TAPS_CHANNELS][2];
    taps_columns(t, n, count, c, half);
    for (int i = 0; i < n; i++) {
        const size_t line = (size_t)(i * n);
        UNROLL
        for (int ch = 0; ch < count; ch++) {
            u[ch][0] = half[ch][i * 3];
            u[ch][1] = half[ch][i * 3 + 2];
        }
        taps_ahead(t, n, count, c, line);
        taps_sums(t, count, c, line, line + (size_t)n - 1, u);
        UNROLL
        for (int pair = 0; pair < n / 2 - 1; pair++) {
            UNROLL
            for (int ch = 0; ch < count; ch++)
                filter_pair(n, 3, pair, half[ch] + i * 3, u[ch]);
            const size_t point = line + 1 + 2 * (size_t)pair;
            taps_ahead(t, n, count, c, point + 1);
            taps_sums(t, count, c, point, point + 1, u);
        }
    }
}

static ALWAYS_INLINE void taps_points(const struct cb_winograd_taps *t, const int n)
{
    size_t c = 0;
    for (; c + TAPS_CHANNELS <= t->channels; c += TAPS_CHANNELS)
        taps_of(t, n, TAPS_CHANNELS, c);
    for (; c < t->channels; c++)
        taps_of(t, n, 1, c);
}

static void winograd_taps(const struct cb_winograd_taps *t)
{
    if (t->points == 4)
        taps_points(t, 4);
    else
        taps_points(t, 6);
}
