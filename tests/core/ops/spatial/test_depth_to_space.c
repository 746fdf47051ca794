#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static struct op_case of(enum cb_op op, int64_t size, bool channels_first, struct cb_shape x)
{
    struct op_case c = op_case_make(op);
    c.node.name = "blocks";
    c.node.attr.blocks.size = size;
    c.node.attr.blocks.channels_first = channels_first;
    op_case_random(&c, x, OP_UNIFORM);
    for (size_t i = 0; i < cb_tensor_count(&c.in[0]); i++)
        c.in[0].f[i] = (float)i;
    return c;
}

/* Two pixels of 8 channels: 2 by 2 pixels of 2 channels each. */
Test(depth_to_space, spreads_channels_by_hand)
{
    struct op_case c = of(CB_OP_DEPTH_TO_SPACE, 2, false, OP_SHAPE(1, 1, 2, 8));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 2, 4, 2));
    op_case_expect_floats(&c, 0, 0,
                          OP_FLOATS(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15));
    c.node.attr.blocks.channels_first = true;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0,
                          OP_FLOATS(0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15));
    op_case_free(&c);
}

Test(space_to_depth, undoes_depth_to_space)
{
    struct op_case there = of(CB_OP_DEPTH_TO_SPACE, 3, false, OP_SHAPE(2, 3, 2, 45));
    struct op_case back = op_case_make(CB_OP_SPACE_TO_DEPTH);
    op_case_run(&there);
    op_case_add(&back, there.out[0].shape, there.out[0].f);
    back.node.attr.blocks.size = 3;
    op_case_run(&back);
    op_case_expect_shape(&back, 0, OP_SHAPE(2, 3, 2, 45));
    op_case_expect_floats(&back, 0, 0, there.in[0].f);
    op_case_free(&there);
    op_case_free(&back);
}

Test(space_to_depth, moves_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_SPACE_TO_DEPTH);
    c.node.attr.blocks.size = 2;
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 2, 4, 1), OP_WHOLES(0, 1, 2, 3, 4, 5, 6, 7));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1, 2, 4));
    op_case_expect_wholes(&c, 0, OP_WHOLES(0, 1, 4, 5, 2, 3, 6, 7));
    op_case_free(&c);
}

Test(depth_to_space, gradient_agrees_with_finite_differences)
{
    for (int crd = 0; crd < 2; crd++) {
        struct op_case c = of(CB_OP_DEPTH_TO_SPACE, 2, crd, OP_SHAPE(2, 3, 2, 12));
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
    struct op_case c = of(CB_OP_SPACE_TO_DEPTH, 2, false, OP_SHAPE(2, 4, 6, 3));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(depth_to_space, says_why_it_refuses)
{
    struct op_case c = of(CB_OP_DEPTH_TO_SPACE, 2, false, OP_SHAPE(1, 1, 2, 6));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "blocks: 6 channels are no blocks of 2 by 2");
    c.node.attr.blocks.size = 0;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "blocks: wants blocks of 1 to 32767 pixels, has 0");
    op_case_free(&c);
    c = of(CB_OP_SPACE_TO_DEPTH, 2, false, OP_SHAPE(1, 4, 3, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "blocks: 4 by 3 pixels are no blocks of 2 by 2");
    op_case_free(&c);
    c = of(CB_OP_SPACE_TO_DEPTH, 2, false, OP_SHAPE(1, 4, 3));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "blocks: wants [N,H,W,C], has [1,4,3]");
    op_case_free(&c);
}
