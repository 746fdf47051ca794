/* A chain against its three convolutions run one after the other by the plain loops, on a seeded
 * family of shapes. */
#include "core/kernels/conv_chain.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/kernels/conv.h"
#include "tests/support/close.h"

struct chain_case {
    struct cb_arena *arena;
    struct cb_rng rng;
    struct cb_chain_shape shape;
    struct cb_chain_call call;
    float *w[CB_CHAIN_STAGES]; /* not aligned */
    size_t y_size;
};

static size_t below(struct chain_case *c, size_t n)
{
    return (size_t)cb_rng_below(&c->rng, n);
}

static float *floats(struct chain_case *c, size_t n)
{
    float *p = cb_arena_alloc(c->arena, n + 1, sizeof(float));
    cr_assert_not_null(p);
    cb_rng_fill(&c->rng, n + 1, p);
    return p;
}

/* From an address that is not aligned, as in a mapped file. */
static void draw_weights(struct chain_case *c, int stage, size_t n)
{
    c->w[stage] = floats(c, n + 1);
    memmove((char *)c->w[stage] + 1, c->w[stage], n * sizeof(float));
}

static void draw_axis(struct chain_case *c, int i)
{
    struct cb_chain_shape *s = &c->shape;
    s->kernel[i] = 1 + below(c, 7);
    s->stride[i] = 1 + below(c, 2) + below(c, 8) / 7;
    s->pad[i] = below(c, s->kernel[i]);
    const size_t pads = s->pad[i] + below(c, 3);
    s->in[i] = 1 + below(c, 23);
    while (s->in[i] + pads < s->kernel[i])
        s->in[i]++;
    s->out[i] = (s->in[i] + pads - s->kernel[i]) / s->stride[i] + 1;
}

static void draw_shape(struct chain_case *c)
{
    static const size_t channels[] = { 1, 3, 8, 15, 16, 17, 24, 33, 40, 64, 1024 };
    struct cb_chain_shape *s = &c->shape;
    const size_t stages = 1 + below(c, 3); /* bit 0: expansion, bit 1: projection */
    s->expand = stages & 1;
    s->project = stages & 2;
    s->n = 1 + below(c, 2);
    s->mid = channels[below(c, 10 + below(c, 6) / 5)];
    s->cin = s->expand ? channels[below(c, 10)] : s->mid;
    s->cout = s->project ? channels[below(c, 10)] : s->mid;
    draw_axis(c, 0);
    draw_axis(c, 1);
}

static struct chain_case make_case(struct cb_arena *arena, struct cb_threads *threads,
                                   uint64_t seed)
{
    static const enum cb_activation acts[] = { CB_ACT_NONE, CB_ACT_NONE, CB_ACT_HARD_SWISH,
                                               CB_ACT_SILU };
    struct chain_case c = { .arena = arena, .rng = cb_rng_seed(seed) };
    draw_shape(&c);
    const struct cb_chain_shape *s = &c.shape;
    const size_t sizes[] = { s->mid * s->cin, s->mid * s->kernel[0] * s->kernel[1],
                             s->cout * s->mid };
    c.y_size = s->n * s->out[0] * s->out[1] * s->cout;
    c.call.x = floats(&c, s->n * s->in[0] * s->in[1] * s->cin);
    c.call.threads = threads;
    for (int i = 0; i < CB_CHAIN_STAGES; i++) {
        draw_weights(&c, i, sizes[i]);
        c.call.post[i] = (struct cb_epilogue){
            .bias = below(&c, 2) ? floats(&c, i == CB_CHAIN_PROJECT ? s->cout : s->mid) : NULL,
            .lo = below(&c, 2) ? 0 : -INFINITY,
            .hi = below(&c, 2) ? 0.75f : INFINITY,
            .act = { .kind = acts[below(&c, 4)], .alpha = 0.2f, .beta = 0.5f },
        };
    }
    if (below(&c, 2))
        c.call.post[s->project ? CB_CHAIN_PROJECT : CB_CHAIN_DEPTHWISE].residual =
            floats(&c, c.y_size);
    return c;
}

