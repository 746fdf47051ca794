/* core/kernels/conv_product.c - 1x1 convolution: the activation as it lies times the weights. */
#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels;
    for (int i = 0; i < 3; i++)
        if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] != 0 || s->in[i] != s->out[i])
            return false;
    return s->group == 1;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return (double)cb_conv_pixels(s) * (double)s->cin *
           (double)cb_size_divide(s->cout, kernels->vector);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return cb_gemm_packed_bytes(kernels, s->cin, s->cout);
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    cb_gemm_pack(kernels, threads, s->cin, s->cout, w, 1, s->cin, packed);
    float *row = packed;
    for (size_t first = 0; scale && first < s->cout; first += kernels->nr)
        for (size_t c = 0; c < s->cin; c++, row += kernels->nr)
            for (size_t j = 0; j < kernels->nr && first + j < s->cout; j++)
                row[j] *= scale[first + j];
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    (void)kernels, (void)s, (void)threads;
    return 0;
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    const struct cb_conv_shape *s = call->shape;
    cb_gemm_run(kernels, call->threads,
                &(struct cb_gemm){
                    .m = cb_conv_pixels(s),
                    .n = s->cout,
                    .k = s->cin,
                    .a = call->x,
                    .lda = call->x_stride ? call->x_stride : s->cin,
                    .pre = call->pre,
                    .image_rows = s->in[0] * s->in[1] * s->in[2],
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
