#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

Test(gather, picks_along_an_axis_and_counts_negative_indices_from_the_end)
{
    struct op_case c = op_case_make(CB_OP_GATHER);
    c.node.attr.axis.axis = 1;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 2), OP_WHOLES(0, -1, 2, 1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 3, 3, 2, 4, 6, 6, 5));
    op_case_free(&c);
}

Test(gather, one_index_drops_the_axis)
{
    struct op_case c = op_case_make(CB_OP_GATHER);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(1, 3, 224, 225));
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(2));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SCALAR);
    op_case_expect_wholes(&c, 0, OP_WHOLES(224));
    op_case_free(&c);
}

Test(gather, never_reads_outside_whatever_the_indices)
{
    struct op_case c = op_case_make(CB_OP_GATHER);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(3, -4, INT64_MAX, INT64_MIN));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(3, 1, 3, 1));
    op_case_free(&c);
}

Test(gather, gradients_agree_with_finite_differences)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_GATHER);
        c.node.attr.axis.axis = axis;
        op_case_random(&c, OP_SHAPE(4, 3, 5), OP_UNIFORM);
        op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(2, 0, 2, -1));
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(gather, refuses_known_indices_that_are_outside)
{
    struct op_case c = op_case_make(CB_OP_GATHER);
    c.known = 1u << 1;
    op_case_random(&c, OP_SHAPE(3, 2), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(0, 3));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an index of 3 elements, has 3");
    op_case_free(&c);
}

static void expect_refusal(struct cb_shape x, enum cb_dtype dtype, struct cb_shape indices,
                           enum cb_code code, const char *message)
{
    static const int64_t zeros[8];
    struct op_case c = op_case_make(CB_OP_GATHER);
    op_case_random(&c, x, OP_UNIFORM);
    op_case_add_wholes(&c, dtype, indices, zeros);
    op_case_expect_refusal(&c, code, message);
    op_case_free(&c);
}

Test(gather, refuses_what_does_not_fit)
{
    expect_refusal(OP_SHAPE(2), CB_FLOAT32, OP_SHAPE(1), CB_ERR_MODEL,
                   "node: wants whole numbers as indices, has float");
    expect_refusal(OP_SHAPE(0), CB_INT64, OP_SHAPE(1), CB_ERR_MODEL,
                   "node: wants elements to choose from, has none");
    expect_refusal(OP_SCALAR, CB_INT64, OP_SHAPE(1), CB_ERR_MODEL,
                   "node: wants an axis of rank 0, has 0");
    expect_refusal(OP_SHAPE(1, 1, 1, 1, 1, 1), CB_INT64, OP_SHAPE(1, 1, 1, 1, 1, 1),
                   CB_ERR_UNSUPPORTED, "node: wants rank 10 at most, has 11");
}
