/* core/kernels/conv_direct.c - convolution by its definition, in plain loops: the reference. */
#include "core/kernels/conv_parts.h"

#include <string.h>

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels, (void)s;
    return true;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    return 10 * (double)(cb_conv_pixels(s) * s->cout) * (double)(s->cin / s->group) *
           (double)cb_conv_taps(s);
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

/* The sums of one pixel, the pixel after a prologue, and the pointers to its taps. */
static size_t worker_bytes(const struct cb_conv_shape *s)
{
    return cb_size_add(
        cb_size_add(cb_size_bytes(s->cout, sizeof(float)), cb_size_bytes(s->cin, sizeof(float))),
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

struct direct {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
};

/* The prologue, on the pixel of a 1x1 convolution: the sums are taken of the copy. */
static const float *prepare_pixel(const struct cb_conv_call *call, size_t image, const float *x,
                                  float *copy)
{
    const struct cb_prologue *pre = &call->pre;
    const float *scale = pre->scale + image * pre->image_step;
    for (size_t c = 0; c < call->shape->cin; c++) {
        const float v = x[c] * scale[c] + (pre->shift ? pre->shift[c] : 0);
        copy[c] = v < pre->lo ? pre->lo : v > pre->hi ? pre->hi : v;
    }
    return copy;
}

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct direct *d = ctx;
    const struct cb_conv_call *call = d->call;
    const struct cb_conv_shape *s = call->shape;
    const struct cb_conv_input x = cb_conv_input_of(call);
    float *sums = (float *)(void *)((char *)call->scratch + worker * worker_bytes(s));
    char *after = (char *)sums + cb_size_bytes(s->cout, sizeof(float));
    float *copy = (float *)(void *)after;
    const float **rows = (const float **)(void *)(after + cb_size_bytes(s->cin, sizeof(float)));
    for (size_t i = 0; i < s->out[2]; i++) {
        const size_t number = line * s->out[2] + i, at = number * call->y_stride;
        const struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
        cb_conv_fill_rows(s, &x, &pixel, 1, NULL, 1, rows);
        if (call->pre.scale)
            rows[0] = prepare_pixel(call, pixel.image, rows[0], copy);
        sum_pixel(s, rows, call->packed, sums);
        finish_pixel(s->cout, sums, &call->post,
                     call->post.residual ? call->post.residual + at : NULL, call->y + at);
        cb_kernels_activate(d->kernels, call->post.act, 1, s->cout, call->y + at, 0);
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    struct direct d = { kernels, call };
    cb_threads_for(call->threads, cb_conv_lines(call->shape), run_line, &d);
}

const struct cb_conv_algorithm cb_conv_direct = {
    .name = "direct",
    .fits = fits,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
