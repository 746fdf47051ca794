/* Every set of inner loops against the scalar one, at sizes around every vector width. */
#include "core/kernels/kernels.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "core/base/rng.h"
#include "tests/support/close.h"

enum { MOST = 1000, ROWS = 11, MOST_LINE = 40 };

static size_t sizes[] = { 0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130, MOST };

#define EACH_SIZE(unit, name)                                                                      \
    ParameterizedTestParameters(unit, name)                                                        \
    {                                                                                              \
        return cr_make_param_array(size_t, sizes, sizeof sizes / sizeof *sizes);                   \
    }                                                                                              \
    ParameterizedTest(size_t *n, unit, name)

#define EACH_FAST_SET(isa) for (enum cb_isa isa = CB_ISA_GENERIC + 1; isa <= cb_isa_best(); isa++)

/* Inputs begin one float late, so that vectors are not aligned; after an output comes a guard. */
static float a[MOST + 1], b[MOST + 1], c[MOST + 1], want[MOST + 1], got[MOST + 1];
static float many[ROWS][MOST + 1];
static const float *rows[ROWS];

static void fill(void)
{
    struct cb_rng rng = cb_rng_seed(1);
    cb_rng_fill(&rng, MOST + 1, a);
    cb_rng_fill(&rng, MOST + 1, b);
    cb_rng_fill(&rng, MOST + 1, c);
    for (size_t t = 0; t < ROWS; t++) {
        cb_rng_fill(&rng, MOST + 1, many[t]);
        rows[t] = many[t] + t % 2;
    }
    memset(want, 7, sizeof want);
    memset(got, 7, sizeof got);
}

static void fill_with_strange_numbers(void)
{
    fill();
    a[1] = a[13] = a[40] = NAN;
    b[2] = b[33] = INFINITY;
    b[12] = -INFINITY;
    many[2][3] = many[0][20] = NAN;
    many[1][5] = INFINITY;
}