/* One convolution of the chain by the reference's loops. */
static float *run_stage(struct chain_case *c, int stage, const float *x)
{
    const struct cb_kernels k = cb_kernels_for(CB_ISA_GENERIC);
    const struct cb_chain_shape *s = &c->shape;
    const bool first = stage == CB_CHAIN_EXPAND, depthwise = stage == CB_CHAIN_DEPTHWISE;
    struct cb_conv_shape conv = {
        .n = s->n,
        .cin = first ? s->cin : s->mid,
        .cout = stage == CB_CHAIN_PROJECT ? s->cout : s->mid,
        .group = depthwise ? s->mid : 1,
        .in = { 1, 1, 1 },
        .out = { 1, 1, 1 },
        .kernel = { 1, 1, 1 },
        .stride = { 1, 1, 1 },
        .dilation = { 1, 1, 1 },
    };
    for (int i = 0; i < 2; i++) {
        conv.in[1 + i] = stage == CB_CHAIN_PROJECT ? s->out[i] : s->in[i];
        conv.out[1 + i] = first ? s->in[i] : s->out[i];
        if (depthwise) {
            conv.kernel[1 + i] = s->kernel[i];
            conv.stride[1 + i] = s->stride[i];
            conv.pad[1 + i] = s->pad[i];
        }
    }
    const struct cb_conv_algorithm *direct = cb_conv_choose(&k, &conv);
    struct cb_conv_call call = {
        .shape = &conv,
        .x = x,
        .packed = floats(c, direct->packed_bytes(&k, &conv) / sizeof(float)),
        .y = floats(c, conv.n * conv.out[1] * conv.out[2] * conv.cout),
        .y_stride = conv.cout,
        .post = c->call.post[stage],
        .scratch = floats(c, direct->scratch_bytes(&k, &conv, 1) / sizeof(float)),
    };
    direct->pack(&k, &conv, NULL, (char *)c->w[stage] + 1, NULL, (void *)(uintptr_t)call.packed);
    direct->run(&k, &call);
    return call.y;
}

static const float *run_stages(struct chain_case *c)
{
    const float *at = c->call.x;
    if (c->shape.expand)
        at = run_stage(c, CB_CHAIN_EXPAND, at);
    at = run_stage(c, CB_CHAIN_DEPTHWISE, at);
    return c->shape.project ? run_stage(c, CB_CHAIN_PROJECT, at) : at;
}

static void run_chain(struct chain_case *c, const struct cb_kernels *k, float *y)
{
    enum { GUARD = 64 };
    const struct cb_chain_shape *s = &c->shape;
    const size_t bytes = cb_chain_scratch_bytes(k, s, cb_threads_count(c->call.threads));
    const size_t packed_bytes = cb_chain_packed_bytes(k, s);
    char *scratch = cb_arena_alloc(c->arena, bytes + GUARD, 1);
    char *packed = cb_arena_alloc(c->arena, packed_bytes + GUARD, 1);
    cr_assert(scratch && packed);
    memset(scratch, 0xff, bytes + GUARD); /* NaN */
    memset(packed, 0xff, packed_bytes + GUARD);
    for (int i = 0; i < CB_CHAIN_STAGES; i++)
        if (i == CB_CHAIN_DEPTHWISE || (i == CB_CHAIN_EXPAND ? s->expand : s->project))
            cb_chain_pack(k, c->call.threads, s, i, (char *)c->w[i] + 1, packed);
    c->call.shape = s;
    c->call.packed = packed;
    c->call.scratch = scratch;
    c->call.y = y;
    cb_chain_run(k, &c->call);
    for (size_t i = 0; i < GUARD; i++)
        cr_assert((scratch[bytes + i] & packed[packed_bytes + i]) == (char)0xff,
                  "%s writes past its memory", k->name);
}

static void compare(struct cb_arena *arena, struct cb_threads *threads, uint64_t seed)
{
    struct chain_case c = make_case(arena, threads, seed);
    const struct cb_chain_shape *s = &c.shape;
    const float *want = run_stages(&c);
    float *got = floats(&c, c.y_size + 1);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        memset(got, 0x7f, (c.y_size + 1) * sizeof(float));
        const float guard = got[c.y_size];
        run_chain(&c, &k, got);
        cb_expect_close(c.y_size, got, want,
                        "seed %d %s n%zu c%zu/%zu/%zu in %zu,%zu k %zu,%zu s %zu,%zu p %zu,%zu",
                        (int)seed, k.name, s->n, s->cin, s->mid, s->cout, s->in[0], s->in[1],
                        s->kernel[0], s->kernel[1], s->stride[0], s->stride[1], s->pad[0],
                        s->pad[1]);
        cr_expect_eq(got[c.y_size], guard);
    }
}

