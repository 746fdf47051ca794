/* Convolution algorithms against "direct", and derivatives of the fast sets against the generic
 * one, on a seeded family of shapes: one to three axes, strides, dilations, groups, uneven pads,
 * outputs inside wider pixels. */
#include "core/kernels/conv.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "tests/support/close.h"

static size_t below(struct cb_rng *rng, size_t n)
{
    return (size_t)cb_rng_below(rng, n);
}

static float *floats(struct cb_arena *arena, size_t n)
{
    float *p = cb_arena_alloc(arena, n + 1, sizeof(float));
    cr_assert_not_null(p);
    return p;
}

static float *random_floats(struct cb_arena *arena, struct cb_rng *rng, size_t n)
{
    float *p = floats(arena, n);
    cb_rng_fill(rng, n, p);
    return p;
}

static size_t in_size(const struct cb_conv_shape *s)
{
    return s->n * s->in[0] * s->in[1] * s->in[2] * s->cin;
}

static size_t out_pixels(const struct cb_conv_shape *s)
{
    return s->n * s->out[0] * s->out[1] * s->out[2];
}

static size_t weight_size(const struct cb_conv_shape *s)
{
    return s->cout * (s->cin / s->group) * s->kernel[0] * s->kernel[1] * s->kernel[2];
}

/* One axis: the output size follows from pads at both ends, and may be cropped by one. */
static void random_axis(struct cb_rng *rng, struct cb_conv_shape *s, int i)
{
    s->kernel[i] = 1 + below(rng, i == 0 ? 2 : 4);
    s->stride[i] = 1 + below(rng, 3) * below(rng, 2);
    s->dilation[i] = 1 + below(rng, 3) * below(rng, 2);
    s->pad[i] = below(rng, 3);
    const size_t span = (s->kernel[i] - 1) * s->dilation[i] + 1, pads = s->pad[i] + below(rng, 3);
    s->in[i] = 1 + below(rng, i == 0 ? 3 : 13);
    while (s->in[i] + pads < span)
        s->in[i]++;
    s->out[i] = (s->in[i] + pads - span) / s->stride[i] + 1;
}

static struct cb_conv_shape random_shape(struct cb_rng *rng)
{
    static const size_t groups[] = { 1, 1, 1, 2, 3, 4, 8 },
                        channels[] = { 1, 2, 3, 4, 5, 8, 16, 17, 33 };
    struct cb_conv_shape s = { .n = 1 + below(rng, 2), .group = groups[below(rng, 7)] };
    s.cin = s.group * channels[below(rng, s.group > 1 ? 5 : 9)];
    s.cout = s.group * channels[below(rng, s.group > 1 ? 7 : 9)];
    const size_t axes = 1 + below(rng, 3);
    if (below(rng, 5) == 0)
        s.group = s.cout = s.cin; /* depthwise */
    for (int i = 0; i < 3; i++) {
        s.in[i] = s.out[i] = s.kernel[i] = s.stride[i] = s.dilation[i] = 1;
        if ((size_t)i + axes >= 3)
            random_axis(rng, &s, i);
    }
    if (below(rng, 5) == 0)
        for (int i = 0; i < 3; i++) { /* a product */
            s.kernel[i] = s.stride[i] = 1;
            s.pad[i] = 0;
            s.out[i] = s.in[i];
            s.group = 1;
        }
    return s;
}

/* Now and then an axis loses its first element: gradients by inputs run such convolutions. */
static void crop(struct cb_rng *rng, struct cb_conv_shape *s)
{
    for (int i = 0; i < 3; i++) {
        const size_t span = (s->kernel[i] - 1) * s->dilation[i] + 1;
        if (below(rng, 6) || s->in[i] <= span)
            continue;
        s->pad[i] = (size_t)-1;
        s->out[i] = (s->in[i] - 1 - span) / s->stride[i] + 1;
    }
}

