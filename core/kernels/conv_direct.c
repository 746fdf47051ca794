/* core/kernels/conv_direct.c - convolution by its definition, in plain loops: the reference. */
#include "core/kernels/conv_parts.h"

#include <string.h>

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels, (void)s;
    return true;
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    return cb_size_bytes(s->cout * (s->cin / s->group), cb_conv_taps(s) * sizeof(float));
}

/* [group, cout/group, cin/group, taps] to [group, taps, cin/group, cout/group]. */
static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    (void)kernels, (void)threads;
    const size_t taps = cb_conv_taps(s), cin = s->cin / s->group, cout = s->cout / s->group;
    const char *from = w;
    for (size_t o = 0; o < s->cout; o++) {
        float *to = (float *)packed + o / cout * taps * cin * cout + o % cout;
        for (size_t c = 0; c < cin; c++)
            for (size_t t = 0; t < taps; t++, from += sizeof(float)) {
                float v;
                memcpy(&v, from, sizeof v);
                to[(t * cin + c) * cout] = scale ? v * scale[o] : v;
            }
    }
}

/* The sums of one pixel and the pointers to its taps. */
static size_t worker_bytes(const struct cb_conv_shape *s)
{
    return cb_size_add(cb_size_bytes(s->cout, sizeof(float)),
                       cb_size_bytes(cb_conv_taps(s), sizeof(float *)));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    (void)kernels;
    return cb_size_bytes(threads, worker_bytes(s));
}

static void sum_pixel(const struct cb_conv_shape *s, const float *const *rows, const float *w,
                      float *sums)
{
    const size_t taps = cb_conv_taps(s), cin = s->cin / s->group, cout = s->cout / s->group;
    memset(sums, 0, s->cout * sizeof(float));
    for (size_t g = 0; g < s->group; g++, sums += cout)
        for (size_t t = 0; t < taps; t++) {
            if (!rows[t]) {
                w += cin * cout;
                continue;
            }
            for (size_t c = 0; c < cin; c++, w += cout)
                for (size_t o = 0; o < cout; o++)
                    sums[o] += rows[t][g * cin + c] * w[o];
        }
}

static void finish_pixel(size_t n, const float *sums, const struct cb_epilogue *post,
                         const float *residual, float *y)
{
    for (size_t o = 0; o < n; o++) {
        const float v = sums[o] + (post->bias ? post->bias[o] : 0) + (residual ? residual[o] : 0);
        y[o] = v < post->lo ? post->lo : v > post->hi ? post->hi : v;
    }
}

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct cb_conv_call *call = ctx;
    const struct cb_conv_shape *s = call->shape;
    float *sums = (float *)(void *)((char *)call->scratch + worker * worker_bytes(s));
    char *after = (char *)sums + cb_size_bytes(s->cout, sizeof(float));
    const float **rows = (const float **)(void *)after;
    for (size_t i = 0; i < s->out[2]; i++) {
        const size_t number = line * s->out[2] + i, at = number * call->y_stride;
        const struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
        cb_conv_fill_rows(s, call->x, &pixel, 1, NULL, 1, rows);
        sum_pixel(s, rows, call->packed, sums);
        finish_pixel(s->cout, sums, &call->post,
                     call->post.residual ? call->post.residual + at : NULL, call->y + at);
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    (void)kernels;
    cb_threads_for(call->threads, cb_conv_lines(call->shape), run_line, (void *)call);
}

const struct cb_conv_algorithm cb_conv_direct = {
    .name = "direct",
    .fits = fits,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
