/* core/kernels/kernels.h - the table of inner loops, one set per instruction set.
 *
 * The scalar set is complete and simple: it is the reference that every other set is tested
 * against, and the port to any other CPU. Faster sets overwrite its entries (select.c). Everything
 * is channels-last: the innermost, contiguous axis is the vector axis. Pointers need only float
 * alignment unless said. n = 0 is allowed everywhere; outputs may equal inputs where both are plain
 * arrays of the same length. */
#pragma once

#include <stddef.h>

#include "core/kernels/quantised.h"

enum cb_isa { CB_ISA_GENERIC, CB_ISA_AVX2, CB_ISA_AVX512, CB_ISA_COUNT };

/* Functions of one number that may end an operator. HARD_SIGMOID is clamp(alpha x + beta, 0, 1),
 * HARD_SWISH x times that; GELU is with erf, GELU_TANH its approximation. */
enum cb_activation {
    CB_ACT_NONE, CB_ACT_SIGMOID, CB_ACT_SILU, CB_ACT_HARD_SIGMOID, CB_ACT_HARD_SWISH, CB_ACT_GELU,
    CB_ACT_GELU_TANH, CB_ACT_TANH, CB_ACT_COUNT
};

struct cb_act {
    enum cb_activation kind;
    float alpha, beta;
};

/* What happens to a sum before it is stored: y = act(clamp(sum + bias[column] + residual, lo, hi)).
 * No clamp: lo = -INFINITY, hi = INFINITY. ReLU: lo = 0. ReLU6: lo = 0, hi = 6. */
struct cb_epilogue {
    const float *bias;     /* per output column (channel); NULL: 0 */
    const float *residual; /* laid out as the output, and may be the output itself; NULL: none */
    float lo, hi;
    struct cb_act act; /* not for `tile` and `depthwise`: who calls them applies it to the rows */
};

/* What happens to an input as it is read: x' = clamp(x * scale[c] + shift[c], lo, hi), c its
 * channel. */
struct cb_prologue {
    const float *scale; /* NULL: no prologue at all */
    const float *shift; /* NULL: 0 */
    size_t image_step;  /* floats from one image's scale to the next image's; 0: all share one */
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
    void (*activate[CB_ACT_COUNT])(size_t n, struct cb_act act, const float *x, float *y);
    float (*dot)(size_t n, const float *a, const float *b);

    struct cb_quantised_kernels quantised;
};

/* act over rows of n floats that were just written, y_stride apart. */
static inline void cb_kernels_activate(const struct cb_kernels *kernels, struct cb_act act, size_t rows,
                                    size_t n, float *y, size_t y_stride)
{
    if (act.kind != CB_ACT_NONE)
        for (size_t i = 0; i < rows; i++, y += y_stride)
            kernels->activate[act.kind](n, act, y, y);
}

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

/* The same for loops on bytes. */
void cb_kernels_use_scalar_quantised(struct cb_kernels *k);
void cb_kernels_use_avx2_quantised(struct cb_kernels *k);
void cb_kernels_use_avx512_quantised(struct cb_kernels *k);
void cb_kernels_use_vnni(struct cb_kernels *k);