static const char *shape_text(const struct cb_conv_shape *s)
{
    static char text[160];
    snprintf(text, sizeof text,
             "n%zu c%zu/%zu g%zu in %zu,%zu,%zu k %zu,%zu,%zu s %zu,%zu,%zu d %zu,%zu,%zu", s->n,
             s->cin, s->cout, s->group, s->in[0], s->in[1], s->in[2], s->kernel[0], s->kernel[1],
             s->kernel[2], s->stride[0], s->stride[1], s->stride[2], s->dilation[0], s->dilation[1],
             s->dilation[2]);
    return text;
}

/* One run with everything around it. The caller has filled y: gaps between pixels must survive. */
static void run(struct cb_arena *arena, const struct cb_kernels *k,
                const struct cb_conv_algorithm *a, struct cb_conv_call call, const void *w,
                const float *scale)
{
    void *packed = cb_arena_alloc(arena, a->packed_bytes(k, call.shape) + 1, 1);
    const size_t scratch = a->scratch_bytes(k, call.shape, cb_threads_count(call.threads));
    call.scratch = cb_arena_alloc(arena, scratch + 64, 1);
    cr_assert(packed && call.scratch);
    memset(call.scratch, 0x7f, scratch + 64);
    a->pack(k, call.shape, call.threads, w, scale, packed);
    call.packed = packed;
    a->run(k, &call);
    for (size_t i = 0; i < 64; i++)
        cr_assert(((char *)call.scratch)[scratch + i] == 0x7f, "%s writes past its scratch",
                  a->name);
}

static void compare_algorithms(struct cb_arena *arena, struct cb_threads *threads, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    struct cb_conv_shape s = random_shape(&rng);
    crop(&rng, &s);
    const size_t stride = s.cout + below(&rng, 2) * 5, size = out_pixels(&s) * stride;
    float *w = random_floats(arena, &rng, weight_size(&s) + 1),
          *bias = random_floats(arena, &rng, s.cout);
    float *scale = random_floats(arena, &rng, s.cout), *residual = random_floats(arena, &rng, size);
    memmove((char *)w + 1, w, weight_size(&s) * sizeof(float)); /* as in a mapped file */
    struct cb_conv_call call = {
        .shape = &s,
        .x = random_floats(arena, &rng, in_size(&s)),
        .y = random_floats(arena, &rng, size),
        .y_stride = stride,
        .post = { .bias = below(&rng, 2) ? bias : NULL, .lo = -INFINITY, .hi = INFINITY },
        .threads = threads,
    };
    if (below(&rng, 2))
        call.post.residual = residual;
    if (below(&rng, 2))
        call.post.lo = 0, call.post.hi = 0.5f;
    const float *scale_or_none = below(&rng, 2) ? scale : NULL;
    const struct cb_kernels generic = cb_kernels_for(CB_ISA_GENERIC);
    const struct cb_conv_algorithm *direct = cb_conv_choose(&generic, &s);
    float *want = floats(arena, size), *got = floats(arena, size);
    memcpy(want, call.y, size * sizeof(float));
    float *const before = call.y;
    call.y = want;
    run(arena, &generic, direct, call, (char *)w + 1, scale_or_none);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        for (size_t i = 0; i < cb_conv_algorithm_count; i++) {
            if (!cb_conv_algorithms[i]->fits(&k, &s))
                continue;
            memcpy(got, before, size * sizeof(float));
            call.y = got;
            run(arena, &k, cb_conv_algorithms[i], call, (char *)w + 1, scale_or_none);
            cb_expect_close(size, got, want, "seed %d %s %s %s", (int)seed, k.name,
                            cb_conv_algorithms[i]->name, shape_text(&s));
        }
    }
}

Test(conv_algorithms, every_algorithm_and_isa_equals_direct)
{
    struct cb_arena arena;
    struct cb_threads *threads;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(2, &threads).code, CB_OK);
    for (uint64_t seed = 1; seed <= 400; seed++, cb_arena_rewind(&arena, 0))
        compare_algorithms(&arena, seed % 8 == 0 ? threads : NULL, seed);
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

/* ---- what may happen to inputs and outputs, against plain loops around "direct" ---- */

struct extras {
    bool apart, scaled, shifted, per_image; /* pixels of x lie apart; a prologue, and its parts */
    struct cb_act act;
};

