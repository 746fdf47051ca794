/* core/kernels/conv.h - convolution algorithms, channels last, one to three spatial axes.
 *
 * Each algorithm is a row of a table: whether it fits a shape, what it costs there, how it packs
 * weights, what scratch it wants, how it runs. cb_conv_choose takes the one of least cost; the plan
 * may time those that compete. */
#pragma once

#include <stdbool.h>

#include "core/base/threads.h"
#include "core/kernels/kernels.h"

/* x [n, in..., cin], y [n, out..., cout]; 1-D and 2-D have leading spatial sizes of 1. */
struct cb_conv_shape {
    size_t n, cin, cout, group;
    size_t in[3], out[3], kernel[3], stride[3], dilation[3];
    size_t pad[3]; /* at the beginning; padding or cropping at the end follows from `out` */
};

struct cb_conv_call {
    const struct cb_conv_shape *shape;
    const float *x;
    size_t x_stride; /* floats from pixel to pixel of x, >= cin: a part of wider pixels, only where
                        cb_conv_takes_stride; 0: cin */
    struct cb_prologue pre; /* only where cb_conv_takes_prologue */
    const void *packed;
    float *y;
    size_t y_stride; /* floats from pixel to pixel of y and residual; >= cout (concat in place) */
    struct cb_epilogue post;
    void *scratch; /* scratch_bytes, 64-byte aligned */
    struct cb_threads *threads;
};

struct cb_conv_algorithm {
    const char *name; /* "depthwise", "product", "winograd-4", ..., "indirect", "direct" */
    bool (*fits)(const struct cb_kernels *, const struct cb_conv_shape *);
    /* Roughly, in vector operations on one thread. */
    double (*cost)(const struct cb_kernels *, const struct cb_conv_shape *);
    size_t (*packed_bytes)(const struct cb_kernels *, const struct cb_conv_shape *);
    /* w [cout, cin/group, kernel...] as ONNX orders it, maybe unaligned. `scale` [cout] or NULL
     * multiplies each filter (a folded BatchNormalization). */
    void (*pack)(const struct cb_kernels *, const struct cb_conv_shape *, struct cb_threads *,
                 const void *w, const float *scale, void *packed);
    size_t (*scratch_bytes)(const struct cb_kernels *, const struct cb_conv_shape *,
                            size_t threads);
    void (*run)(const struct cb_kernels *, const struct cb_conv_call *);
    /* Whether the error with these weights is within budget, against sums in double on a few random
     * pixels. NULL: always. */
    bool (*accurate)(const struct cb_kernels *, const struct cb_conv_shape *, const void *w,
                     const void *packed);
};

/* The last one ("direct", plain loops) fits everything and is the reference. */
extern const struct cb_conv_algorithm *const cb_conv_algorithms[];
extern const size_t cb_conv_algorithm_count;

/* Whether `algorithm` may be the fastest for this shape. */
bool cb_conv_competes(const struct cb_kernels *, const struct cb_conv_shape *,
                      const struct cb_conv_algorithm *algorithm);

/* With the generic set: always "direct", the reference. */
const struct cb_conv_algorithm *cb_conv_choose(const struct cb_kernels *,
                                               const struct cb_conv_shape *);

/* Convolutions that may have a prologue, 1x1 over the pixels as they lie; and what then runs them. */
bool cb_conv_takes_prologue(const struct cb_conv_shape *);
const struct cb_conv_algorithm *cb_conv_choose_scaled(const struct cb_kernels *);

/* Convolutions whose input pixels may lie apart. */
bool cb_conv_takes_stride(const struct cb_conv_shape *);

/* The two derivatives; both ADD to their result. w and dw are [cout, cin/group, kernel...], aligned
 * as floats; dy is [n, out..., cout]. The generic set runs plain loops; the others run convolutions
 * for dx, and products over pixels for dw. `scratch` is as large as the first function says for
 * either, and 64-byte aligned. */
size_t cb_conv_backward_scratch_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                      size_t threads);
void cb_conv_backward_data(const struct cb_kernels *, struct cb_threads *,
                           const struct cb_conv_shape *, const float *dy, const float *w,
                           const void *packed, void *scratch, float *dx);
/* The form of w that backward_data takes as `packed` (NULL: it makes it anew in its scratch); 0
 * bytes: none. w may be unaligned here. A transposed convolution keeps its weights so. */
size_t cb_conv_backward_packed_bytes(const struct cb_kernels *, const struct cb_conv_shape *);
void cb_conv_backward_pack(const struct cb_kernels *, struct cb_threads *,
                           const struct cb_conv_shape *, const void *w, void *packed);
void cb_conv_backward_weights(const struct cb_kernels *, struct cb_threads *,
                              const struct cb_conv_shape *, const float *x, const float *dy,
                              void *scratch, float *dw);
