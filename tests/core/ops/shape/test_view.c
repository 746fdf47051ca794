#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static struct op_case reshape(struct cb_shape x, struct cb_list dims)
{
    struct op_case c = op_case_make(CB_OP_RESHAPE);
    c.node.attr.reshape.dims = dims;
    op_case_random(&c, x, OP_UNIFORM);
    return c;
}

static void expect_reshape(struct cb_shape x, struct cb_list dims, struct cb_shape want)
{
    struct op_case c = reshape(x, dims);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, want);
    op_case_expect_floats(&c, 0, 0, c.in[0].f);
    op_case_free(&c);
}

#define DIMS(...)                                                                                  \
    ((struct cb_list){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } })

Test(view, reshape_copies_at_0_and_infers_at_minus_1)
{
    expect_reshape(OP_SHAPE(2, 3, 4), DIMS(4, 3, 2), OP_SHAPE(4, 3, 2));
    expect_reshape(OP_SHAPE(2, 3, 4), DIMS(0, -1), OP_SHAPE(2, 12));
    expect_reshape(OP_SHAPE(2, 3, 4), DIMS(-1, 0, 2, 2), OP_SHAPE(2, 3, 2, 2));
    expect_reshape(OP_SHAPE(1), (struct cb_list){ .count = 0 }, OP_SCALAR);
    expect_reshape(OP_SHAPE(0, 3), DIMS(0, 5), OP_SHAPE(0, 5));
}

Test(view, reshape_to_a_real_zero_when_allowed)
{
    struct op_case c = reshape(OP_SHAPE(0, 3, 4), DIMS(3, 4, 0));
    c.node.attr.reshape.allow_zero = true;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 4, 0));
    op_case_free(&c);
}

Test(view, reshape_takes_its_shape_from_an_input)
{
    struct op_case c = op_case_make(CB_OP_RESHAPE);
    op_case_random(&c, OP_SHAPE(2, 6), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(3, -1, 2));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 2, 2));
    c.node.n_in = 1; /* the parameter is dropped: the attribute stands */
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 2, 2));
    op_case_free(&c);
}

static void expect_refusal(struct cb_shape x, struct cb_list dims, enum cb_code code,
                           const char *message)
{
    struct op_case c = reshape(x, dims);
    op_case_expect_refusal(&c, code, message);
    op_case_free(&c);
}

Test(view, reshape_refuses_what_cannot_be)
{
    expect_refusal(OP_SHAPE(2, 3), DIMS(4), CB_ERR_MODEL,
                   "node: wants as many elements as [2,3], has [4]");
    expect_refusal(OP_SHAPE(2, 3), DIMS(4, -1), CB_ERR_MODEL,
                   "node: wants a shape for [2,3], has -1 beside 4 elements");
    expect_refusal(OP_SHAPE(2, 3), DIMS(-1, -1), CB_ERR_MODEL,
                   "node: wants one -1 and no other negative dims, has -1");
    expect_refusal(OP_SHAPE(2, 3), DIMS(-2, 3), CB_ERR_MODEL,
                   "node: wants one -1 and no other negative dims, has -2");
    expect_refusal(OP_SHAPE(6), DIMS(6, 0), CB_ERR_MODEL,
                   "node: wants an input axis 1 to copy, has rank 1");
    expect_refusal(OP_SHAPE(6), DIMS(INT64_MAX, -1), CB_ERR_MODEL,
                   "node: wants a shape for [6], has too many elements");
    expect_refusal(
        OP_SHAPE(6), DIMS(1 << 30, 1 << 30, 6), CB_ERR_TOO_LARGE,
        "node: wants at most 2147483648 elements, has an output of [1073741824,1073741824,6]");
    expect_refusal(OP_SHAPE(0), DIMS(0, -1), CB_ERR_MODEL,
                   "node: wants a shape for [0], has -1 beside 0 elements");
    expect_refusal(OP_SHAPE(6), (struct cb_list){ .count = -1 }, CB_ERR_MODEL,
                   "node: wants a shape, has none");
}

Test(view, reshape_refuses_a_shape_of_too_many_axes_or_of_real_numbers)
{
    struct op_case c = op_case_make(CB_OP_RESHAPE);
    op_case_random(&c, OP_SHAPE(1), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(11), OP_WHOLES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: wants at most 10 numbers as a shape, has 11 in rank 1");
    op_case_free(&c);

    struct op_case f = op_case_make(CB_OP_RESHAPE);
    op_case_random(&f, OP_SHAPE(1), OP_UNIFORM);
    op_case_add(&f, OP_SHAPE(1), OP_FLOATS(1));
    op_case_expect_refusal(&f, CB_ERR_MODEL, "node: wants whole numbers as a shape, has float");
    op_case_free(&f);
}

static void expect_flatten(int axis, struct cb_shape want)
{
    struct op_case c = op_case_make(CB_OP_FLATTEN);
    c.node.attr.axis.axis = axis;
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, want);
    op_case_expect_floats(&c, 0, 0, c.in[0].f);
    op_case_free(&c);
}

