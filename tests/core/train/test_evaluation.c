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
