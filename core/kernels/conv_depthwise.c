/* core/kernels/conv_depthwise.c - every channel has its own filter: vectors run along channels. */
#include "core/kernels/conv_parts.h"

#include <string.h>

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    return s->group == s->cin && s->group == s->cout;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return 2 * (double)(cb_conv_pixels(s) * cb_conv_taps(s)) *
           (double)cb_size_divide(s->cout, kernels->vector);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    return cb_size_bytes(cb_conv_taps(s), s->cout * sizeof(float));
}

/* [c, taps] to [taps, c]. */
static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    (void)kernels, (void)threads;
    const size_t taps = cb_conv_taps(s);
    const char *from = w;
    float *to = packed;
    for (size_t c = 0; c < s->cout; c++)
        for (size_t t = 0; t < taps; t++, from += sizeof(float)) {
            float v;
            memcpy(&v, from, sizeof v);
            to[t * s->cout + c] = scale ? v * scale[c] : v;
        }
}

static size_t worker_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(cb_conv_taps(s), CB_DEPTHWISE_PIXELS * sizeof(float *));
}

/* Zeros for the padding, then pointers to the rows for each thread. */
static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    (void)kernels;
    return cb_size_add(cb_size_bytes(s->cin, sizeof(float)),
                       cb_size_bytes(threads, worker_bytes(s)));
}

struct depthwise {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    const float *zeros;
    char *rows;
};

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct depthwise *d = ctx;
    const struct cb_conv_call *call = d->call;
    const struct cb_conv_shape *s = call->shape;
    const struct cb_conv_input x = cb_conv_input_of(call);
    const float **rows = (const float **)(void *)(d->rows + worker * worker_bytes(s));
    struct cb_conv_pixel pixel = cb_conv_pixel_at(s, line * s->out[2]);
    struct cb_depthwise part = {
        .taps = cb_conv_taps(s),
        .channels = s->cout,
        .rows = rows,
        .w = call->packed,
        .w_stride = s->cout,
        .out = call->y + line * s->out[2] * call->y_stride,
        .out_stride = call->y_stride,
        .post = call->post,
    };
    if (part.post.residual)
        part.post.residual += line * s->out[2] * call->y_stride;
    for (; pixel.at[2] < s->out[2]; pixel.at[2] += part.m) {
        part.m = cb_size_min(s->out[2] - pixel.at[2], CB_DEPTHWISE_PIXELS);
        cb_conv_fill_rows(s, &x, &pixel, part.m, d->zeros, CB_DEPTHWISE_PIXELS, rows);
        d->kernels->depthwise(&part);
        cb_kernels_activate(d->kernels, call->post.act, part.m, s->cout, part.out, part.out_stride);
        part.out += part.m * call->y_stride;
        if (part.post.residual)
            part.post.residual += part.m * call->y_stride;
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    const size_t zeros = cb_size_bytes(call->shape->cin, sizeof(float));
    struct depthwise d = {
        .kernels = kernels,
        .call = call,
        .zeros = memset(call->scratch, 0, zeros),
        .rows = (char *)call->scratch + zeros,
    };
    cb_threads_for(call->threads, cb_conv_lines(call->shape), run_line, &d);
}

const struct cb_conv_algorithm cb_conv_depthwise = {
    .name = "depthwise",
    .fits = fits,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
