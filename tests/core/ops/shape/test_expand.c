#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

#define LIST(...)                                                                                  \
    ((struct cb_list){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } })

Test(expand, broadcasts_both_ways)
{
    struct op_case c = op_case_make(CB_OP_EXPAND);
    op_case_add(&c, OP_SHAPE(2, 1), OP_FLOATS(1, 2));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(2, 1, 3));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2));
    op_case_free(&c);

    struct op_case w = op_case_make(CB_OP_EXPAND);
    w.node.attr.reshape.dims = LIST(1);
    op_case_add_wholes(&w, CB_INT64, OP_SHAPE(3), OP_WHOLES(4, 5, 6));
    op_case_run(&w);
    op_case_expect_wholes(&w, 0, OP_WHOLES(4, 5, 6));
    op_case_free(&w);
}

Test(tile, repeats_along_each_axis)
{
    struct op_case c = op_case_make(CB_OP_TILE);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(2, 2));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(4, 4));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4));
    op_case_free(&c);
}

Test(tile, equals_its_definition_at_the_highest_rank)
{
    struct op_case c = op_case_make(CB_OP_TILE);
    const struct cb_shape x = OP_SHAPE(2, 1, 2, 3, 1, 2, 1, 2);
    c.node.attr.tile.repeats = LIST(1, 2, 2, 1, 3, 2, 1, 2);
    op_case_random(&c, x, OP_UNIFORM);
    op_case_run(&c);
    for (size_t i = 0; i < cb_tensor_count(&c.out[0]); i++) {
        size_t at = 0, step = 1, rest = i;
        for (int k = 7; k >= 0; k--) {
            at += rest % (size_t)c.out[0].shape.dim[k] % (size_t)x.dim[k] * step;
            rest /= (size_t)c.out[0].shape.dim[k];
            step *= (size_t)x.dim[k];
        }
        cr_assert(c.out[0].f[i] == c.in[0].f[at], "element %zu", i);
    }
    op_case_free(&c);
}

Test(tile, no_times_is_nothing)
{
    struct op_case c = op_case_make(CB_OP_TILE);
    c.node.attr.tile.repeats = LIST(2, 0);
    op_case_random(&c, OP_SHAPE(3, 2), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(6, 0));
    op_case_free(&c);
}

Test(expand, gradients_agree_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_EXPAND);
    c.node.attr.reshape.dims = LIST(2, 3, 4, 5);
    op_case_random(&c, OP_SHAPE(3, 1, 5), OP_UNIFORM);
    gradcheck(&c, 1e-3);
    op_case_free(&c);

    struct op_case t = op_case_make(CB_OP_TILE);
    t.node.attr.tile.repeats = LIST(2, 1, 3);
    op_case_random(&t, OP_SHAPE(3, 2, 4), OP_UNIFORM);
    gradcheck(&t, 1e-3);
    op_case_free(&t);
}

static void expect_refusal(enum cb_op op, struct cb_list list, enum cb_code code,
                           const char *message)
{
    struct op_case c = op_case_make(op);
    if (op == CB_OP_TILE)
        c.node.attr.tile.repeats = list;
    else
        c.node.attr.reshape.dims = list;
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_expect_refusal(&c, code, message);
    op_case_free(&c);
}

Test(expand, refuses_what_does_not_fit)
{
    expect_refusal(CB_OP_EXPAND, LIST(2), CB_ERR_MODEL,
                   "node: wants a shape that [2,3] broadcasts to, has [2]");
    expect_refusal(CB_OP_EXPAND, LIST(-1, 3), CB_ERR_MODEL,
                   "node: wants a shape that [2,3] broadcasts to, has [?,3]");
    expect_refusal(CB_OP_EXPAND, LIST(1 << 30, 2, 3), CB_ERR_TOO_LARGE,
                   "node: wants at most 2147483648 elements, has an output of [1073741824,2,3]");
    expect_refusal(CB_OP_EXPAND, (struct cb_list){ .count = -1 }, CB_ERR_MODEL,
                   "node: wants a shape, has none");
    expect_refusal(CB_OP_TILE, LIST(2), CB_ERR_MODEL, "node: wants 2 repeats, has 1");
    expect_refusal(CB_OP_TILE, LIST(2, -1), CB_ERR_MODEL,
                   "node: wants repeats of 0 or more, has -1");
    expect_refusal(CB_OP_TILE, LIST(INT64_MAX, 1), CB_ERR_MODEL,
                   "node: wants repeats of 0 or more, has 9223372036854775807");
    expect_refusal(
        CB_OP_TILE, LIST(1 << 30, 1 << 30), CB_ERR_TOO_LARGE,
        "node: wants at most 2147483648 elements, has an output of [2147483648,3221225472]");
}