EACH_SIZE(clamp, every_isa_equals_scalar)
{
    fill_with_strange_numbers();
    cb_kernels_for(CB_ISA_GENERIC).clamp(*n, a + 1, -0.5f, 0.25f, want);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        k.clamp(*n, a + 1, -0.5f, 0.25f, got);
        cb_expect_equal(MOST + 1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(add, every_isa_equals_scalar)
{
    fill_with_strange_numbers();
    cb_kernels_for(CB_ISA_GENERIC).add(*n, a + 1, b + 1, -0.5f, INFINITY, want);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        k.add(*n, a + 1, b + 1, -0.5f, INFINITY, got);
        cb_expect_equal(MOST + 1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(mul, every_isa_equals_scalar)
{
    fill_with_strange_numbers();
    cb_kernels_for(CB_ISA_GENERIC).mul(*n, a + 1, b + 1, want);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        k.mul(*n, a + 1, b + 1, got);
        cb_expect_equal(MOST + 1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(affine, every_isa_equals_scalar)
{
    fill();
    cb_kernels_for(CB_ISA_GENERIC).affine(*n, a + 1, b + 1, c + 1, -0.75f, 1.0f, want);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        k.affine(*n, a + 1, b + 1, c + 1, -0.75f, 1.0f, got);
        cb_expect_close(MOST + 1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(axpy, every_isa_equals_scalar)
{
    fill();
    memcpy(want, b, sizeof want);
    cb_kernels_for(CB_ISA_GENERIC).axpy(*n, 0.3f, a + 1, want);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        memcpy(got, b, sizeof got);
        k.axpy(*n, 0.3f, a + 1, got);
        cb_expect_close(MOST + 1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(dot, every_isa_equals_scalar)
{
    fill();
    for (size_t i = 0; i < MOST + 1; i++)
        b[i] = 0.5f * b[i] + a[i == MOST ? 0 : i + 1]; /* so that the sum is not near 0 */
    want[0] = cb_kernels_for(CB_ISA_GENERIC).dot(*n, a + 1, b);
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        got[0] = k.dot(*n, a + 1, b);
        cb_expect_close(1, got, want, "%s, n = %zu", k.name, *n);
    }
}

EACH_SIZE(max_rows, every_isa_equals_scalar)
{
    static const size_t counts[] = { 1, 2, 9, ROWS };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fill_with_strange_numbers();
        cb_kernels_for(CB_ISA_GENERIC).max_rows(counts[i], *n, rows, want);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels k = cb_kernels_for(isa);
            k.max_rows(counts[i], *n, rows, got);
            cb_expect_equal(MOST + 1, got, want, "%s, %zu rows, n = %zu", k.name, counts[i], *n);
        }
    }
}

EACH_SIZE(sum_rows, every_isa_equals_scalar)
{
    static const size_t counts[] = { 1, 2, 9, ROWS };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fill_with_strange_numbers();
        cb_kernels_for(CB_ISA_GENERIC).sum_rows(counts[i], *n, rows, 0.3f, want);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels k = cb_kernels_for(isa);
            k.sum_rows(counts[i], *n, rows, 0.3f, got);
            cb_expect_equal(MOST + 1, got, want, "%s, %zu rows, n = %zu", k.name, counts[i], *n);
        }
    }
}

EACH_SIZE(depthwise, every_isa_equals_scalar)
{
    enum { TAPS = 5, MOST_CHANNELS = MOST / CB_DEPTHWISE_PIXELS - 1 };
    static float w[TAPS * MOST];
    static const float *table[TAPS][CB_DEPTHWISE_PIXELS];
    struct cb_rng rng = cb_rng_seed(2);
    cb_rng_fill(&rng, TAPS * MOST, w);
    for (size_t form = 0; form < 4 * (CB_DEPTHWISE_PIXELS + 1); form++) {
        fill();
        for (size_t i = 0; i < TAPS * CB_DEPTHWISE_PIXELS; i++)
            table[i / CB_DEPTHWISE_PIXELS][i % CB_DEPTHWISE_PIXELS] = rows[i * 7 % ROWS];
        struct cb_depthwise d = {
            .m = form / 4,
            .taps = TAPS,
            .channels = *n < MOST_CHANNELS ? *n : MOST_CHANNELS,
            .rows = table[0],
            .w = w,
            .w_stride = MOST_CHANNELS + 3,
            .out = want,
            .out_stride = MOST_CHANNELS + 1,
            .post = {
                .bias = form & 1 ? a + 1 : NULL,
                .residual = form & 2 ? b + 1 : NULL,
                .lo = -1,
                .hi = form ? 1 : INFINITY,
            },
        };
        cb_kernels_for(CB_ISA_GENERIC).depthwise(&d);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels k = cb_kernels_for(isa);
            d.out = got;
            k.depthwise(&d);
            cb_expect_close(MOST + 1, got, want, "%s, form %zu, n = %zu", k.name, form, *n);
        }
    }
}

/* Kernels of 1 to 8 taps over lines of 0 to 17 pixels, with any padding: the pixels of a line lie
 * in `a`, 3 floats more than channels apart; lines 7 floats apart. */
static void run_depthwise_line(const struct cb_kernels *k, struct cb_rng *rng, size_t channels,
                               float *out)
{
    enum { LINES = 4, WEIGHTS = 8 * (MOST_LINE + 1) };
    static float w[WEIGHTS];
    const float *lines[LINES], *weights[LINES];
    struct cb_rng numbers = cb_rng_seed(3);
    cb_rng_fill(&numbers, WEIGHTS, w);
    for (size_t l = 0; l < LINES; l++) {
        lines[l] = a + 1 + 7 * l;
        weights[l] = w + (l % 2);
    }
    struct cb_depthwise_line d = {
        .m = cb_rng_below(rng, 18),
        .channels = channels,
        .lines = cb_rng_below(rng, LINES + 1),
        .taps = 1 + cb_rng_below(rng, 8),
        .stride = 1 + cb_rng_below(rng, 3),
        .dilation = 1 + cb_rng_below(rng, 4) / 3,
        .pad = cb_rng_below(rng, 6),
        .rows = lines,
        .width = 1 + cb_rng_below(rng, 20),
        .pixel = channels + 3,
        .w = weights,
        .w_stride = channels,
        .out = out,
        .out_stride = channels + 1,
        .post = { .lo = -1, .hi = cb_rng_below(rng, 2) ? 1 : INFINITY },
    };
    if (cb_rng_below(rng, 2))
        d.post.bias = b + 2;
    if (cb_rng_below(rng, 2))
        d.post.residual = b + 1;
    k->depthwise_line(&d);
}

Test(depthwise_line, every_isa_equals_scalar_and_writes_nothing_else)
{
    const struct cb_kernels scalar = cb_kernels_for(CB_ISA_GENERIC);
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        const size_t channels = seed % MOST_LINE + 1;
        struct cb_rng rng = cb_rng_seed(seed);
        fill();
        run_depthwise_line(&scalar, &rng, channels, want);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels k = cb_kernels_for(isa);
            rng = cb_rng_seed(seed);
            run_depthwise_line(&k, &rng, channels, got);
            cb_expect_close(MOST + 1, got, want, "%s, seed %d", k.name, (int)seed);
        }
    }
}

Test(kernels, clamp_keeps_nan_on_every_isa)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const float x[] = { NAN, -INFINITY, INFINITY, -0.0f, 2 };
        const float expected[] = { NAN, 0, 6, 0, 2 };
        float y[5];
        cb_kernels_for(isa).clamp(5, x, 0, 6, y);
        cb_expect_equal(5, y, expected, "isa %d", (int)isa);
    }
}

