#include "core/train/evaluation.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/rng.h"

Test(evaluation, hand_worked_rates_and_confusion)
{
    /* true 0: predicted 0, 1; true 1: predicted 1, 1; true 2: predicted 0 */
    const float p[5][3] = { { 0.7f, 0.2f, 0.1f },
                            { 0.3f, 0.6f, 0.1f },
                            { 0.1f, 0.8f, 0.1f },
                            { 0.2f, 0.5f, 0.3f },
                            { 0.5f, 0.1f, 0.4f } };
    const int labels[5] = { 0, 0, 1, 1, 2 }, want[9] = { 1, 1, 0, 0, 2, 0, 1, 0, 0 };
    struct cb_arena arena;
    struct cb_evaluation e;
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 5, 3, &e).code, CB_OK);
    for (int i = 0; i < 9; i++)
        cr_expect_eq(e.confusion[i], want[i], "cell %d", i);
    cr_expect_eq(e.correct, 3);
    cr_expect_eq(e.correct5, 5);
    cr_expect_float_eq(e.precision[0], 0.5f, 1e-6f);
    cr_expect_float_eq(e.precision[1], 2.0f / 3, 1e-6f);
    cr_expect_eq(e.precision[2], 0);
    cr_expect_float_eq(e.recall[0], 0.5f, 1e-6f);
    cr_expect_eq(e.recall[1], 1);
    cr_expect_eq(e.recall[2], 0);
    cr_expect_float_eq(e.f1[1], 0.8f, 1e-6f);
    cr_expect_float_eq(e.macro.precision, (0.5 + 2.0 / 3) / 3, 1e-6);
    cr_expect_float_eq(e.macro.recall, 0.5, 1e-6);
    cr_expect_float_eq(e.macro.f1, (0.5 + 0.8) / 3, 1e-6);
    cr_expect_float_eq(e.auc[0], 5.0 / 6, 1e-6); /* 0.7, 0.3 against 0.1, 0.2, 0.5 */
    cr_expect_eq(e.top1.low, cb_wilson(3, 5).low);
    cr_expect_float_eq(e.loss, -(log(0.7) + log(0.3) + log(0.8) + log(0.5) + log(0.4)) / 5, 1e-6);
    cb_arena_deinit(&arena);
}

Test(evaluation, sums_agree_whatever_the_probabilities)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        enum { N = 61, CLASSES = 7 };
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_arena arena;
        struct cb_evaluation e;
        float p[N * CLASSES];
        int labels[N], total = 0, diagonal = 0;
        for (int i = 0; i < N * CLASSES; i++)
            p[i] = (float)cb_rng_below(&rng, 4) / 4; /* many ties */
        for (int i = 0; i < N; i++)
            labels[i] = (int)cb_rng_below(&rng, CLASSES);
        cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
        cr_assert_eq(cb_evaluate(&arena, p, labels, N, CLASSES, &e).code, CB_OK);
        for (int t = 0; t < CLASSES; t++) {
            int row = 0;
            for (int k = 0; k < CLASSES; k++)
                row += e.confusion[t * CLASSES + k];
            cr_expect_eq(row, e.count[t], "seed %d: row %d of the confusion matrix", (int)seed, t);
            total += row;
            diagonal += e.confusion[t * CLASSES + t];
        }
        cr_expect_eq(total, N, "seed %d", (int)seed);
        cr_expect_eq(diagonal, e.correct, "seed %d", (int)seed);
        cr_expect(e.correct5 >= e.correct && e.correct5 <= N, "seed %d", (int)seed);
        cb_arena_deinit(&arena);
    }
}

