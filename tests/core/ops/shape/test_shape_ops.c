#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/op_case.h"

static void expect_shape_of(int64_t start, int64_t end, int n, const int64_t *want)
{
    struct op_case c = op_case_make(CB_OP_SHAPE);
    c.node.attr.shape.start = start;
    c.node.attr.shape.end = end;
    op_case_random(&c, OP_SHAPE(2, 0, 5), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(n));
    op_case_expect_wholes(&c, 0, want);
    op_case_free(&c);
}

Test(shape_ops, shape_gives_the_dims_from_start_to_end)
{
    expect_shape_of(0, INT64_MAX, 3, OP_WHOLES(2, 0, 5));
    expect_shape_of(1, 2, 1, OP_WHOLES(0));
    expect_shape_of(-1, INT64_MAX, 1, OP_WHOLES(5));
    expect_shape_of(0, -1, 2, OP_WHOLES(2, 0));
    expect_shape_of(2, 1, 0, OP_WHOLES(0));
    expect_shape_of(INT64_MIN, INT64_MIN, 0, OP_WHOLES(0));
}

Test(shape_ops, size_counts_the_elements)
{
    struct op_case c = op_case_make(CB_OP_SIZE);
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SCALAR);
    op_case_expect_wholes(&c, 0, OP_WHOLES(30));
    op_case_free(&c);
}

Test(shape_ops, constant_of_shape_is_one_number_everywhere)
{
    struct op_case c = op_case_make(CB_OP_CONSTANT_OF_SHAPE);
    c.node.attr.fill.dtype = CB_INT32;
    c.node.attr.fill.value = -7;
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(2, 2));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(-7, -7, -7, -7));
    op_case_free(&c);

    struct op_case s = op_case_make(CB_OP_CONSTANT_OF_SHAPE);
    s.node.attr.fill.dims = (struct cb_list){ .count = 0 };
    op_case_run(&s);
    op_case_expect_shape(&s, 0, OP_SCALAR);
    op_case_expect_floats(&s, 0, 0, OP_FLOATS(0));
    op_case_free(&s);
}

Test(shape_ops, constant_of_shape_refuses_impossible_shapes)
{
    struct op_case c = op_case_make(CB_OP_CONSTANT_OF_SHAPE);
    c.node.attr.fill.dims = (struct cb_list){ 2, { INT64_MAX, 2 } };
    op_case_expect_refusal(
        &c, CB_ERR_TOO_LARGE,
        "node: wants at most 2147483648 elements, has an output of [9223372036854775807,2]");
    c.node.attr.fill.dims = (struct cb_list){ 1, { -1 } };
    op_case_expect_refusal(&c, CB_ERR_TOO_LARGE,
                           "node: wants at most 2147483648 elements, has an output of [?]");
    c.node.attr.fill.dims = (struct cb_list){ .count = -1 };
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants a shape, has none");
    op_case_free(&c);
}

static struct op_case range(double start, double limit, double step)
{
    struct op_case c = op_case_make(CB_OP_RANGE);
    op_case_add(&c, OP_SCALAR, (const float[]){ (float)start });
    op_case_add(&c, OP_SCALAR, (const float[]){ (float)limit });
    op_case_add(&c, OP_SCALAR, (const float[]){ (float)step });
    return c;
}

static void expect_range(double start, double limit, double step, int n, const float *want)
{
    struct op_case c = range(start, limit, step);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(n));
    op_case_expect_floats(&c, 0, 1e-6, want);
    op_case_free(&c);
}

Test(shape_ops, range_counts_from_start_to_before_the_limit)
{
    expect_range(1, 5, 2, 2, OP_FLOATS(1, 3));
    expect_range(1, 0, -0.5, 2, OP_FLOATS(1, 0.5f));
    expect_range(1, 0, 1, 0, OP_FLOATS(0));

    struct op_case c = op_case_make(CB_OP_RANGE);
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(10));
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(4));
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(-3));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(10, 7));
    op_case_free(&c);
}

static void expect_range_refusal(double start, double limit, double step, const char *message)
{
    struct op_case c = range(start, limit, step);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(shape_ops, range_refuses_what_does_not_end)
{
    expect_range_refusal(0, 1, 0, "node: wants at most 2147483648 numbers, has 0 to 1 by 0");
    expect_range_refusal(0, 1e30, 1, "node: wants at most 2147483648 numbers, has 0 to 1e+30 by 1");
    expect_range_refusal(0, (double)NAN, 1,
                         "node: wants at most 2147483648 numbers, has 0 to nan by 1");
}
