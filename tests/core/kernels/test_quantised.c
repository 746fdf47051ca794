/* Loops on bytes: every set against the plain one. Sums are whole numbers and must be equal; bytes
 * may differ by one, as a product and a sum may be rounded once or twice, and then only where the
 * exact number lies within a thousandth of half way between two bytes. */
#include "core/kernels/kernels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/rng.h"

enum { SETS = 4, MOST = 1 << 15 };

/* Plain, AVX2, AVX-512 without VNNI, VNNI: those that this CPU runs. */
static int sets(struct cb_kernels out[SETS])
{
    int n = 0;
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        out[n++] = cb_kernels_for(isa);
#if defined(__x86_64__)
    if (strcmp(out[n - 1].quantised.name, "vnni") == 0) {
        out[n] = out[n - 1];
        cb_kernels_use_avx512_quantised(&out[n++]);
    }
#endif
    return n;
}

static void fill_bytes(struct cb_rng *rng, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) /* the ends more often than others */
        out[i] = cb_rng_below(rng, 4) ? (uint8_t)cb_rng_below(rng, 256)
                                      : (cb_rng_below(rng, 2) ? 255 : 0);
}

static void fill_weights(struct cb_rng *rng, size_t n, int8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = cb_rng_below(rng, 4) ? (int8_t)cb_rng_below(rng, 256)
                                      : (cb_rng_below(rng, 2) ? 127 : -128);
}

/* Sums of a tile in exact whole numbers, straight from the definition. */
static int32_t sum_of(const struct cb_quantised_tile *t, const struct cb_quantised_kernels *k,
                      size_t i, size_t j)
{
    int32_t sum = t->post.start[j];
    if (t->row_sums)
        sum -= t->row_sums[i] * t->post.w_zero[j];
    for (size_t tap = 0; tap < t->taps; tap++)
        for (size_t d = 0; d < t->groups * 4; d++)
            sum += t->rows[tap * k->mr + i][d] *
                   t->panel[((tap * t->groups + d / 4) * k->nr + j) * 4 + d % 4];
    return sum;
}

Test(quantised_tile, sums_are_exact_in_every_set_and_size)
{
    static uint8_t x[MOST];
    static int8_t panel[MOST] __attribute__((aligned(64)));
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++) {
        const struct cb_quantised_kernels *k = &kernels[s].quantised;
        struct cb_rng rng = cb_rng_seed(7);
        fill_bytes(&rng, MOST, x);
        fill_weights(&rng, MOST, panel);
        for (size_t m = 1; m <= k->mr; m++)
            for (size_t n = 1; n <= k->nr; n += n < 3 || n + 4 > k->nr ? 1 : 3) {
                const uint8_t *rows[3 * CB_QUANTISED_ROWS_MAX];
                int32_t start[CB_QUANTISED_COLUMNS_MAX];
                int32_t zeros[CB_QUANTISED_COLUMNS_MAX], row_sums[CB_QUANTISED_ROWS_MAX];
                int32_t whole[CB_QUANTISED_ROWS_MAX * 40];
                float scale[CB_QUANTISED_COLUMNS_MAX], shift[CB_QUANTISED_COLUMNS_MAX],
                    y[CB_QUANTISED_ROWS_MAX * 40];
                for (size_t i = 0; i < 3 * k->mr; i++)
                    rows[i] = x + cb_rng_below(&rng, MOST - 64);
                for (size_t j = 0; j < k->nr; j++) {
                    start[j] = (int32_t)cb_rng_below(&rng, 2000) - 1000;
                    zeros[j] = (int32_t)cb_rng_below(&rng, 256) - 128;
                    scale[j] = 1;
                    shift[j] = 0;
                }
                for (size_t i = 0; i < m; i++)
                    row_sums[i] = (int32_t)cb_rng_below(&rng, 9000);
                memset(y, 0xff, sizeof y);
                memset(whole, 0xff, sizeof whole);
                struct cb_quantised_tile t = {
                    .m = m,
                    .n = n,
                    .taps = 1 + m % 3,
                    .groups = 1 + n % 5,
                    .rows = rows,
                    .panel = panel,
                    .row_sums = n % 2 ? row_sums : NULL,
                    .reals = y,
                    .out_stride = 40,
                    .post = { .start = start,
                              .w_zero = zeros,
                              .scale = scale,
                              .shift = shift,
                              .lo = -INFINITY,
                              .hi = INFINITY },
                };
                k->tile(&t);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n; j++)
                        cr_assert_eq((int32_t)y[i * 40 + j], sum_of(&t, k, i, j),
                                     "%s: %zu x %zu at %zu, %zu", k->name, m, n, i, j);
                for (size_t i = 0; i < m; i++)
                    cr_assert(isnan(y[i * 40 + n]), "%s: written beyond column %zu", k->name, n);
                t.reals = NULL;
                t.sums = whole;
                k->tile(&t);
                for (size_t i = 0; i < m; i++) {
                    for (size_t j = 0; j < n; j++)
                        cr_assert_eq(whole[i * 40 + j], sum_of(&t, k, i, j));
                    cr_assert_eq(whole[i * 40 + n], -1);
                }
            }
    }
}

