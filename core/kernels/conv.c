#include "core/kernels/conv.h"

#include "core/kernels/conv_parts.h"

/* clang-format off */
const struct cb_conv_algorithm *const cb_conv_algorithms[] = {
    &cb_conv_depthwise,
    &cb_conv_product,
    &cb_conv_winograd_6,
    &cb_conv_winograd_8,
    &cb_conv_winograd_4,
    &cb_conv_winograd_5,
    &cb_conv_winograd_6_taps,
    &cb_conv_winograd_4_taps,
    &cb_conv_winograd_lines_8,
    &cb_conv_winograd_lines_6,
    &cb_conv_bf16,
    &cb_conv_indirect,
    &cb_conv_direct,
};
/* clang-format on */
const size_t cb_conv_algorithm_count = sizeof cb_conv_algorithms / sizeof *cb_conv_algorithms;

#define COMPETES 2.5 /* times the least cost: no estimate is that wrong */

const struct cb_conv_algorithm *cb_conv_choose(const struct cb_kernels *kernels,
                                               const struct cb_conv_shape *s)
{
    const struct cb_conv_algorithm *best = &cb_conv_direct;
    if (kernels->isa == CB_ISA_GENERIC)
        return best;
    for (size_t i = 0; i < cb_conv_algorithm_count; i++) {
        const struct cb_conv_algorithm *a = cb_conv_algorithms[i];
        if (a->fits(kernels, s) && a->cost(kernels, s) < best->cost(kernels, s))
            best = a;
    }
    return best;
}

bool cb_conv_competes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                      const struct cb_conv_algorithm *algorithm)
{
    const struct cb_conv_algorithm *best = cb_conv_choose(kernels, s);
    return algorithm == best || (kernels->isa != CB_ISA_GENERIC && algorithm->fits(kernels, s) &&
                                 algorithm->cost(kernels, s) < COMPETES * best->cost(kernels, s));
}

double cb_conv_reading(const struct cb_kernels *kernels, double floats)
{
    /* Main memory gives one vector in the time of 11 products of 16, if nothing else is done. */
    return floats / (double)kernels->vector * 11;
}

const struct cb_conv_algorithm *cb_conv_choose_scaled(const struct cb_kernels *kernels)
{
    return kernels->isa == CB_ISA_GENERIC ? &cb_conv_direct : &cb_conv_product;
}

bool cb_conv_takes_prologue(const struct cb_conv_shape *s)
{
    return cb_conv_product.fits(NULL, s) && !cb_conv_depthwise.fits(NULL, s) &&
           cb_conv_pixels(s) == s->n * s->in[0] * s->in[1] * s->in[2];
}

bool cb_conv_takes_stride(const struct cb_conv_shape *s)
{
    return s->cin >= CB_CONV_NARROW_INPUT;
}

void cb_conv_fill_rows(const struct cb_conv_shape *s, const struct cb_conv_input *x,
                       const struct cb_conv_pixel *p, size_t count, const float *zeros, size_t step,
                       const float **rows)
{
    const size_t stride = s->stride[2];
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++) {
        const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++) {
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            const size_t width = i0 < s->in[0] && i1 < s->in[1] ? s->in[2] : 0;
            const size_t line = ((p->image * s->in[0] + i0) * s->in[1] + i1) * s->in[2];
            for (size_t t2 = 0; t2 < s->kernel[2]; t2++, rows += step) {
                const size_t first = cb_conv_source(s, 2, p->at[2], t2);
                for (size_t i = 0; i < count; i++) {
                    const size_t i2 = first + i * stride;
                    rows[i] = i2 < width ? x->at + (line + i2) * x->stride : zeros;
                }
            }
        }
    }
}
