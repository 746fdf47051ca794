/* Every figure against numbers worked by hand. */
#include "core/train/metrics.h"

#include <criterion/criterion.h>
#include <math.h>

static struct cb_arena arena;

static void setup(void)
{
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(metrics, .init = setup, .fini = teardown);

/* 8 of 10: (0.8 + 1.920729 / 10 -+ 1.959964 sqrt(0.016 + 0.0096036)) / 1.3841459. */
Test(metrics, wilson_interval_by_hand)
{
    const struct cb_interval at = cb_wilson(8, 10), one = cb_wilson(1, 1), none = cb_wilson(0, 1);
    cr_expect_float_eq(at.low, 0.490162, 1e-6);
    cr_expect_float_eq(at.high, 0.943318, 1e-6);
    cr_expect_eq(one.high, 1);
    cr_expect_float_eq(one.low, 1 / (1 + 3.841459), 1e-6);
    cr_expect_eq(none.low, 0);
    cr_expect_float_eq(none.high, 3.841459 / (1 + 3.841459), 1e-6);
}

Test(metrics, without_examples_a_share_may_be_anything)
{
    const struct cb_interval at = cb_wilson(0, 0);
    cr_expect(at.low == 0 && at.high == 1);
}

Test(metrics, wilson_interval_contains_the_share_and_shrinks)
{
    for (int part = 0; part <= 7; part++) {
        const struct cb_interval few = cb_wilson(part, 7), many = cb_wilson(100 * part, 700);
        cr_expect(few.low >= 0 && few.low <= part / 7.0 && part / 7.0 <= few.high && few.high <= 1);
        cr_expect(many.high - many.low < few.high - few.low);
    }
}

Test(metrics, f1_is_the_harmonic_mean)
{
    cr_expect_float_eq(cb_f1(0.5, 1), 2.0 / 3, 1e-12);
    cr_expect_eq(cb_f1(0, 0), 0);
}

static double area(const float *p, const int *labels, int n, int classes, int c)
{
    double auc;
    const size_t used = arena.used;
    cr_assert_eq(cb_roc_auc(&arena, p, labels, n, classes, c, &auc).code, CB_OK);
    cr_expect_eq(arena.used, used, "scratch is given back");
    return auc;
}

/* Class 1: 0.8 and 0.4 against 0.6, 0.4, 0.2. Of 6 pairs: 3 and 1 are won, 1 is a tie. */
Test(metrics, area_by_hand_with_a_tie)
{
    const float p[5][2] = {
        { 0.2f, 0.8f }, { 0.6f, 0.4f }, { 0.4f, 0.6f }, { 0.6f, 0.4f }, { 0.8f, 0.2f }
    };
    const int labels[5] = { 1, 1, 0, 0, 0 };
    cr_expect_float_eq(area(p[0], labels, 5, 2, 1), 4.5 / 6, 1e-12);
}

Test(metrics, area_of_equal_scores_is_a_half_and_of_a_perfect_order_one)
{
    const float alike[3][1] = { { 0.3f }, { 0.3f }, { 0.3f } };
    const float perfect[4][2] = { { 0.9f, 0 }, { 0.7f, 0 }, { 0.6f, 0 }, { 0.1f, 0 } };
    const int three[3] = { 0, 1, 1 }, four[4] = { 0, 0, 1, 1 };
    cr_expect_eq(area(alike[0], three, 3, 1, 0), 0.5);
    cr_expect_eq(area(perfect[0], four, 4, 2, 0), 1);
}

Test(metrics, area_needs_both_sides)
{
    const float p[2][3] = { { 1, 0, 0 }, { 0, 1, 0 } };
    const int labels[2] = { 0, 0 };
    cr_expect(isnan(area(p[0], labels, 2, 3, 0)), "no others");
    cr_expect(isnan(area(p[0], labels, 2, 3, 2)), "an empty class");
    cr_expect(isnan(area(p[0], labels, 0, 3, 0)), "no examples");
}

Test(metrics, curve_has_a_point_for_each_score_and_the_area_under_it)
{
    const float p[5][2] = { { 0, 0.8f }, { 0, 0.4f }, { 0, 0.6f }, { 0, 0.4f }, { 0, 0.2f } };
    const int labels[5] = { 1, 1, 0, 0, 0 };
    const double x[] = { 0, 0, 1 / 3.0, 2 / 3.0, 1 }, y[] = { 0, 0.5, 0.5, 1, 1 };
    struct cb_roc roc;
    double under = 0;
    cr_assert_eq(cb_roc_curve(&arena, p[0], labels, 5, 2, 1, &roc).code, CB_OK);
    cr_assert_eq(roc.n, 5);
    for (int i = 0; i < 5; i++) {
        cr_expect_float_eq(roc.x[i], x[i], 1e-12, "point %d", i);
        cr_expect_float_eq(roc.y[i], y[i], 1e-12, "point %d", i);
        if (i)
            under += (roc.x[i] - roc.x[i - 1]) * (roc.y[i] + roc.y[i - 1]) / 2;
    }
    cr_expect_float_eq(under, area(p[0], labels, 5, 2, 1), 1e-12);
    cr_assert_eq(cb_roc_curve(&arena, p[0], labels, 5, 2, 0, &roc).code, CB_OK);
    cr_expect_eq(roc.n, 2, "all scores alike are one step");
}

Test(metrics, brier_and_likelihood_by_hand)
{
    const float p[2][3] = { { 0.5f, 0.25f, 0.25f }, { 0, 1, 0 } };
    const int labels[2] = { 0, 2 };
    /* (0.25 + 0.0625 + 0.0625 + 0 + 1 + 1) / 2; the label of the second has 0: taken as 1e-30 */
    cr_expect_float_eq(cb_brier(p[0], labels, 2, 3), 1.1875, 1e-12);
    cr_expect_float_eq(cb_negative_log_likelihood(p[0], labels, 2, 3), (log(2) + 30 * log(10)) / 2,
                       1e-9);
    cr_expect_eq(cb_brier(p[0], labels, 0, 3), 0);
    cr_expect_eq(cb_negative_log_likelihood(p[0], labels, 0, 3), 0);
}

/* Confidences 0.9 and 0.92 (bin 13: up to 14/15; one right), 0.55 (bin 8, right). */
Test(metrics, reliability_by_hand)
{
    const float p[3][2] = { { 0.9f, 0.1f }, { 0.08f, 0.92f }, { 0.55f, 0.45f } };
    const int labels[3] = { 0, 0, 0 };
    const struct cb_reliability r = cb_reliability_of(p[0], labels, 3, 2);
    cr_expect(r.count[13] == 2 && r.count[8] == 1);
    cr_expect_float_eq(r.confidence[13], 0.91, 1e-6);
    cr_expect_eq(r.accuracy[13], 0.5);
    cr_expect_float_eq(r.error, (2 * 0.41 + 0.45) / 3, 1e-6);
}

Test(metrics, bins_have_their_upper_edge_and_nothing_falls_outside)
{
    const float p[4] = { 0, 1, 0.2f, 0.2000001f }; /* one class: 0.2 is 3/15 */
    const int labels[4] = { 0, 0, 0, 0 };
    const struct cb_reliability r = cb_reliability_of(p, labels, 4, 1);
    int sum = 0;
    for (int b = 0; b < CB_RELIABILITY_BINS; b++)
        sum += r.count[b];
    cr_expect(r.count[0] == 1 && r.count[14] == 1 && sum == 4);
    cr_expect_eq(cb_reliability_of(p, labels, 0, 1).error, 0);
}