/* A byte is right when it is the exact number's nearest, or its neighbour when that lies about half
 * way. */
static bool is_rounded(uint8_t got, double exact, double lo, double hi)
{
    const double v = exact < lo ? lo : exact > hi ? hi : exact;
    return fabs(v - got) <= 0.501;
}

Test(quantised_tile, epilogue_scales_adds_clamps_and_rounds)
{
    static uint8_t x[MOST], residual[MOST], y[MOST];
    static int8_t panel[MOST] __attribute__((aligned(64)));
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++) {
        const struct cb_quantised_kernels *k = &kernels[s].quantised;
        struct cb_rng rng = cb_rng_seed(8);
        fill_bytes(&rng, MOST, x);
        fill_bytes(&rng, MOST, residual);
        fill_weights(&rng, MOST, panel);
        for (int round = 0; round < 40; round++) {
            const size_t m = 1 + cb_rng_below(&rng, k->mr), n = 1 + cb_rng_below(&rng, k->nr);
            const uint8_t *rows[CB_QUANTISED_ROWS_MAX];
            int32_t start[CB_QUANTISED_COLUMNS_MAX];
            float scale[CB_QUANTISED_COLUMNS_MAX], shift[CB_QUANTISED_COLUMNS_MAX];
            for (size_t i = 0; i < k->mr; i++)
                rows[i] = x + cb_rng_below(&rng, MOST - 64);
            for (size_t j = 0; j < k->nr; j++) {
                start[j] = (int32_t)cb_rng_below(&rng, 2000) - 1000;
                scale[j] = cb_rng_uniform(&rng, 1e-4f, 4e-3f);
                shift[j] = cb_rng_uniform(&rng, -40, 200);
            }
            const struct cb_quantised_tile t = {
                .m = m,
                .n = n,
                .taps = 1,
                .groups = 7,
                .rows = rows,
                .panel = panel,
                .bytes = y,
                .out_stride = 41,
                .post = { .start = start,
                          .scale = scale,
                          .shift = shift,
                          .residual = round % 2 ? residual : NULL,
                          .residual_scale = 0.37f,
                          .lo = (float)(round % 3 ? -round : 17 - round),
                          .hi = (float)((round % 5 ? 255 : 201) - round),
                          .zero = round },
            };
            k->tile(&t);
            for (size_t i = 0; i < m; i++)
                for (size_t j = 0; j < n; j++) {
                    double v = (double)sum_of(&t, k, i, j) * (double)scale[j] + (double)shift[j];
                    if (t.post.residual)
                        v += residual[i * 41 + j] * (double)0.37f;
                    cr_assert(is_rounded(y[i * 41 + j], v + round, (double)t.post.lo + round,
                                         (double)t.post.hi + round),
                              "%s: %d is no rounding of %g", k->name, y[i * 41 + j], v);
                }
        }
    }
}

