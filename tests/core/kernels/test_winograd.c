/* Winograd's convolution: the fast transforms against the products with matrices, whole
 * convolutions against "direct", and the error that an algorithm says it has. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/winograd.h"
#include "tests/support/close.h"

enum { NR = CB_TILE_COLUMNS_MAX, PIXELS = CB_WINOGRAD_POINTS_MAX * CB_WINOGRAD_POINTS_MAX };

/* Points, outputs and taps of an axis. */
static const struct {
    size_t n, m, k;
} axes[] = { { 4, 2, 3 }, { 5, 2, 3 }, { 6, 4, 3 }, { 6, 2, 5 },
             { 8, 6, 3 }, { 8, 4, 5 }, { 8, 2, 7 } };

enum { AXES = sizeof axes / sizeof *axes, ORIENTATIONS = 3 };

static float *numbers(size_t n, uint64_t seed)
{
    static float pool[8][PIXELS * 64 + 64];
    struct cb_rng rng = cb_rng_seed(seed);
    cb_rng_fill(&rng, n, pool[seed % 8]);
    return pool[seed % 8];
}

/* Both axes, the height alone, the width alone; the strided set has no form along one axis. */
static bool orient(size_t i, size_t orientation, size_t n[2], size_t m[2], size_t k[2])
{
    for (size_t axis = 0; axis < 2; axis++) {
        const bool flat = orientation > 0 && orientation - 1 != axis;
        n[axis] = flat ? 1 : axes[i].n;
        m[axis] = flat ? 1 : axes[i].m;
        k[axis] = flat ? 1 : axes[i].k;
    }
    return orientation == 0 || axes[i].n != CB_WINOGRAD_STRIDED;
}

/* fn(fast set, scalar set, points, outputs, taps) for every form. */
typedef void form_fn(const struct cb_kernels *, const struct cb_kernels *, const size_t n[2],
                     const size_t m[2], const size_t k[2]);

static void for_forms(form_fn *fn)
{
    const struct cb_kernels scalar = cb_kernels_for(CB_ISA_GENERIC);
    for (enum cb_isa isa = CB_ISA_GENERIC + 1; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels fast = cb_kernels_for(isa);
        for (size_t i = 0; i < AXES; i++)
            for (size_t orientation = 0; orientation < ORIENTATIONS; orientation++) {
                size_t n[2], m[2], k[2];
                if (orient(i, orientation, n, m, k))
                    fn(&fast, &scalar, n, m, k);
            }
    }
}

static void compare_input(const struct cb_kernels *fast, const struct cb_kernels *scalar,
                          const size_t n[2], const size_t m[2], const size_t k[2])
{
    (void)m, (void)k;
    enum { CHANNELS = 37, PLANE = 48 };
    const float *x = numbers(PIXELS * CHANNELS, 1), *rows[PIXELS];
    float want[PIXELS * PLANE] = { 0 }, got[PIXELS * PLANE] = { 0 };
    for (size_t i = 0; i < n[0] * n[1]; i++)
        rows[i] = x + i * CHANNELS;
    struct cb_winograd_input t = {
        .points = { n[0], n[1] }, .channels = CHANNELS, .rows = rows, .out = want, .plane = PLANE
    };
    scalar->winograd_input(&t);
    t.out = got;
    fast->winograd_input(&t);
    for (size_t i = 0; i < n[0] * n[1]; i++)
        cb_expect_close(CHANNELS, got + i * PLANE, want + i * PLANE, "%s %zux%zu plane %zu",
                        fast->name, n[0], n[1], i);
}

