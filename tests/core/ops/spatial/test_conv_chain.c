#include <criterion/criterion.h>

#include "tests/support/op_case.h"

enum { STAGES = 3 };

/* x [2,5,6,3] -> expand to 4 channels -> 3x3, stride 2 -> project to 5, all biases, a residual. */
static struct op_case whole_chain(void)
{
    struct op_case c = op_case_make(CB_OP_CONV_CHAIN);
    struct cb_window *w = &c.node.attr.chain.window;
    c.node.name = "block2";
    op_case_random(&c, OP_SHAPE(2, 5, 6, 3), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(4, 1, 3, 3), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(4), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(4, 3, 1, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(4), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5, 4, 1, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 3, 3, 5), OP_UNIFORM);
    for (int i = 0; i < 2; i++) {
        w->stride[i] = 2;
        w->pad_begin[i] = w->pad_end[i] = 1;
    }
    return c;
}

static struct cb_shape shape_of(const struct op_case *c, int i)
{
    return c->in[i].shape;
}

Test(conv_chain_op, is_the_same_on_every_isa_packed_or_not)
{
    struct op_case c = whole_chain();
    for (int s = 0; s < STAGES; s++) {
        c.node.attr.chain.lo[s] = -0.4f;
        c.node.attr.chain.hi[s] = 0.7f;
    }
    c.node.attr.chain.act[0].kind = CB_ACT_SILU;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3, 3, 5));
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

/* 1x1 pictures: y = relu(2 x + 1) * 3 - 4, twice and minus once, plus the residual. */
Test(conv_chain_op, gives_hand_worked_numbers)
{
    struct op_case c = op_case_make(CB_OP_CONV_CHAIN);
    op_case_add(&c, OP_SHAPE(2, 1, 1, 1), OP_FLOATS(1, -2));
    op_case_add(&c, OP_SHAPE(1, 1, 1, 1), OP_FLOATS(3));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(-4));
    op_case_add(&c, OP_SHAPE(1, 1, 1, 1), OP_FLOATS(2));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_add(&c, OP_SHAPE(2, 1, 1, 1), OP_FLOATS(2, -1));
    op_case_absent(&c);
    op_case_add(&c, OP_SHAPE(2, 1, 1, 2), OP_FLOATS(100, 200, 300, 400));
    c.node.attr.chain.lo[0] = 0;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(110, 195, 292, 404));
    op_case_free(&c);
}

Test(conv_chain_op, has_either_neighbour_or_none)
{
    struct op_case c = op_case_make(CB_OP_CONV_CHAIN);
    op_case_add(&c, OP_SHAPE(1, 1, 3, 1), OP_FLOATS(1, 2, 4));
    op_case_add(&c, OP_SHAPE(1, 1, 1, 2), OP_FLOATS(1, 10));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(21, 42));
    op_case_absent(&c);
    op_case_add(&c, OP_SHAPE(1, 1, 1, 1), OP_FLOATS(-1));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-21, -42));
    op_case_free(&c);
}

/* Input `i` of the whole chain with another shape. */
static void expect_shape_refused(int i, struct cb_shape shape, const char *message)
{
    struct op_case c = whole_chain(), wrong = op_case_make(CB_OP_CONV_CHAIN);
    wrong.node.name = c.node.name;
    wrong.node.attr = c.node.attr;
    for (int k = 0; k < 8; k++)
        op_case_random(&wrong, k == i ? shape : shape_of(&c, k), OP_UNIFORM);
    op_case_expect_refusal(&wrong, CB_ERR_MODEL, message);
    op_case_free(&wrong);
    op_case_free(&c);
}

Test(conv_chain_op, says_why_it_refuses_a_shape)
{
    expect_shape_refused(0, OP_SHAPE(2, 5, 3),
                         "block2: wants an input [N,H,W,C] and a filter [M,1,kh,kw], has [2,5,3] "
                         "and [4,1,3,3]");
    expect_shape_refused(1, OP_SHAPE(4, 2, 3, 3),
                         "block2: wants an input [N,H,W,C] and a filter [M,1,kh,kw], has "
                         "[2,5,6,3] and [4,2,3,3]");
    expect_shape_refused(2, OP_SHAPE(3), "block2: bias wants [4], has [3]");
    expect_shape_refused(3, OP_SHAPE(4, 3, 1, 2),
                         "block2: expansion wants [4,3,1,1], has [4,3,1,2]");
    expect_shape_refused(4, OP_SHAPE(1), "block2: the expansion's bias wants [4], has [1]");
    expect_shape_refused(5, OP_SHAPE(5, 3, 1, 1),
                         "block2: projection wants [5,4,1,1], has [5,3,1,1]");
    expect_shape_refused(6, OP_SHAPE(4), "block2: the projection's bias wants [5], has [4]");
    expect_shape_refused(7, OP_SHAPE(2, 3, 3, 4),
                         "block2: residual wants [2,3,3,5], has [2,3,3,4]");
}

Test(conv_chain_op, refuses_dilation_and_what_belongs_to_no_stage)
{
    struct op_case c = whole_chain();
    c.node.attr.chain.window.dilation[1] = 2;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "block2: wants a dilation of 1, has 1 and 2");
    op_case_free(&c);

    c = op_case_make(CB_OP_CONV_CHAIN);
    c.node.name = "dw";
    op_case_random(&c, OP_SHAPE(1, 4, 4, 2), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(3, 1, 1, 1), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "dw: filter wants 3 channels, input has 2");
    op_case_free(&c);

    c = op_case_make(CB_OP_CONV_CHAIN);
    c.node.name = "dw";
    op_case_random(&c, OP_SHAPE(1, 4, 4, 2), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 1, 1, 1), OP_UNIFORM);
    op_case_absent(&c);
    op_case_absent(&c);
    op_case_random(&c, OP_SHAPE(2), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "dw: the expansion's bias wants a filter, has none");
    op_case_free(&c);
}