/* A class that no example is of counts in no mean; one class alone has no area. */
Test(evaluation, empty_classes_and_a_single_class)
{
    const float p[2][3] = { { 0.6f, 0.4f, 0 }, { 0.2f, 0.8f, 0 } };
    const int labels[2] = { 0, 0 };
    struct cb_arena arena;
    struct cb_evaluation e;
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 2, 3, &e).code, CB_OK);
    cr_expect(e.macro.recall == 0.5 && e.macro.precision == 1);
    cr_expect(isnan(e.auc[0]) && isnan(e.auc[2]) && isnan(e.macro.auc));
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 1, 1, &e).code, CB_OK);
    cr_expect(e.n == 1 && e.correct == 1 && e.macro.f1 == 1);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 0, 3, &e).code, CB_OK);
    cr_expect(e.loss == 0 && e.macro.f1 == 0 && e.top1.high == 1);
    cb_arena_deinit(&arena);
}

/* Means of their own: class 0 (0.9 + 0.6 + 0.05) / 3 = 0.517, class 1 (0.8 + 0.4) / 2 = 0.6. */
Test(evaluation, mistakes_by_confidence_and_labels_by_the_other_class_s_mean)
{
    const float p[5][2] = {
        { 0.9f, 0.1f }, { 0.6f, 0.4f }, { 0.05f, 0.95f }, { 0.2f, 0.8f }, { 0.6f, 0.4f }
    };
    const int labels[5] = { 0, 0, 0, 1, 1 };
    struct cb_arena arena;
    struct cb_evaluation e;
    struct cb_mistake *list;
    int n;
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 5, 2, &e).code, CB_OK);
    cr_assert_eq(cb_worst_mistakes(&e, &arena, 9, &list, &n).code, CB_OK);
    cr_assert(n == 2 && list[0].row == 2 && list[1].row == 4);
    cr_expect(list[0].predicted == 1 && list[0].of_label == 0.05f && list[0].of_predicted == 0.95f);
    cr_assert_eq(cb_worst_mistakes(&e, &arena, 1, &list, &n).code, CB_OK);
    cr_expect(n == 1 && list[0].row == 2);
    cr_assert_eq(cb_suspicious_labels(&e, &arena, 9, &list, &n).code, CB_OK);
    cr_assert(n == 2 && list[0].row == 2 && list[1].row == 4);
    e.labels = (const int[]){ 0, 0, 1, 1, 0 }; /* with the right labels nothing is left */
    e.count[0] = 3;
    e.count[1] = 2;
    cr_assert_eq(cb_suspicious_labels(&e, &arena, 9, &list, &n).code, CB_OK);
    cr_expect_eq(n, 0);
    cb_arena_deinit(&arena);
}

Test(evaluation, a_doubtful_photo_below_the_other_class_s_mean_is_a_mistake_but_not_suspicious)
{
    const float p[4][2] = { { 0.9f, 0.1f }, { 0.45f, 0.55f }, { 0.1f, 0.9f }, { 0, 1 } };
    const int labels[4] = { 0, 0, 1, 1 };
    struct cb_arena arena;
    struct cb_evaluation e;
    struct cb_mistake *list;
    int n;
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 4, 2, &e).code, CB_OK);
    cr_assert_eq(cb_worst_mistakes(&e, &arena, 9, &list, &n).code, CB_OK);
    cr_expect(n == 1 && list[0].row == 1);
    cr_assert_eq(cb_suspicious_labels(&e, &arena, 9, &list, &n).code, CB_OK);
    cr_expect_eq(n, 0);
    cb_arena_deinit(&arena);
}

Test(evaluation, no_memory_is_said_at_every_budget)
{
    const float p[4] = { 0.4f, 0.6f, 0.9f, 0.1f };
    const int labels[2] = { 1, 0 };
    for (size_t budget = 0; budget < 512; budget += 16) {
        struct cb_arena arena;
        struct cb_evaluation e;
        cr_assert_eq(cb_arena_init(&arena, budget).code, CB_OK);
        const enum cb_code code = cb_evaluate(&arena, p, labels, 2, 2, &e).code;
        cr_expect(code == CB_OK || code == CB_ERR_NOMEM, "budget %zu", budget);
        cb_arena_deinit(&arena);
    }
}