static struct extras random_extras(struct cb_rng *rng, const struct cb_conv_shape *s)
{
    struct extras e = { .apart = cb_conv_takes_stride(s) && below(rng, 2),
                        .scaled = cb_conv_takes_prologue(s) && below(rng, 4) };
    e.shifted = below(rng, 2);
    e.per_image = below(rng, 2);
    e.act = (struct cb_act){ (enum cb_activation)below(rng, CB_ACT_COUNT), 0.2f, 0.5f };
    return e;
}

/* x' as dense pixels. */
static const float *prepare(struct cb_arena *arena, const struct cb_conv_call *call)
{
    const struct cb_conv_shape *s = call->shape;
    const size_t area = s->in[0] * s->in[1] * s->in[2],
                 stride = call->x_stride ? call->x_stride : s->cin;
    const struct cb_prologue *pre = &call->pre;
    float *x = floats(arena, in_size(s));
    for (size_t p = 0; p < s->n * area; p++)
        for (size_t c = 0; c < s->cin; c++) {
            float v = call->x[p * stride + c];
            if (pre->scale) {
                v = v * pre->scale[p / area * pre->image_step + c] +
                    (pre->shift ? pre->shift[c] : 0);
                v = fminf(fmaxf(v, pre->lo), pre->hi);
            }
            x[p * s->cin + c] = v;
        }
    return x;
}

/* What the call must give: "direct" of x', and the activation number by number. */
static float *expected(struct cb_arena *arena, struct cb_conv_call call, const void *w, size_t size)
{
    const struct cb_kernels generic = cb_kernels_for(CB_ISA_GENERIC);
    const struct cb_act act = call.post.act;
    float *y = memcpy(floats(arena, size), call.y, size * sizeof(float));
    call.x = prepare(arena, &call);
    call.x_stride = 0;
    call.pre.scale = NULL;
    call.post.act.kind = CB_ACT_NONE;
    call.y = y;
    run(arena, &generic, cb_conv_choose(&generic, call.shape), call, w, NULL);
    for (size_t p = 0; p < out_pixels(call.shape); p++)
        for (size_t c = 0; c < call.shape->cout; c++) {
            float *v = &y[p * call.y_stride + c];
            generic.activate[act.kind](act, 1, 1, 0, v, v);
        }
    return y;
}

static void compare_extras(struct cb_arena *arena, struct cb_threads *threads, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    const struct cb_conv_shape s = random_shape(&rng);
    const struct extras e = random_extras(&rng, &s);
    const size_t x_stride = s.cin + (e.apart ? 1 + below(&rng, 20) : 0);
    const size_t stride = s.cout + below(&rng, 2) * 5, size = out_pixels(&s) * stride;
    const float *w = random_floats(arena, &rng, weight_size(&s));
    struct cb_conv_call call = {
        .shape = &s,
        .x = random_floats(arena, &rng, in_size(&s) / s.cin * x_stride),
        .x_stride = e.apart ? x_stride : 0,
        .y = random_floats(arena, &rng, size),
        .y_stride = stride,
        .post = { .bias = random_floats(arena, &rng, s.cout),
                  .residual = below(&rng, 2) ? random_floats(arena, &rng, size) : NULL,
                  .lo = -INFINITY,
                  .hi = below(&rng, 2) ? 0.5f : INFINITY,
                  .act = e.act },
        .pre = { .scale = e.scaled ? random_floats(arena, &rng, s.n * s.cin) : NULL,
                 .shift = e.shifted ? random_floats(arena, &rng, s.cin) : NULL,
                 .image_step = e.per_image ? s.cin : 0,
                 .lo = below(&rng, 2) ? 0 : -INFINITY,
                 .hi = INFINITY },
        .threads = threads,
    };
    float *const before = call.y, *const want = expected(arena, call, w, size);
    float *const got = floats(arena, size);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        for (size_t i = 0; i < cb_conv_algorithm_count; i++) {
            const struct cb_conv_algorithm *a = cb_conv_algorithms[i];
            const bool last = i == cb_conv_algorithm_count - 1;
            if (!a->fits(&k, &s) || (e.scaled && a != cb_conv_choose_scaled(&k) && !last))
                continue;
            call.y = memcpy(got, before, size * sizeof(float));
            run(arena, &k, a, call, w, NULL);
            cb_expect_close(size, got, want, "seed %d %s %s act %d%s%s %s", (int)seed, k.name,
                            a->name, (int)e.act.kind, e.apart ? " apart" : "",
                            e.scaled ? " scaled" : "", shape_text(&s));
        }
    }
}

