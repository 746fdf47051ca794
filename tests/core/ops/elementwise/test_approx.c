#include "core/ops/elementwise/approx.h"

#include <criterion/criterion.h>
#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

static const struct {
    const char *name;
    float (*approx)(float);
    double (*exact)(double);
    float lo, hi; /* where the result is a normal number */
} functions[] = {
    { "exp", cb_approx_exp, exp, -87, 88.7f },
    { "expm1", cb_approx_expm1, expm1, -80, 80 },
    { "sigmoid", cb_approx_sigmoid, sigmoid, -87, 50 },
    { "tanh", cb_approx_tanh, tanh, -12, 12 },
    { "erf", cb_approx_erf, erf, -5, 5 },
    { "softplus", cb_approx_softplus, softplus, -80, 80 },
};

static double units(float got, double want)
{
    const float size = fabsf((float)want);
    return fabs((double)got - want) / (double)(nextafterf(size, INFINITY) - size);
}

Test(approx, is_within_four_units_in_the_last_place)
{
    enum { STEPS = 200000 };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int k = 0; k < STEPS; k++) {
            const float wide =
                functions[i].lo + (functions[i].hi - functions[i].lo) * (float)k / STEPS;
            const float x = k % 2 ? wide : wide * 0.01f; /* near 0 more densely */
            const float y = functions[i].approx(x);
            cr_assert(units(y, functions[i].exact((double)x)) <= 4, "%s(%.9g) is %.9g",
                      functions[i].name, (double)x, (double)y);
        }
}

Test(approx, has_the_limits_of_the_true_function)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        cr_expect(functions[i].approx(INFINITY) == (float)functions[i].exact((double)INFINITY),
                  "%s", functions[i].name);
        cr_expect(functions[i].approx(-INFINITY) == (float)functions[i].exact((double)-INFINITY),
                  "%s", functions[i].name);
        cr_expect(isnan(functions[i].approx(NAN)), "%s", functions[i].name);
        cr_expect(functions[i].approx(0) == (float)functions[i].exact(0), "%s", functions[i].name);
    }
}

Test(approx, exp_fades_out_through_subnormal_numbers)
{
    cr_expect(cb_approx_exp(-100) > 0);
    cr_expect(fabsf(cb_approx_exp(-100) - 0x1.bp-145f) <= 0x1p-149f);
    cr_expect(cb_approx_exp(-104) == 0);
    cr_expect(isinf(cb_approx_exp(88.8f)));
}
