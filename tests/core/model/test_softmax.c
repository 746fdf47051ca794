#include <criterion/criterion.h>

#include "core/model/softmax.h"

Test(softmax_rows, sums_to_one_and_survives_huge_scores)
{
    float x[6] = { 1000, 1000, 1000, -80, 0, 80 };
    cb_softmax_rows(2, 3, x, x);
    for (int i = 0; i < 3; i++)
        cr_expect_float_eq(x[i], 1.0f / 3, 1e-6f);
    cr_expect_float_eq(x[3] + x[4] + x[5], 1, 1e-6f);
}
