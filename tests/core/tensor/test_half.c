#include "core/tensor/half.h"

#include <criterion/criterion.h>
#include <math.h>

Test(half, every_half_survives_the_way_through_float)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = cb_half_to_float((uint16_t)bits);
        if (isnan(value))
            cr_assert(isnan(cb_half_to_float(cb_half_from_float(value))), "bits %x", bits);
        else
            cr_assert_eq(cb_half_from_float(value), bits, "bits %x", bits);
    }
}

Test(half, every_bfloat_survives_the_way_through_float)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = cb_half_bfloat_to_float((uint16_t)bits);
        if (isnan(value))
            cr_assert(isnan(cb_half_round(CB_BFLOAT16, value)), "bits %x", bits);
        else
            cr_assert_eq(cb_half_bfloat_from_float(value), bits, "bits %x", bits);
    }
}

Test(half, rounds_to_nearest_with_ties_to_even)
{
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 2049.0f), 2048.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 2051.0f), 2052.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 2049.01f), 2050.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 0x1p-25f), 0.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 0x1.8p-25f), 0x1p-24f, 0);
    cr_expect_float_eq(cb_half_round(CB_BFLOAT16, 257.0f), 256.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_BFLOAT16, 259.0f), 260.0f, 0);
    cr_expect_float_eq(cb_half_round(CB_FLOAT64, 0.1f), 0.1f, 0);
}

Test(half, too_large_becomes_infinite)
{
    cr_expect_float_eq(cb_half_round(CB_FLOAT16, 65519.0f), 65504.0f, 0);
    cr_expect(isinf(cb_half_round(CB_FLOAT16, 65520.0f)));
    cr_expect(isinf(cb_half_round(CB_FLOAT16, -1e30f)) && cb_half_round(CB_FLOAT16, -1e30f) < 0);
    cr_expect(isinf(cb_half_round(CB_BFLOAT16, 3.4e38f)));
}
