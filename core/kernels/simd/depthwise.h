/* core/kernels/simd/depthwise.h - depthwise convolution of 1 .. CB_DEPTHWISE_PIXELS pixels; the
 * sums of two vectors of channels of each pixel stay in registers. */
#pragma once

/* Channels c .. c + vectors * W; `part` of the last vector count. */
static ALWAYS_INLINE void depthwise_channels(const struct cb_depthwise *d, const int m, size_t c,
                                             const int vectors, size_t part)
{
    vec sums[CB_DEPTHWISE_PIXELS][2];
    UNROLL
    for (int i = 0; i < m; i++)
        sums[i][0] = sums[i][1] = vec_all(0);
    const float *const *rows = d->rows;
    const float *w = d->w + c;
    for (size_t t = 0; t < d->taps; t++, rows += CB_DEPTHWISE_PIXELS, w += d->w_stride) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const size_t n = j < vectors - 1 ? W : part;
            const vec weight = vec_load_part(w + j * W, n);
            UNROLL
            for (int i = 0; i < m; i++)
                sums[i][j] += vec_load_part(rows[i] + c + j * W, n) * weight;
        }
    }
    UNROLL
    for (int j = 0; j < vectors; j++) {
        const size_t at = c + (size_t)j * W, n = j < vectors - 1 ? W : part;
        const vec bias = d->post.bias ? vec_load_part(d->post.bias + at, n) : vec_all(0);
        UNROLL
        for (int i = 0; i < m; i++) {
            const size_t pixel = (size_t)i * d->out_stride + at;
            vec v = sums[i][j] + bias;
            if (d->post.residual)
                v += vec_load_part(d->post.residual + pixel, n);
            vec_store_part(d->out + pixel, n, vec_clamp(v, d->post.lo, d->post.hi));
        }
    }
}

static ALWAYS_INLINE void depthwise_of(const struct cb_depthwise *d, const int m)
{
    size_t c = 0;
    for (; c + 2 * W <= d->channels; c += 2 * W)
        depthwise_channels(d, m, c, 2, W);
    if (c + W <= d->channels) {
        depthwise_channels(d, m, c, 1, W);
        c += W;
    }
    if (c < d->channels)
        depthwise_channels(d, m, c, 1, d->channels - c);
}

static void depthwise(const struct cb_depthwise *d)
{
    _Static_assert(CB_DEPTHWISE_PIXELS == 4, "a case for each count of pixels");
    switch (d->m) {
    case 1: depthwise_of(d, 1); return;
    case 2: depthwise_of(d, 2); return;
    case 3: depthwise_of(d, 3); return;
    case 4: depthwise_of(d, 4); return;
    }
}
