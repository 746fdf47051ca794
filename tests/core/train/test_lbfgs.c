#include "core/train/lbfgs.h"

#include <criterion/criterion.h>
#include <math.h>

/* Rosenbrock's valley: its floor is curved, its minimum is 0 at (1, 1). */
static double valley(void *ctx, const float *x, float *gradient)
{
    const double a = (double)x[0], b = (double)x[1], r = b - a * a;
    ++*(int *)ctx;
    gradient[0] = (float)(-2 * (1 - a) - 400 * a * r);
    gradient[1] = (float)(200 * r);
    return (1 - a) * (1 - a) + 100 * r * r;
}

static double bowl(void *ctx, const float *x, float *gradient)
{
    double sum = 0;
    (void)ctx;
    for (int i = 0; i < 37; i++) {
        gradient[i] = (float)(i + 1) * (x[i] - (float)i);
        sum += 0.5 * (i + 1) * (double)(x[i] - (float)i) * (double)(x[i] - (float)i);
    }
    return sum;
}

static bool stop_at_three(void *ctx, int step, double loss, const float *x)
{
    (void)ctx, (void)loss, (void)x;
    return step < 3;
}

static struct cb_lbfgs_result run(const struct cb_lbfgs *p, float *x)
{
    struct cb_arena arena;
    struct cb_lbfgs_result result;
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    cr_assert_eq(cb_lbfgs_run(p, &arena, x, &result).code, CB_OK);
    cr_expect_eq(arena.used, 0, "scratch memory is given back");
    cb_arena_deinit(&arena);
    return result;
}

Test(lbfgs, follows_a_curved_valley_to_its_end)
{
    int calls = 0;
    float x[2] = { -1.2f, 1 };
    const struct cb_lbfgs p = {
        .n = 2, .loss = valley, .ctx = &calls, .max_steps = 200, .tolerance = 1e-5
    };
    const struct cb_lbfgs_result result = run(&p, x);
    cr_expect(fabsf(x[0] - 1) < 1e-3f && fabsf(x[1] - 1) < 1e-3f, "%g, %g", (double)x[0],
              (double)x[1]);
    cr_expect(result.loss < 1e-6 && calls < 300, "%g after %d calls", result.loss, calls);
}

Test(lbfgs, finds_the_bottom_of_a_stretched_bowl)
{
    float x[37] = { 0 };
    const struct cb_lbfgs p = { .n = 37, .loss = bowl, .max_steps = 200, .tolerance = 1e-6 };
    run(&p, x);
    for (int i = 0; i < 37; i++)
        cr_expect_float_eq(x[i], (float)i, 1e-2f, "x[%d] = %g", i, (double)x[i]);
}

Test(lbfgs, stands_still_at_a_minimum)
{
    float x[2] = { 1, 1 };
    int calls = 0;
    const struct cb_lbfgs p = {
        .n = 2, .loss = valley, .ctx = &calls, .max_steps = 9, .tolerance = 1e-5
    };
    cr_expect_eq(run(&p, x).steps, 0);
    cr_expect(x[0] == 1 && x[1] == 1 && calls == 1);
}

Test(lbfgs, stops_when_told_and_at_its_limit)
{
    float x[37] = { 0 };
    struct cb_lbfgs p = {
        .n = 37, .loss = bowl, .max_steps = 200, .tolerance = 0, .on_step = stop_at_three
    };
    struct cb_lbfgs_result result = run(&p, x);
    cr_expect(result.stopped && result.steps == 3);
    p.on_step = NULL;
    p.max_steps = 2;
    result = run(&p, (float[37]){ 0 });
    cr_expect(!result.stopped && result.steps == 2);
}

Test(lbfgs, says_when_memory_is_short)
{
    struct cb_arena arena;
    struct cb_lbfgs_result result;
    float x[37] = { 0 };
    const struct cb_lbfgs p = { .n = 37, .loss = bowl, .max_steps = 5 };
    cr_assert_eq(cb_arena_init(&arena, 1000).code, CB_OK);
    cr_expect_eq(cb_lbfgs_run(&p, &arena, x, &result).code, CB_ERR_NOMEM);
    cb_arena_deinit(&arena);
}
