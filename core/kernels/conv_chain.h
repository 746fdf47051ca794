/* core/kernels/conv_chain.h - pointwise, depthwise and pointwise convolution in one: MobileNet's
 * inverted residual (arXiv:1801.04381), channels last, whose wide tensors never leave the
 * second-level cache.
 *
 * Either of the pointwise convolutions may be missing. Work goes by bands of output lines: a thread
 * expands the lines of the picture that a band needs into a ring of its own, filters them, and
 * projects the result straight into y. Every image's lines are cut into few parts, and what two
 * parts both need is expanded twice, so that threads share nothing. */
#pragma once

#include <stdbool.h>

#include "core/base/threads.h"
#include "core/kernels/kernels.h"

enum { CB_CHAIN_EXPAND, CB_CHAIN_DEPTHWISE, CB_CHAIN_PROJECT, CB_CHAIN_STAGES };

struct cb_chain_shape {
    bool expand, project;
    size_t n, cin, mid, cout; /* without expansion cin = mid, without projection cout = mid */
    size_t in[2], out[2], kernel[2], stride[2];
    size_t pad[2]; /* at the beginning; padding or cropping at the end follows from `out` */
};

struct cb_chain_call {
    const struct cb_chain_shape *shape;
    const float *x; /* [n, in..., cin] */
    const void *packed;
    float *y;                                 /* [n, out..., cout] */
    struct cb_epilogue post[CB_CHAIN_STAGES]; /* a residual only in the last stage that there is */
    void *scratch;                            /* scratch_bytes, 64-byte aligned */
    struct cb_threads *threads;
};

/* Whether one chain is faster than its convolutions: the wide tensor is larger than what would stay
 * in the cache anyway, and a band of it is not. */
bool cb_chain_pays(const struct cb_kernels *, const struct cb_chain_shape *);

size_t cb_chain_packed_bytes(const struct cb_kernels *, const struct cb_chain_shape *);

/* Packs the filters of one stage, [mid, cin], [mid, kernel...] or [cout, mid], maybe unaligned,
 * into its part of `packed`, which is 64-byte aligned. */
void cb_chain_pack(const struct cb_kernels *, struct cb_threads *, const struct cb_chain_shape *,
                   int stage, const void *w, void *packed);

size_t cb_chain_scratch_bytes(const struct cb_kernels *, const struct cb_chain_shape *,
                              size_t threads);

void cb_chain_run(const struct cb_kernels *, const struct cb_chain_call *);
