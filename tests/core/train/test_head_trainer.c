#include "core/train/head_trainer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/rng.h"

enum { N = 150, INPUTS = 21, CLASSES = 3 };

struct world {
    struct cb_engine engine;
    struct cb_head_config config;
    struct cb_arena arena;
    float features[N * INPUTS];
    int labels[N];
    struct cb_head_job job;
    struct cb_head head;
    struct cb_head_judgement judged;
};

/* Clouds far from the origin, of very different sizes by feature; class 2 is rare. */
static void set_up(struct world *w, int hidden, size_t threads)
{
    struct cb_rng rng = cb_rng_seed(21);
    memset(w, 0, sizeof *w);
    w->engine.kernels = cb_kernels_for(cb_isa_best());
    cr_assert_eq(cb_threads_create(threads, &w->engine.threads).code, CB_OK);
    cr_assert_eq(cb_arena_init(&w->arena, 1 << 22).code, CB_OK);
    for (int i = 0; i < N; i++) {
        w->labels[i] = i % 10 == 9 ? 2 : i % 2;
        for (int k = 0; k < INPUTS; k++)
            w->features[i * INPUTS + k] =
                50 + cb_rng_normal(&rng) + (k % CLASSES == w->labels[i] ? 1.5f : 0);
    }
    w->config = cb_head_config_default;
    w->config.hidden = hidden;
    w->job = (struct cb_head_job){ .config = &w->config,
                                   .features = w->features,
                                   .labels = w->labels,
                                   .n = N,
                                   .inputs = INPUTS,
                                   .classes = CLASSES,
                                   .engine = &w->engine };
}

static enum cb_code train(struct world *w)
{
    return cb_head_train(&w->job, &w->arena, &w->head, &w->judged).code;
}

static void tear_down(struct world *w)
{
    cb_arena_deinit(&w->arena);
    cb_threads_destroy(w->engine.threads);
}

static int count_right(const struct world *w)
{
    int right = 0;
    float logits[N * CLASSES];
    cb_head_run(&w->head, N, w->features, logits);
    for (int i = 0; i < N; i++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            best = logits[i * CLASSES + c] > logits[i * CLASSES + best] ? c : best;
        right += best == w->labels[i];
    }
    return right;
}

static const int hidden_sizes[] = { 0, 12 };

Test(head_trainer, both_kinds_learn_clouds_and_judge_a_fifth)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world w;
        set_up(&w, hidden_sizes[k], 2);
        cr_assert_eq(train(&w), CB_OK);
        cr_expect(w.head.hidden == hidden_sizes[k] && w.head.inputs == INPUTS &&
                  w.head.classes == CLASSES);
        cr_expect(count_right(&w) >= 145, "hidden %d: %d of %d", hidden_sizes[k], count_right(&w),
                  N);
        cr_expect(w.judged.held_out.n == 30 && w.judged.held_out.classes == CLASSES, "%d held out",
                  w.judged.held_out.n);
        cr_expect(w.judged.held_out.correct >= 26, "hidden %d: %d of 30", hidden_sizes[k],
                  w.judged.held_out.correct);
        tear_down(&w);
    }
}

Test(head_trainer, the_same_seed_gives_the_same_head_on_any_number_of_threads)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world a, b;
        const size_t n = CLASSES * (size_t)(hidden_sizes[k] ? hidden_sizes[k] : INPUTS);
        set_up(&a, hidden_sizes[k], 1);
        set_up(&b, hidden_sizes[k], 3);
        cr_assert_eq(train(&a), CB_OK);
        cr_assert_eq(train(&b), CB_OK);
        cr_expect_arr_eq(a.head.w2, b.head.w2, n * sizeof(float), "hidden %d", hidden_sizes[k]);
        cr_expect_arr_eq(a.head.b2, b.head.b2, CLASSES * sizeof(float), "hidden %d",
                         hidden_sizes[k]);
        cr_expect_eq(memcmp(&a.judged.held_out.loss, &b.judged.held_out.loss, sizeof(double)), 0);
        tear_down(&a);
        tear_down(&b);
    }
}

