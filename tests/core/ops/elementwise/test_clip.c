#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

Test(clip, relu_sets_what_is_below_zero_to_zero)
{
    struct op_case c = op_case_make(CB_OP_RELU);
    op_case_add(&c, OP_SHAPE(5), OP_FLOATS(-1, 0, 2, -INFINITY, NAN));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 0, 2, 0, NAN));
    op_case_free(&c);
}

Test(clip, takes_its_bounds_from_attributes)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    c.node.attr.clip.lo = 0;
    c.node.attr.clip.hi = 6;
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(-1, 3, 7, 6));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 3, 6, 6));
    op_case_free(&c);
}

Test(clip, takes_its_bounds_from_inputs_of_which_either_may_be_absent)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(-100, 1, 100));
    op_case_absent(&c);
    op_case_add(&c, OP_SCALAR, OP_FLOATS(5));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-100, 1, 5));
    op_case_free(&c);
}

Test(clip, gives_the_upper_bound_when_the_lower_one_is_above_it)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    c.node.attr.clip.lo = 2;
    c.node.attr.clip.hi = 1;
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(3), OP_WHOLES(-2, 0, 6));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 1, 1));
    op_case_free(&c);

    struct op_case f = op_case_make(CB_OP_CLIP);
    f.node.attr.clip.lo = 2;
    f.node.attr.clip.hi = 1;
    op_case_add(&f, OP_SHAPE(3), OP_FLOATS(-2, 1.5f, 6));
    op_case_expect_same_on_every_isa(&f, 0);
    op_case_expect_floats(&f, 0, 0, OP_FLOATS(1, 1, 1));
    op_case_free(&f);
}

Test(clip, takes_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(4), OP_WHOLES(-120, -3, 5, 120));
    op_case_add_wholes(&c, CB_INT8, OP_SCALAR, OP_WHOLES(-4));
    op_case_add_wholes(&c, CB_INT8, OP_SCALAR, OP_WHOLES(4));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(-4, -3, 4, 4));
    op_case_free(&c);
}

Test(clip, compares_unsigned_64_bit_numbers_as_unsigned)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(3), OP_WHOLES(-1, 1, 9));
    op_case_add_wholes(&c, CB_UINT64, OP_SCALAR, OP_WHOLES(3));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(-1, 3, 9));
    op_case_free(&c);
}

Test(clip, is_the_same_on_every_isa)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    c.node.attr.clip.lo = -0.5;
    c.node.attr.clip.hi = 0.25;
    op_case_random(&c, OP_SHAPE(3, 40009), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(clip, gradients_agree_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    c.node.attr.clip.lo = -0.3;
    c.node.attr.clip.hi = 0.2;
    op_case_random(&c, OP_SHAPE(5, 5), OP_DISTINCT);
    gradcheck(&c, 1e-3);
    op_case_free(&c);

    struct op_case r = op_case_make(CB_OP_RELU);
    op_case_random(&r, OP_SHAPE(5, 5), OP_DISTINCT);
    gradcheck(&r, 1e-3);
    op_case_free(&r);
}

Test(clip, refuses_a_bound_of_another_type_and_one_that_is_a_list)
{
    struct op_case c = op_case_make(CB_OP_CLIP);
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants inputs of one type, has float and int32");
    op_case_free(&c);

    struct op_case l = op_case_make(CB_OP_CLIP);
    op_case_add(&l, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_add(&l, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_expect_refusal(&l, CB_ERR_MODEL,
                           "node: wants at most 1 numbers as lo, has 2 in rank 1");
    op_case_free(&l);
}

Test(clip, refuses_bool)
{
    struct op_case c = op_case_make(CB_OP_RELU);
    op_case_add_wholes(&c, CB_BOOL, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants numbers, has bool");
    op_case_free(&c);
}
