/* core/kernels/quantised.h - inner loops on bytes: a real number r is kept as a byte q, with
 * r = scale * (q - zero), q in 0 .. 255; weights are signed bytes whose zero is 0.
 *
 * Sums are exact 32-bit integers on every set. What follows them (scaling, residual, clamp) is
 * float, and rounds to the nearest byte, ties to even; sets may differ by one byte where the
 * product and the sum of a fused multiply-add are rounded once or twice. Part of struct cb_kernels.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes along the depth of a product that are multiplied together; depths are rounded up to it. */
enum { CB_QUANTISED_GROUP = 4 };

/* The scale and zero of a tensor of bytes. */
struct cb_quantum {
    float scale;
    int zero; /* 0 .. 255 */
};

/* How 32-bit sums become results: v = clamp(sum * scale[column] + shift[column] + residual *
 * residual_scale, lo, hi), stored as float, or rounded and stored as the byte v + zero (then
 * 0 <= lo + zero <= hi + zero <= 255). */
struct cb_quantised_epilogue {
    const int32_t *start;  /* what the sum begins with: minus the zero of x times the sum of the
                              column's weights, a bias */
    const int32_t *w_zero; /* the zero of the column's weights, if there are sums of the rows */
    const float *scale, *shift;
    const uint8_t *residual; /* laid out as the output; NULL: none. Its zero is in the shift */
    float residual_scale;
    float lo, hi;
    int zero;
};

/* One tile of m x n outputs; see struct cb_tile. Arrays of the epilogue have nr elements. */
struct cb_quantised_tile {
    size_t m, n;                /* m <= mr, n <= nr of the set */
    size_t taps, groups;        /* the sum runs over taps x groups x CB_QUANTISED_GROUP */
    const uint8_t *const *rows; /* [taps][mr] pointers to groups * CB_QUANTISED_GROUP bytes */
    const int8_t *panel;        /* [taps * groups][nr][CB_QUANTISED_GROUP], 64-byte aligned */
    const int32_t *row_sums;    /* [m] of the rows' bytes, taken w_zero times; NULL: no w_zero */
    int32_t *sums;              /* the output, one of three; sums know no scale */
    uint8_t *bytes;
    float *reals;
    size_t out_stride; /* elements from one row to the next, of the residual too */
    struct cb_quantised_epilogue post;
};

enum {
    CB_QUANTISED_ROWS_MAX = 16,
    CB_QUANTISED_COLUMNS_MAX = 32,
    CB_QUANTISED_LANE = 16, /* channels that a depthwise convolution takes together */
    CB_QUANTISED_PIXELS = 4,
};

/* Depthwise convolution of m pixels. Channels are taken in runs of 1, 2 or 4 lanes of 16 (as many
 * as are left; the last lane is filled up); in all arrays a run of L lanes stands in an order of
 * its own: channel 16 l + 4 k + j at 4 (L k + l) + j. */
struct cb_quantised_depthwise {
    size_t m, taps, channels;   /* m <= CB_QUANTISED_PIXELS; taps a multiple of the group */
    const uint8_t *const *rows; /* [taps][CB_QUANTISED_PIXELS] pointers; all are read */
    const int8_t *w;            /* [taps / group][channels][group], w_stride bytes apart */
    size_t w_stride;
    int32_t *sums; /* as in a tile */
    uint8_t *bytes;
    float *reals;
    size_t out_stride;
    struct cb_quantised_epilogue post;
};

/* y = round(clamp((a - origin) * scale_a + (b - origin) * scale_b + shift, lo, hi)) + zero, which is a
 * byte. */
struct cb_quantised_add {
    float origin, scale_a, scale_b, shift, lo, hi;
    int zero;
};

/* y[i] = round((start + sum over t of rows[t][i]) * scale) + zero, clamped to a byte. */
struct cb_quantised_mean {
    int32_t start;
    float scale;
    int zero;
};

struct cb_quantised_kernels {
    const char *name; /* "generic", "avx2", "avx512", "vnni" */
    size_t mr, nr;
    void (*tile)(const struct cb_quantised_tile *tile);
    void (*depthwise)(const struct cb_quantised_depthwise *call);

    /* y[i] = max over t < count of rows[t][i]; count >= 1. */
    void (*max_rows)(size_t count, size_t c, const uint8_t *const *rows, uint8_t *y);
    void (*mean_rows)(size_t count, size_t c, const uint8_t *const *rows,
                      const struct cb_quantised_mean *mean, uint8_t *y);
    /* The sum of n < 2^23 bytes. */
    int32_t (*sum)(size_t n, const uint8_t *x);
    void (*add)(size_t n, const uint8_t *a, const uint8_t *b, const struct cb_quantised_add *add,
                uint8_t *y);
    /* y[i] = x[i] / scale + zero, rounded (before the zero is added) and clamped to a byte. */
    void (*quantise)(size_t n, const float *x, struct cb_quantum quantum, uint8_t *y);
    /* y[i] = (x[i] - zero) * scale */
    void (*dequantise)(size_t n, const uint8_t *x, struct cb_quantum quantum, float *y);
};

/* Lanes in the run that begins at channel c, and how many channels a run's arrays have room for. */
static inline size_t cb_quantised_lanes(size_t channels, size_t c)
{
    const size_t left = (channels - c + CB_QUANTISED_LANE - 1) / CB_QUANTISED_LANE;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Channels with the last lane filled up. */
static inline size_t cb_quantised_channels(size_t channels)
{
    return (channels + CB_QUANTISED_LANE - 1) / CB_QUANTISED_LANE * CB_QUANTISED_LANE;
}

/* Where channel c stands in arrays in a depthwise convolution's order. */
static inline size_t cb_quantised_slot(size_t channels, size_t c)
{
    const size_t whole = (channels + CB_QUANTISED_LANE - 1) / CB_QUANTISED_LANE / 4 * 4 * 16;
    size_t begin = c / 64 * 64;
    if (c >= whole) /* what is left of runs of 4: 2 lanes, 1, or 2 and 1 */
        begin = c - whole >= 32 ? whole + 32 : whole;
    const size_t lanes = cb_quantised_lanes(channels, begin);
    const size_t in = c - begin, l = in / 16, k = in % 16 / 4, j = in % 4;
    return begin + 4 * (lanes * k + l) + j;
}