/* A head that saw the held-out examples would know their random labels. */
Test(head_trainer, the_evaluation_is_of_a_head_that_never_saw_the_held_out_part)
{
    struct world w;
    struct cb_rng rng = cb_rng_seed(22);
    set_up(&w, 0, 1);
    for (int i = 0; i < N; i++) {
        w.labels[i] = (int)cb_rng_below(&rng, CLASSES);
        for (int k = 0; k < INPUTS; k++)
            w.features[i * INPUTS + k] = cb_rng_normal(&rng);
    }
    w.config.l2 = 0;
    w.config.held_out = 0.5f;
    cr_assert_eq(train(&w), CB_OK);
    cr_expect(w.judged.held_out.correct < 40, "%d of %d", w.judged.held_out.correct,
              w.judged.held_out.n);
    tear_down(&w);
}

Test(head_trainer, balancing_helps_the_rare_class)
{
    struct world with, without;
    set_up(&with, 0, 1);
    set_up(&without, 0, 1);
    for (int i = 0; i < N * INPUTS; i++) /* closer together */
        with.features[i] = without.features[i] =
            with.features[i] + 1.2f * (float)((i * 7919) % 13 - 6) / 3;
    with.config.l2 = without.config.l2 = 1;
    without.config.balance = false;
    cr_assert_eq(train(&with), CB_OK);
    cr_assert_eq(train(&without), CB_OK);
    cr_expect(with.head.b2[2] - with.head.b2[0] != without.head.b2[2] - without.head.b2[0]);
    int rare_with = 0, rare_without = 0;
    float logits[2][CLASSES];
    for (int i = 9; i < N; i += 10) {
        cb_head_run(&with.head, 1, with.features + i * INPUTS, logits[0]);
        cb_head_run(&without.head, 1, with.features + i * INPUTS, logits[1]);
        rare_with += logits[0][2] > logits[0][0] && logits[0][2] > logits[0][1];
        rare_without += logits[1][2] > logits[1][0] && logits[1][2] > logits[1][1];
    }
    cr_expect(rare_with >= rare_without, "%d, %d", rare_with, rare_without);
    tear_down(&with);
    tear_down(&without);
}

Test(head_trainer, refuses_one_class_a_lonely_example_and_what_is_not_finite)
{
    struct world w;
    set_up(&w, 0, 1);
    w.job.classes = 1;
    memset(w.labels, 0, sizeof w.labels);
    cr_expect_eq(train(&w), CB_ERR_CONTENT);
    w.job.classes = 2;
    w.labels[3] = 1;
    struct cb_status st = cb_head_train(&w.job, &w.arena, &w.head, &w.judged);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "class 1"), "%s", st.msg);
    w.labels[4] = 1;
    cr_expect_eq(train(&w), CB_OK);
    w.features[100] = NAN;
    cr_expect_eq(train(&w), CB_ERR_CONTENT);
    tear_down(&w);
}

Test(head_trainer, the_smallest_dataset_is_two_and_two)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world w;
        set_up(&w, hidden_sizes[k], 1);
        w.job.n = 4;
        w.job.classes = 2;
        cr_assert_eq(train(&w), CB_OK);
        cr_expect_eq(w.judged.held_out.n, 2);
        cr_expect(isfinite(w.head.w2[0]) && isfinite(w.judged.held_out.loss));
        tear_down(&w);
    }
}

Test(head_trainer, features_that_never_change_are_fine)
{
    struct world w;
    set_up(&w, 0, 1);
    for (int i = 0; i < N * INPUTS; i++)
        w.features[i] = 3;
    cr_assert_eq(train(&w), CB_OK);
    cr_expect(isfinite(w.head.b2[0]) && isfinite(w.judged.held_out.loss));
    tear_down(&w);
}

static void set_flag(void *ctx, const struct cb_epoch *epoch)
{
    if (epoch->epoch == 2)
        atomic_store((atomic_bool *)ctx, true);
}

Test(head_trainer, can_be_cancelled_between_steps)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world w;
        atomic_bool cancel = false;
        set_up(&w, hidden_sizes[k], 1);
        w.job.cancel = &cancel;
        w.job.on_epoch = set_flag;
        w.job.ctx = &cancel;
        cr_expect_eq(train(&w), CB_ERR_CANCELLED, "hidden %d", hidden_sizes[k]);
        tear_down(&w);
    }
}