/* nr differs from set to set: filters are spread out, [tap][nr]. */
static void compare_filter(const struct cb_kernels *fast, const struct cb_kernels *scalar,
                           const size_t n[2], const size_t m[2], const size_t k[2])
{
    (void)m;
    const float *w = numbers(PIXELS * NR, 2);
    const size_t matrices = cb_winograd_rows(n[0]) * cb_winograd_rows(n[1]);
    const struct cb_kernels *sets[] = { scalar, fast };
    float result[2][PIXELS * NR] = { { 0 } };
    for (int s = 0; s < 2; s++) {
        float taps[PIXELS * NR];
        for (size_t t = 0; t < k[0] * k[1]; t++)
            memcpy(taps + t * sets[s]->nr, w + t * NR, scalar->nr * sizeof(float));
        sets[s]->winograd_filter(&(struct cb_winograd_filter){ .points = { n[0], n[1] },
                                                               .taps = { k[0], k[1] },
                                                               .w = taps,
                                                               .out = result[s],
                                                               .plane = NR });
    }
    const size_t columns = scalar->nr < fast->nr ? scalar->nr : fast->nr;
    for (size_t i = 0; i < matrices; i++)
        cb_expect_close(columns, result[1] + i * NR, result[0] + i * NR, "%s %zux%zu matrix %zu",
                        fast->name, n[0], n[1], i);
}

static void compare_output(const struct cb_kernels *fast, const struct cb_kernels *scalar,
                           const size_t n[2], const size_t m[2], const size_t k[2])
{
    (void)k;
    enum { PIXEL = 19 };
    const float *products = numbers(PIXELS * NR, 3), *residual = numbers(PIXELS * PIXEL, 4),
                *bias = numbers(NR, 5);
    const struct cb_kernels *sets[] = { scalar, fast };
    const size_t most = scalar->nr < fast->nr ? scalar->nr : fast->nr; /* of a panel */
    for (size_t channels = 1; channels <= most; channels += 5) {
        float result[2][PIXELS * PIXEL] = { { 0 } };
        for (int s = 0; s < 2; s++) {
            float in[PIXELS * NR] __attribute__((aligned(64)));
            for (size_t i = 0; i < n[0] * n[1]; i++)
                memcpy(in + i * sets[s]->nr, products + i * NR, sets[s]->nr * sizeof(float));
            sets[s]->winograd_output(&(struct cb_winograd_output){
                .points = { n[0], n[1] },
                .size = { m[0], m[1] },
                .inside = { m[0], m[1] > 1 ? m[1] - 1 : 1 },
                .channels = channels,
                .in = in,
                .out = result[s],
                .line = 7 * PIXEL,
                .pixel = PIXEL,
                .post = { .bias = bias, .residual = residual, .lo = -0.4f, .hi = 3 },
            });
        }
        cb_expect_close(PIXELS * PIXEL, result[1], result[0], "%s %zux%zu of %zux%zu", fast->name,
                        m[0], m[1], n[0], n[1]);
    }
}

/* One output channel of the fast set at a time, as the scalar set's vector has one. */
static void compare_taps(const struct cb_kernels *fast, const struct cb_kernels *scalar,
                         const size_t n[2], const size_t m[2], const size_t k[2])
{
    enum { TILES = 3, CHANNELS = 19, PLANE = TILES * CHANNELS + 5 };
    (void)m;
    if (n[0] != n[1] || k[0] != 3 || k[1] != 3 || n[0] == CB_WINOGRAD_STRIDED || n[0] > 6)
        return;
    const size_t points = n[0] * n[1], vector = fast->vector;
    const float *w = numbers(CHANNELS * 9 * 16, 6), *x = numbers(PIXELS * PLANE, 7);
    static float got[TILES * PIXELS * NR], want[TILES * PIXELS * NR];
    for (size_t i = 0; i < TILES * PIXELS * NR; i++)
        got[i] = 0.5f;
    struct cb_winograd_taps t = { .points = n[0],
                                  .tiles = TILES,
                                  .channels = CHANNELS,
                                  .in = x,
                                  .plane = PLANE,
                                  .row = CHANNELS,
                                  .w = w,
                                  .out = got,
                                  .step = points * fast->nr };
    fast->winograd_taps(&t);
    for (size_t j = 0; j < vector; j++) {
        float column[CHANNELS * 9];
        for (size_t i = 0; i < CHANNELS * 9; i++)
            column[i] = w[i * vector + j];
        for (size_t i = 0; i < TILES * PIXELS * NR; i++)
            want[i] = 0.5f;
        t.w = column;
        t.out = want;
        t.step = points * scalar->nr;
        scalar->winograd_taps(&t);
        float sums[2][TILES * PIXELS];
        for (size_t i = 0; i < TILES * points; i++) {
            sums[0][i] = want[i * scalar->nr];
            sums[1][i] = got[i * fast->nr + j];
        }
        cb_expect_close(TILES * points, sums[1], sums[0], "%s %zu points, output %zu", fast->name,
                        n[0], j);
    }
}

