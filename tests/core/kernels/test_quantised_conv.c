/* Convolutions of bytes against plain loops over the definition, in exact arithmetic up to the last
 * rounding. */
#include "core/kernels/quantised_conv.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/arena.h"
#include "core/base/rng.h"

static size_t below(struct cb_rng *rng, size_t n)
{
    return (size_t)cb_rng_below(rng, n);
}

/* The sum of (x - zero) * (w - w_zero) under the kernel of output pixel o, output channel m;
 * padding is zero. */
static int64_t sum_at(const struct cb_quantised_conv *c, const int8_t *w, int64_t w_zero, size_t n,
                      const size_t o[3], size_t m)
{
    const struct cb_conv_shape *s = c->shape;
    const size_t cin = s->cin / s->group, first = m / (s->cout / s->group) * cin;
    const size_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    int64_t sum = 0;
    for (size_t t = 0; t < taps; t++) {
        const size_t k[3] = { t / s->kernel[2] / s->kernel[1], t / s->kernel[2] % s->kernel[1],
                              t % s->kernel[2] };
        size_t at[3];
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            at[i] = o[i] * s->stride[i] + k[i] * s->dilation[i] - s->pad[i];
            inside &= at[i] < s->in[i];
        }
        const size_t pixel = ((n * s->in[0] + at[0]) * s->in[1] + at[1]) * s->in[2] + at[2];
        for (size_t i = 0; inside && i < cin; i++)
            sum += (int64_t)(c->x[pixel * s->cin + first + i] - c->x_quantum.zero) *
                   (w[(m * cin + i) * taps + t] - w_zero);
    }
    return sum;
}

struct checked {
    struct cb_conv_shape s;
    bool residual, real, sums, zeros, whole;
    struct cb_act act;
};

static double activated(struct cb_act act, double v)
{
    return act.kind == CB_ACT_SILU ? v / (1 + exp(-v)) : v;
}

/* What was computed against sum_at of weights w with their zeros, and the whole bias. */
static void expect_definition(const struct cb_quantised_conv *c, const struct checked *k,
                              const int8_t *w, const int64_t *w_zero, const int64_t *whole,
                              const char *set, int seed)
{
    const struct cb_conv_shape *s = c->shape;
    const size_t count = s->n * s->out[0] * s->out[1] * s->out[2] * s->cout;
    for (size_t i = 0; i < count; i++) {
        const size_t m = i % s->cout, p = i / s->cout, plane = p / s->out[2] / s->out[1];
        const size_t o[3] = { plane % s->out[0], p / s->out[2] % s->out[1], p % s->out[2] };
        const int64_t sum = sum_at(c, w, k->zeros ? w_zero[m] : 0, plane / s->out[0], o, m) +
                            (k->whole ? whole[m] : 0);
        if (k->sums) {
            cr_assert_eq(c->sums[i], sum, "%s seed %d: sum %zu", set, seed, i);
            continue;
        }
        double v = (double)sum * (double)0.021f * (double)c->w_scale[m] +
                   (c->bias ? (double)c->bias[m] : 0);
        if (c->residual)
            v += (c->residual[i] - c->residual_quantum.zero) * (double)0.13f;
        v = activated(k->act, fmin(fmax(v, (double)c->lo), (double)c->hi));
        if (k->real) {
            cr_assert_float_eq((double)c->reals[i], v, 1e-4 * (1 + fabs(v)), "%s seed %d: %zu", set,
                               seed, i);
            continue;
        }
        const double q = fmin(fmax(v / (double)0.071f + c->y_quantum.zero, 0), 255);
        cr_assert(fabs(q - c->bytes[i]) <= 0.502, "%s seed %d: element %zu is %d, not %g", set,
                  seed, i, c->bytes[i], q);
    }
}

