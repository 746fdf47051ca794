/* core/kernels/kernels.h - the table of inner loops, one set per instruction set.
 *
 * The scalar set is complete and simple: it is the reference that every other set is tested
 * against, and the port to any other CPU. Faster sets overwrite its entries (select.c). Everything
 * is channels-last: the innermost, contiguous axis is the vector axis. Pointers need only float
 * alignment unless said. n = 0 is allowed everywhere; outputs may equal inputs where both are plain
 * arrays of the same length. */
#pragma once

#include <stddef.h>

enum cb_isa { CB_ISA_GENERIC, CB_ISA_AVX2, CB_ISA_AVX512, CB_ISA_COUNT };

/* What happens to a sum before it is stored: y = clamp(sum + bias[column] + residual, lo, hi). No
 * activation: lo = -INFINITY, hi = INFINITY. ReLU: lo = 0. ReLU6: lo = 0, hi = 6. */
struct cb_epilogue {
    const float *bias;     /* per output column (channel); NULL: 0 */
    const float *residual; /* laid out as the output, and may be the output itself; NULL: none */
    float lo, hi;
};

enum { CB_TILE_ROWS_MAX = 16, CB_TILE_COLUMNS_MAX = 32 }; /* no set has a larger mr or nr */

/* One tile of outputs, m x n. Rows of A are found through pointers, so that one kernel is both the
 * matrix product (taps = 1) and indirect convolution (arXiv:1907.02129): a padded tap points at
 * zeros. */
struct cb_tile {
    size_t m, n;              /* m <= mr, n <= nr of the set */
    size_t taps, depth;       /* the sum runs over taps x depth */
    const float *const *rows; /* [taps][mr] pointers to `depth` floats; of each tap, m are read */
    const float *panel;       /* [taps * depth][nr], packed, 64-byte aligned */
    float *out;
    size_t out_stride;       /* floats from one row to the next, of the residual too */
    struct cb_epilogue post; /* bias and residual already moved to this tile; n floats of bias */
};

enum { CB_DEPTHWISE_PIXELS = 4 };

/* Depthwise convolution of m pixels, which share each weight that is loaded:
 * out[i][c] = epilogue(sum over taps t of rows[t][i][c] * w[t][c]), i < m, c < channels. */
struct cb_depthwise {
    size_t m, taps, channels; /* m <= CB_DEPTHWISE_PIXELS */
    const float *const *rows; /* [taps][CB_DEPTHWISE_PIXELS] pointers; of each tap, m are read */
    const float *w;           /* [taps], w_stride floats apart */
    float *out;
    size_t w_stride, out_stride; /* out_stride: from one pixel to the next, of the residual too */
    struct cb_epilogue post;
};

struct cb_kernels {
    const char *name; /* "generic", "avx2", "avx512" */
    enum cb_isa isa;

    size_t vector; /* floats in a register; 1: none */
    size_t mr, nr; /* the largest tile */
    void (*tile)(const struct cb_tile *tile);

    void (*depthwise)(const struct cb_depthwise *call);

    /* Pooling: y[i] = max, or scale * sum, over t < count of rows[t][i], in this order. count >= 1.
     * The maximum passes over NaN, but for rows[0]. */
    void (*max_rows)(size_t count, size_t c, const float *const *rows, float *y);
    void (*sum_rows)(size_t count, size_t c, const float *const *rows, float scale, float *y);

    void (*clamp)(size_t n, const float *x, float lo, float hi, float *y); /* NaN stays NaN */
    void (*add)(size_t n, const float *a, const float *b, float lo, float hi, float *y);
    void (*mul)(size_t n, const float *a, const float *b, float *y);
    /* y[i] = clamp(x[i] * scale[i] + shift[i]): a pixel of BatchNormalization */
    void (*affine)(size_t n, const float *x, const float *scale, const float *shift, float lo,
                   float hi, float *y);
    void (*axpy)(size_t n, float a, const float *x, float *y); /* y += a * x */
    float (*dot)(size_t n, const float *a, const float *b);
};

/* The best set that this CPU and its system can run. Only select.c asks the CPU anything. */
enum cb_isa cb_isa_best(void);

/* "generic", "avx2", "avx512"; CB_ISA_COUNT when there is no such name. */
enum cb_isa cb_isa_find(const char *name);

/* The table for a set; `isa` above cb_isa_best() gives the best. */
struct cb_kernels cb_kernels_for(enum cb_isa isa);

/* Each set's own entry (scalar/, avx2/, avx512/): overwrites what it does better. */
void cb_kernels_use_scalar(struct cb_kernels *k);
void cb_kernels_use_avx2(struct cb_kernels *k);
void cb_kernels_use_avx512(struct cb_kernels *k);