Test(quantised_depthwise, every_set_and_count_of_channels)
{
    static const size_t counts[] = {
        1, 3, 15, 16, 17, 31, 32, 33, 47, 48, 50, 64, 65, 96, 112, 130
    };
    static uint8_t x[MOST];
    static int8_t w[MOST];
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++)
        for (size_t q = 0; q < sizeof counts / sizeof *counts; q++) {
            const struct cb_quantised_kernels *k = &kernels[s].quantised;
            const size_t channels = counts[q], room = cb_quantised_channels(channels);
            const size_t m = 1 + q % CB_QUANTISED_PIXELS, taps = q % 3 ? 12 : 4;
            const uint8_t *rows[12 * CB_QUANTISED_PIXELS];
            static int32_t start[256];
            static int32_t whole[4 * 131];
            static float scale[256], shift[256], y[4 * 131];
            struct cb_rng rng = cb_rng_seed(9 + q);
            fill_bytes(&rng, MOST, x);
            fill_weights(&rng, MOST, w);
            for (size_t i = 0; i < 12 * CB_QUANTISED_PIXELS; i++)
                rows[i] = x + cb_rng_below(&rng, MOST - 256);
            for (size_t c = 0; c < room; c++) {
                start[c] = (int32_t)cb_rng_below(&rng, 2000) - 1000;
                scale[c] = 1;
                shift[c] = 0;
            }
            memset(y, 0xff, sizeof y);
            memset(whole, 0xff, sizeof whole);
            struct cb_quantised_depthwise d = { .m = m,
                                                .taps = taps,
                                                .channels = channels,
                                                .rows = rows,
                                                .w = w,
                                                .w_stride = room * 4,
                                                .reals = y,
                                                .out_stride = 131,
                                                .post = { .start = start,
                                                          .scale = scale,
                                                          .shift = shift,
                                                          .lo = -INFINITY,
                                                          .hi = INFINITY } };
            k->depthwise(&d);
            d.reals = NULL;
            d.sums = whole;
            k->depthwise(&d);
            for (size_t i = 0; i < m; i++) {
                for (size_t c = 0; c < channels; c++) {
                    const size_t slot = cb_quantised_slot(channels, c);
                    int32_t sum = start[slot];
                    for (size_t t = 0; t < taps; t++)
                        sum += rows[t * CB_QUANTISED_PIXELS + i][c] *
                               w[t / 4 * room * 4 + slot * 4 + t % 4];
                    cr_assert_eq((int32_t)y[i * 131 + c], sum, "%s: channel %zu of %zu", k->name, c,
                                 channels);
                    cr_assert_eq(whole[i * 131 + c], sum);
                }
                cr_assert(isnan(y[i * 131 + channels]), "%s: %zu channels, written beyond", k->name,
                          channels);
                cr_assert_eq(whole[i * 131 + channels], -1);
            }
        }
}

Test(quantised_depthwise, slots_are_a_permutation)
{
    for (size_t channels = 1; channels < 200; channels++) {
        bool taken[256] = { false };
        for (size_t c = 0; c < channels; c++) {
            const size_t slot = cb_quantised_slot(channels, c);
            cr_assert_lt(slot, cb_quantised_channels(channels));
            cr_assert(!taken[slot], "channel %zu of %zu", c, channels);
            taken[slot] = true;
        }
    }
}

Test(quantised_rows, maxima_and_means_of_every_set)
{
    static uint8_t x[MOST], y[300];
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++) {
        const struct cb_quantised_kernels *k = &kernels[s].quantised;
        struct cb_rng rng = cb_rng_seed(10);
        fill_bytes(&rng, MOST, x);
        for (size_t channels = 1; channels < 200; channels += 1 + channels / 9)
            for (size_t count = 1; count <= 9; count += 4) {
                const uint8_t *rows[9];
                for (size_t t = 0; t < count; t++)
                    rows[t] = x + cb_rng_below(&rng, MOST - 256);
                k->max_rows(count, channels, rows, y);
                for (size_t c = 0; c < channels; c++) {
                    uint8_t best = 0;
                    for (size_t t = 0; t < count; t++)
                        best = rows[t][c] > best ? rows[t][c] : best;
                    cr_assert_eq(y[c], best, "%s: channel %zu of %zu", k->name, c, channels);
                }
                const struct cb_quantised_mean mean = { -61, 0.3f, (int)channels };
                k->mean_rows(count, channels, rows, &mean, y);
                for (size_t c = 0; c < channels; c++) {
                    uint32_t sum = 0;
                    for (size_t t = 0; t < count; t++)
                        sum += rows[t][c];
                    cr_assert(is_rounded(y[c], ((double)sum - 61) * (double)0.3f + (double)channels,
                                         0, 255),
                              "%s: mean %zu of %zu", k->name, c, channels);
                }
            }
    }
}

Test(quantised_rows, sums_of_two_tensors)
{
    static uint8_t a[100], b[100], y[101];
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++)
        for (size_t n = 0; n <= 100; n += 1 + n / 7) {
            struct cb_rng rng = cb_rng_seed(n);
            const struct cb_quantised_add add = { 8, 0.7f, 0.55f, -31.4f, -9, 219, 21 };
            fill_bytes(&rng, n, a);
            fill_bytes(&rng, n, b);
            y[n] = 77;
            kernels[s].quantised.add(n, a, b, &add, y);
            for (size_t i = 0; i < n; i++)
                cr_assert(is_rounded(y[i],
                                     (a[i] - 8) * (double)0.7f + (b[i] - 8) * (double)0.55f -
                                         (double)10.4f,
                                     12, 240),
                          "%s: element %zu of %zu", kernels[s].quantised.name, i, n);
            cr_assert_eq(y[n], 77);
        }
}

