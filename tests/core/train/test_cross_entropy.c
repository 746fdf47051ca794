#include "core/train/cross_entropy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/rng.h"

enum { N = 333, CLASSES = 5 };

static struct cb_cross_entropy by_row(const float *logits, const int *labels, float *gradient)
{
    return (struct cb_cross_entropy){ .n = N,
                                      .classes = CLASSES,
                                      .row_stride = CLASSES,
                                      .class_stride = 1,
                                      .logits = logits,
                                      .labels = labels,
                                      .gradient = gradient };
}

static void make(float logits[N * CLASSES], int labels[N])
{
    struct cb_rng rng = cb_rng_seed(3);
    for (int i = 0; i < N * CLASSES; i++)
        logits[i] = 3 * cb_rng_normal(&rng);
    for (int i = 0; i < N; i++)
        labels[i] = (int)cb_rng_below(&rng, CLASSES);
}

Test(cross_entropy, hand_worked)
{
    const float logits[4] = { 0, logf(3), 1000, -1000 }; /* probabilities 1/4 and 3/4; 1 and 0 */
    const int labels[2] = { 0, 0 };
    const float weight[2] = { 1, 3 };
    float g[4];
    const struct cb_cross_entropy c = { .n = 2,
                                        .classes = 2,
                                        .row_stride = 2,
                                        .class_stride = 1,
                                        .logits = logits,
                                        .labels = labels,
                                        .weight = weight,
                                        .gradient = g };
    cr_expect_float_eq(cb_cross_entropy(&c, NULL), log(4) / 4, 1e-6);
    cr_expect_float_eq(g[0], -0.75f / 4, 1e-6f);
    cr_expect_float_eq(g[1], 0.75f / 4, 1e-6f);
    cr_expect(g[2] == 0 && g[3] == 0);
}

Test(cross_entropy, gradient_agrees_with_finite_differences)
{
    float logits[N * CLASSES], gradient[N * CLASSES], unused[N * CLASSES];
    int labels[N];
    make(logits, labels);
    struct cb_cross_entropy c = by_row(logits, labels, gradient);
    cb_cross_entropy(&c, NULL);
    c.gradient = unused;
    for (int i = 0; i < N * CLASSES; i += 41) {
        const float kept = logits[i], h = 1e-2f;
        logits[i] = kept + h;
        const double up = cb_cross_entropy(&c, NULL);
        logits[i] = kept - h;
        const double down = cb_cross_entropy(&c, NULL);
        logits[i] = kept;
        cr_expect_float_eq((up - down) / (2 * (double)h) * N, (double)gradient[i] * N, 1e-4,
                           "element %d", i);
    }
}

Test(cross_entropy, rows_and_columns_and_threads_give_the_same_bits)
{
    float logits[N * CLASSES], turned[N * CLASSES], a[N * CLASSES], b[N * CLASSES];
    int labels[N];
    struct cb_threads *threads;
    make(logits, labels);
    cr_assert_eq(cb_threads_create(3, &threads).code, CB_OK);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < CLASSES; k++)
            turned[k * N + i] = logits[i * CLASSES + k];
    struct cb_cross_entropy rows = by_row(logits, labels, a), columns = by_row(turned, labels, b);
    columns.row_stride = 1;
    columns.class_stride = N;
    const double one = cb_cross_entropy(&rows, NULL), three = cb_cross_entropy(&columns, threads);
    cr_expect_eq(memcmp(&one, &three, sizeof one), 0);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < CLASSES; k++)
            cr_assert_eq(a[i * CLASSES + k], b[k * N + i]);
    cb_threads_destroy(threads);
}

Test(cross_entropy, a_row_of_weight_zero_takes_no_part)
{
    float logits[N * CLASSES], gradient[N * CLASSES], weight[N] = { 0 };
    int labels[N];
    make(logits, labels);
    struct cb_cross_entropy c = by_row(logits, labels, gradient);
    c.weight = weight;
    cr_expect_eq(cb_cross_entropy(&c, NULL), 0);
    weight[7] = 2;
    cr_expect(cb_cross_entropy(&c, NULL) > 0);
    for (int i = 0; i < N * CLASSES; i++)
        cr_expect(i / CLASSES == 7 ? gradient[i] != 0 : gradient[i] == 0);
}