Test(winograd, products_on_taps_equal_the_matrices)
{
    for_forms(compare_taps);
}

Test(winograd, input_transforms_equal_the_matrices)
{
    for_forms(compare_input);
}

Test(winograd, filter_transforms_equal_the_matrices)
{
    for_forms(compare_filter);
}

Test(winograd, output_transforms_equal_the_matrices_and_write_nothing_outside)
{
    for_forms(compare_output);
}

/* ---- whole convolutions ---- */

struct layer {
    size_t n, height, width, cin, cout, k0, k1, stride, pad;
};

static const struct layer layers[] = {
    { 2, 11, 7, 19, 37, 3, 3, 1, 1 },  { 1, 9, 13, 16, 33, 3, 3, 2, 1 },
    { 3, 8, 8, 5, 3, 3, 3, 2, 0 },     { 1, 17, 5, 33, 16, 5, 5, 1, 2 },
    { 2, 5, 23, 17, 40, 1, 7, 1, 3 },  { 1, 23, 5, 20, 65, 7, 1, 1, 3 },
    { 1, 1, 29, 12, 11, 1, 3, 1, 1 },  { 1, 3, 3, 300, 31, 3, 3, 1, 1 },
    { 1, 40, 40, 24, 32, 3, 3, 1, 0 }, { 2, 6, 9, 7, 70, 5, 1, 1, 0 },
    { 2, 23, 31, 3, 33, 7, 7, 2, 3 },  { 1, 45, 37, 3, 20, 11, 11, 4, 2 },
};
enum { LAYERS = sizeof layers / sizeof *layers };

static struct cb_conv_shape shape_of(const struct layer *l)
{
    const size_t pad0 = l->k0 > 1 ? l->pad : 0, pad1 = l->k1 > 1 ? l->pad : 0;
    return (struct cb_conv_shape){
        .n = l->n,
        .cin = l->cin,
        .cout = l->cout,
        .group = 1,
        .in = { 1, l->height, l->width },
        .out = { 1, (l->height + 2 * pad0 - l->k0) / l->stride + 1,
                 (l->width + 2 * pad1 - l->k1) / l->stride + 1 },
        .kernel = { 1, l->k0, l->k1 },
        .stride = { 1, l->stride, l->stride },
        .dilation = { 1, 1, 1 },
        .pad = { 0, pad0, pad1 },
    };
}

static float *take(struct cb_arena *arena, size_t count)
{
    float *p = cb_arena_alloc(arena, count + 1, sizeof *p);
    cr_assert_not_null(p);
    return p;
}

static void run(struct cb_arena *arena, const struct cb_kernels *k,
                const struct cb_conv_algorithm *a, struct cb_conv_call call, const float *w)
{
    void *packed = cb_arena_alloc(arena, a->packed_bytes(k, call.shape) + 1, 1);
    call.scratch = cb_arena_alloc(
        arena, a->scratch_bytes(k, call.shape, cb_threads_count(call.threads)) + 1, 1);
    cr_assert(packed && call.scratch);
    a->pack(k, call.shape, call.threads, w, NULL, packed);
    call.packed = packed;
    a->run(k, &call);
}

