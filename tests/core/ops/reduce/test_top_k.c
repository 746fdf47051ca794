#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static void expect_best(bool smallest, int64_t k, const float *values, const int64_t *indices)
{
    struct op_case c = op_case_make(CB_OP_TOP_K);
    c.node.attr.top_k.smallest = smallest;
    c.node.n_out = 2;
    op_case_add(&c, OP_SHAPE(7), OP_FLOATS(1, 5, -2, 5, NAN, -INFINITY, 3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), &k);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(k));
    op_case_expect_floats(&c, 0, 0, values);
    op_case_expect_wholes(&c, 1, indices);
    op_case_free(&c);
}

Test(top_k, best_first_lower_index_first_and_nan_above_all)
{
    expect_best(false, 4, OP_FLOATS(NAN, 5, 5, 3), OP_WHOLES(4, 1, 3, 6));
    expect_best(true, 3, OP_FLOATS(-INFINITY, -2, 1), OP_WHOLES(5, 2, 0));
    expect_best(true, 7, OP_FLOATS(-INFINITY, -2, 1, 3, 5, 5, NAN), OP_WHOLES(5, 2, 0, 6, 1, 3, 4));
    expect_best(false, 0, OP_FLOATS(0), OP_WHOLES(0));
}

Test(top_k, goes_along_any_axis)
{
    struct op_case c = op_case_make(CB_OP_TOP_K);
    c.node.attr.top_k.axis = 0;
    c.node.attr.top_k.k = 2;
    c.node.n_out = 2;
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(3, 2), OP_WHOLES(1, 9, -1, 2, 3, 4));
    op_case_run(&c);
    op_case_expect_shape(&c, 1, OP_SHAPE(2, 2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(-1, 9, 3, 4));
    op_case_expect_wholes(&c, 1, OP_WHOLES(1, 0, 2, 2));
    op_case_free(&c);
}

/* The result in order, by looking at all pairs. */
Test(top_k, equals_its_definition_for_random_rows)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        const int64_t n = 1 + (int64_t)cb_rng_below(&rng, 40),
                      k = (int64_t)cb_rng_below(&rng, (uint64_t)n + 1);
        struct op_case c = op_case_make(CB_OP_TOP_K);
        c.node.attr.top_k.k = k;
        c.node.n_out = 2;
        c.node.attr.top_k.smallest = seed % 2;
        op_case_random(&c, OP_SHAPE(3, n), OP_WHOLE);
        op_case_run(&c);
        for (int64_t i = 0; i < 3 * n; i++) {
            const int64_t row = i / n * n;
            int64_t before = 0;
            for (int64_t j = row; j < row + n; j++) {
                const float a = c.in[0].f[j], b = c.in[0].f[i];
                before += a == b ? j < i : (a < b) == (seed % 2 == 1);
            }
            if (before < k)
                cr_assert(c.out[1].i[i / n * k + before] == i - row, "seed %d", (int)seed);
        }
        op_case_free(&c);
    }
}

Test(top_k, gradients_agree_with_finite_differences)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_TOP_K);
        c.node.attr.top_k.axis = axis;
        c.node.attr.top_k.k = 2;
        c.node.n_out = 2;
        c.unwanted = 1u << 1;
        op_case_random(&c, OP_SHAPE(3, 4, 5), OP_DISTINCT);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(top_k, is_the_same_with_threads)
{
    struct op_case c = op_case_make(CB_OP_TOP_K);
    c.node.attr.top_k.axis = 1;
    c.node.attr.top_k.k = 7;
    op_case_random(&c, OP_SHAPE(50, 31, 40), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(top_k, refuses_more_than_there_are)
{
    struct op_case c = op_case_make(CB_OP_TOP_K);
    c.node.attr.top_k.k = 4;
    op_case_random(&c, OP_SHAPE(3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants k of 0 to 3, has 4");
    op_case_free(&c);
}

static void expect_hardmax(struct cb_shape shape, int axis, bool flatten, const float *want)
{
    struct op_case c = op_case_make(CB_OP_HARDMAX);
    c.node.attr.softmax.axis = axis;
    c.node.attr.softmax.flatten = flatten;
    op_case_add(&c, shape, OP_FLOATS(3, 0, 1, 2, 2, 5, 5, 1));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(hardmax, is_1_at_the_first_greatest_along_an_axis_or_all_from_it)
{
    expect_hardmax(OP_SHAPE(2, 4), -1, false, OP_FLOATS(1, 0, 0, 0, 0, 1, 0, 0));
    expect_hardmax(OP_SHAPE(2, 4), 0, false, OP_FLOATS(1, 0, 0, 1, 0, 1, 1, 0));
    expect_hardmax(OP_SHAPE(2, 2, 2), 1, true, OP_FLOATS(1, 0, 0, 0, 0, 1, 0, 0));
    expect_hardmax(OP_SHAPE(2, 2, 2), 0, true, OP_FLOATS(0, 0, 0, 0, 0, 1, 0, 0));
    expect_hardmax(OP_SHAPE(8), 1, true, OP_FLOATS(1, 1, 1, 1, 1, 1, 1, 1));
}

Test(hardmax, refuses_whole_numbers_and_axes_outside)
{
    struct op_case c = op_case_make(CB_OP_HARDMAX);
    c.node.attr.softmax.axis = 1;
    op_case_random(&c, OP_SHAPE(3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 1, has 1");
    op_case_free(&c);
}
