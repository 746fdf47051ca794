#include "core/train/resampling.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/rng.h"

enum { N = 90, INPUTS = 11, CLASSES = 3 };

struct world {
    struct cb_engine engine;
    struct cb_head_config config;
    struct cb_arena arena;
    float features[N * INPUTS];
    int labels[N];
    struct cb_head_job job;
    struct cb_resampling again;
    int told, total;
};

static void on_step(void *ctx, int done, int total)
{
    struct world *w = ctx;
    cr_expect_eq(done, ++w->told);
    w->total = total;
}

/* Clouds that overlap: `apart` says how little. */
static void set_up(struct world *w, int hidden, float apart)
{
    struct cb_rng rng = cb_rng_seed(41);
    memset(w, 0, sizeof *w);
    w->engine.kernels = cb_kernels_for(cb_isa_best());
    cr_assert_eq(cb_threads_create(1, &w->engine.threads).code, CB_OK);
    cr_assert_eq(cb_arena_init(&w->arena, 1 << 22).code, CB_OK);
    for (int i = 0; i < N; i++) {
        w->labels[i] = i % CLASSES;
        for (int k = 0; k < INPUTS; k++)
            w->features[i * INPUTS + k] =
                cb_rng_normal(&rng) + (k % CLASSES == w->labels[i] ? apart : 0);
    }
    w->config = cb_head_config_default;
    w->config.hidden = hidden;
    w->config.epochs = 40;
    w->job = (struct cb_head_job){ .config = &w->config,
                                   .features = w->features,
                                   .labels = w->labels,
                                   .n = N,
                                   .inputs = INPUTS,
                                   .classes = CLASSES,
                                   .engine = &w->engine };
    w->again = (struct cb_resampling){ .job = &w->job, .on_step = on_step, .ctx = w };
}

static void tear_down(struct world *w)
{
    cb_arena_deinit(&w->arena);
    cb_threads_destroy(w->engine.threads);
}

Test(resampling, cross_validation_judges_every_example_once)
{
    for (int hidden = 0; hidden <= 6; hidden += 6) {
        struct world w;
        struct cb_evaluation e;
        set_up(&w, hidden, 2);
        cr_assert_eq(cb_cross_validate(&w.again, 3, &w.arena, &e).code, CB_OK);
        cr_expect(e.n == N && e.count[0] == N / CLASSES && w.told == 3 && w.total == 3);
        cr_expect(e.correct > 75, "%d of %d", e.correct, N);
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int c = 0; c < CLASSES; c++)
                sum += (double)e.probabilities[i * CLASSES + c];
            cr_expect_float_eq(sum, 1, 1e-5, "row %d", i);
        }
        tear_down(&w);
    }
}

/* A head that had seen its fold would know random labels. */
Test(resampling, a_fold_is_judged_by_a_head_that_never_saw_it)
{
    struct world w;
    struct cb_evaluation e;
    struct cb_rng rng = cb_rng_seed(42);
    set_up(&w, 0, 0);
    for (int i = 0; i < N; i++)
        w.labels[i] = (int)cb_rng_below(&rng, CLASSES);
    w.config.l2 = 0;
    cr_assert_eq(cb_cross_validate(&w.again, 5, &w.arena, &e).code, CB_OK);
    cr_expect(e.correct < 48, "%d of %d by chance", e.correct, N);
    cr_expect(e.top1.low < 1.0 / 3 && e.top1.high > 1.0 / 3);
    tear_down(&w);
}

Test(resampling, classes_too_small_for_the_folds_are_named)
{
    struct world w;
    struct cb_evaluation e;
    set_up(&w, 0, 2);
    w.job.n = 9; /* 3 of each: with 2 folds, 1 may be left */
    cr_expect_eq(cb_cross_validate(&w.again, 3, &w.arena, &e).code, CB_OK);
    const struct cb_status st = cb_cross_validate(&w.again, 2, &w.arena, &e);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "class 0 has 3"), "%s", st.msg);
    cr_expect_eq(cb_cross_validate(&w.again, 1, &w.arena, &e).code, CB_ERR_INPUT);
    cr_expect_eq(cb_cross_validate(&w.again, CB_MOST_FOLDS + 1, &w.arena, &e).code, CB_ERR_INPUT);
    tear_down(&w);
}