/* Strided input pixels, a residual and an activation behind it all. */
static void compare_layer(struct cb_arena *arena, struct cb_threads *threads, size_t i)
{
    struct cb_rng rng = cb_rng_seed(i + 1);
    const struct cb_conv_shape s = shape_of(&layers[i]);
    const bool strided = cb_conv_takes_stride(&s);
    const size_t in = s.n * s.in[1] * s.in[2], out = s.n * s.out[1] * s.out[2] * s.cout;
    const size_t step = s.cin + (strided ? 3 : 0), taps = s.kernel[1] * s.kernel[2];
    float *x = take(arena, in * step), *w = take(arena, s.cout * s.cin * taps),
          *residual = take(arena, out), *want = take(arena, out), *got = take(arena, out);
    cb_rng_fill(&rng, in * step, x);
    cb_rng_fill(&rng, s.cout * s.cin * taps, w);
    cb_rng_fill(&rng, out, residual);
    struct cb_conv_call call = {
        .shape = &s,
        .x = x,
        .x_stride = step,
        .y = want,
        .y_stride = s.cout,
        .post = { .residual = residual,
                  .lo = -INFINITY,
                  .hi = INFINITY,
                  .act = { CB_ACT_HARD_SWISH, 1.0f / 6, 0.5f } },
        .threads = threads,
    };
    const struct cb_kernels generic = cb_kernels_for(CB_ISA_GENERIC);
    run(arena, &generic, &cb_conv_direct, call, w);
    call.y = got;
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        int found = 0;
        for (size_t a = 0; a < cb_conv_algorithm_count; a++) {
            if (!cb_conv_algorithms[a]->fits(&k, &s))
                continue;
            found += strncmp(cb_conv_algorithms[a]->name, "winograd", 8) == 0;
            run(arena, &k, cb_conv_algorithms[a], call, w);
            cb_expect_close(out, got, want, "layer %zu %s %s", i, k.name,
                            cb_conv_algorithms[a]->name);
        }
        cr_expect_gt(found, 0, "layer %zu has no Winograd form", i);
    }
}

Test(winograd, layers_of_every_form_equal_direct_on_one_and_more_threads)
{
    struct cb_arena arena;
    struct cb_threads *threads;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(3, &threads).code, CB_OK);
    for (size_t i = 0; i < LAYERS; i++) {
        compare_layer(&arena, NULL, i);
        compare_layer(&arena, threads, i);
        cb_arena_rewind(&arena, 0);
    }
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

Test(winograd, says_how_far_it_is_from_sums_in_double)
{
    struct cb_arena arena;
    const struct cb_kernels k = cb_kernels_for(cb_isa_best());
    const struct cb_conv_shape s = shape_of(&(struct layer){ 1, 12, 12, 64, 40, 3, 3, 1, 1 });
    struct cb_rng rng = cb_rng_seed(9);
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 26).code, CB_OK);
    float *w = take(&arena, 40 * 64 * 9);
    cb_rng_fill(&rng, 40 * 64 * 9, w);
    for (size_t a = 0; a < cb_conv_algorithm_count; a++) {
        const struct cb_conv_algorithm *algorithm = cb_conv_algorithms[a];
        if (!algorithm->accurate || !algorithm->fits(&k, &s))
            continue;
        float *packed = take(&arena, algorithm->packed_bytes(&k, &s) / sizeof(float));
        algorithm->pack(&k, &s, NULL, w, NULL, packed);
        const double error = cb_conv_error(&k, &s, algorithm, w, packed);
        cr_expect(error > 1e-9 && error < 3e-6, "%s: %g", algorithm->name, error);
        cr_expect(algorithm->accurate(&k, &s, w, packed), "%s", algorithm->name);
        for (size_t i = 0; i < algorithm->packed_bytes(&k, &s) / sizeof(float); i += 7)
            packed[i] *= 1.001f;
        cr_expect_not(algorithm->accurate(&k, &s, w, packed), "%s", algorithm->name);
    }
    cb_arena_deinit(&arena);
}
