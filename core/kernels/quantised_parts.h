/* core/kernels/quantised_parts.h - what the two forms of convolution on bytes share. Private to
 * core/kernels. */
#pragma once

#include "core/kernels/conv_parts.h"
#include "core/kernels/quantised_conv.h"

/* The depthwise form; has no residual. */
bool cb_quantised_depthwise_fits(const struct cb_conv_shape *);
size_t cb_quantised_depthwise_packed_bytes(const struct cb_conv_shape *, bool zeros);
void cb_quantised_depthwise_pack(const struct cb_conv_shape *, const int8_t *w,
                                 const int64_t *w_zero, void *packed);
size_t cb_quantised_depthwise_scratch_bytes(const struct cb_conv_shape *, bool zeros,
                                            size_t threads);
void cb_quantised_depthwise_run(const struct cb_kernels *, const struct cb_quantised_conv *);

/* Numbers for each column of the packed weights, made for a run. */
struct cb_quantised_columns {
    int32_t *start;
    float *scale, *shift;
};

static inline size_t cb_quantised_columns_bytes(size_t count)
{
    return 3 * cb_size_bytes(count, sizeof(float));
}

/* Laid out in `memory`. */
static inline struct cb_quantised_columns cb_quantised_columns_in(void *memory, size_t count)
{
    const size_t bytes = cb_size_bytes(count, sizeof(float));
    char *at = memory;
    return (struct cb_quantised_columns){ (int32_t *)memory, (float *)(void *)(at + bytes),
                                          (float *)(void *)(at + 2 * bytes) };
}

/* Whether sums become bytes at once: an activation is done on reals, a tile at a time. */
static inline bool cb_quantised_direct(const struct cb_quantised_conv *call)
{
    return call->bytes && call->act.kind == CB_ACT_NONE;
}

/* Column `at` is that of output channel c, whose weights' sum is `sum`, less their zeros. */
static inline void cb_quantised_column(const struct cb_quantised_conv *call,
                                       struct cb_quantised_columns *to, size_t at, size_t c,
                                       int64_t sum)
{
    const int64_t whole = call->whole ? call->whole[c] : 0;
    to->start[at] = (int32_t)(uint32_t)(uint64_t)(whole - call->x_quantum.zero * sum);
    if (call->sums)
        return;
    const float unit = cb_quantised_direct(call) ? call->y_quantum.scale : 1;
    const float bias = call->bias ? call->bias[c] : 0;
    const float residual =
        call->residual ? (float)call->residual_quantum.zero * call->residual_quantum.scale : 0;
    to->scale[at] = call->x_quantum.scale * call->w_scale[c] / unit;
    to->shift[at] = (bias - residual) / unit;
}

/* The epilogue but for what is per column. */
static inline struct cb_quantised_epilogue cb_quantised_post(const struct cb_quantised_conv *call)
{
    struct cb_quantised_epilogue post = { .lo = call->lo, .hi = call->hi };
    float unit = 1;
    if (cb_quantised_direct(call)) {
        const float least = (float)-call->y_quantum.zero, most = least + 255;
        unit = call->y_quantum.scale;
        post.zero = call->y_quantum.zero;
        post.lo = call->lo / unit > least ? call->lo / unit : least;
        post.hi = call->hi / unit < most ? call->hi / unit : most;
        post.lo = post.lo < most ? post.lo : most;
        post.hi = post.hi > post.lo ? post.hi : post.lo;
    }
    post.residual_scale = call->residual ? call->residual_quantum.scale / unit : 0;
    return post;
}
