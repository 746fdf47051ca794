/* core/kernels/conv_product.c - 1x1 convolution: the activation as it lies times the weights. With
 * a stride, those that count are brought together first: where they lie, they often are a
 * multiple of 4 KB apart, and push each other out of the first cache. */
#include <string.h>

#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"

/* Not every pixel counts. */
static bool sparse(const struct cb_conv_shape *s)
{
    return cb_conv_pixels(s) != s->n * s->in[0] * s->in[1] * s->in[2];
}

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    for (int i = 0; i < 3; i++)
        if (s->kernel[i] != 1 || s->pad[i] != 0 || (s->out[i] - 1) * s->stride[i] >= s->in[i])
            return false;
    return s->group == 1;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const double depth = (double)s->cin * (kernels->bf16 ? 0.55 : 1);
    const double copies = sparse(s) ? 2 * (double)s->cin / (double)kernels->vector : 0;
    return (double)cb_conv_pixels(s) *
           (depth * (double)cb_size_divide(s->cout, kernels->vector) + copies);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return cb_gemm_packed_bytes(kernels, s->cin, s->cout);
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    cb_gemm_pack_filters(kernels, threads, s->cin, s->cout, w, scale, packed);
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    (void)kernels, (void)threads;
    return sparse(s) ? cb_size_bytes(cb_conv_pixels(s), s->cin * sizeof(float)) : 0;
}

/* A line of output pixels. */
static void gather_line(void *ctx, size_t line, size_t worker)
{
    (void)worker;
    const struct cb_conv_call *call = ctx;
    const struct cb_conv_shape *s = call->shape;
    const struct cb_conv_input x = cb_conv_input_of(call);
    struct cb_conv_pixel at = cb_conv_pixel_at(s, line * s->out[2]);
    float *to = (float *)call->scratch + line * s->out[2] * s->cin;
    const float *row;
    for (; at.at[2] < s->out[2]; at.at[2]++, to += s->cin) {
        cb_conv_fill_rows(s, &x, &at, 1, NULL, 1, &row);
        memcpy(to, row, s->cin * sizeof *to);
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    const struct cb_conv_shape *s = call->shape;
    struct cb_conv_input x = cb_conv_input_of(call);
    if (sparse(s)) {
        cb_threads_for(call->threads, cb_conv_lines(s), gather_line, (void *)(uintptr_t)call);
        x = (struct cb_conv_input){ call->scratch, s->cin };
    }
    cb_gemm_run(kernels, call->threads,
                &(struct cb_gemm){
                    .m = cb_conv_pixels(s),
                    .n = s->cout,
                    .k = s->cin,
                    .a = x.at,
                    .lda = x.stride,
                    .pre = call->pre,
                    .image_rows = s->out[0] * s->out[1] * s->out[2],
                    .packed = call->packed,
                    .c = call->y,
                    .ldc = call->y_stride,
                    .post = call->post,
                });
}

const struct cb_conv_algorithm cb_conv_product = {
    .name = "product",
    .fits = fits,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
