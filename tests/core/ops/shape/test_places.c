#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

Test(places, gather_elements_picks_at_its_own_place_but_along_the_axis)
{
    struct op_case c = op_case_make(CB_OP_GATHER_ELEMENTS);
    c.node.attr.places.axis = -1;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 4), OP_WHOLES(0, -1, 2, 1, -3, 2, 0, 0));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 4));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 3, 3, 2, 4, 6, 4, 4));
    op_case_free(&c);
}

Test(places, gather_elements_may_leave_out_rows_of_the_other_axes)
{
    struct op_case c = op_case_make(CB_OP_GATHER_ELEMENTS);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(3, 3), OP_WHOLES(1, 2, 3, 4, 5, 6, 7, 8, 9));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 2), OP_WHOLES(1, 2, 2, 0));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(4, 8, 7, 2));
    op_case_free(&c);
}

Test(places, gather_nd_takes_blocks_by_their_first_coordinates)
{
    struct op_case c = op_case_make(CB_OP_GATHER_ND);
    op_case_add(&c, OP_SHAPE(2, 2, 3), OP_FLOATS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3, 2), OP_WHOLES(0, 1, -1, 0, 1, 1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 3));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(3, 4, 5, 6, 7, 8, 9, 10, 11));
    op_case_free(&c);
}

Test(places, gather_nd_keeps_batches_apart)
{
    struct op_case c = op_case_make(CB_OP_GATHER_ND);
    c.node.attr.places.batch_dims = 1;
    op_case_add(&c, OP_SHAPE(2, 3, 2), OP_FLOATS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 2, 1), OP_WHOLES(1, 0, 2, -1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(2, 3, 0, 1, 10, 11, 10, 11));
    op_case_free(&c);
}

/* x is [2, 3]: 1 .. 6; along axis 1, at 1 and 1 in the first row, 2 in the second. */
static void expect_scatter(enum cb_scatter how, const float *want)
{
    struct op_case c = op_case_make(CB_OP_SCATTER_ELEMENTS);
    c.node.attr.places.axis = 1;
    c.node.attr.places.how = how;
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 2), OP_WHOLES(1, 1, 2, -3));
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(10, 0.5f, 20, -2));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(places, scatter_elements_writes_or_combines_in_order)
{
    expect_scatter(CB_SCATTER_SET, OP_FLOATS(1, 0.5f, 3, -2, 5, 20));
    expect_scatter(CB_SCATTER_ADD, OP_FLOATS(1, 12.5f, 3, 2, 5, 26));
    expect_scatter(CB_SCATTER_MUL, OP_FLOATS(1, 10, 3, -8, 5, 120));
    expect_scatter(CB_SCATTER_MAX, OP_FLOATS(1, 10, 3, 4, 5, 20));
    expect_scatter(CB_SCATTER_MIN, OP_FLOATS(1, 0.5f, 3, -2, 5, 6));
}

Test(places, scatter_of_whole_numbers_wraps_and_knows_unsigned_ones)
{
    struct op_case c = op_case_make(CB_OP_SCATTER_ELEMENTS);
    c.node.attr.places.how = CB_SCATTER_ADD;
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2), OP_WHOLES(250, 1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(0, 0));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2), OP_WHOLES(4, 5));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(3, 1));
    op_case_free(&c);

    struct op_case u = op_case_make(CB_OP_SCATTER_ELEMENTS);
    u.node.attr.places.how = CB_SCATTER_MAX;
    op_case_add_wholes(&u, CB_UINT64, OP_SHAPE(2), OP_WHOLES(-1, 1));
    op_case_add_wholes(&u, CB_INT64, OP_SHAPE(2), OP_WHOLES(0, 1));
    op_case_add_wholes(&u, CB_UINT64, OP_SHAPE(2), OP_WHOLES(4, -2));
    op_case_run(&u);
    op_case_expect_wholes(&u, 0, OP_WHOLES(-1, -2));
    op_case_free(&u);
}

Test(places, scatter_nd_writes_blocks)
{
    struct op_case c = op_case_make(CB_OP_SCATTER_ND);
    op_case_add(&c, OP_SHAPE(3, 2), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 1), OP_WHOLES(-1, 0));
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(7, 8, 9, 10));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(9, 10, 3, 4, 7, 8));
    op_case_free(&c);
}

Test(places, neither_read_nor_write_outside_whatever_the_indices)
{
    struct op_case c = op_case_make(CB_OP_SCATTER_ND);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2, 2), OP_WHOLES(INT64_MAX, 0, INT64_MIN, 5));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(8, 9));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 9, 8, 4));
    op_case_free(&c);
}

/* [3, 4, 2] and indices [3, 3, 2] along axis 1, of which the first two are the same. */
static struct op_case elements_case(enum cb_op op)
{
    struct op_case c = op_case_make(op);
    c.node.attr.places.axis = 1;
    op_case_random(&c, OP_SHAPE(3, 4, 2), OP_DISTINCT);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3, 3, 2),
                       OP_WHOLES(1, 3, 1, 3, 0, -1, 2, 2, 0, 0, 3, 3, 0, 1, 2, 3, -1, -2));
    if (op == CB_OP_SCATTER_ELEMENTS)
        op_case_random(&c, OP_SHAPE(3, 3, 2), OP_DISTINCT);
    return c;
}

