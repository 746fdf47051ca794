#include <criterion/criterion.h>

#include "tests/support/gradcheck.h"

static struct op_case case_of(struct cb_shape x, struct cb_shape scale, struct cb_shape bias)
{
    struct op_case c = op_case_make(CB_OP_LAYER_NORM);
    c.node.attr.layer_norm.epsilon = 1e-2f;
    op_case_random(&c, x, OP_UNIFORM);
    if (scale.rank)
        op_case_random(&c, scale, OP_POSITIVE);
    else
        op_case_absent(&c);
    if (bias.rank)
        op_case_random(&c, bias, OP_UNIFORM);
    return c;
}

Test(layer_norm, gives_hand_worked_numbers)
{
    struct op_case c = op_case_make(CB_OP_LAYER_NORM);
    c.node.attr.layer_norm.epsilon = 0;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 3, -4, -10));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(2, 5));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(100, 200));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2));
    op_case_expect_floats(&c, 0, 1e-4, OP_FLOATS(98, 205, 102, 195));
    op_case_free(&c);
}

Test(layer_norm, without_a_mean_divides_by_the_root_mean_square)
{
    struct op_case c = op_case_make(CB_OP_LAYER_NORM);
    c.node.attr.layer_norm.epsilon = 0;
    c.node.attr.layer_norm.centered = false;
    op_case_add(&c, OP_SHAPE(1, 2), OP_FLOATS(1, 7));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0.2f, 1.4f));
    op_case_free(&c);
}

Test(layer_norm, may_run_over_several_axes_and_is_the_same_on_every_isa)
{
    for (int axes = 1; axes <= 3; axes++) {
        struct op_case c = case_of(OP_SHAPE(3, 5, 37), OP_SCALAR, OP_SCALAR);
        c.node.attr.layer_norm.axes = axes;
        op_case_expect_same_on_every_isa(&c, 1e-10);
        op_case_free(&c);
    }
    struct op_case c = case_of(OP_SHAPE(700, 37), OP_SHAPE(37), OP_SHAPE(37));
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

Test(layer_norm, gradients_agree_with_finite_differences)
{
    for (int centered = 0; centered < 2; centered++)
        for (int form = 0; form < 3; form++) {
            struct op_case c = case_of(OP_SHAPE(3, 2, 7), form > 0 ? OP_SHAPE(7) : OP_SCALAR,
                                       form > 1 ? OP_SHAPE(1, 7) : OP_SCALAR);
            c.node.attr.layer_norm.centered = centered;
            gradcheck(&c, 2e-3);
            op_case_free(&c);
        }
    struct op_case c = case_of(OP_SHAPE(3, 2, 7), OP_SHAPE(2, 7), OP_SHAPE(2, 7));
    c.node.attr.layer_norm.axes = 2;
    gradcheck(&c, 2e-3);
    op_case_free(&c);
}

Test(layer_norm, keeps_an_empty_tensor_empty)
{
    struct op_case c = case_of(OP_SHAPE(3, 0), OP_SCALAR, OP_SCALAR);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 0));
    op_case_free(&c);
}

Test(layer_norm, says_why_it_refuses)
{
    struct op_case c = case_of(OP_SHAPE(3, 7), OP_SHAPE(6), OP_SCALAR);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: scale wants a number for each place of the last 1 axes of [3,7], "
                           "has [6]");
    op_case_free(&c);
    c = case_of(OP_SHAPE(3, 7), OP_SCALAR, OP_SCALAR);
    c.node.attr.layer_norm.axes = 3;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants 1 to 2 axes, has 3");
    op_case_free(&c);
}