/* Labels that features only half decide: plain training on few examples is too sure. */
Test(head_trainer, a_temperature_is_fitted_and_lies_in_the_last_weights)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world w;
        struct cb_rng rng = cb_rng_seed(23);
        set_up(&w, hidden_sizes[k], 1);
        for (int i = 0; i < N; i++)
            if (cb_rng_below(&rng, 3) == 0)
                w.labels[i] = (int)cb_rng_below(&rng, CLASSES);
        w.config.l2 = 0; /* nothing else holds it back */
        w.config.held_out = 0.5f;
        cr_assert_eq(train(&w), CB_OK);
        const struct cb_head_judgement *j = &w.judged;
        cr_expect(j->temperature > 1.2, "%g", j->temperature);
        cr_expect(j->held_out.loss < j->plain_loss, "%g, %g", j->held_out.loss, j->plain_loss);
        cr_expect(j->held_out.example && j->held_out.labels[0] == w.labels[j->held_out.example[0]]);
        tear_down(&w);
    }
}

Test(head_trainer, unjudged_regression_learns_from_one_example_a_class)
{
    struct world w;
    set_up(&w, 0, 1);
    w.job.n = 2;
    w.job.classes = 2;
    w.labels[1] = 1;
    cr_assert_eq(cb_head_train(&w.job, &w.arena, &w.head, NULL).code, CB_OK);
    for (int i = 0; i < 2; i++) {
        float logits[2];
        cb_head_run(&w.head, 1, w.features + i * INPUTS, logits);
        cr_expect((logits[1] > logits[0]) == (i == 1));
    }
    tear_down(&w);
}

/* Features of each example `views` times over; the views moved by `by`. */
static float *repeat(struct world *w, int views, float by)
{
    float *all = cb_arena_alloc(&w->arena, (size_t)(N * views * INPUTS), sizeof(float));
    cr_assert(all);
    for (int i = 0; i < N * views; i++)
        for (int k = 0; k < INPUTS; k++)
            all[i * INPUTS + k] = w->features[i / views * INPUTS + k] + (i % views ? by : 0);
    w->job.features = all;
    w->job.views = views;
    return all;
}

Test(head_trainer, views_that_are_the_photo_itself_change_nothing)
{
    struct world one, three;
    set_up(&one, 0, 1);
    set_up(&three, 0, 2);
    repeat(&three, 3, 0);
    cr_assert_eq(train(&one), CB_OK);
    cr_assert_eq(train(&three), CB_OK);
    cr_expect(three.judged.held_out.n == 30 &&
              three.judged.held_out.correct == one.judged.held_out.correct);
    cr_expect_float_eq(three.judged.held_out.loss, one.judged.held_out.loss, 1e-3);
    for (int i = 0; i < CLASSES * INPUTS; i++)
        cr_expect_float_eq(three.head.w2[i], one.head.w2[i], 1e-2f, "%d", i);
    tear_down(&one);
    tear_down(&three);
}

/* With random labels, a head that saw a view of a held-out example would know its label. */
Test(head_trainer, views_of_held_out_examples_do_not_teach)
{
    for (size_t k = 0; k < CB_COUNT_OF(hidden_sizes); k++) {
        struct world w;
        struct cb_rng rng = cb_rng_seed(23);
        set_up(&w, hidden_sizes[k], 1);
        for (int i = 0; i < N; i++) {
            w.labels[i] = (int)cb_rng_below(&rng, CLASSES);
            for (int j = 0; j < INPUTS; j++)
                w.features[i * INPUTS + j] = cb_rng_normal(&rng);
        }
        w.config.l2 = 0;
        w.config.held_out = 0.5f;
        w.config.patience = 300;
        repeat(&w, 2, 0.01f);
        cr_assert_eq(train(&w), CB_OK);
        cr_expect(w.judged.held_out.correct < 40, "%d of %d", w.judged.held_out.correct,
                  w.judged.held_out.n);
        tear_down(&w);
    }
}

/* Views far off would spoil a judgement that they took part in, or a choice of l2 by them. */
Test(head_trainer, views_do_not_judge)
{
    struct world w;
    set_up(&w, 0, 1);
    float *all = repeat(&w, 2, 0);
    for (int i = 1; i < 2 * N; i += 2)
        for (int k = 0; k < INPUTS; k++)
            all[i * INPUTS + k] = 50; /* says nothing of the class */
    cr_assert_eq(train(&w), CB_OK);
    cr_expect(w.judged.held_out.n == 30 && w.judged.held_out.correct >= 26, "%d of %d",
              w.judged.held_out.correct, w.judged.held_out.n);
    tear_down(&w);
}
