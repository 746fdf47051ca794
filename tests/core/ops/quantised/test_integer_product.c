#include <criterion/criterion.h>

#include "tests/support/op_case.h"

/* All whole numbers of the type, drawn. */
static void add_drawn(struct op_case *c, enum cb_dtype dtype, struct cb_shape shape)
{
    static int64_t elements[1 << 16];
    const size_t n = cb_shape_count(&shape);
    cr_assert_leq(n, sizeof elements / sizeof *elements);
    for (size_t i = 0; i < n; i++)
        elements[i] = (int64_t)cb_rng_below(&c->rng, 256) - (dtype == CB_INT8 ? 128 : 0);
    op_case_add_wholes(c, dtype, shape, elements);
}

static void set_window(struct op_case *c, int rank, const int64_t *kernel, const int64_t *pads)
{
    c->node.attr.conv.window.rank = rank;
    for (int i = 0; i < rank; i++) {
        c->node.attr.conv.window.kernel[i] = kernel[i];
        c->node.attr.conv.window.pad_begin[i] = pads[i];
        c->node.attr.conv.window.pad_end[i] = pads[rank + i];
    }
}

Test(integer_conv, pads_with_the_zero_of_x)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_CONV);
    set_window(&c, 1, (int64_t[]){ 2 }, (int64_t[]){ 1, 0 });
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 3, 1), OP_WHOLES(3, 5, 255));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(1, 1, 2), OP_WHOLES(-128, 2));
    op_case_add_wholes(&c, CB_UINT8, OP_SCALAR, OP_WHOLES(4));
    op_case_run(&c);
    cr_expect_eq(c.out[0].dtype, CB_INT32);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 3, 1));
    /* x less its zero: 0 | -1 1 251 */
    op_case_expect_wholes(&c, 0, OP_WHOLES(-2, 128 + 2, -128 + 502));
    op_case_free(&c);
}

Test(integer_conv, groups_have_zeros_of_their_own)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_CONV);
    c.node.attr.conv.group = 2;
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2, 1, 2), OP_WHOLES(1, 2, -3, -128));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2, 1, 1), OP_WHOLES(10, 255));
    op_case_absent(&c);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2), OP_WHOLES(7, 0));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(3, 510, -9, -128 * 255));
    op_case_free(&c);
}

Test(integer_conv, is_the_same_on_every_isa)
{
    static const int64_t groups[] = { 1, 3, 21 };
    for (int i = 0; i < 3; i++) {
        struct op_case c = op_case_make(CB_OP_INTEGER_CONV);
        c.node.attr.conv.group = groups[i];
        set_window(&c, 2, (int64_t[]){ 3, 2 }, (int64_t[]){ 1, 0, 2, 1 });
        add_drawn(&c, CB_UINT8, OP_SHAPE(2, 5, 7, 21));
        add_drawn(&c, i == 1 ? CB_INT8 : CB_UINT8, OP_SHAPE(21, 21 / groups[i], 3, 2));
        add_drawn(&c, CB_UINT8, OP_SCALAR);
        add_drawn(&c, i == 1 ? CB_INT8 : CB_UINT8, OP_SHAPE(21));
        op_case_expect_same_on_every_isa(&c, 0);
        op_case_free(&c);
    }
}

Test(integer_conv, refuses_two_zeros_of_x)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_CONV);
    c.node.name = "n";
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 1, 2), OP_WHOLES(1, 2));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 2, 1), OP_WHOLES(1, 2));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2), OP_WHOLES(1, 2));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "n: wants a zero point, or 1 of them, has [2]");
    op_case_free(&c);
}

Test(integer_matmul, rows_and_columns_have_zeros)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_MATMUL);
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2, 2), OP_WHOLES(1, 2, 3, 4));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2, 3), OP_WHOLES(5, 6, 7, 8, 9, 10));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2), OP_WHOLES(1, -1));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(3), OP_WHOLES(0, 9, 200));
    op_case_run(&c);
    /* [0 1; 4 5] x [5 -3 -193; 8 0 -190] */
    op_case_expect_wholes(&c, 0, OP_WHOLES(8, 0, -190, 60, -12, -772 - 950));
    op_case_free(&c);
}

/* 300 products of 255 x 255 are more than a float holds. */
Test(integer_matmul, sums_are_exact)
{
    static int64_t a[300], b[300];
    struct op_case c = op_case_make(CB_OP_INTEGER_MATMUL);
    for (int i = 0; i < 300; i++)
        a[i] = b[i] = 255;
    a[7] = 254;
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(300), a);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(300, 1), b);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1));
    op_case_expect_wholes(&c, 0, OP_WHOLES(300 * 65025 - 255));
    op_case_free(&c);
}

Test(integer_matmul, broadcasts_matrices_with_a_zero_for_every_row_and_column)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_MATMUL);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2, 1, 1, 1), OP_WHOLES(5, 7));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2, 1, 2), OP_WHOLES(1, 2, 3, 4));
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(2, 1, 1, 1), OP_WHOLES(1, 2));
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(2, 1, 2), OP_WHOLES(1, 1, 1, -1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2, 1, 2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(0, 4, 8, 20, 0, 5, 10, 25));
    op_case_free(&c);
}

Test(integer_matmul, is_the_same_on_every_isa_and_nothing_sums_to_0)
{
    struct op_case c = op_case_make(CB_OP_INTEGER_MATMUL),
                   none = op_case_make(CB_OP_INTEGER_MATMUL);
    add_drawn(&c, CB_INT8, OP_SHAPE(3, 5, 67));
    add_drawn(&c, CB_UINT8, OP_SHAPE(3, 67, 35));
    add_drawn(&c, CB_INT8, OP_SHAPE(5));
    add_drawn(&c, CB_UINT8, OP_SCALAR);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_add_wholes(&none, CB_INT8, OP_SHAPE(1, 0), OP_WHOLES(0));
    op_case_add_wholes(&none, CB_INT8, OP_SHAPE(0, 2), OP_WHOLES(0));
    op_case_run(&none);
    op_case_expect_wholes(&none, 0, OP_WHOLES(0, 0));
    op_case_free(&c);
    op_case_free(&none);
}

Test(integer_matmul, refuses_sums_that_32_bits_cannot_hold)
{
    static int64_t many[40000];
    struct op_case c = op_case_make(CB_OP_INTEGER_MATMUL);
    c.node.name = "n";
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(1, 40000), many);
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(40000, 1), many);
    op_case_expect_refusal(&c, CB_ERR_UNSUPPORTED, "n: sums of 40000 products, of at most 32768");
    op_case_free(&c);
}
