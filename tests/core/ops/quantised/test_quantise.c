#include <criterion/criterion.h>
#include <math.h>

#include "tests/support/op_case.h"

Test(quantise, rounds_half_to_even_and_saturates)
{
    struct op_case c = op_case_make(CB_OP_QUANTIZE);
    op_case_add(&c, OP_SHAPE(8), OP_FLOATS(0, 1, 3, 5, -1, 1e9f, -1e9f, NAN));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(2));
    op_case_add_wholes(&c, CB_UINT8, OP_SCALAR, OP_WHOLES(128));
    op_case_run(&c);
    cr_expect_eq(c.out[0].dtype, CB_UINT8);
    op_case_expect_wholes(&c, 0, OP_WHOLES(128, 128, 130, 130, 128, 255, 0, 0));
    op_case_free(&c);
}

Test(quantise, takes_the_type_of_the_zero_point)
{
    struct op_case c = op_case_make(CB_OP_QUANTIZE);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(-1000, 1000, 2.5f));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(1));
    op_case_add_wholes(&c, CB_INT8, OP_SCALAR, OP_WHOLES(-3));
    op_case_run(&c);
    cr_expect_eq(c.out[0].dtype, CB_INT8);
    op_case_expect_wholes(&c, 0, OP_WHOLES(-128, 127, -1));
    op_case_free(&c);
}

Test(quantise, has_a_scale_for_each_index_of_an_axis)
{
    struct op_case c = op_case_make(CB_OP_QUANTIZE);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 1, 1, 8, 8, 8));
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 4));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(3), OP_WHOLES(0, 10, 20));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 10, 20, 8, 14, 22));
    op_case_free(&c);
}

Test(quantise, has_a_scale_for_each_block)
{
    struct op_case c = op_case_make(CB_OP_QUANTIZE);
    c.node.attr.quantise.axis = 1;
    c.node.attr.quantise.block = 2;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(4, 4, 4, 4, 4, 4));
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 4, 0.5f));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(4, 4, 2, 1, 1, 8));
    op_case_free(&c);
}

Test(dequantise, subtracts_the_zero_and_scales)
{
    struct op_case c = op_case_make(CB_OP_DEQUANTIZE);
    c.node.attr.quantise.axis = 0;
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2, 2), OP_WHOLES(-128, 127, -128, 127));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(0.5f, 2));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2), OP_WHOLES(0, -1));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-64, 63.5f, -254, 256));
    op_case_free(&c);
}

Test(dequantise, takes_a_bias_of_32_bits)
{
    struct op_case c = op_case_make(CB_OP_DEQUANTIZE);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2), OP_WHOLES(100000, -3));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(0.25f));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(25000, -0.75f));
    op_case_free(&c);
}

Test(quantise, refuses_a_scale_that_does_not_fit)
{
    struct op_case c = op_case_make(CB_OP_QUANTIZE);
    c.node.name = "q";
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(0, 0, 0, 0, 0, 0));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(1, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "q: wants a scale for [2,3] (axis 1, blocks of 0), has [2]");
    op_case_free(&c);
}

Test(dequantise, refuses_whole_numbers_of_64_bits)
{
    struct op_case c = op_case_make(CB_OP_DEQUANTIZE);
    c.node.name = "d";
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "d: wants int8, uint8, int16, uint16 or int32, has int64");
    op_case_free(&c);
}
