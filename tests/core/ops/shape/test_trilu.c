#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static void expect_triangle(bool lower, int64_t k, const float *want)
{
    struct op_case c = op_case_make(CB_OP_TRILU);
    c.node.attr.trilu.lower = lower;
    op_case_add(&c, OP_SHAPE(1, 2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SCALAR, &k);
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(trilu, keeps_a_triangle_with_diagonal_k)
{
    expect_triangle(false, 0, OP_FLOATS(1, 2, 3, 0, 5, 6));
    expect_triangle(false, 1, OP_FLOATS(0, 2, 3, 0, 0, 6));
    expect_triangle(false, -1, OP_FLOATS(1, 2, 3, 4, 5, 6));
    expect_triangle(false, INT64_MAX, OP_FLOATS(0, 0, 0, 0, 0, 0));
    expect_triangle(true, 0, OP_FLOATS(1, 0, 0, 4, 5, 0));
    expect_triangle(true, -1, OP_FLOATS(0, 0, 0, 4, 0, 0));
    expect_triangle(true, 1, OP_FLOATS(1, 2, 0, 4, 5, 6));
    expect_triangle(true, INT64_MIN, OP_FLOATS(0, 0, 0, 0, 0, 0));
}

Test(trilu, takes_any_type_and_writes_zeros_over_nan)
{
    struct op_case b = op_case_make(CB_OP_TRILU);
    op_case_add_wholes(&b, CB_BOOL, OP_SHAPE(2, 2), OP_WHOLES(1, 1, 1, 1));
    op_case_run(&b);
    op_case_expect_wholes(&b, 0, OP_WHOLES(1, 1, 0, 1));
    op_case_free(&b);
    struct op_case c = op_case_make(CB_OP_TRILU);
    c.in_place = true;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, NAN, 4));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 0, 4));
    op_case_free(&c);
}

Test(trilu, gradients_agree_with_finite_differences)
{
    for (int lower = 0; lower < 2; lower++) {
        struct op_case c = op_case_make(CB_OP_TRILU);
        c.node.attr.trilu.lower = lower;
        c.node.attr.trilu.k = 1;
        op_case_random(&c, OP_SHAPE(3, 4, 5), OP_UNIFORM);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(trilu, is_the_same_with_threads)
{
    struct op_case c = op_case_make(CB_OP_TRILU);
    op_case_random(&c, OP_SHAPE(4, 151, 203), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(trilu, refuses_what_is_no_matrix_or_not_square_where_it_must_be)
{
    struct op_case c = op_case_make(CB_OP_TRILU);
    op_case_random(&c, OP_SHAPE(3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants matrices, has [3]");
    op_case_free(&c);
    struct op_case s = op_case_make(CB_OP_TRILU);
    s.node.attr.trilu.square = true;
    op_case_random(&s, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_expect_refusal(&s, CB_ERR_MODEL, "node: wants square matrices, has [2,3]");
    op_case_free(&s);
}