/* 0.5 and 1.5 go to the even neighbour before a zero that is odd is added. */
Test(quantised_rows, half_way_is_decided_without_the_zero)
{
    static const uint8_t a[4] = { 1, 3, 5, 7 }, none[4] = { 0 }, want[4] = { 3, 5, 5, 7 };
    const uint8_t *rows[1] = { a };
    const struct cb_quantised_add add = { 0, 0.5f, 1, 0, -3, 252, 3 };
    const struct cb_quantised_mean mean = { 0, 0.5f, 3 };
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    for (int s = 0; s < n_sets; s++) {
        const struct cb_quantised_kernels *k = &kernels[s].quantised;
        static const int32_t start[CB_QUANTISED_COLUMNS_MAX] = { 1, 3, 5, 7 };
        static const int8_t panel[4 * CB_QUANTISED_COLUMNS_MAX] __attribute__((aligned(64)));
        static float scale[CB_QUANTISED_COLUMNS_MAX], shift[CB_QUANTISED_COLUMNS_MAX];
        uint8_t y[4];
        for (int i = 0; i < 4; i++)
            scale[i] = 0.5f;
        k->add(4, a, none, &add, y);
        cr_expect_eq(memcmp(y, want, 4), 0, "%s: sum", k->name);
        k->mean_rows(1, 4, rows, &mean, y);
        cr_expect_eq(memcmp(y, want, 4), 0, "%s: mean", k->name);
        const struct cb_quantised_epilogue post = {
            .start = start, .scale = scale, .shift = shift, .lo = -3, .hi = 252, .zero = 3
        };
        k->tile(&(struct cb_quantised_tile){ .m = 1,
                                             .n = 4,
                                             .taps = 1,
                                             .groups = 1,
                                             .rows = rows,
                                             .panel = panel,
                                             .bytes = y,
                                             .out_stride = 4,
                                             .post = post });
        cr_expect_eq(memcmp(y, want, 4), 0, "%s: tile", k->name);
    }
}

Test(quantised_rows, sums_of_bytes)
{
    static uint8_t x[700];
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    struct cb_rng rng = cb_rng_seed(12);
    fill_bytes(&rng, 700, x);
    for (int s = 0; s < n_sets; s++)
        for (size_t n = 0; n <= 700; n += 1 + n / 11) {
            int32_t sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += x[i];
            cr_assert_eq(kernels[s].quantised.sum(n, x), sum, "%s: %zu", kernels[s].quantised.name,
                         n);
        }
}

Test(quantised_rows, quantising_is_the_same_in_every_set)
{
    static const float ends[] = { 0,     -0.0f,  0.25f,    0.75f,     -0.25f, 1.25f,
                                  1e30f, -1e30f, INFINITY, -INFINITY, 127.5f, NAN };
    static float x[131], back[131];
    static uint8_t y[132], want[132];
    struct cb_kernels kernels[SETS];
    const int n_sets = sets(kernels);
    struct cb_rng rng = cb_rng_seed(11);
    for (size_t i = 0; i < 131; i++)
        x[i] = i < sizeof ends / sizeof *ends ? ends[i] : cb_rng_uniform(&rng, -90, 90);
    for (int zero = 0; zero <= 255; zero += 51) {
        const struct cb_quantum q = { 0.5f, zero };
        kernels[0].quantised.quantise(131, x, q, want);
        for (size_t i = 12; i < 131; i++) {
            const double v = rint((double)x[i] / 0.5) + zero;
            cr_assert_eq(want[i], v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v);
        }
        for (int s = 1; s < n_sets; s++)
            for (size_t n = 0; n <= 131; n += n < 20 ? 1 : 37) {
                y[n] = 99;
                kernels[s].quantised.quantise(n, x, q, y);
                cr_assert_eq(memcmp(y, want, n), 0, "%s, %zu", kernels[s].quantised.name, n);
                cr_assert_eq(y[n], 99);
                kernels[s].quantised.dequantise(n, want, q, back);
                for (size_t i = 0; i < n; i++)
                    cr_assert_eq(back[i], (float)(want[i] - zero) * 0.5f);
            }
    }
}