/* One tile of the set, m x n, whose taps are scattered rows; its rows go 37 floats apart. */
static void run_tile(const struct cb_kernels *k, size_t m, size_t n, const struct cb_epilogue *post,
                     float *out)
{
    enum { TAPS = 3, DEPTH = 5 };
    static float panel[TAPS * DEPTH * 64] __attribute__((aligned(64)));
    static const float *table[TAPS * CB_TILE_ROWS_MAX];
    for (size_t t = 0; t < TAPS * DEPTH; t++)
        for (size_t j = 0; j < k->nr; j++)
            panel[t * k->nr + j] = c[t * 32 + j];
    for (size_t t = 0; t < TAPS; t++)
        for (size_t i = 0; i < m; i++)
            table[t * k->mr + i] = a + 1 + (t * 31 + i * 17) % 900;
    k->tile(&(struct cb_tile){
        .m = m,
        .n = n,
        .taps = TAPS,
        .depth = DEPTH,
        .rows = table,
        .panel = panel,
        .out = out,
        .out_stride = 37,
        .post = *post,
    });
}

Test(tile, every_isa_and_size_equals_scalar_and_writes_nothing_else)
{
    EACH_FAST_SET(isa)
    {
        const struct cb_kernels k = cb_kernels_for(isa);
        struct cb_kernels reference = cb_kernels_for(CB_ISA_GENERIC);
        for (size_t m = 0; m <= k.mr; m++)
            for (size_t n = 0; n <= k.nr; n++)
                for (int form = 0; form < 4; form++) {
                    fill();
                    struct cb_epilogue post = { .lo = -1, .hi = form ? 0.5f : INFINITY };
                    for (size_t row = 0; row < m; row++)
                        for (size_t column = 0; column < n; column++) {
                            const float *taps[3];
                            float w[15];
                            for (size_t t = 0; t < 3; t++)
                                taps[t] = a + 1 + (t * 31 + row * 17) % 900;
                            float sum = form & 1 ? b[column] : 0;
                            for (size_t t = 0; t < 15; t++) {
                                w[t] = c[t * 32 + column];
                                sum += taps[t / 5][t % 5] * w[t];
                            }
                            sum += form & 2 ? many[0][row * 37 + column] : 0;
                            reference.clamp(1, &sum, post.lo, post.hi, want + row * 37 + column);
                        }
                    post.bias = form & 1 ? b : NULL;
                    post.residual = form & 2 ? many[0] : NULL;
                    run_tile(&k, m, n, &post, got);
                    cb_expect_close(MOST + 1, got, want, "%s, %zu x %zu, form %d", k.name, m, n,
                                    form);
                }
    }
}

Test(kernels, a_set_is_found_by_its_name)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        cr_expect_eq(cb_isa_find(cb_kernels_for(isa).name), isa);
    cr_expect_eq(cb_isa_find("sse9"), CB_ISA_COUNT);
    cr_expect_eq(cb_kernels_for(CB_ISA_COUNT).isa, cb_isa_best());
}

EACH_SIZE(normalize, every_isa_equals_scalar)
{
    for (int form = 0; form < 4; form++) {
        const float *scale = form & 1 ? b + 1 : NULL, *bias = form & 1 ? c : NULL;
        fill();
        for (size_t i = 0; i < MOST + 1; i++)
            a[i] = 0.2f * a[i] + 3;
        cb_kernels_for(CB_ISA_GENERIC).normalize(*n, a + 1, 1e-3f, form & 2, scale, bias, want);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels k = cb_kernels_for(isa);
            k.normalize(*n, a + 1, 1e-3f, form & 2, scale, bias, got);
            cb_expect_close(MOST + 1, got, want, "%s, n = %zu, form %d", k.name, *n, form);
        }
    }
}

static const struct cb_act acts[] = {
    { CB_ACT_NONE, 0, 0 },
    { CB_ACT_SIGMOID, 0, 0 },
    { CB_ACT_SILU, 0, 0 },
    { CB_ACT_HARD_SIGMOID, 0.2f, 0.5f },
    { CB_ACT_HARD_SWISH, 1.0f / 6, 0.5f },
    { CB_ACT_GELU, 0, 0 },
    { CB_ACT_GELU_TANH, 0, 0 },
    { CB_ACT_TANH, 0, 0 },
};

