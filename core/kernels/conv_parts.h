/* core/kernels/conv_parts.h - what the convolution algorithms share: their rows of the table, the
 * order of pixels, where a tap of the kernel falls. Private to core/kernels. */
#pragma once

#include "core/kernels/conv.h"
#include "core/kernels/sizes.h"

extern const struct cb_conv_algorithm cb_conv_depthwise, cb_conv_product, cb_conv_winograd_4,
    cb_conv_winograd_5, cb_conv_winograd_6, cb_conv_winograd_8, cb_conv_winograd_4_taps,
    cb_conv_winograd_6_taps, cb_conv_winograd_lines_6, cb_conv_winograd_lines_8, cb_conv_bf16,
    cb_conv_indirect, cb_conv_direct;

/* The error of `algorithm` with these weights on a small seeded picture of positive and zero
 * numbers: root mean square, against sums in double, relative to that of the outputs. INFINITY
 * without memory. */
double cb_conv_error(const struct cb_kernels *, const struct cb_conv_shape *,
                     const struct cb_conv_algorithm *, const void *w, const void *packed);

/* The cost of streaming so many weights. */
double cb_conv_reading(const struct cb_kernels *kernels, double floats);

static inline size_t cb_conv_taps(const struct cb_conv_shape *s)
{
    return s->kernel[0] * s->kernel[1] * s->kernel[2];
}

/* Lines of output pixels along the last axis. */
static inline size_t cb_conv_lines(const struct cb_conv_shape *s)
{
    return s->n * s->out[0] * s->out[1];
}

static inline size_t cb_conv_pixels(const struct cb_conv_shape *s)
{
    return cb_conv_lines(s) * s->out[2];
}

/* An output pixel; they are numbered in the order in which they lie. */
struct cb_conv_pixel {
    size_t image, at[3];
};

static inline struct cb_conv_pixel cb_conv_pixel_at(const struct cb_conv_shape *s, size_t number)
{
    const size_t line = number / s->out[2], plane = line / s->out[1];
    return (struct cb_conv_pixel){
        .image = plane / s->out[0],
        .at = { plane % s->out[0], line % s->out[1], number % s->out[2] },
    };
}

/* The start of the line after p's. */
static inline void cb_conv_pixel_next_line(const struct cb_conv_shape *s, struct cb_conv_pixel *p)
{
    p->at[2] = 0;
    if (++p->at[1] < s->out[1])
        return;
    p->at[1] = 0;
    if (++p->at[0] < s->out[0])
        return;
    p->at[0] = 0;
    p->image++;
}

/* The input coordinate that tap t of output coordinate `at` reads; in the padding it is not below
 * s->in[axis]. */
static inline size_t cb_conv_source(const struct cb_conv_shape *s, int axis, size_t at, size_t t)
{
    return at * s->stride[axis] + t * s->dilation[axis] - s->pad[axis];
}

enum { CB_CONV_NARROW_INPUT = 8 }; /* channels below which a line of the kernel becomes one tap */

/* Where pixel 0 is, and floats from one pixel to the next. */
struct cb_conv_input {
    const float *at;
    size_t stride;
};

static inline struct cb_conv_input cb_conv_input_of(const struct cb_conv_call *call)
{
    return (struct cb_conv_input){ call->x, call->x_stride ? call->x_stride : call->shape->cin };
}

/* rows[tap * step + i] = the input pixel under each tap of output pixel `p` + i, or `zeros` in the
 * padding, for i < count pixels of one line. */
void cb_conv_fill_rows(const struct cb_conv_shape *s, const struct cb_conv_input *x,
                       const struct cb_conv_pixel *p, size_t count, const float *zeros, size_t step,
                       const float **rows);

/* The two derivatives on the fast sets; conv_backward.c has the plain ones and chooses. */
size_t cb_conv_data_scratch_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                  size_t threads);
void cb_conv_data_run(const struct cb_kernels *, struct cb_threads *, const struct cb_conv_shape *,
                      const float *dy, const float *w, void *scratch, float *dx);
size_t cb_conv_weights_scratch_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                     size_t threads);
void cb_conv_weights_run(const struct cb_kernels *, struct cb_threads *,
                         const struct cb_conv_shape *, const float *x, const float *dy,
                         void *scratch, float *dw);