Test(conv_chain, equals_its_convolutions_on_every_isa)
{
    struct cb_arena arena;
    struct cb_threads *threads[3];
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(cb_threads_create(1 + i, &threads[i]).code, CB_OK);
    for (uint64_t seed = 1; seed <= 240; seed++, cb_arena_rewind(&arena, 0))
        compare(&arena, threads[seed % 3], seed);
    for (size_t i = 0; i < 3; i++)
        cb_threads_destroy(threads[i]);
    cb_arena_deinit(&arena);
}

/* Wider than one band: lines leave the ring while others stay. */
Test(conv_chain, many_bands_equal_the_convolutions)
{
    struct cb_arena arena;
    struct cb_threads *threads;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(2, &threads).code, CB_OK);
    for (uint64_t seed = 1; seed <= 8; seed++, cb_arena_rewind(&arena, 0)) {
        struct chain_case c = make_case(&arena, threads, seed);
        const struct cb_kernels k = cb_kernels_for(cb_isa_best());
        const size_t kernel = 3 + seed % 2 * 2, stride = 1 + seed / 2 % 2;
        c.shape = (struct cb_chain_shape){
            .expand = true,
            .project = seed % 3 != 0,
            .n = 1,
            .cin = 5,
            .mid = 200,
            .cout = 200,
        };
        for (int i = 0; i < 2; i++) {
            c.shape.kernel[i] = kernel;
            c.shape.stride[i] = stride;
            c.shape.pad[i] = kernel / 2;
            c.shape.in[i] = i ? 37 : 41;
            c.shape.out[i] = (c.shape.in[i] - 1) / stride + 1;
        }
        c.y_size = c.shape.out[0] * c.shape.out[1] * c.shape.cout;
        c.call.x = floats(&c, c.shape.in[0] * c.shape.in[1] * c.shape.cin);
        for (int i = 0; i < CB_CHAIN_STAGES; i++) {
            draw_weights(&c, i, 200 * 200);
            c.call.post[i] = (struct cb_epilogue){ .bias = floats(&c, 200), .lo = 0, .hi = 6 };
        }
        float *got = floats(&c, c.y_size);
        run_chain(&c, &k, got);
        cb_expect_close(c.y_size, got, run_stages(&c), "seed %d", (int)seed);
    }
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

Test(conv_chain, pays_for_wide_tensors_that_go_by_bands_alone)
{
    const struct cb_kernels k = cb_kernels_for(cb_isa_best()),
                            generic = cb_kernels_for(CB_ISA_GENERIC);
    struct cb_chain_shape s = {
        .expand = true,
        .project = true,
        .n = 1,
        .cin = 16,
        .mid = 96,
        .cout = 24,
        .in = { 56, 56 },
        .out = { 56, 56 },
        .kernel = { 3, 3 },
        .stride = { 1, 1 },
        .pad = { 1, 1 },
    };
    cr_expect_not(cb_chain_pays(&generic, &s));
    if (cb_isa_best() == CB_ISA_GENERIC)
        return;
    cr_expect(cb_chain_pays(&k, &s));
    s.in[0] = s.in[1] = s.out[0] = s.out[1] = 7; /* stays in the cache anyway */
    cr_expect_not(cb_chain_pays(&k, &s));
    s.mid = 960, s.cin = s.cout = 160; /* the weights would come again for each band */
    cr_expect_not(cb_chain_pays(&k, &s));
    s = (struct cb_chain_shape){
        .expand = true,
        .project = true,
        .n = 1,
        .cin = 16,
        .mid = 1024,
        .cout = 24,
        .in = { 112, 112 },
        .out = { 112, 112 },
        .kernel = { 3, 3 },
        .stride = { 1, 1 },
        .pad = { 1, 1 },
    };
    cr_expect_not(cb_chain_pays(&k, &s)); /* a single line is too wide */
}
