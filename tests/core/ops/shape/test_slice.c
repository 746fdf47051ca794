#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

#define LIST(...)                                                                                  \
    ((struct cb_list){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } })
#define NONE ((struct cb_list){ .count = -1 })

static struct op_case slice(struct cb_shape x, struct cb_list starts, struct cb_list ends,
                            struct cb_list axes, struct cb_list steps)
{
    struct op_case c = op_case_make(CB_OP_SLICE);
    c.node.attr.slice.starts = starts;
    c.node.attr.slice.ends = ends;
    c.node.attr.slice.axes = axes;
    c.node.attr.slice.steps = steps;
    op_case_random(&c, x, OP_UNIFORM);
    return c;
}

/* Of 0 1 2 3 4. */
static void expect_taken(int64_t start, int64_t end, int64_t step, int n, const float *want)
{
    struct op_case c = slice(OP_SHAPE(5), LIST(start), LIST(end), NONE, LIST(step));
    for (int i = 0; i < 5; i++)
        c.in[0].f[i] = (float)i;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(n));
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(slice, takes_from_start_to_before_end)
{
    expect_taken(1, 3, 1, 2, OP_FLOATS(1, 2));
    expect_taken(-2, INT64_MAX, 1, 2, OP_FLOATS(3, 4));
    expect_taken(0, -1, 2, 2, OP_FLOATS(0, 2));
    expect_taken(INT64_MIN, INT64_MAX, 4, 2, OP_FLOATS(0, 4));
    expect_taken(3, 2, 1, 0, OP_FLOATS(0));
    expect_taken(7, 9, 1, 0, OP_FLOATS(0));
    expect_taken(1, 5, INT64_MAX, 1, OP_FLOATS(1));
}

Test(slice, goes_backwards_with_a_negative_step)
{
    expect_taken(-1, INT64_MIN, -1, 5, OP_FLOATS(4, 3, 2, 1, 0));
    expect_taken(INT64_MAX, 0, -2, 2, OP_FLOATS(4, 2));
    expect_taken(3, -6, -3, 2, OP_FLOATS(3, 0));
    expect_taken(1, 3, -1, 0, OP_FLOATS(0));
    expect_taken(4, INT64_MIN, INT64_MIN, 1, OP_FLOATS(4));
}

Test(slice, takes_its_lists_from_inputs_for_some_axes)
{
    struct op_case c = op_case_make(CB_OP_SLICE);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(-1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(2, 3, 5, 6));
    op_case_free(&c);
}

Test(slice, takes_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_SLICE);
    c.node.attr.slice.starts = LIST(2);
    c.node.attr.slice.ends = LIST(4);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(1, 3, 224, 223));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(224, 223));
    op_case_free(&c);
}

Test(slice, equals_its_definition_for_random_boxes)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape x = { .rank = 1 + (int)cb_rng_below(&rng, 4) };
        struct cb_list starts = { .count = x.rank }, ends = starts, steps = starts;
        for (int i = 0; i < x.rank; i++) {
            x.dim[i] = 1 + (int64_t)cb_rng_below(&rng, 7);
            starts.v[i] = (int64_t)cb_rng_below(&rng, (uint64_t)x.dim[i]);
            steps.v[i] = 1 + (int64_t)cb_rng_below(&rng, 3);
            ends.v[i] = 1 + starts.v[i] + (int64_t)cb_rng_below(&rng, 5);
            if (cb_rng_below(&rng, 2)) {
                steps.v[i] = -steps.v[i];
                ends.v[i] = starts.v[i] - ends.v[i] - 100;
            }
        }
        struct op_case c = slice(x, starts, ends, NONE, steps);
        op_case_run(&c);
        for (size_t i = 0; i < cb_tensor_count(&c.out[0]); i++) {
            size_t at = 0, step = 1, rest = i;
            for (int k = x.rank - 1; k >= 0; k--) {
                const int64_t place = (int64_t)(rest % (size_t)c.out[0].shape.dim[k]);
                at += (size_t)(starts.v[k] + place * steps.v[k]) * step;
                rest /= (size_t)c.out[0].shape.dim[k];
                step *= (size_t)x.dim[k];
            }
            cr_assert(c.out[0].f[i] == c.in[0].f[at], "seed %d, element %zu", (int)seed, i);
        }
        op_case_free(&c);
    }
}

Test(slice, gradients_agree_with_finite_differences)
{
    struct op_case c = slice(OP_SHAPE(4, 5, 6), LIST(1, -1), LIST(3, -6), LIST(0, 2), LIST(1, -2));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

static void expect_refusal(struct cb_list starts, struct cb_list ends, struct cb_list axes,
                           struct cb_list steps, const char *message)
{
    struct op_case c = slice(OP_SHAPE(2, 3), starts, ends, axes, steps);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(slice, refuses_lists_that_do_not_fit)
{
    expect_refusal(NONE, LIST(1), NONE, NONE,
                   "node: wants as many ends, axes and steps as starts, has 1, -1, -1 for -1");
    expect_refusal(LIST(0), LIST(1, 2), NONE, NONE,
                   "node: wants as many ends, axes and steps as starts, has 2, -1, -1 for 1");
    expect_refusal(LIST(0), LIST(1), LIST(0, 1), NONE,
                   "node: wants as many ends, axes and steps as starts, has 1, 2, -1 for 1");
    expect_refusal(LIST(0), LIST(1), LIST(2), NONE, "node: wants an axis of rank 2, has 2");
    expect_refusal(LIST(0, 0, 0), LIST(1, 1, 1), NONE, NONE,
                   "node: wants an axis of rank 2, has 2");
    expect_refusal(LIST(0, 0), LIST(1, 1), LIST(1, -1), NONE,
                   "node: wants each axis once and steps other than 0, has an axis twice");
    expect_refusal(LIST(0), LIST(1), NONE, LIST(0),
                   "node: wants each axis once and steps other than 0, has step 0");
}

Test(slice, takes_empty_tensors)
{
    struct op_case c = slice(OP_SHAPE(0, 3), LIST(-1), LIST(INT64_MIN), NONE, LIST(-1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(0, 3));
    op_case_free(&c);
}