Test(resampling, the_curve_rises_and_its_points_are_1_2_5_10_and_all)
{
    static const int each[] = { 1, 2, 5, 10, 24 };
    struct world w;
    struct cb_curve curve, again;
    set_up(&w, 0, 1.5f);
    cr_assert_eq(cb_learning_curve(&w.again, 4, &curve).code, CB_OK);
    cr_assert_eq(curve.n, (int)CB_COUNT_OF(each));
    for (int i = 0; i < curve.n; i++) {
        const struct cb_curve_point *p = &curve.point[i];
        cr_expect(p->per_class == each[i] && p->n == CLASSES * each[i], "%d: %d, %d", i,
                  p->per_class, p->n);
        cr_expect(p->least <= p->accuracy + 1e-9 && p->accuracy <= p->most + 1e-9);
        cr_expect(p->interval.low <= p->accuracy && p->accuracy <= p->interval.high);
    }
    cr_expect(curve.point[4].accuracy > curve.point[0].accuracy + 0.1);
    cr_expect(w.told == 20 && w.total == 20);
    w.told = 0;
    cr_assert_eq(cb_learning_curve(&w.again, 4, &again).code, CB_OK);
    cr_expect_eq(again.point[3].accuracy, curve.point[3].accuracy);
    tear_down(&w);
}

Test(resampling, the_smallest_curve_has_one_point)
{
    struct world w;
    struct cb_curve curve;
    set_up(&w, 0, 2);
    w.job.n = 6; /* 2 of each: 1 teaches */
    cr_assert_eq(cb_learning_curve(&w.again, 1, &curve).code, CB_OK);
    cr_expect(curve.n == 1 && curve.point[0].per_class == 1 && curve.point[0].n == 3);
    w.job.n = 5;
    cr_expect_eq(cb_learning_curve(&w.again, 1, &curve).code, CB_ERR_CONTENT);
    tear_down(&w);
}

Test(resampling, can_be_cancelled)
{
    struct world w;
    struct cb_evaluation e;
    struct cb_curve curve;
    atomic_bool cancel = true;
    set_up(&w, 0, 2);
    w.job.cancel = &cancel;
    cr_expect_eq(cb_cross_validate(&w.again, 3, &w.arena, &e).code, CB_ERR_CANCELLED);
    cr_expect_eq(cb_learning_curve(&w.again, 2, &curve).code, CB_ERR_CANCELLED);
    tear_down(&w);
}

/* Random labels, and views that all but repeat their example: a head that learned from a view of
 * what it is judged on would know its label. */
Test(resampling, views_of_the_examples_that_judge_do_not_teach)
{
    enum { VIEWS = 2 };
    static float features[N * VIEWS * INPUTS];
    struct world w;
    struct cb_evaluation e;
    struct cb_curve curve;
    struct cb_rng rng = cb_rng_seed(45);
    set_up(&w, 0, 0);
    for (int i = 0; i < N * VIEWS * INPUTS; i++)
        features[i] = 5 * w.features[i / (VIEWS * INPUTS) * INPUTS + i % INPUTS] +
                      0.01f * cb_rng_normal(&rng);
    w.config.l2 = 0;
    w.job.features = features;
    w.job.views = VIEWS;
    cr_assert_eq(cb_cross_validate(&w.again, 3, &w.arena, &e).code, CB_OK);
    cr_expect(e.n == N && e.correct < N / 2, "%d of %d", e.correct, e.n);
    w.told = 0;
    cr_assert_eq(cb_learning_curve(&w.again, 2, &curve).code, CB_OK);
    cr_expect(curve.point[curve.n - 1].accuracy < 0.6, "%g", curve.point[curve.n - 1].accuracy);
    tear_down(&w);
}

/* Views far off, that say nothing of the class: only the examples themselves judge. */
Test(resampling, views_do_not_judge)
{
    enum { VIEWS = 3 };
    static float features[N * VIEWS * INPUTS];
    struct world w;
    struct cb_evaluation e;
    struct cb_curve curve;
    set_up(&w, 0, 2);
    for (int i = 0; i < N * VIEWS; i++)
        for (int k = 0; k < INPUTS; k++)
            features[i * INPUTS + k] = i % VIEWS ? 20 : w.features[i / VIEWS * INPUTS + k];
    w.job.features = features;
    w.job.views = VIEWS;
    cr_assert_eq(cb_cross_validate(&w.again, 3, &w.arena, &e).code, CB_OK);
    cr_expect(e.n == N && e.correct > 75, "%d of %d", e.correct, e.n);
    w.told = 0;
    cr_assert_eq(cb_learning_curve(&w.again, 2, &curve).code, CB_OK);
    cr_expect(curve.point[curve.n - 1].n <= N && curve.point[curve.n - 1].accuracy > 0.8, "%g",
              curve.point[curve.n - 1].accuracy);
    tear_down(&w);
}