Test(places, gradients_of_gather_agree_with_finite_differences)
{
    struct op_case c = elements_case(CB_OP_GATHER_ELEMENTS);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
    for (int batch = 0; batch < 2; batch++) {
        struct op_case n = op_case_make(CB_OP_GATHER_ND);
        n.node.attr.places.batch_dims = batch;
        op_case_random(&n, OP_SHAPE(2, 3, 5), OP_UNIFORM);
        op_case_add_wholes(&n, CB_INT64, OP_SHAPE(2, 4, 1), OP_WHOLES(1, 0, 1, -1, 1, 0, 1, 1));
        gradcheck(&n, 1e-3);
        op_case_free(&n);
    }
}

Test(places, gradients_of_scatter_agree_with_finite_differences)
{
    for (int how = CB_SCATTER_SET; how <= CB_SCATTER_MIN; how++) {
        struct op_case c = elements_case(CB_OP_SCATTER_ELEMENTS);
        c.node.attr.places.how = (enum cb_scatter)how;
        gradcheck(&c, 2e-3);
        op_case_free(&c);
        struct op_case n = op_case_make(CB_OP_SCATTER_ND);
        n.node.attr.places.how = (enum cb_scatter)how;
        op_case_random(&n, OP_SHAPE(3, 2, 2), OP_DISTINCT);
        op_case_add_wholes(&n, CB_INT64, OP_SHAPE(3, 1), OP_WHOLES(2, 0, 2));
        op_case_random(&n, OP_SHAPE(3, 2, 2), OP_DISTINCT);
        gradcheck(&n, 2e-3);
        op_case_free(&n);
    }
}

Test(places, a_zero_among_factors_keeps_its_own_gradient)
{
    struct op_case c = op_case_make(CB_OP_SCATTER_ELEMENTS);
    c.node.attr.places.how = CB_SCATTER_MUL;
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(0, 3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(0, 0));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(2, 5));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(places, gather_is_the_same_with_threads)
{
    static int64_t indices[200 * 300];
    struct op_case c = op_case_make(CB_OP_GATHER_ELEMENTS);
    for (size_t i = 0; i < CB_COUNT_OF(indices); i++)
        indices[i] = (int64_t)(i * 7919 % 200);
    op_case_random(&c, OP_SHAPE(200, 300), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(200, 300), indices);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_free(&c);
}

Test(places, takes_nothing_from_and_writes_nothing_to_empty_tensors)
{
    struct op_case c = op_case_make(CB_OP_GATHER_ELEMENTS);
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(0, 3), OP_WHOLES(0));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(0, 3));
    op_case_free(&c);
    struct op_case s = op_case_make(CB_OP_SCATTER_ND);
    op_case_add(&s, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_add_wholes(&s, CB_INT64, OP_SHAPE(0, 1), OP_WHOLES(0));
    op_case_random(&s, OP_SHAPE(0), OP_UNIFORM);
    op_case_run(&s);
    op_case_expect_floats(&s, 0, 0, OP_FLOATS(1, 2));
    gradcheck(&s, 1e-3);
    op_case_free(&s);
}

static void expect_refusal(struct op_case c, const char *message)
{
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

static struct op_case with_indices(enum cb_op op, struct cb_shape x, struct cb_shape indices,
                                   int64_t index)
{
    int64_t all[64];
    struct op_case c = op_case_make(op);
    for (size_t i = 0; i < CB_COUNT_OF(all); i++)
        all[i] = index;
    op_case_random(&c, x, OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, indices, all);
    c.known = 1u << 1;
    return c;
}

Test(places, refuses_indices_that_do_not_fit)
{
    expect_refusal(with_indices(CB_OP_GATHER_ELEMENTS, OP_SHAPE(2, 3), OP_SHAPE(2), 0),
                   "node: wants indices that fit into [2,3] beside axis 0, has [2]");
    expect_refusal(with_indices(CB_OP_GATHER_ELEMENTS, OP_SHAPE(2, 3), OP_SHAPE(2, 4), 0),
                   "node: wants indices that fit into [2,3] beside axis 0, has [2,4]");
    expect_refusal(with_indices(CB_OP_GATHER_ELEMENTS, OP_SHAPE(2, 3), OP_SHAPE(2, 3), 2),
                   "node: wants an index of 2 elements, has 2");
    expect_refusal(with_indices(CB_OP_GATHER_ND, OP_SHAPE(2, 3), OP_SHAPE(1, 3), 0),
                   "node: wants indices of places in [2,3] with 0 common axes, has [1,3]");
    expect_refusal(with_indices(CB_OP_GATHER_ND, OP_SHAPE(5, 3), OP_SHAPE(1, 2), 3),
                   "node: wants an index of 3 elements, has 3");
}

Test(places, refuses_updates_that_do_not_fit)
{
    struct op_case c = with_indices(CB_OP_SCATTER_ND, OP_SHAPE(2, 3), OP_SHAPE(4, 1), 0);
    op_case_random(&c, OP_SHAPE(4, 2), OP_UNIFORM);
    expect_refusal(c, "node: wants updates of [4,3], has [4,2]");
    struct op_case b = op_case_make(CB_OP_SCATTER_ELEMENTS);
    b.node.attr.places.how = CB_SCATTER_ADD;
    op_case_add_wholes(&b, CB_BOOL, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add_wholes(&b, CB_INT64, OP_SHAPE(1), OP_WHOLES(0));
    op_case_add_wholes(&b, CB_BOOL, OP_SHAPE(1), OP_WHOLES(1));
    expect_refusal(b, "node: wants numbers to combine, has bool");
}
