#include "core/train/optimizer.h"

#include <criterion/criterion.h>
#include <math.h>

static struct cb_optimizer make(struct cb_arena *arena, const struct cb_optimizer_config *config,
                                size_t n)
{
    struct cb_optimizer o;
    cr_assert_eq(cb_arena_init(arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_optimizer_init(&o, arena, config, n).code, CB_OK);
    return o;
}

Test(optimizer, sgd_gathers_momentum)
{
    const struct cb_optimizer_config config = cb_optimizer_default(CB_SGD);
    struct cb_arena arena;
    struct cb_optimizer o = make(&arena, &config, 1);
    float w = 1;
    const float g = 0.5f;
    const struct cb_parameter p = { &w, &g, 1, true };
    cb_optimizer_step(&o, &p, 1, 0.1f);
    cr_expect_float_eq(w, 1 - 0.05f, 1e-6f);
    cb_optimizer_step(&o, &p, 1, 0.1f);
    cr_expect_float_eq(w, 0.95f - 0.1f * (0.9f * 0.5f + 0.5f), 1e-6f);
    cb_arena_deinit(&arena);
}

Test(optimizer, the_first_step_of_adam_is_the_rate_whatever_the_gradient)
{
    const struct cb_optimizer_config config = cb_optimizer_default(CB_ADAM);
    struct cb_arena arena;
    struct cb_optimizer o = make(&arena, &config, 3);
    float w[3] = { 0, 0, 0 };
    const float g[3] = { 1e-3f, -20, 5 };
    const struct cb_parameter p[2] = { { w, g, 2, true }, { w + 2, g + 2, 1, true } };
    cb_optimizer_step(&o, p, 2, 0.01f);
    cr_expect_float_eq(w[0], -0.01f, 1e-5f);
    cr_expect_float_eq(w[1], 0.01f, 1e-5f);
    cr_expect_float_eq(w[2], -0.01f, 1e-5f);
    cb_arena_deinit(&arena);
}

Test(optimizer, decay_shrinks_weights_and_leaves_biases)
{
    static const enum cb_optimizer_kind kinds[] = { CB_SGD, CB_ADAM, CB_ADAMW };
    for (size_t i = 0; i < CB_COUNT_OF(kinds); i++) {
        struct cb_optimizer_config config = cb_optimizer_default(kinds[i]);
        config.decay = 0.5f;
        struct cb_arena arena;
        struct cb_optimizer o = make(&arena, &config, 2);
        float w = 2, b = 2;
        const float g = 0;
        const struct cb_parameter p[2] = { { &w, &g, 1, true }, { &b, &g, 1, false } };
        cb_optimizer_step(&o, p, 2, 0.1f);
        cr_expect(w < 2 && w > 1.8f, "kind %d: %g", (int)kinds[i], (double)w);
        cr_expect_eq(b, 2, "kind %d", (int)kinds[i]);
        cb_arena_deinit(&arena);
    }
}

Test(optimizer, every_kind_finds_the_bottom_of_a_bowl)
{
    static const enum cb_optimizer_kind kinds[] = { CB_SGD, CB_ADAM, CB_ADAMW };
    for (size_t i = 0; i < CB_COUNT_OF(kinds); i++) {
        const struct cb_optimizer_config config = cb_optimizer_default(kinds[i]);
        struct cb_arena arena;
        struct cb_optimizer o = make(&arena, &config, 2);
        float w[2] = { 3, -4 }, g[2];
        const struct cb_parameter p = { w, g, 2, true };
        for (int step = 0; step < 2000; step++) {
            g[0] = 2 * (w[0] - 1);
            g[1] = 20 * (w[1] - 2);
            cb_optimizer_step(&o, &p, 1, 0.01f);
        }
        cr_expect(fabsf(w[0] - 1) < 1e-2f && fabsf(w[1] - 2) < 1e-2f, "kind %d: %g, %g",
                  (int)kinds[i], (double)w[0], (double)w[1]);
        cb_arena_deinit(&arena);
    }
}
