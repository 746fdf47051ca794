/* core/kernels/conv_backward.c - the two derivatives of convolution in plain loops, the reference,
 * for the generic set; the other sets have conv_backward_data.c and conv_backward_weights.c. */
#include "core/kernels/conv_parts.h"

struct backward {
    const struct cb_conv_shape *s;
    const float *x, *w, *dy;
    float *dx, *dw;
};

size_t cb_conv_backward_scratch_bytes(const struct cb_kernels *kernels,
                                      const struct cb_conv_shape *s, size_t threads)
{
    if (kernels->isa == CB_ISA_GENERIC)
        return 0;
    const size_t data = cb_conv_data_scratch_bytes(kernels, s, threads);
    const size_t weights = cb_conv_weights_scratch_bytes(kernels, s, threads);
    return cb_size_max(data, weights);
}

/* The number of the input pixel under a tap of an output pixel; SIZE_MAX in the padding. */
static size_t source_pixel(const struct cb_conv_shape *s, const struct cb_conv_pixel *p, size_t tap)
{
    const size_t t[3] = { tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1],
                          tap % s->kernel[2] };
    size_t number = p->image;
    for (int i = 0; i < 3; i++) {
        const size_t at = cb_conv_source(s, i, p->at[i], t[i]);
        if (at >= s->in[i])
            return SIZE_MAX;
        number = number * s->in[i] + at;
    }
    return number;
}

/* dx[in, c] += sum over filters o and taps t: dy[out, o] * w[o, c, t]. */
static void data_of_image(void *ctx, size_t image, size_t worker)
{
    (void)worker;
    const struct backward *b = ctx;
    const struct cb_conv_shape *s = b->s;
    const size_t taps = cb_conv_taps(s), cin = s->cin / s->group, cout = s->cout / s->group;
    const size_t pixels = s->out[0] * s->out[1] * s->out[2];
    for (size_t number = image * pixels; number < (image + 1) * pixels; number++) {
        const struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
        for (size_t t = 0; t < taps; t++) {
            const size_t in = source_pixel(s, &pixel, t);
            for (size_t o = 0; in != SIZE_MAX && o < s->cout; o++) {
                const float g = b->dy[number * s->cout + o], *w = b->w + o * cin * taps + t;
                float *dx = b->dx + in * s->cin + o / cout * cin;
                for (size_t c = 0; c < cin; c++)
                    dx[c] += g * w[c * taps];
            }
        }
    }
}

void cb_conv_backward_data(const struct cb_kernels *kernels, struct cb_threads *threads,
                           const struct cb_conv_shape *s, const float *dy, const float *w,
                           const void *packed, void *scratch, float *dx)
{
    if (kernels->isa != CB_ISA_GENERIC) {
        cb_conv_data_run(kernels, threads, s, dy, w, packed, scratch, dx);
        return;
    }
    struct backward b = { .s = s, .w = w, .dy = dy, .dx = dx };
    cb_threads_for(threads, s->n, data_of_image, &b);
}

size_t cb_conv_backward_packed_bytes(const struct cb_kernels *kernels,
                                     const struct cb_conv_shape *s)
{
    return kernels->isa == CB_ISA_GENERIC ? 0 : cb_conv_data_packed_bytes(kernels, s);
}

void cb_conv_backward_pack(const struct cb_kernels *kernels, struct cb_threads *threads,
                           const struct cb_conv_shape *s, const void *w, void *packed)
{
    cb_conv_data_pack(kernels, threads, s, w, packed);
}

/* dw[o, c, t] += sum over output pixels: dy[out, o] * x[in, c]. */
static void weights_of_filter(void *ctx, size_t o, size_t worker)
{
    (void)worker;
    const struct backward *b = ctx;
    const struct cb_conv_shape *s = b->s;
    const size_t taps = cb_conv_taps(s), cin = s->cin / s->group, cout = s->cout / s->group;
    for (size_t number = 0; number < cb_conv_pixels(s); number++) {
        const struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
        const float g = b->dy[number * s->cout + o];
        for (size_t t = 0; t < taps; t++) {
            const size_t in = source_pixel(s, &pixel, t);
            const float *x = b->x + in * s->cin + o / cout * cin;
            float *dw = b->dw + o * cin * taps + t;
            for (size_t c = 0; in != SIZE_MAX && c < cin; c++)
                dw[c * taps] += g * x[c];
        }
    }
}

void cb_conv_backward_weights(const struct cb_kernels *kernels, struct cb_threads *threads,
                              const struct cb_conv_shape *s, const float *x, const float *dy,
                              void *scratch, float *dw)
{
    if (kernels->isa != CB_ISA_GENERIC) {
        cb_conv_weights_run(kernels, threads, s, x, dy, scratch, dw);
        return;
    }
    struct backward b = { .s = s, .x = x, .dy = dy, .dw = dw };
    cb_threads_for(threads, s->cout, weights_of_filter, &b);
}