/* A few units in the last place of the result; where that is a difference, of what it is one of. */
static void expect_close_values(size_t n, const float *x, const char *name, int kind)
{
    const bool by_result = kind == CB_ACT_SIGMOID || kind == CB_ACT_SILU || kind == CB_ACT_TANH;
    for (size_t i = 0; i < n; i++) {
        const float size = by_result ? fabsf(want[i]) : fmaxf(fabsf(want[i]), fabsf(x[i]));
        if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i])))
            continue;
        cr_expect(fabsf(got[i] - want[i]) <=
                      (6e-7f + 3e-8f * fminf(fabsf(x[i]), 90)) * size + 0x1p-120f,
                  "%s, activation %d of %.9g is %.9g, not %.9g", name, kind, (double)x[i],
                  (double)got[i], (double)want[i]);
    }
}

EACH_SIZE(activate, every_isa_is_close_to_scalar)
{
    fill_with_strange_numbers();
    for (size_t i = 0; i < MOST + 1; i++)
        a[i] *= i % 3 == 0 ? 0.01f : i % 3 == 1 ? 3.0f : 25.0f;
    a[3] = INFINITY;
    a[4] = -INFINITY;
    a[5] = -0.0f;
    a[6] = 1e30f;
    a[7] = -1e30f;
    a[8] = 95.0f;
    a[9] = -95.0f;
    for (size_t k = 0; k < sizeof acts / sizeof *acts; k++) {
        memset(want, 7, sizeof want);
        cb_kernels_for(CB_ISA_GENERIC).activate[acts[k].kind](acts[k], 1, *n, 0, a + 1, want);
        EACH_FAST_SET(isa)
        {
            const struct cb_kernels set = cb_kernels_for(isa);
            memset(got, 7, sizeof got);
            set.activate[acts[k].kind](acts[k], 1, *n, 0, a + 1, got);
            expect_close_values(*n, a + 1, set.name, (int)acts[k].kind);
            cb_expect_equal(MOST + 1 - *n, got + *n, want + *n, "%s, after n = %zu", set.name, *n);
        }
    }
}

Test(activate, works_on_rows_and_leaves_alone_what_lies_between_them)
{
    enum { STRIDE = 40, HEIGHT = 5 };
    static const size_t widths[] = { 1, 15, 16, 33, 40 };
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (size_t k = 0; k < sizeof acts / sizeof *acts; k++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
                const struct cb_kernels set = cb_kernels_for(isa);
                fill();
                memcpy(want, a, sizeof want);
                memcpy(got, a, sizeof got);
                for (size_t i = 0; i < HEIGHT; i++)
                    set.activate[acts[k].kind](acts[k], 1, widths[w], 0, a + i * STRIDE,
                                               want + i * STRIDE);
                set.activate[acts[k].kind](acts[k], HEIGHT, widths[w], STRIDE, got, got);
                cb_expect_equal(MOST + 1, got, want, "%s, activation %d, width %zu", set.name,
                                (int)acts[k].kind, widths[w]);
            }
}

Test(activate, has_the_value_of_the_true_function_everywhere)
{
    enum { STEPS = 100000 };
    static float x[STEPS], y[STEPS];
    for (int i = 0; i < STEPS; i++)
        x[i] = (i % 2 ? 12.0f : 0.05f) * ((float)(2 * i - STEPS) / STEPS);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (size_t k = 1; k < sizeof acts / sizeof *acts; k++) {
            const struct cb_kernels set = cb_kernels_for(isa);
            double most = 0;
            set.activate[acts[k].kind](acts[k], 1, STEPS, 0, x, y);
            for (int i = 0; i < STEPS; i++) {
                const double v = (double)x[i];
                const double line =
                    fmin(fmax((double)acts[k].alpha * v + (double)acts[k].beta, 0), 1);
                const double exact[CB_ACT_COUNT] = {
                    [CB_ACT_SIGMOID] = 1 / (1 + exp(-v)),
                    [CB_ACT_SILU] = v / (1 + exp(-v)),
                    [CB_ACT_HARD_SIGMOID] = line,
                    [CB_ACT_HARD_SWISH] = v * line,
                    [CB_ACT_GELU] = 0.5 * v * (1 + erf(v * sqrt(0.5))),
                    [CB_ACT_GELU_TANH] =
                        0.5 * v * (1 + tanh(sqrt(1 / acos(0)) * (v + 0.044715 * v * v * v))),
                    [CB_ACT_TANH] = tanh(v),
                };
                most = fmax(most, fabs((double)y[i] - exact[acts[k].kind]) /
                                      fmax(fabs(exact[acts[k].kind]), fabs(v)));
            }
            cr_expect(most < 1e-6, "%s, activation %d: %g", set.name, (int)acts[k].kind, most);
        }
}