Test(view, flatten_makes_two_axes)
{
    expect_flatten(0, OP_SHAPE(1, 30));
    expect_flatten(1, OP_SHAPE(2, 15));
    expect_flatten(3, OP_SHAPE(30, 1));
    expect_flatten(-1, OP_SHAPE(6, 5));
    expect_flatten(-3, OP_SHAPE(1, 30));

    struct op_case c = op_case_make(CB_OP_FLATTEN);
    c.node.attr.axis.axis = 4;
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 3, has 4");
    op_case_free(&c);
}

static struct op_case squeeze(enum cb_op op, struct cb_shape x, struct cb_list axes)
{
    struct op_case c = op_case_make(op);
    c.node.attr.squeeze.axes = axes;
    op_case_random(&c, x, OP_UNIFORM);
    return c;
}

static void expect_squeeze(enum cb_op op, struct cb_shape x, struct cb_list axes,
                           struct cb_shape want)
{
    struct op_case c = squeeze(op, x, axes);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, want);
    op_case_expect_floats(&c, 0, 0, c.in[0].f);
    op_case_free(&c);
}

static void expect_squeeze_refusal(enum cb_op op, struct cb_shape x, struct cb_list axes,
                                   enum cb_code code, const char *message)
{
    struct op_case c = squeeze(op, x, axes);
    op_case_expect_refusal(&c, code, message);
    op_case_free(&c);
}

Test(view, squeeze_takes_axes_of_1_away)
{
    expect_squeeze(CB_OP_SQUEEZE, OP_SHAPE(1, 3, 1), DIMS(-1), OP_SHAPE(1, 3));
    expect_squeeze(CB_OP_SQUEEZE, OP_SHAPE(1, 3, 1), DIMS(2, 0), OP_SHAPE(3));
    expect_squeeze(CB_OP_SQUEEZE, OP_SHAPE(1, 3, 1, 2), (struct cb_list){ .count = -1 },
                   OP_SHAPE(3, 2));
    expect_squeeze(CB_OP_SQUEEZE, OP_SHAPE(1), (struct cb_list){ .count = -1 }, OP_SCALAR);
    expect_squeeze_refusal(CB_OP_SQUEEZE, OP_SHAPE(1, 3), DIMS(1), CB_ERR_MODEL,
                           "node: wants 1 along axis 1, has 3");
    expect_squeeze_refusal(CB_OP_SQUEEZE, OP_SHAPE(1, 3), DIMS(0, 0), CB_ERR_MODEL,
                           "node: wants each axis once, has 0 twice");
}

Test(view, unsqueeze_puts_axes_of_1_in)
{
    expect_squeeze(CB_OP_UNSQUEEZE, OP_SHAPE(3, 2), DIMS(3, 0), OP_SHAPE(1, 3, 2, 1));
    expect_squeeze(CB_OP_UNSQUEEZE, OP_SHAPE(3, 2), DIMS(-1, 1), OP_SHAPE(3, 1, 2, 1));
    expect_squeeze(CB_OP_UNSQUEEZE, OP_SCALAR, DIMS(0), OP_SHAPE(1));
    expect_squeeze_refusal(CB_OP_UNSQUEEZE, OP_SHAPE(3), DIMS(2), CB_ERR_MODEL,
                           "node: wants an axis of rank 2, has 2");
    expect_squeeze_refusal(CB_OP_UNSQUEEZE, OP_SHAPE(3), (struct cb_list){ .count = -1 },
                           CB_ERR_MODEL, "node: wants axes, has none");
    expect_squeeze_refusal(CB_OP_UNSQUEEZE, OP_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), DIMS(0, 1),
                           CB_ERR_UNSUPPORTED, "node: wants rank 10 at most, has 11");
}

Test(view, gradients_have_the_shape_of_the_input)
{
    struct op_case c = reshape(OP_SHAPE(2, 6), DIMS(3, 4));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
    struct op_case u = squeeze(CB_OP_UNSQUEEZE, OP_SHAPE(3, 2), DIMS(1));
    gradcheck(&u, 1e-3);
    op_case_free(&u);
}

Test(view, takes_whole_numbers_and_runs_in_place)
{
    struct op_case c = op_case_make(CB_OP_FLATTEN);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1, 2, 2), OP_WHOLES(4, 3, 2, 1));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(4, 3, 2, 1));
    c.in_place = true;
    op_case_forward(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(4, 3, 2, 1));
    op_case_free(&c);
}