Test(conv_algorithms, prologue_activation_and_pixels_that_lie_apart_are_as_in_plain_loops)
{
    struct cb_arena arena;
    struct cb_threads *threads;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(2, &threads).code, CB_OK);
    for (uint64_t seed = 1; seed <= 400; seed++, cb_arena_rewind(&arena, 0))
        compare_extras(&arena, seed % 8 == 0 ? threads : NULL, seed);
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

Test(conv_algorithms, direct_gives_hand_worked_numbers)
{
    const struct cb_conv_shape s = {
        .n = 1,
        .cin = 1,
        .cout = 1,
        .group = 1,
        .in = { 1, 2, 3 },
        .out = { 1, 1, 2 },
        .kernel = { 1, 2, 2 },
        .stride = { 1, 1, 2 },
        .dilation = { 1, 1, 1 },
        .pad = { 0, 0, 1 },
    };
    const float x[] = { 1, 2, 3, 4, 5, 6 }, w[] = { 1, 10, 100, 1000 };
    float y[2];
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    const struct cb_kernels k = cb_kernels_for(CB_ISA_GENERIC);
    const struct cb_conv_call call = {
        .shape = &s,
        .x = x,
        .y = y,
        .y_stride = 1,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    run(&arena, &k, cb_conv_choose(&k, &s), call, w, NULL);
    cr_expect_float_eq(y[0], 4010.0f, 1e-6);
    cr_expect_float_eq(y[1], 2 + 30 + 500 + 6000, 1e-6);
    cb_arena_deinit(&arena);
}

Test(conv_algorithms, the_fast_sets_choose_by_shape_and_generic_always_direct)
{
    struct cb_conv_shape s = {
        .n = 1,
        .cin = 16,
        .cout = 16,
        .group = 1,
        .in = { 1, 5, 5 },
        .out = { 1, 5, 5 },
        .kernel = { 1, 1, 1 },
        .stride = { 1, 1, 1 },
        .dilation = { 1, 1, 1 },
    };
    const struct cb_kernels generic = cb_kernels_for(CB_ISA_GENERIC),
                            best = cb_kernels_for(cb_isa_best());
    cr_expect_str_eq(cb_conv_choose(&generic, &s)->name, "direct");
    if (best.isa == CB_ISA_GENERIC)
        return;
    cr_expect_str_eq(cb_conv_choose(&best, &s)->name, "product");
    s.kernel[2] = 3, s.pad[2] = 1;
    cr_expect_str_eq(cb_conv_choose(&best, &s)->name, "indirect");
    s.group = 16;
    cr_expect_str_eq(cb_conv_choose(&best, &s)->name, "depthwise");
}

static void compare_derivatives(struct cb_arena *arena, struct cb_threads *threads, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    const struct cb_conv_shape s = random_shape(&rng);
    const float *x = random_floats(arena, &rng, in_size(&s)),
                *w = random_floats(arena, &rng, weight_size(&s));
    const float *dy = random_floats(arena, &rng, out_pixels(&s) * s.cout);
    const float *dx = random_floats(arena, &rng, in_size(&s)),
                *dw = random_floats(arena, &rng, weight_size(&s));
    float *want_dx = NULL, *want_dw = NULL;
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        const size_t bytes = cb_conv_backward_scratch_bytes(&k, &s, cb_threads_count(threads));
        char *scratch = cb_arena_alloc(arena, bytes + 64, 1);
        cr_assert_not_null(scratch);
        memset(scratch, 0x7f, bytes + 64);
        float *got_dx = floats(arena, in_size(&s)), *got_dw = floats(arena, weight_size(&s));
        memcpy(got_dx, dx, in_size(&s) * sizeof(float));
        memcpy(got_dw, dw, weight_size(&s) * sizeof(float));
        cb_conv_backward_data(&k, threads, &s, dy, w, NULL, scratch, got_dx);
        cb_conv_backward_weights(&k, threads, &s, x, dy, scratch, got_dw);
        for (size_t i = 0; i < 64; i++)
            cr_assert(scratch[bytes + i] == 0x7f, "%s writes past its scratch", k.name);
        if (isa == CB_ISA_GENERIC) {
            want_dx = got_dx;
            want_dw = got_dw;
            continue;
        }
        cb_expect_close(in_size(&s), got_dx, want_dx, "dx, seed %d %s %s", (int)seed, k.name,
                        shape_text(&s));
        cb_expect_close(weight_size(&s), got_dw, want_dw, "dw, seed %d %s %s", (int)seed, k.name,
                        shape_text(&s));
    }
}

