#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static struct op_case of(struct cb_shape x, int axes, const int64_t *image, const int64_t *block)
{
    struct op_case c = op_case_make(CB_OP_COL2IM);
    c.node.name = "fold";
    op_case_random(&c, x, OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(axes), image);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(axes), block);
    return c;
}

/* Blocks of 2 at every place of 3: the middle one gets two. */
Test(col2im, adds_what_overlaps_by_hand)
{
    struct op_case c = of(OP_SHAPE(1, 2, 2), 1, OP_WHOLES(3), OP_WHOLES(2));
    const float x[] = { 1, 2, 10, 20 };
    for (int i = 0; i < 4; i++)
        c.in[0].f[i] = x[i];
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 12, 20));
    op_case_free(&c);
}

/* Columns of 2 by 1 blocks, two lines apart, with a line of padding before: of 4 lines the places
 * -1 and 1. */
Test(col2im, leaves_out_padding_and_steps)
{
    struct op_case c = of(OP_SHAPE(1, 2, 4), 2, OP_WHOLES(4, 2), OP_WHOLES(2, 1));
    for (int i = 0; i < 8; i++)
        c.in[0].f[i] = (float)i + 1;
    c.node.attr.col2im.window.stride[0] = 2;
    c.node.attr.col2im.window.dilation[0] = 2;
    c.node.attr.col2im.window.pad_begin[0] = 1;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1, 4, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 0, 3 + 5, 4 + 6, 0, 0, 7, 8));
    op_case_free(&c);
}

Test(col2im, gradient_agrees_with_finite_differences)
{
    struct op_case c = of(OP_SHAPE(2, 12, 8), 2, OP_WHOLES(4, 5), OP_WHOLES(2, 3));
    c.node.attr.col2im.window.pad_end[0] = 1;
    c.node.attr.col2im.window.pad_end[1] = 1;
    c.node.attr.col2im.window.stride[1] = 2;
    gradcheck(&c, 1e-3);
    op_case_free(&c);
    c = of(OP_SHAPE(1, 16, 4), 3, OP_WHOLES(2, 3, 3), OP_WHOLES(2, 2, 2));
    gradcheck(&c, 1e-3);
    op_case_run(&c);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(col2im, says_why_it_refuses)
{
    struct op_case c = of(OP_SHAPE(1, 4, 3), 1, OP_WHOLES(3), OP_WHOLES(2));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "fold: wants columns of blocks of 2 at 2 places, has [1,4,3]");
    op_case_free(&c);
    c = of(OP_SHAPE(1, 4), 1, OP_WHOLES(3), OP_WHOLES(2));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "fold: wants [N,C*block,places], has [1,4]");
    op_case_free(&c);
}
