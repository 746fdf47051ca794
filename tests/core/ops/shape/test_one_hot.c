#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/op_case.h"

Test(one_hot, puts_the_hot_value_where_the_index_says_and_negative_ones_count_from_the_end)
{
    struct op_case c = op_case_make(CB_OP_ONE_HOT);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(1, -1, 3, -4));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(3));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(2, 5));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(4, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(2, 5, 2, 2, 2, 5, 2, 2, 2, 2, 2, 2));
    op_case_free(&c);
}

Test(one_hot, puts_the_new_axis_anywhere_and_takes_real_indices)
{
    struct op_case c = op_case_make(CB_OP_ONE_HOT);
    c.node.attr.one_hot.axis = 1;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(0, 1, 1, 0));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(2));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2), OP_WHOLES(0, 1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2, 2));
    cr_expect(eq(int, (int)c.out[0].dtype, CB_INT8));
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 0, 0, 1, 0, 1, 1, 0));
    op_case_free(&c);
}

static void expect_refusal(float depth, struct cb_shape values, const char *message)
{
    struct op_case c = op_case_make(CB_OP_ONE_HOT);
    op_case_random(&c, OP_SHAPE(2), OP_UNIFORM);
    op_case_add(&c, OP_SCALAR, &depth);
    op_case_random(&c, values, OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(one_hot, refuses_what_does_not_fit)
{
    expect_refusal(-1, OP_SHAPE(2), "node: wants a depth of 0 or more, has -1");
    expect_refusal(3, OP_SHAPE(3), "node: wants [2] as values, has [3]");
}
