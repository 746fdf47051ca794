#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

#define LIST(...)                                                                                  \
    ((struct cb_list){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } })

static struct op_case pad(enum cb_pad_mode mode, struct cb_shape x, struct cb_list begin,
                          struct cb_list end)
{
    struct op_case c = op_case_make(CB_OP_PAD);
    c.node.attr.pad.mode = mode;
    c.node.attr.pad.begin = begin;
    c.node.attr.pad.end = end;
    op_case_random(&c, x, OP_UNIFORM);
    return c;
}

/* Of 1 2 3. */
static void expect_padded(enum cb_pad_mode mode, int64_t begin, int64_t end, int n,
                          const float *want)
{
    struct op_case c = pad(mode, OP_SHAPE(3), LIST(begin), LIST(end));
    c.node.attr.pad.value = 9;
    for (int i = 0; i < 3; i++)
        c.in[0].f[i] = (float)i + 1;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(n));
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(pad, continues_an_axis_in_its_mode)
{
    expect_padded(CB_PAD_CONSTANT, 2, 1, 6, OP_FLOATS(9, 9, 1, 2, 3, 9));
    expect_padded(CB_PAD_REFLECT, 2, 1, 6, OP_FLOATS(3, 2, 1, 2, 3, 2));
    expect_padded(CB_PAD_REFLECT, 5, 0, 8, OP_FLOATS(2, 1, 2, 3, 2, 1, 2, 3));
    expect_padded(CB_PAD_EDGE, 2, 1, 6, OP_FLOATS(1, 1, 1, 2, 3, 3));
    expect_padded(CB_PAD_WRAP, 2, 4, 9, OP_FLOATS(2, 3, 1, 2, 3, 1, 2, 3, 1));
}

Test(pad, negative_pads_cut_off)
{
    expect_padded(CB_PAD_CONSTANT, -1, 2, 4, OP_FLOATS(2, 3, 9, 9));
    expect_padded(CB_PAD_CONSTANT, 1, -2, 2, OP_FLOATS(9, 1));
    expect_padded(CB_PAD_CONSTANT, -4, 3, 2, OP_FLOATS(9, 9));
    expect_padded(CB_PAD_CONSTANT, 3, -4, 2, OP_FLOATS(9, 9));
    expect_padded(CB_PAD_CONSTANT, -2, -1, 0, OP_FLOATS(0));
    expect_padded(CB_PAD_EDGE, -1, 2, 4, OP_FLOATS(2, 3, 3, 3));
    expect_padded(CB_PAD_REFLECT, 2, -1, 4, OP_FLOATS(1, 2, 1, 2));
    expect_padded(CB_PAD_WRAP, -1, 3, 5, OP_FLOATS(2, 3, 2, 3, 2));
}

Test(pad, reads_pads_value_and_axes_from_inputs)
{
    struct op_case c = op_case_make(CB_OP_PAD);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 0));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(-INFINITY));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(-1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-INFINITY, 1, 2, -INFINITY, 3, 4));
    c.node.n_in = 1; /* the parameters are dropped: the attributes stand, one per axis */
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    cr_expect(eq(int, c.node.attr.pad.begin.count, 2));
    cr_expect(eq(i64, c.node.attr.pad.begin.v[1], 1));
    op_case_free(&c);
}

Test(pad, takes_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_PAD);
    c.node.attr.pad.begin = LIST(1);
    c.node.attr.pad.end = LIST(0);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2), OP_WHOLES(1, 2));
    op_case_absent(&c);
    op_case_add_wholes(&c, CB_INT32, OP_SCALAR, OP_WHOLES(7));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(7, 1, 2));
    op_case_free(&c);
}

Test(pad, cut_back_to_its_size_gives_the_tensor_back)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape x = { .rank = 1 + (int)cb_rng_below(&rng, 4) };
        struct cb_list begin = { .count = x.rank }, end = begin, back[2] = { begin, begin };
        for (int i = 0; i < x.rank; i++) {
            x.dim[i] = 1 + (int64_t)cb_rng_below(&rng, 5);
            back[0].v[i] = -(begin.v[i] = (int64_t)cb_rng_below(&rng, 5));
            back[1].v[i] = -(end.v[i] = (int64_t)cb_rng_below(&rng, 5));
        }
        struct op_case p = pad((enum cb_pad_mode)(seed % 4), x, begin, end),
                       c = op_case_make(CB_OP_PAD);
        op_case_run(&p);
        op_case_add(&c, p.out[0].shape, p.out[0].f);
        c.node.attr.pad.begin = back[0];
        c.node.attr.pad.end = back[1];
        op_case_run(&c);
        op_case_expect_shape(&c, 0, x);
        op_case_expect_floats(&c, 0, 0, p.in[0].f);
        op_case_free(&p);
        op_case_free(&c);
    }
}

Test(pad, gradients_agree_with_finite_differences)
{
    for (int mode = CB_PAD_CONSTANT; mode <= CB_PAD_WRAP; mode++) {
        struct op_case c =
            pad((enum cb_pad_mode)mode, OP_SHAPE(2, 3, 4), LIST(1, -1, 2), LIST(0, 2, -1));
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(pad, of_large_tensors_is_the_same_with_threads)
{
    for (int mode = CB_PAD_CONSTANT; mode <= CB_PAD_WRAP; mode++) {
        struct op_case c = pad((enum cb_pad_mode)mode, OP_SHAPE(1, 57, 61, 13), LIST(0, 3, 3, 0),
                               LIST(0, 2, 3, 1));
        op_case_expect_same_on_every_isa(&c, 0);
        op_case_free(&c);
    }
}

static void expect_refusal(enum cb_pad_mode mode, struct cb_shape x, struct cb_list begin,
                           struct cb_list end, const char *message)
{
    struct op_case c = pad(mode, x, begin, end);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(pad, refuses_pads_that_do_not_fit)
{
    expect_refusal(CB_PAD_CONSTANT, OP_SHAPE(2, 3), LIST(1), LIST(1, 1),
                   "node: wants 2 pads before and after, has 1 and 2");
    expect_refusal(CB_PAD_CONSTANT, OP_SHAPE(3), LIST(-2), LIST(-2),
                   "node: wants pads that fit 3 elements, has -2 and -2");
    expect_refusal(
        CB_PAD_CONSTANT, OP_SHAPE(3), LIST(INT64_MAX), LIST(INT64_MAX),
        "node: wants pads that fit 3 elements, has 9223372036854775807 and 9223372036854775807");
    expect_refusal(CB_PAD_CONSTANT, OP_SHAPE(3), LIST(INT64_MIN), LIST(0),
                   "node: wants pads that fit 3 elements, has -9223372036854775808 and 0");
    expect_refusal(CB_PAD_REFLECT, OP_SHAPE(0), LIST(1), LIST(0),
                   "node: wants elements along axis 0 to pad with, has none");
    expect_refusal((enum cb_pad_mode)7, OP_SHAPE(1), LIST(1), LIST(0),
                   "node: wants a mode of padding, has 7");
}

Test(pad, refuses_pads_that_are_no_pairs)
{
    struct op_case c = op_case_make(CB_OP_PAD);
    op_case_random(&c, OP_SHAPE(2), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(1, 1, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants pads in pairs, has 3 numbers");
    op_case_free(&c);
}
