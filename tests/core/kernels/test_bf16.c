/* Products of bfloat16: the fast tile and rounding against the scalar ones, products and
 * convolutions against sums in double of rounded factors. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/bfloat.h"
#include "core/base/rng.h"
#include "core/kernels/conv_chain.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"
#include "tests/support/close.h"

enum { DEPTH = 37 };

static const float *numbers(size_t n, uint64_t seed, float *out)
{
    struct cb_rng rng = cb_rng_seed(seed);
    cb_rng_fill(&rng, n, out);
    return out;
}

static double rounded(float x)
{
    return (double)cb_bfloat_to_float(cb_bfloat_of(x));
}

/* The best set with the wish for bfloat16; the tests skip where the CPU gains nothing. */
static struct cb_kernels wishing(void)
{
    struct cb_kernels k = cb_kernels_for(cb_isa_best());
    if (!k.fast_pairs)
        cr_skip_test("this CPU has no bfloat16 products");
    k.bf16 = true;
    return k;
}

Test(bf16, rounding_to_pairs_equals_the_scalar_one)
{
    const struct cb_kernels scalar = cb_kernels_for(CB_ISA_GENERIC), fast = wishing();
    float x[131], want[66], got[66];
    numbers(131, 1, x);
    x[3] = INFINITY;
    x[40] = -0.0f;
    for (size_t n = 0; n <= 131; n += n < 70 ? 1 : 61) {
        memset(want, 0, sizeof want);
        memset(got, 0, sizeof got);
        scalar.to_pairs(n, x, want);
        fast.to_pairs(n, x, got);
        cr_expect_eq(memcmp(got, want, sizeof want), 0, "n %zu", n);
    }
}

/* One tile of each height, with bias, residual and a clamp; panels of 16 columns for both. */
Test(bf16, tiles_of_every_height_equal_the_scalar_one)
{
    const struct cb_kernels scalar = cb_kernels_for(CB_ISA_GENERIC), fast = wishing();
    const struct cb_kernels *sets[] = { &scalar, &fast };
    static float a[16 * DEPTH * 2], b[DEPTH * 2 * 16], pairs_a[16 * DEPTH];
    static float panel[2][DEPTH * 32] __attribute__((aligned(64)));
    float bias[16], residual[16 * 19], y[2][16 * 19];
    numbers(sizeof a / sizeof *a, 2, a);
    numbers(sizeof b / sizeof *b, 3, b);
    numbers(16, 4, bias);
    numbers(16 * 19, 5, residual);
    scalar.to_pairs(16 * DEPTH * 2, a, pairs_a);
    for (int s = 0; s < 2; s++)
        for (size_t k = 0; k < DEPTH; k++)
            for (size_t j = 0; j < 16; j++)
                scalar.to_pairs(2, (float[]){ b[2 * k * 16 + j], b[(2 * k + 1) * 16 + j] },
                                panel[s] + k * sets[s]->nr + j);
    for (size_t m = 1; m <= fast.mr; m++)
        for (size_t n = 3; n <= 16; n += 13) {
            for (int s = 0; s < 2; s++) {
                memset(y[s], 0, sizeof y[s]);
                for (size_t row = 0, end; row < m; row = end) { /* the scalar tile is lower */
                    const float *rows[CB_TILE_ROWS_MAX];
                    end = row + sets[s]->mr < m ? row + sets[s]->mr : m;
                    for (size_t i = row; i < end; i++)
                        rows[i - row] = pairs_a + i * DEPTH;
                    sets[s]->tile_pairs(&(struct cb_tile){
                        .m = end - row,
                        .n = n,
                        .taps = 1,
                        .depth = DEPTH,
                        .rows = rows,
                        .panel = panel[s],
                        .out = y[s] + row * 19,
                        .out_stride = 19,
                        .post = { .bias = bias,
                                  .residual = residual + row * 19,
                                  .lo = -2,
                                  .hi = 2.5f },
                    });
                }
            }
            cb_expect_close(16 * 19, y[1], y[0], "%zu x %zu", m, n);
        }
}

