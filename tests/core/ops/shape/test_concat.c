#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

Test(concat, puts_tensors_one_after_the_other)
{
    struct op_case c = op_case_make(CB_OP_CONCAT);
    c.node.attr.axis.axis = -1;
    op_case_add(&c, OP_SHAPE(2, 1), OP_FLOATS(1, 2));
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(3, 4, 5, 6));
    op_case_add(&c, OP_SHAPE(2, 0), OP_FLOATS(0));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 3, 4, 2, 5, 6));
    op_case_free(&c);
}

Test(concat, of_one_tensor_is_that_tensor)
{
    struct op_case c = op_case_make(CB_OP_CONCAT);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 2));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 2));
    op_case_free(&c);
}

Test(split, cuts_into_the_sizes_that_are_given)
{
    struct op_case c = op_case_make(CB_OP_SPLIT);
    c.node.n_out = 2;
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 2));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1));
    op_case_expect_floats(&c, 1, 0, OP_FLOATS(2, 3));
    op_case_free(&c);
}

static void expect_sizes(int64_t dim, int n_out, int parts, const int64_t *want)
{
    struct op_case c = op_case_make(CB_OP_SPLIT);
    c.node.n_out = n_out;
    c.node.attr.split.parts = parts;
    op_case_random(&c, OP_SHAPE(dim, 2), OP_UNIFORM);
    op_case_run(&c);
    for (int i = 0; i < n_out; i++)
        op_case_expect_shape(&c, i, OP_SHAPE(want[i], 2));
    op_case_free(&c);
}

Test(split, cuts_into_equal_parts_of_which_the_last_may_be_smaller)
{
    expect_sizes(6, 3, 0, OP_WHOLES(2, 2, 2));
    expect_sizes(7, 3, 3, OP_WHOLES(3, 3, 1));
    expect_sizes(6, 5, 5, OP_WHOLES(2, 2, 2, 0, 0));
    expect_sizes(0, 2, 0, OP_WHOLES(0, 0));
}

Test(split, takes_more_sizes_than_a_list_holds_when_they_are_equal)
{
    struct op_case c = op_case_make(CB_OP_SPLIT);
    c.node.n_out = 11;
    op_case_random(&c, OP_SHAPE(32), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(11), OP_WHOLES(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3));
    op_case_expect_shape(&c, 10, OP_SHAPE(2));
    op_case_free(&c);

    struct op_case u = op_case_make(CB_OP_SPLIT);
    u.node.n_out = 11;
    op_case_random(&u, OP_SHAPE(32), OP_UNIFORM);
    op_case_add_wholes(&u, CB_INT64, OP_SHAPE(11), OP_WHOLES(2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3));
    op_case_expect_refusal(&u, CB_ERR_UNSUPPORTED,
                           "node: wants equal parts when there are more than 10, has 2 and 3");
    op_case_free(&u);
}

Test(split, leaves_out_what_is_not_wanted)
{
    struct op_case c = op_case_make(CB_OP_SPLIT);
    c.node.n_out = 3;
    c.unwanted = 1u << 1;
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1));
    op_case_expect_floats(&c, 2, 0, OP_FLOATS(3));
    op_case_free(&c);
}

Test(split, then_concat_gives_the_tensor_back)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct op_case s = op_case_make(CB_OP_SPLIT), c = op_case_make(CB_OP_CONCAT);
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape x = { .rank = 1 + (int)cb_rng_below(&rng, 4) };
        const int axis = (int)cb_rng_below(&rng, (uint64_t)x.rank);
        struct cb_list *sizes = &s.node.attr.split.sizes;
        for (int i = 0; i < x.rank; i++)
            x.dim[i] = 1 + (int64_t)cb_rng_below(&rng, 9);
        sizes->count = s.node.n_out = 1 + (int)cb_rng_below(&rng, 5);
        x.dim[axis] = 0;
        for (int i = 0; i < sizes->count; i++)
            x.dim[axis] += sizes->v[i] = (int64_t)cb_rng_below(&rng, 5);
        s.node.attr.split.axis = c.node.attr.axis.axis = axis - x.rank;
        op_case_random(&s, x, OP_UNIFORM);
        op_case_run(&s);
        for (int i = 0; i < s.node.n_out; i++)
            op_case_add(&c, s.out[i].shape, s.out[i].f);
        op_case_run(&c);
        op_case_expect_shape(&c, 0, x);
        op_case_expect_floats(&c, 0, 0, s.in[0].f);
        op_case_free(&s);
        op_case_free(&c);
    }
}

Test(concat, gradients_agree_with_finite_differences)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_CONCAT);
        c.node.attr.axis.axis = axis;
        for (int i = 0; i < 3; i++) {
            struct cb_shape x = OP_SHAPE(2, 3, 4);
            x.dim[axis] = i + 1;
            op_case_random(&c, x, OP_UNIFORM);
        }
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(split, gradients_agree_with_finite_differences)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_SPLIT);
        c.node.attr.split.axis = axis;
        c.node.attr.split.parts = c.node.n_out = 3;
        op_case_random(&c, OP_SHAPE(4, 5, 6), OP_UNIFORM);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(concat, of_large_tensors_is_the_same_with_threads)
{
    struct op_case c = op_case_make(CB_OP_CONCAT);
    c.node.attr.axis.axis = 3;
    op_case_random(&c, OP_SHAPE(1, 57, 61, 13), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(1, 57, 61, 9), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(concat, refuses_tensors_that_do_not_fit)
{
    struct op_case c = op_case_make(CB_OP_CONCAT);
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 4), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: wants input 1 to be as [2,3] beside axis 0, has [2,4]");
    c.node.attr.axis.axis = 2;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 2, has 2");
    op_case_free(&c);

    struct op_case r = op_case_make(CB_OP_CONCAT);
    op_case_random(&r, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_random(&r, OP_SHAPE(3), OP_UNIFORM);
    op_case_expect_refusal(&r, CB_ERR_MODEL,
                           "node: wants input 1 to be as [2,3] beside axis 0, has [3]");
    op_case_free(&r);

    struct op_case e = op_case_make(CB_OP_CONCAT);
    op_case_expect_refusal(&e, CB_ERR_MODEL, "node: wants 1 to 4096 inputs, has 0");
    op_case_free(&e);

    struct op_case t = op_case_make(CB_OP_CONCAT);
    op_case_random(&t, OP_SHAPE(1), OP_UNIFORM);
    op_case_add_wholes(&t, CB_INT64, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&t, CB_ERR_MODEL, "node: wants inputs of one type, has float and int64");
    op_case_free(&t);
}

static void expect_split_refusal(int n_out, int parts, struct cb_list sizes, const char *message)
{
    struct op_case c = op_case_make(CB_OP_SPLIT);
    c.node.n_out = n_out;
    c.node.attr.split.parts = parts;
    c.node.attr.split.sizes = sizes;
    op_case_random(&c, OP_SHAPE(5), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(split, refuses_sizes_that_do_not_fit)
{
    const struct cb_list none = { .count = -1 };
    expect_split_refusal(2, 0, none, "node: wants a multiple of 2 to split, has 5");
    expect_split_refusal(2, 3, none, "node: wants 3 outputs, has 2");
    expect_split_refusal(3, 0, (struct cb_list){ 2, { 2, 3 } }, "node: wants 2 outputs, has 3");
    expect_split_refusal(2, 0, (struct cb_list){ 2, { 2, 2 } },
                         "node: wants sizes that make 5, has 4");
    expect_split_refusal(2, 0, (struct cb_list){ 2, { 6, -1 } },
                         "node: wants sizes of 0 or more, has -1");
}
