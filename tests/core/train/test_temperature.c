#include "core/train/temperature.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/rng.h"
#include "core/model/softmax.h"

enum { N = 2001, CLASSES = 5 };

/* Labels drawn from softmax(z): honest; then `sharp` times the logits. */
static void draw(float logits[N * CLASSES], int labels[N], float sharp)
{
    struct cb_rng rng = cb_rng_seed(31);
    for (int i = 0; i < N; i++) {
        float *z = logits + i * CLASSES, p[CLASSES], left = cb_rng_uniform(&rng, 0, 1);
        for (int c = 0; c < CLASSES; c++)
            z[c] = 2 * cb_rng_normal(&rng);
        cb_softmax_rows(1, CLASSES, z, p);
        for (labels[i] = 0; labels[i] < CLASSES - 1 && left > p[labels[i]]; labels[i]++)
            left -= p[labels[i]];
        for (int c = 0; c < CLASSES; c++)
            z[c] *= sharp;
    }
}

static double likelihood(const float *logits, const int *labels, double temperature, double *error)
{
    float p[N * CLASSES];
    cb_temperature_softmax(logits, N, CLASSES, temperature, p);
    *error = cb_reliability_of(p, labels, N, CLASSES).error;
    return cb_negative_log_likelihood(p, labels, N, CLASSES);
}

Test(temperature, undoes_what_made_logits_too_sure_or_too_shy)
{
    static const float sharp[] = { 4, 0.25f };
    for (int k = 0; k < 2; k++) {
        float logits[N * CLASSES];
        int labels[N];
        double error[2];
        draw(logits, labels, sharp[k]);
        const double t = cb_temperature_fit(logits, labels, N, CLASSES);
        cr_expect_float_eq(t / (double)sharp[k], 1, 0.1, "%g for %g", t, (double)sharp[k]);
        const double before = likelihood(logits, labels, 1, &error[0]);
        const double after = likelihood(logits, labels, t, &error[1]);
        cr_expect_lt(after, before - 0.1);
        cr_expect_lt(error[1], error[0] / 2, "%g, %g", error[0], error[1]);
    }
}

Test(temperature, no_neighbour_is_better)
{
    float logits[N * CLASSES];
    int labels[N];
    draw(logits, labels, 3);
    const double t = cb_temperature_fit(logits, labels, N, CLASSES);
    const double here = cb_temperature_loss(logits, labels, N, CLASSES, t);
    cr_expect_leq(here, cb_temperature_loss(logits, labels, N, CLASSES, 1.01 * t));
    cr_expect_leq(here, cb_temperature_loss(logits, labels, N, CLASSES, 0.99 * t));
}

/* Two classes, a margin of 1 each, all right: the target is (n + 1) / (n + 2) = 0.75 for n = 2,
 * and 1 / (1 + exp(-1 / T)) = 0.75 at T = 1 / log(3). */
Test(temperature, few_examples_that_are_all_right_claim_no_certainty)
{
    const float logits[4] = { 1, 0, 2, 3 };
    const int labels[2] = { 0, 1 };
    cr_expect_float_eq(cb_temperature_fit(logits, labels, 2, 2), 1 / log(3), 1e-6);
}

/* n = 1: target 2/3, a margin of 2. */
Test(temperature, one_example_is_enough)
{
    const float logits[2] = { 2, 0 };
    const int labels[1] = { 0 };
    cr_expect_float_eq(cb_temperature_fit(logits, labels, 1, 2), 2 / log(2), 1e-6);
}

Test(temperature, always_wrong_ends_at_the_upper_bound_and_nothing_to_learn_at_one)
{
    const float wrong[4] = { 9, 0, 9, 0 }, alike[6] = { 3, 3, 3, -1, -1, -1 };
    const int labels[2] = { 1, 1 };
    cr_expect_float_eq(cb_temperature_fit(wrong, labels, 2, 2), CB_TEMPERATURE_MOST, 1);
    cr_expect_eq(cb_temperature_fit(alike, labels, 2, 3), 1);
    cr_expect_eq(cb_temperature_fit(alike, labels, 0, 3), 1);
    cr_expect_eq(cb_temperature_fit(alike, labels, 2, 1), 1);
}

Test(temperature, huge_logits_are_fine)
{
    const float logits[6] = { 1e30f, 0, 0, 0, -1e30f, 1e30f };
    const int labels[2] = { 0, 1 };
    const double t = cb_temperature_fit(logits, labels, 2, 3);
    cr_expect(isfinite(t) && t >= CB_TEMPERATURE_LEAST && t <= CB_TEMPERATURE_MOST * 1.001);
}
