#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/op_case.h"

Test(unique, of_all_elements_in_order)
{
    struct op_case c = op_case_make(CB_OP_UNIQUE);
    c.node.attr.unique.flat = true;
    c.node.n_out = 4;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(2, 1, 1, 3, 4, 3));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(4));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 3, 4));
    op_case_expect_wholes(&c, 1, OP_WHOLES(1, 0, 3, 4));
    op_case_expect_wholes(&c, 2, OP_WHOLES(1, 0, 0, 2, 3, 2));
    op_case_expect_wholes(&c, 3, OP_WHOLES(2, 1, 2, 1));
    op_case_free(&c);
}

Test(unique, unsorted_keeps_the_order_in_which_they_came)
{
    struct op_case c = op_case_make(CB_OP_UNIQUE);
    c.node.attr.unique.flat = c.node.attr.unique.unsorted = true;
    c.node.n_out = 3;
    c.unwanted = 1u << 1;
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(5), OP_WHOLES(2, -1, 1, -1, 2));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(2, -1, 1));
    op_case_expect_wholes(&c, 2, OP_WHOLES(0, 1, 2, 1, 0));
    op_case_free(&c);
}

Test(unique, of_slices_along_an_axis)
{
    struct op_case c = op_case_make(CB_OP_UNIQUE);
    c.node.attr.unique.axis = -1;
    c.node.n_out = 4;
    op_case_add(&c, OP_SHAPE(2, 4), OP_FLOATS(1, 0, 1, 0, 2, 9, 2, 3));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 0, 1, 3, 9, 2));
    op_case_expect_wholes(&c, 1, OP_WHOLES(3, 1, 0));
    op_case_expect_wholes(&c, 2, OP_WHOLES(2, 1, 2, 0));
    op_case_expect_wholes(&c, 3, OP_WHOLES(1, 1, 2));
    op_case_free(&c);
}

Test(unique, of_nothing_is_nothing)
{
    struct op_case c = op_case_make(CB_OP_UNIQUE);
    c.node.attr.unique.flat = true;
    op_case_random(&c, OP_SHAPE(2, 0), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(0));
    op_case_free(&c);
}

Test(non_zero, gives_the_coordinates_in_columns)
{
    struct op_case c = op_case_make(CB_OP_NON_ZERO);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(0, 1, 0, -2, 0, 3));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    op_case_expect_wholes(&c, 0, OP_WHOLES(0, 1, 1, 1, 0, 2));
    op_case_free(&c);
}

Test(non_zero, of_a_scalar_is_one_place_or_none)
{
    struct op_case c = op_case_make(CB_OP_NON_ZERO);
    op_case_add_wholes(&c, CB_BOOL, OP_SCALAR, OP_WHOLES(1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1));
    op_case_expect_wholes(&c, 0, OP_WHOLES(0));
    op_case_free(&c);
    struct op_case n = op_case_make(CB_OP_NON_ZERO);
    op_case_add_wholes(&n, CB_BOOL, OP_SHAPE(3), OP_WHOLES(0, 0, 0));
    op_case_run(&n);
    op_case_expect_shape(&n, 0, OP_SHAPE(1, 0));
    op_case_free(&n);
}