Test(conv_backward, every_isa_equals_generic_and_adds)
{
    struct cb_arena arena;
    struct cb_threads *threads;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(2, &threads).code, CB_OK);
    for (uint64_t seed = 1; seed <= 300; seed++, cb_arena_rewind(&arena, 0))
        compare_derivatives(&arena, seed % 8 == 0 ? threads : NULL, seed);
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

/* <v, conv(u, w)> is linear in u and in w, so both derivatives are known from a forward run:
 * <dx, u> = <dw, w> = <v, conv(u, w)>. */
static void check_against_forward(struct cb_arena *arena, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    const struct cb_conv_shape s = random_shape(&rng);
    const struct cb_kernels k = cb_kernels_for(CB_ISA_GENERIC);
    const size_t out = out_pixels(&s) * s.cout;
    const float *u = random_floats(arena, &rng, in_size(&s)),
                *w = random_floats(arena, &rng, weight_size(&s));
    const float *v = random_floats(arena, &rng, out);
    float *y = floats(arena, out), *dx = floats(arena, in_size(&s)),
          *dw = floats(arena, weight_size(&s));
    const struct cb_conv_call call = {
        .shape = &s,
        .x = u,
        .y = y,
        .y_stride = s.cout,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    run(arena, &k, cb_conv_choose(&k, &s), call, w, NULL);
    cb_conv_backward_data(&k, NULL, &s, v, w, NULL, NULL, dx);
    cb_conv_backward_weights(&k, NULL, &s, u, v, NULL, dw);
    double loss = 0, by_x = 0, by_w = 0, scale = 1;
    for (size_t i = 0; i < out; i++) {
        loss += (double)v[i] * (double)y[i];
        scale += fabs((double)v[i] * (double)y[i]);
    }
    for (size_t i = 0; i < in_size(&s); i++)
        by_x += (double)dx[i] * (double)u[i];
    for (size_t i = 0; i < weight_size(&s); i++)
        by_w += (double)dw[i] * (double)w[i];
    cr_expect(fabs(by_x - loss) < 1e-5 * scale, "seed %d: %g, not %g", (int)seed, by_x, loss);
    cr_expect(fabs(by_w - loss) < 1e-5 * scale, "seed %d: %g, not %g", (int)seed, by_w, loss);
}

Test(conv_backward, rests_that_no_tap_reaches_cost_nothing)
{
    const struct cb_conv_shape s = {
        .n = 1,
        .cin = 3,
        .cout = 2,
        .group = 1,
        .in = { 1, (size_t)1 << 24, (size_t)1 << 24 },
        .out = { 1, 1, 1 },
        .kernel = { 1, 1, 2 },
        .stride = { 1, (size_t)1 << 30, (size_t)1 << 30 },
        .dilation = { 1, 1, 3 },
    };
    for (enum cb_isa isa = CB_ISA_GENERIC + 1; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        const size_t bytes = cb_conv_backward_packed_bytes(&k, &s);
        cr_expect(bytes >= 12 * sizeof(float) && bytes < 8192, "%s: %zu bytes", k.name, bytes);
    }
}

Test(conv_backward, generic_derivatives_agree_with_the_forward_run)
{
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    for (uint64_t seed = 1; seed <= 100; seed++, cb_arena_rewind(&arena, 0))
        check_against_forward(&arena, seed);
    cb_arena_deinit(&arena);
}
