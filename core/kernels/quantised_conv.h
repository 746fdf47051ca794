/* core/kernels/quantised_conv.h - convolution and product of bytes by signed bytes, channels last.
 *
 * Two forms: depthwise, and all others as a product whose rows are found through pointers (see
 * conv_indirect.c). A matrix product is a convolution of 1x1 over pixels. */
#pragma once

#include "core/base/threads.h"
#include "core/kernels/conv.h"

/* Products that a 32-bit sum has room for, whatever the bytes are; half as many beside w_zero. */
#define CB_QUANTISED_DEPTH_MAX ((size_t)1 << 16)

struct cb_quantised_conv {
    const struct cb_conv_shape *shape;
    const uint8_t *x; /* CB_QUANTISED_GROUP - 1 bytes behind its end may be read */
    struct cb_quantum x_quantum;
    const void *packed;
    bool zeros; /* it was packed with w_zero */
    const float *w_scale;    /* [cout] of each filter; NULL for sums */
    const float *bias;       /* [cout]; NULL: 0 */
    const int64_t *whole;    /* [cout] a bias that the sums begin with, 32 bits; NULL: 0 */
    const uint8_t *residual; /* laid out as the output; NULL: none */
    struct cb_quantum residual_quantum;
    int32_t *sums;               /* the output, one of three */
    uint8_t *bytes;
    struct cb_quantum y_quantum; /* of bytes */
    float *reals;
    float lo, hi; /* in real units: y = act(clamp(.., lo, hi)) */
    struct cb_act act;
    void *scratch; /* scratch_bytes, 64-byte aligned */
    struct cb_threads *threads;
};

/* w [cout, cin/group, kernel...] as ONNX orders it, signed bytes; w_zero [cout] -128 .. 127, or
 * NULL for 0 (zeros: false). */
size_t cb_quantised_conv_packed_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                      bool zeros);
void cb_quantised_conv_pack(const struct cb_kernels *, const struct cb_conv_shape *,
                            const int8_t *w, const int64_t *w_zero, void *packed);
size_t cb_quantised_conv_scratch_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                       bool zeros, size_t threads);
void cb_quantised_conv_run(const struct cb_kernels *, const struct cb_quantised_conv *);