static void check(enum cb_isa isa, size_t threads, const struct checked *k, uint64_t seed)
{
    const struct cb_kernels kernels = cb_kernels_for(isa);
    const struct cb_conv_shape *s = &k->s;
    const size_t pixels = s->n * s->out[0] * s->out[1] * s->out[2], count = pixels * s->cout;
    const size_t in = s->n * s->in[0] * s->in[1] * s->in[2] * s->cin;
    const size_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    const size_t each = s->cin / s->group * taps;
    struct cb_rng rng = cb_rng_seed(seed);
    struct cb_arena a;
    struct cb_quantised_conv c = { .shape = s,
                                   .x_quantum = { 0.021f, (int)below(&rng, 256) },
                                   .residual_quantum = { 0.13f, (int)below(&rng, 256) },
                                   .y_quantum = { 0.071f, (int)below(&rng, 256) },
                                   .lo = seed % 3 ? -INFINITY : 0,
                                   .hi = seed % 5 ? INFINITY : 6,
                                   .act = k->act };
    cr_assert(cb_arena_init(&a, (size_t)1 << 28).code == CB_OK);
    cr_assert(cb_threads_create(threads, &c.threads).code == CB_OK);
    uint8_t *x = cb_arena_alloc(&a, in + CB_QUANTISED_GROUP - 1, 1);
    uint8_t *residual = cb_arena_alloc(&a, count, 1);
    int8_t *w = cb_arena_alloc(&a, s->cout * each, 1);
    float *w_scale = cb_arena_alloc(&a, s->cout, sizeof(float));
    float *bias = cb_arena_alloc(&a, s->cout, sizeof(float));
    int64_t *w_zero = cb_arena_alloc(&a, s->cout, sizeof *w_zero);
    int64_t *whole = cb_arena_alloc(&a, s->cout, sizeof *whole);
    void *packed = cb_arena_alloc(&a, cb_quantised_conv_packed_bytes(&kernels, s, k->zeros), 1);
    for (size_t i = 0; i < in; i++)
        x[i] = (uint8_t)below(&rng, 256);
    for (size_t i = 0; i < count; i++)
        residual[i] = (uint8_t)below(&rng, 256);
    for (size_t i = 0; i < s->cout * each; i++)
        w[i] = below(&rng, 9) ? (int8_t)below(&rng, 256) : INT8_MAX;
    for (size_t i = 0; i < s->cout; i++) {
        w_scale[i] = cb_rng_uniform(&rng, 0.001f, 0.01f);
        bias[i] = cb_rng_uniform(&rng, -2, 2);
        w_zero[i] = (int64_t)below(&rng, 3) - 1 ? (int64_t)below(&rng, 256) - 128 : -128;
        whole[i] = (int64_t)below(&rng, 20000) - 10000;
    }
    cb_quantised_conv_pack(&kernels, s, w, k->zeros ? w_zero : NULL, packed);
    c.zeros = k->zeros;
    c.whole = k->whole ? whole : NULL;
    c.x = x;
    c.packed = packed;
    c.w_scale = w_scale;
    c.bias = seed % 4 ? bias : NULL;
    c.residual = k->residual ? residual : NULL;
    if (k->sums)
        c.sums = cb_arena_alloc(&a, count, sizeof(int32_t));
    else if (k->real)
        c.reals = cb_arena_alloc(&a, count, sizeof(float));
    else
        c.bytes = cb_arena_alloc(&a, count, 1);
    c.scratch =
        cb_arena_alloc(&a, cb_quantised_conv_scratch_bytes(&kernels, s, k->zeros, threads), 1);
    cb_quantised_conv_run(&kernels, &c);
    expect_definition(&c, k, w, w_zero, whole, kernels.quantised.name, (int)seed);
    cb_threads_destroy(c.threads);
    cb_arena_deinit(&a);
}

static void random_axis(struct cb_rng *rng, struct cb_conv_shape *s, int i)
{
    s->kernel[i] = 1 + below(rng, i == 0 ? 2 : 4);
    s->stride[i] = 1 + below(rng, 3) * below(rng, 2);
    s->dilation[i] = 1 + below(rng, 3) * below(rng, 2);
    s->pad[i] = below(rng, 3);
    const size_t span = (s->kernel[i] - 1) * s->dilation[i] + 1, pads = s->pad[i] + below(rng, 3);
    s->in[i] = 1 + below(rng, i == 0 ? 3 : 11);
    while (s->in[i] + pads < span)
        s->in[i]++;
    s->out[i] = (s->in[i] + pads - span) / s->stride[i] + 1;
}

Test(quantised_conv, is_the_definition_rounded_on_every_isa)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        struct checked k = { .s = { .n = 1 + below(&rng, 2) } };
        for (int i = 0; i < 3; i++)
            random_axis(&rng, &k.s, i);
        const size_t form = below(&rng, 4); /* dense, few channels, groups, depthwise */
        k.s.group = form < 2 ? 1 : form == 2 ? 1 + below(&rng, 3) : 2 + below(&rng, 70);
        k.s.cin = form == 3 ? k.s.group : k.s.group * (1 + below(&rng, form == 1 ? 4 : 37));
        k.s.cout = form == 3 ? k.s.group : k.s.group * (1 + below(&rng, 45));
        k.residual = form != 3 && below(&rng, 2);
        k.real = below(&rng, 3) == 0;
        k.sums = below(&rng, 4) == 0;
        k.zeros = below(&rng, 2);
        k.whole = below(&rng, 2);
        if (!k.residual && below(&rng, 3) == 0)
            k.act = (struct cb_act){ .kind = CB_ACT_SILU };
        for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
            check(isa, 1 + seed % 3, &k, seed);
    }
}

Test(quantised_conv, product_of_one_row_and_many)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        const size_t rows = seed % 2 ? 1 : 37;
        const struct checked k = { .s = { .n = 1,
                                          .cin = 11 * seed,
                                          .cout = 13 * seed + 20,
                                          .group = 1,
                                          .in = { 1, 1, rows },
                                          .out = { 1, 1, rows },
                                          .kernel = { 1, 1, 1 },
                                          .stride = { 1, 1, 1 },
                                          .dilation = { 1, 1, 1 } },
                                   .real = seed > 3,
                                   .sums = seed == 6,
                                   .zeros = seed % 3 == 0 };
        for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
            check(isa, 2, &k, seed);
    }
}
