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

/* Lines of the kernel. */
static size_t kernel_lines(const struct cb_conv_shape *s)
{
    return s->kernel[0] * s->kernel[1];
}

/* Two tables of pointers a thread: lines of the input, and of the weights. */
static size_t worker_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(kernel_lines(s), 2 * sizeof(float *));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    (void)kernels;
    return cb_size_bytes(threads, worker_bytes(s));
}

struct depthwise {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
};

/* The lines of the kernel that lie in the picture, around output line `p`; how many. */
static size_t fill_lines(const struct depthwise *d, const struct cb_conv_pixel *p,
                         const float **rows, const float **weights)
{
    const struct cb_conv_shape *s = d->call->shape;
    const struct cb_conv_input x = cb_conv_input_of(d->call);
    const float *w = d->call->packed;
    size_t lines = 0;
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++) {
        const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++, w += s->kernel[2] * s->cout) {
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            if (i0 >= s->in[0] || i1 >= s->in[1])
                continue;
            const size_t line = (p->image * s->in[0] + i0) * s->in[1] + i1;
            rows[lines] = x.at + line * s->in[2] * x.stride;
            weights[lines++] = w;
        }
    }
    return lines;
}

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct depthwise *d = ctx;
    const struct cb_conv_call *call = d->call;
    const struct cb_conv_shape *s = call->shape;
    const size_t at = line * s->out[2] * call->y_stride;
    const struct cb_conv_pixel pixel = cb_conv_pixel_at(s, line * s->out[2]);
    void *scratch = (char *)call->scratch + worker * worker_bytes(s);
    const float **rows = scratch, **w = rows + kernel_lines(s);
    struct cb_depthwise_line part = {
        .m = s->out[2],
        .channels = s->cout,
        .lines = fill_lines(d, &pixel, rows, w),
        .taps = s->kernel[2],
        .stride = s->stride[2],
        .dilation = s->dilation[2],
        .pad = s->pad[2],
        .rows = rows,
        .width = s->in[2],
        .pixel = cb_conv_input_of(call).stride,
        .w = w,
        .w_stride = s->cout,
        .out = call->y + at,
        .out_stride = call->y_stride,
        .post = call->post,
    };
    if (part.post.residual)
        part.post.residual += at;
    d->kernels->depthwise_line(&part);
    cb_kernels_activate(d->kernels, call->post.act, part.m, s->cout, part.out, part.out_stride);
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    struct depthwise d = { .kernels = kernels, .call = call };
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
