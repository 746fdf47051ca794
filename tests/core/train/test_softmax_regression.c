#include "core/train/softmax_regression.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/rng.h"

enum { N = 60, INPUTS = 8, CLASSES = 3 };

struct world {
    struct cb_engine engine;
    struct cb_arena arena;
    struct cb_regression r;
    float x[N * INPUTS], weight[N];
    int labels[N];
};

/* Three clouds; the last input is 1. */
static void set_up(struct world *w, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    w->engine = (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC) };
    cr_assert_eq(cb_arena_init(&w->arena, 1 << 22).code, CB_OK);
    for (int i = 0; i < N; i++) {
        w->labels[i] = i % CLASSES;
        w->weight[i] = 1 + (float)(i % 2);
        for (int k = 0; k < INPUTS; k++)
            w->x[i * INPUTS + k] =
                k == INPUTS - 1 ? 1 : cb_rng_normal(&rng) + (k == w->labels[i] ? 1.5f : 0);
    }
    w->r = (struct cb_regression){ .engine = &w->engine,
                                   .scratch = &w->arena,
                                   .n = N,
                                   .inputs = INPUTS,
                                   .classes = CLASSES,
                                   .labels = w->labels,
                                   .weight = w->weight,
                                   .l2 = 0.3,
                                   .max_steps = 200 };
    cr_assert_eq(cb_regression_init(&w->r, w->x).code, CB_OK);
}

Test(softmax_regression, gradient_agrees_with_finite_differences)
{
    struct world w;
    float p[INPUTS * CLASSES], gradient[INPUTS * CLASSES], unused[INPUTS * CLASSES];
    set_up(&w, 4);
    struct cb_rng rng = cb_rng_seed(5);
    cb_rng_fill(&rng, INPUTS * CLASSES, p);
    cb_regression_loss(&w.r, p, gradient);
    for (int i = 0; i < INPUTS * CLASSES; i++) {
        const float kept = p[i], h = 1e-2f;
        p[i] = kept + h;
        const double up = cb_regression_loss(&w.r, p, unused);
        p[i] = kept - h;
        const double down = cb_regression_loss(&w.r, p, unused);
        p[i] = kept;
        cr_expect_float_eq((up - down) / (2 * (double)h), (double)gradient[i], 2e-4,
                           "parameter %d: %g, %g", i, (up - down) / (2 * (double)h),
                           (double)gradient[i]);
    }
    cb_arena_deinit(&w.arena);
}

Test(softmax_regression, ends_where_the_gradient_is_zero_from_anywhere)
{
    struct world w;
    float a[INPUTS * CLASSES] = { 0 }, b[INPUTS * CLASSES], gradient[INPUTS * CLASSES];
    set_up(&w, 6);
    struct cb_rng rng = cb_rng_seed(7);
    cb_rng_fill(&rng, INPUTS * CLASSES, b);
    cr_assert_eq(cb_regression_fit(&w.r, a).code, CB_OK);
    cr_assert_eq(cb_regression_fit(&w.r, b).code, CB_OK);
    cb_regression_loss(&w.r, a, gradient);
    for (int i = 0; i < INPUTS * CLASSES; i++)
        cr_expect(fabsf(gradient[i]) < 1e-3f, "parameter %d: %g", i, (double)gradient[i]);
    for (int i = 0; i < CLASSES; i++) /* biases may move together, weights may not */
        for (int k = 0; k + 1 < INPUTS; k++)
            cr_expect_float_eq(a[i * INPUTS + k], b[i * INPUTS + k], 5e-3f);
    cb_arena_deinit(&w.arena);
}

Test(softmax_regression, rows_without_weight_are_not_seen)
{
    struct world w, spoiled;
    float a[INPUTS * CLASSES] = { 0 }, b[INPUTS * CLASSES] = { 0 };
    set_up(&w, 8);
    set_up(&spoiled, 8);
    w.weight[10] = spoiled.weight[10] = 0;
    for (int k = 0; k < INPUTS; k++)
        spoiled.x[10 * INPUTS + k] = 100;
    cr_assert_eq(cb_regression_init(&spoiled.r, spoiled.x).code, CB_OK);
    cr_assert_eq(cb_regression_fit(&w.r, a).code, CB_OK);
    cr_assert_eq(cb_regression_fit(&spoiled.r, b).code, CB_OK);
    cr_expect_arr_eq(a, b, sizeof a);
    cb_arena_deinit(&w.arena);
    cb_arena_deinit(&spoiled.arena);
}

Test(softmax_regression, noise_asks_for_more_decay_than_signal)
{
    struct world w;
    int fold[N];
    double signal = -1, noise = -1;
    set_up(&w, 9);
    for (int i = 0; i < N; i++)
        fold[i] = i / CLASSES % 4;
    cr_assert_eq(cb_regression_choose_l2(&w.r, fold, 4, &signal).code, CB_OK);
    struct cb_rng rng = cb_rng_seed(10);
    for (int i = 0; i < N; i++)
        w.labels[i] = (int)cb_rng_below(&rng, CLASSES);
    cr_assert_eq(cb_regression_choose_l2(&w.r, fold, 4, &noise).code, CB_OK);
    cr_expect(signal > 0 && noise > signal, "%g, %g", signal, noise);
    cr_expect_eq(w.r.l2, 0.3);
    cr_expect_eq(w.r.weight, w.weight);
    cb_arena_deinit(&w.arena);
}

static bool never(void *ctx, const struct cb_regression_step *step)
{
    (void)ctx, (void)step;
    return false;
}

Test(softmax_regression, can_be_cancelled)
{
    struct world w;
    float p[INPUTS * CLASSES] = { 0 };
    int fold[N] = { 0 };
    double l2;
    set_up(&w, 11);
    w.r.on_step = never;
    fold[0] = 1;
    cr_expect_eq(cb_regression_fit(&w.r, p).code, CB_ERR_CANCELLED);
    cr_expect_eq(cb_regression_choose_l2(&w.r, fold, 2, &l2).code, CB_ERR_CANCELLED);
    cb_arena_deinit(&w.arena);
}
