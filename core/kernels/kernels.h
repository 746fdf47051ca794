/* core/kernels/kernels.h - the table of inner loops, one set per instruction set.
 *
 * The scalar set is complete and simple: it is the reference that every other set is tested
 * against, and the port to any other CPU. Faster sets overwrite its entries (select.c). Everything
 * is channels-last: the innermost, contiguous axis is the vector axis. Pointers need only float
 * alignment unless said. n = 0 is allowed everywhere; outputs may equal inputs where both are plain
 * arrays of the same length. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels/quantised.h"

/* This processor's own sets come first, each better than those before it: all up to cb_isa_best()
 * are there, and those of other processors are above it. */
enum cb_isa {
    CB_ISA_GENERIC,
#if defined(__aarch64__)
    CB_ISA_NEON,
    CB_ISA_AVX2,
    CB_ISA_AVX512,
#else
    CB_ISA_AVX2,
    CB_ISA_AVX512,
    CB_ISA_NEON,
#endif
    CB_ISA_COUNT
};

/* Functions of one number that may end an operator. HARD_SIGMOID is clamp(alpha x + beta, 0, 1),
 * HARD_SWISH x times that; GELU is with erf, GELU_TANH its approximation. */
enum cb_activation {
    CB_ACT_NONE,
    CB_ACT_SIGMOID,
    CB_ACT_SILU,
    CB_ACT_HARD_SIGMOID,
    CB_ACT_HARD_SWISH,
    CB_ACT_GELU,
    CB_ACT_GELU_TANH,
    CB_ACT_TANH,
    CB_ACT_COUNT
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
    struct cb_act act; /* not for tiles and depthwise loops: who calls them applies it */
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

/* Depthwise convolution of a line of m pixels:
 * out[i][c] = epilogue(sum over l < lines, t < taps of rows[l][column][c] * w[l][t][c]), where
 * column = i * stride + t * dilation - pad; what is not below `width` is padding, and adds nothing.
 */
struct cb_depthwise_line {
    size_t m, channels;
    size_t lines, taps; /* of the kernel: its lines that lie in the picture, and taps of each */
    size_t stride, dilation, pad;
    const float *const *rows; /* [lines] where lines of the input begin */
    size_t width, pixel;      /* of those: pixels, and floats from one to the next */
    const float *const *w;    /* [lines] taps w_stride floats apart */
    size_t w_stride;
    float *out;
    size_t out_stride; /* from one pixel to the next, of the residual too */
    struct cb_epilogue post;
};

/* The transforms of Winograd's convolution (winograd.h) for one tile; `points` along both
 * axes, 1 where the kernel has one tap. A plane holds one of points[0] * points[1] products. */
struct cb_winograd_input {
    size_t points[2], channels;
    const float *const *rows; /* [points[0] * points[1]] pixels; padding points at zeros */
    float *out;               /* `plane` floats from plane to plane, room for whole vectors */
    size_t plane;
};

struct cb_winograd_filter { /* of nr output channels and one input channel; rows that differ */
    size_t points[2], taps[2];
    const float *w; /* [taps[0] * taps[1]][nr] */
    float *out;     /* nr floats, `plane` floats from plane to plane */
    size_t plane;
};

/* The products of some tiles with 3x3 filters that are transformed on the way:
 * out[tile][point][j] += sum over channels c of in[point][tile][c] * (point of w[c])[j], j < vector. */
struct cb_winograd_taps {
    size_t points, tiles, channels; /* points along both axes: 4 or 6 */
    const float *in;                /* `plane` floats from point to point, `row` from tile to tile */
    size_t plane, row;
    const float *w; /* [channels][3 * 3][vector] */
    float *out;     /* nr floats from point to point, `step` from tile to tile */
    size_t step;
};

struct cb_winograd_output {
    size_t points[2], size[2]; /* size: outputs of a whole tile */
    size_t inside[2];          /* of them, those that the picture has */
    size_t channels;           /* <= nr */
    const float *in;           /* [points[0] * points[1]][nr] */
    float *out;
    size_t line, pixel; /* floats from line to line and from pixel to pixel, of the residual too */
    struct cb_epilogue post; /* without act */
};

struct cb_kernels {
    const char *name; /* "generic", "avx2", "avx512", "neon" */
    enum cb_isa isa;

    size_t vector; /* floats in a register; 1: none */
    size_t mr, nr; /* the largest tile */
    void (*tile)(const struct cb_tile *tile);
    /* The same on pairs of bfloat16 (bf16.h) in the place of floats of A and panel; and numbers
     * rounded to pairs, an odd last one with 0. */
    void (*tile_pairs)(const struct cb_tile *tile);
    void (*to_pairs)(size_t n, const float *x, float *y);
    bool fast_pairs; /* the CPU multiplies them faster than floats */
    bool bf16;       /* wished for: products round their factors to bfloat16 */

    void (*depthwise)(const struct cb_depthwise *call);
    void (*depthwise_line)(const struct cb_depthwise_line *line);

    void (*winograd_input)(const struct cb_winograd_input *tile);
    void (*winograd_filter)(const struct cb_winograd_filter *filter);
    void (*winograd_output)(const struct cb_winograd_output *tile);
    void (*winograd_taps)(const struct cb_winograd_taps *taps);

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
    /* y = act(x) over rows of n floats, which begin `stride` apart in both; y may be x. */
    void (*activate[CB_ACT_COUNT])(struct cb_act act, size_t rows, size_t n, size_t stride,
                                   const float *x, float *y);
    float (*dot)(size_t n, const float *a, const float *b);
    /* y = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias over one row; without
     * `centered` 0 stands for the mean. scale, bias NULL: 1, 0. */
    void (*normalize)(size_t n, const float *x, float epsilon, bool centered, const float *scale,
                      const float *bias, float *y);

    struct cb_quantised_kernels quantised;
};

/* act over rows of n floats that were just written, y_stride apart. */
static inline void cb_kernels_activate(const struct cb_kernels *kernels, struct cb_act act,
                                       size_t rows, size_t n, float *y, size_t y_stride)
{
    if (act.kind != CB_ACT_NONE)
        kernels->activate[act.kind](act, rows, n, y_stride, y, y);
}

/* The best set that this CPU and its system can run. Only select.c asks the CPU anything. */
enum cb_isa cb_isa_best(void);

/* By its name in the table; CB_ISA_COUNT when there is no such name. */
enum cb_isa cb_isa_find(const char *name);

/* A number that differs from one model of CPU to another, where it can be told. */
uint64_t cb_cpu_model(void);

/* The table for a set; `isa` above cb_isa_best() gives the best. */
struct cb_kernels cb_kernels_for(enum cb_isa isa);

/* Each set's own entry (scalar/, avx2/, avx512/, neon/): overwrites what it does better. */
void cb_kernels_use_scalar(struct cb_kernels *k);
void cb_kernels_use_avx2(struct cb_kernels *k);
void cb_kernels_use_avx512(struct cb_kernels *k);
void cb_kernels_use_avx512_bf16(struct cb_kernels *k);
void cb_kernels_use_neon(struct cb_kernels *k);

/* The same for loops on bytes. */
void cb_kernels_use_scalar_quantised(struct cb_kernels *k);
void cb_kernels_use_avx2_quantised(struct cb_kernels *k);
void cb_kernels_use_avx512_quantised(struct cb_kernels *k);
void cb_kernels_use_vnni(struct cb_kernels *k);