/* Depths below and above what is rounded, odd ones, and several steps of a copy. */
Test(bf16, products_are_sums_of_rounded_factors)
{
    const struct cb_kernels k = wishing();
    static const size_t depths[] = { 3, 64, 65, 511, 1030 };
    enum { M = 17, N = 35 };
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 24).code, CB_OK);
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
        const size_t depth = depths[d];
        float *a = cb_arena_alloc(&arena, M * depth, sizeof *a);
        float *b = cb_arena_alloc(&arena, depth * N, sizeof *b);
        void *packed = cb_arena_alloc(&arena, cb_gemm_packed_bytes(&k, depth, N), 1);
        float want[M * N], got[M * N];
        numbers(M * depth, 6 + d, a);
        numbers(depth * N, 16 + d, b);
        cb_gemm_pack(&k, NULL, depth, N, b, N, 1, packed);
        cb_gemm_run(&k, NULL,
                    &(struct cb_gemm){ .m = M,
                                       .n = N,
                                       .k = depth,
                                       .a = a,
                                       .lda = depth,
                                       .packed = packed,
                                       .c = got,
                                       .ldc = N,
                                       .post = { .lo = -INFINITY, .hi = INFINITY } });
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) {
                double sum = 0;
                for (size_t c = 0; c < depth; c++)
                    sum += depth < 64 ? (double)a[i * depth + c] * (double)b[c * N + j]
                                      : rounded(a[i * depth + c]) * rounded(b[c * N + j]);
                want[i * N + j] = (float)sum;
            }
        cb_expect_close(M * N, got, want, "depth %zu", depth);
    }
    cb_arena_deinit(&arena);
}

/* Half h of a pair. */
static float half_of(const float *pair, size_t h)
{
    uint16_t halves[2];
    memcpy(halves, pair, sizeof halves);
    return cb_bfloat_to_float(halves[h]);
}

/* Each weight is one of the two bfloat16 around the one it was made of, and a filter's sum errs by
 * no more than a step of its largest weights. */
static void expect_kept_sum(size_t n, const float *was, const float *is)
{
    double sum = 0, step = 0;
    for (size_t i = 0; i < n; i++) {
        const double one = ldexp(1, ilogbf(was[i]) - 7);
        cr_expect_lt(fabs((double)is[i] - (double)was[i]), one, "%g of %g", (double)is[i],
                     (double)was[i]);
        sum += (double)is[i] - (double)was[i];
        step = fmax(step, one);
    }
    cr_expect_leq(fabs(sum), step, "sum of %zu errs by %g", n, sum);
}

/* w [cout, cin, taps] as they were packed, panels [tap][pair][nr]. */
static void read_filters(const struct cb_kernels *k, const struct cb_conv_shape *s,
                         const float *packed, float *w)
{
    const size_t taps = s->kernel[1] * s->kernel[2], depth = (s->cin + 1) / 2, nr = k->nr;
    for (size_t f = 0; f < s->cout; f++) {
        float *filter = w + f * s->cin * taps, was[512];
        cr_assert_leq(s->cin * taps, 512);
        memcpy(was, filter, s->cin * taps * sizeof *was);
        for (size_t c = 0; c < s->cin; c++)
            for (size_t t = 0; t < taps; t++)
                filter[c * taps + t] =
                    half_of(packed + ((f / nr * taps + t) * depth + c / 2) * nr + f % nr, c % 2);
        expect_kept_sum(s->cin * taps, was, filter);
    }
}

/* A scale multiplies before rounding; an odd depth, more than one block of rows and panel. */
Test(bf16, filters_are_scaled_then_rounded_with_their_sums_kept)
{
    const struct cb_kernels k = wishing();
    enum { DEPTH_OF_FILTER = 259, FILTERS = 35 };
    static float w[FILTERS][DEPTH_OF_FILTER], packed[130 * 64 * 2];
    float scale[FILTERS];
    numbers(FILTERS * DEPTH_OF_FILTER, 51, w[0]);
    numbers(FILTERS, 52, scale);
    cr_assert_leq(cb_gemm_packed_bytes(&k, DEPTH_OF_FILTER, FILTERS), sizeof packed);
    cb_gemm_pack_filters(&k, NULL, DEPTH_OF_FILTER, FILTERS, w, scale, packed);
    for (size_t f = 0; f < FILTERS; f++) {
        float got[DEPTH_OF_FILTER];
        for (size_t i = 0; i < DEPTH_OF_FILTER; i++) {
            w[f][i] *= scale[f];
            got[i] = half_of(packed + (f / k.nr * 130 + i / 2) * k.nr + f % k.nr, i % 2);
        }
        expect_kept_sum(DEPTH_OF_FILTER, w[f], got);
    }
}

