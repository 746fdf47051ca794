/* core/kernels/conv_bf16.c - the indirect convolution on pairs of bfloat16 (bf16.h): the input is
 * rounded to pairs of channels, and these take the place of floats in a convolution of half as many
 * channels. */
#include <string.h>

#include "core/kernels/bf16.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/pack.h"

static struct cb_conv_shape in_pairs(const struct cb_conv_shape *s)
{
    struct cb_conv_shape pairs = *s;
    pairs.cin = cb_size_divide(s->cin, 2);
    return pairs;
}

/* Few channels make few whole pairs: the first layer of a network stays on floats. */
static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return kernels->bf16 && s->group == 1 && s->cin >= CB_CONV_NARROW_INPUT &&
           !cb_conv_product.fits(kernels, s);
}

static size_t pixels(const struct cb_conv_shape *s)
{
    return s->n * s->in[0] * s->in[1] * s->in[2];
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const struct cb_conv_shape pairs = in_pairs(s);
    return cb_conv_indirect.cost(kernels, &pairs) +
           3 * (double)pixels(s) * (double)cb_size_divide(s->cin, kernels->vector);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const struct cb_conv_shape pairs = in_pairs(s);
    return cb_conv_indirect.packed_bytes(kernels, &pairs);
}

struct pack {
    struct cb_filters filters;
    float *packed;
};

/* The pairs of channels of one panel: [tap][pair][nr]. */
static void pack_panel(void *ctx, size_t panel, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const size_t nr = p->filters.nr, taps = p->filters.taps, cin = p->filters.cin;
    const size_t depth = cb_size_divide(cin, 2);
    float *out = p->packed + panel * taps * depth * nr, carry[CB_TILE_COLUMNS_MAX] = { 0 };
    for (size_t t0 = 0; t0 < taps; t0 += CB_PACK_ROWS)
        for (size_t c = 0; c < cin; c += 2) {
            const size_t count = cb_size_min(taps - t0, CB_PACK_ROWS);
            float two[2][CB_PACK_ROWS * CB_TILE_COLUMNS_MAX] = { { 0 } };
            for (size_t i = 0; i < 2 && c + i < cin; i++) {
                cb_pack_taps(&p->filters, panel, c + i, t0, count, two[i]);
                cb_bf16_keep_sums(two[i], count, nr, carry);
            }
            for (size_t t = 0; t < count; t++)
                for (size_t j = 0; j < nr; j++) {
                    const float pair = cb_bf16_pair(two[0][t * nr + j], two[1][t * nr + j]);
                    memcpy(out + ((t0 + t) * depth + c / 2) * nr + j, &pair, sizeof pair);
                }
        }
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    struct pack p = { cb_filters_of(kernels, s, w, scale), packed };
    cb_threads_for(threads, cb_size_divide(s->cout, kernels->nr), pack_panel, &p);
}

static size_t input_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(pixels(s), cb_size_divide(s->cin, 2) * sizeof(float));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    const struct cb_conv_shape pairs = in_pairs(s);
    return cb_size_add(input_bytes(s), cb_conv_indirect.scratch_bytes(kernels, &pairs, threads));
}

struct rounding {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    float *to;
};

static void round_line(void *ctx, size_t line, size_t worker)
{
    (void)worker;
    const struct rounding *r = ctx;
    const struct cb_conv_shape *s = r->call->shape;
    const struct cb_conv_input x = cb_conv_input_of(r->call);
    const size_t depth = cb_size_divide(s->cin, 2), first = line * s->in[2];
    if (x.stride == s->cin && s->cin % 2 == 0) { /* one row of numbers */
        r->kernels->to_pairs(s->in[2] * s->cin, x.at + first * s->cin, r->to + first * depth);
        return;
    }
    for (size_t i = first; i < first + s->in[2]; i++)
        r->kernels->to_pairs(s->cin, x.at + i * x.stride, r->to + i * depth);
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    const struct cb_conv_shape *s = call->shape, pairs = in_pairs(s);
    struct cb_kernels on_pairs = *kernels;
    struct rounding r = { kernels, call, call->scratch };
    struct cb_conv_call inner = *call;
    on_pairs.tile = kernels->tile_pairs;
    inner.shape = &pairs;
    inner.x = call->scratch;
    inner.x_stride = 0;
    inner.scratch = (char *)call->scratch + input_bytes(s);
    cb_threads_for(call->threads, s->n * s->in[0] * s->in[1], round_line, &r);
    cb_conv_indirect.run(&on_pairs, &inner);
}

const struct cb_conv_algorithm cb_conv_bf16 = {
    .name = "indirect-bf16",
    .fits = fits,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
