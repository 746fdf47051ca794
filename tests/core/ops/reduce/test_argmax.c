#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/op_case.h"

static void expect_places(enum cb_op op, bool last, const int64_t *want)
{
    struct op_case c = op_case_make(op);
    c.node.attr.arg.axis = -1;
    c.node.attr.arg.last = last;
    op_case_add(&c, OP_SHAPE(2, 4), OP_FLOATS(1, 7, 7, 1, -2, -5, -5, -2));
    op_case_run(&c);
    cr_expect(eq(int, (int)c.out[0].dtype, CB_INT64));
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1));
    op_case_expect_wholes(&c, 0, want);
    op_case_free(&c);
}

Test(argmax, gives_the_first_or_the_last_place_of_the_extreme)
{
    expect_places(CB_OP_ARG_MAX, false, OP_WHOLES(1, 0));
    expect_places(CB_OP_ARG_MAX, true, OP_WHOLES(2, 3));
    expect_places(CB_OP_ARG_MIN, false, OP_WHOLES(0, 1));
    expect_places(CB_OP_ARG_MIN, true, OP_WHOLES(3, 2));
}

Test(argmax, goes_along_any_axis_and_drops_it_when_asked)
{
    struct op_case c = op_case_make(CB_OP_ARG_MAX);
    c.node.attr.arg.keep_dims = false;
    op_case_add(&c, OP_SHAPE(3, 2), OP_FLOATS(1, 9, 5, 2, 3, 4));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 0));
    op_case_free(&c);
}

Test(argmax, takes_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_ARG_MAX);
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(3), OP_WHOLES(4, -1, 7));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1));
    op_case_free(&c);

    struct op_case s = op_case_make(CB_OP_ARG_MAX);
    op_case_add_wholes(&s, CB_INT64, OP_SHAPE(3), OP_WHOLES(4, -1, 7));
    op_case_run(&s);
    op_case_expect_wholes(&s, 0, OP_WHOLES(2));
    op_case_free(&s);
}

Test(argmax, nan_is_the_extreme_of_both)
{
    for (int i = 0; i < 4; i++) {
        struct op_case c = op_case_make(i & 1 ? CB_OP_ARG_MIN : CB_OP_ARG_MAX);
        c.node.attr.arg.last = i & 2;
        op_case_add(&c, OP_SHAPE(5), OP_FLOATS(1, NAN, 7, NAN, -7));
        op_case_run(&c);
        op_case_expect_wholes(&c, 0, OP_WHOLES(i & 2 ? 3 : 1));
        op_case_free(&c);
    }
}

Test(argmax, is_the_same_with_threads)
{
    struct op_case c = op_case_make(CB_OP_ARG_MIN);
    c.node.attr.arg.axis = 1;
    op_case_random(&c, OP_SHAPE(50, 31, 40), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(argmax, refuses_an_axis_without_elements_and_one_outside)
{
    struct op_case c = op_case_make(CB_OP_ARG_MAX);
    op_case_random(&c, OP_SHAPE(0, 3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants elements along axis 0, has none");
    c.node.attr.arg.axis = -3;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 2, has -3");
    op_case_free(&c);
}

Test(argmax, of_no_rows_is_nothing_however_long_they_are)
{
    struct op_case c = op_case_make(CB_OP_ARG_MAX);
    c.node.attr.arg.axis = 3;
    op_case_random(&c, OP_SHAPE(0, 1 << 30, 1 << 30, 5), OP_UNIFORM);
    op_case_run(&c);
    op_case_free(&c);
}