/* Odd channels, stride 2, padding, more than one image. */
Test(bf16, convolutions_are_sums_of_rounded_factors)
{
    struct cb_kernels k = wishing();
    const struct cb_conv_shape s = {
        .n = 2,
        .cin = 19,
        .cout = 37,
        .group = 1,
        .in = { 1, 9, 7 },
        .out = { 1, 5, 4 },
        .kernel = { 1, 3, 3 },
        .stride = { 1, 2, 2 },
        .dilation = { 1, 1, 1 },
        .pad = { 0, 1, 1 },
    };
    const size_t in = 2 * 9 * 7 * 19, weights = 37 * 19 * 9, out = 2 * 5 * 4 * 37;
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 24).code, CB_OK);
    float *x = cb_arena_alloc(&arena, in, sizeof *x),
          *w = cb_arena_alloc(&arena, weights, sizeof *w);
    float *want = cb_arena_alloc(&arena, out, sizeof *want);
    float *got = cb_arena_alloc(&arena, out, sizeof *got);
    numbers(in, 31, x);
    numbers(weights, 32, w);
    struct cb_conv_call call = {
        .shape = &s, .x = x, .y = got, .y_stride = 37, .post = { .lo = -INFINITY, .hi = INFINITY }
    };
    void *packed = cb_arena_alloc(&arena, cb_conv_bf16.packed_bytes(&k, &s), 1);
    call.scratch = cb_arena_alloc(&arena, cb_conv_bf16.scratch_bytes(&k, &s, 1), 1);
    cr_assert(cb_conv_bf16.fits(&k, &s));
    cb_conv_bf16.pack(&k, &s, NULL, w, NULL, packed);
    call.packed = packed;
    cb_conv_bf16.run(&k, &call);
    for (size_t i = 0; i < in; i++)
        x[i] = (float)rounded(x[i]);
    read_filters(&k, &s, packed, w);
    const struct cb_kernels generic = cb_kernels_for(CB_ISA_GENERIC);
    void *plain = cb_arena_alloc(&arena, cb_conv_direct.packed_bytes(&generic, &s), 1);
    call.scratch = cb_arena_alloc(&arena, cb_conv_direct.scratch_bytes(&generic, &s, 1), 1);
    cb_conv_direct.pack(&generic, &s, NULL, w, NULL, plain);
    call.packed = plain;
    call.y = want;
    cb_conv_direct.run(&generic, &call);
    cb_expect_close(out, got, want, "3x3 of stride 2");
    cb_arena_deinit(&arena);
}

/* A chain's panels are pairs where its sums are long enough: near to what floats give. */
Test(bf16, chains_multiply_what_they_packed)
{
    const struct cb_kernels wish = wishing(), plain = cb_kernels_for(cb_isa_best());
    const struct cb_kernels *sets[] = { &plain, &wish };
    const struct cb_chain_shape s = {
        .expand = true,
        .project = true,
        .n = 2,
        .cin = 65,
        .mid = 97,
        .cout = 35,
        .in = { 11, 9 },
        .out = { 11, 9 },
        .kernel = { 3, 3 },
        .stride = { 1, 1 },
        .pad = { 1, 1 },
    };
    enum { IN = 2 * 11 * 9 * 65, OUT = 2 * 11 * 9 * 35 };
    const size_t weights[CB_CHAIN_STAGES] = { 97 * 65, 97 * 9, 35 * 97 };
    static float x[IN], y[2][OUT];
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 24).code, CB_OK);
    numbers(IN, 41, x);
    for (int k = 0; k < 2; k++) {
        char *packed = cb_arena_alloc(&arena, cb_chain_packed_bytes(sets[k], &s), 1);
        for (int stage = 0; stage < CB_CHAIN_STAGES; stage++) {
            float *w = cb_arena_alloc(&arena, weights[stage], sizeof *w);
            numbers(weights[stage], 42 + (uint64_t)stage, w);
            cb_chain_pack(sets[k], NULL, &s, stage, w, packed);
        }
        struct cb_chain_call call = {
            .shape = &s,
            .x = x,
            .packed = packed,
            .y = y[k],
            .scratch = cb_arena_alloc(&arena, cb_chain_scratch_bytes(sets[k], &s, 1), 1),
        };
        for (int stage = 0; stage < CB_CHAIN_STAGES; stage++)
            call.post[stage] = (struct cb_epilogue){ .lo = -INFINITY, .hi = INFINITY };
        cb_chain_run(sets[k], &call);
    }
    const double error = cb_close_nmse(OUT, y[1], y[0]);
    cr_expect(error > 1e-8 && error < 1e-4, "%g", error);
    cb_arena_deinit(&arena);
}
