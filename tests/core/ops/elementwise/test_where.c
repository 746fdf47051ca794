#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

Test(where, chooses_by_the_condition_with_broadcasting)
{
    struct op_case c = op_case_make(CB_OP_WHERE);
    op_case_add_wholes(&c, CB_BOOL, OP_SHAPE(2, 1), OP_WHOLES(1, 0));
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(9));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 3, 9, 9, 9));
    op_case_free(&c);
}

Test(where, takes_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_WHERE);
    op_case_add_wholes(&c, CB_BOOL, OP_SHAPE(3), OP_WHOLES(1, 0, 1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(1, 2, 3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(7, 8, 9));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 8, 3));
    op_case_free(&c);
}

Test(where, gradients_agree_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_WHERE);
    op_case_add_wholes(&c, CB_BOOL, OP_SHAPE(2, 1, 3), OP_WHOLES(1, 0, 1, 0, 0, 1));
    op_case_random(&c, OP_SHAPE(2, 5, 3), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5, 1), OP_UNIFORM);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(where, refuses_a_condition_of_numbers_and_shapes_that_do_not_fit)
{
    struct op_case c = op_case_make(CB_OP_WHERE);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants a condition of bool, has int32");
    op_case_free(&c);

    struct op_case s = op_case_make(CB_OP_WHERE);
    op_case_add_wholes(&s, CB_BOOL, OP_SHAPE(2), OP_WHOLES(1, 0));
    op_case_random(&s, OP_SHAPE(3), OP_UNIFORM);
    op_case_random(&s, OP_SHAPE(1), OP_UNIFORM);
    op_case_expect_refusal(&s, CB_ERR_MODEL,
                           "node: wants shapes that broadcast, has [2], [3] and [1]");
    op_case_free(&s);
}
