#include <criterion/criterion.h>
#include <math.h>

#include "tests/support/op_case.h"

static void expect_determinants(struct cb_shape x, const float *values, const float *want)
{
    struct op_case c = op_case_make(CB_OP_DET);
    op_case_add(&c, x, values);
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6f, want);
    op_case_free(&c);
}

Test(det, is_that_of_each_matrix)
{
    expect_determinants(OP_SHAPE(1, 1), OP_FLOATS(-7), OP_FLOATS(-7));
    expect_determinants(OP_SHAPE(2, 2, 2), OP_FLOATS(1, 2, 3, 4, 5, 1, 2, 3), OP_FLOATS(-2, 13));
    expect_determinants(OP_SHAPE(3, 3), OP_FLOATS(2, -3, 1, 2, 0, -1, 1, 4, 5), OP_FLOATS(49));
}

Test(det, changes_rows_where_a_pivot_is_zero)
{
    expect_determinants(OP_SHAPE(3, 3), OP_FLOATS(0, 1, 0, 0, 0, 1, 1, 0, 0), OP_FLOATS(1));
    expect_determinants(OP_SHAPE(2, 2), OP_FLOATS(0, 3, 5, 7), OP_FLOATS(-15));
}

Test(det, of_a_singular_matrix_is_zero_and_nan_stays)
{
    expect_determinants(OP_SHAPE(3, 3), OP_FLOATS(1, 2, 3, 2, 4, 6, 0, 1, 5), OP_FLOATS(0));
    struct op_case c = op_case_make(CB_OP_DET);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(NAN, 1, 1, 1));
    op_case_run(&c);
    cr_expect(isnan(c.out[0].f[0]));
    op_case_free(&c);
}

Test(det, refuses_what_is_not_square)
{
    struct op_case c = op_case_make(CB_OP_DET);
    op_case_random(&c, OP_SHAPE(4, 2, 3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants square matrices, has [4,2,3]");
    op_case_free(&c);
}
