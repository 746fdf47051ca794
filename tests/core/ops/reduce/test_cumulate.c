#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static void expect_sums(bool exclusive, bool reverse, const float *want)
{
    struct op_case c = op_case_make(CB_OP_CUM_SUM);
    c.node.attr.cumulate.exclusive = exclusive;
    c.node.attr.cumulate.reverse = reverse;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(-1));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(cumulate, sums_up_to_each_element_from_either_end_with_it_or_without)
{
    expect_sums(false, false, OP_FLOATS(1, 3, 6, 4, 9, 15));
    expect_sums(true, false, OP_FLOATS(0, 1, 3, 0, 4, 9));
    expect_sums(false, true, OP_FLOATS(6, 5, 3, 15, 11, 6));
    expect_sums(true, true, OP_FLOATS(5, 3, 0, 11, 6, 0));
}

Test(cumulate, multiplies_too_along_any_axis)
{
    struct op_case c = op_case_make(CB_OP_CUM_PROD);
    op_case_add(&c, OP_SHAPE(3, 2), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 3, 8, 15, 48));
    op_case_free(&c);
}

Test(cumulate, whole_numbers_wrap)
{
    struct op_case c = op_case_make(CB_OP_CUM_SUM);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(3), OP_WHOLES(200, 50, 10));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(200, 250, 4));
    op_case_free(&c);
}

Test(cumulate, gradients_agree_with_finite_differences)
{
    for (int form = 0; form < 8; form++) {
        struct op_case c = op_case_make(form & 4 ? CB_OP_CUM_PROD : CB_OP_CUM_SUM);
        c.node.attr.cumulate.axis = 1;
        c.node.attr.cumulate.exclusive = form & 1;
        c.node.attr.cumulate.reverse = form & 2;
        op_case_random(&c, OP_SHAPE(2, 4, 3), form & 4 ? OP_POSITIVE : OP_UNIFORM);
        gradcheck(&c, 2e-3);
        op_case_free(&c);
    }
}

Test(cumulate, a_zero_factor_keeps_its_own_gradient)
{
    struct op_case c = op_case_make(CB_OP_CUM_PROD);
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(2, 0, 3, 0.5f));
    gradcheck(&c, 2e-3);
    op_case_free(&c);
}

Test(cumulate, is_the_same_with_threads)
{
    struct op_case c = op_case_make(CB_OP_CUM_SUM);
    c.node.attr.cumulate.axis = 1;
    op_case_random(&c, OP_SHAPE(50, 31, 40), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(cumulate, refuses_an_axis_outside)
{
    struct op_case c = op_case_make(CB_OP_CUM_SUM);
    op_case_random(&c, OP_SHAPE(3), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SCALAR, OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 1, has 1");
    op_case_free(&c);
}
