#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static struct op_case to(enum cb_dtype dtype)
{
    struct op_case c = op_case_make(CB_OP_CAST);
    c.node.attr.cast.to = dtype;
    return c;
}

Test(cast, goes_towards_zero_and_wraps_to_the_width)
{
    struct op_case c = to(CB_INT8);
    op_case_add(&c, OP_SHAPE(5), OP_FLOATS(1.9f, -1.9f, 200, -129, 0.5f));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, -1, -56, 127, 0));
    op_case_free(&c);
}

Test(cast, to_32_bits_gives_their_lowest_number_for_what_does_not_fit)
{
    static const struct {
        enum cb_dtype dtype;
        int64_t large, nan, below;
    } cases[] = {
        { CB_INT32, INT32_MIN, INT32_MIN, -7 },
        { CB_UINT32, 3000000000, 0, 4294967289 },
        { CB_INT16, 0, 0, -7 },
        { CB_UINT8, 0, 0, 249 },
        { CB_UINT64, 3000000000, INT64_MIN, -7 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct op_case c = to(cases[i].dtype);
        op_case_add(&c, OP_SHAPE(3), OP_FLOATS(3e9f, NAN, -7.9f));
        op_case_run(&c);
        op_case_expect_wholes(&c, 0, OP_WHOLES(cases[i].large, cases[i].nan, cases[i].below));
        op_case_free(&c);
    }
}

Test(cast, between_whole_types_keeps_the_low_bits)
{
    static const struct {
        enum cb_dtype from, to;
        int64_t x, y;
    } cases[] = {
        { CB_INT32, CB_INT8, 300, 44 },          { CB_INT8, CB_UINT8, -1, 255 },
        { CB_INT64, CB_INT32, 1LL << 33, 0 },    { CB_INT64, CB_UINT32, -1, 4294967295 },
        { CB_UINT64, CB_INT16, -2, -2 },         { CB_INT16, CB_UINT64, -2, -2 },
        { CB_UINT32, CB_INT32, 4294967295, -1 }, { CB_BOOL, CB_UINT16, 1, 1 },
        { CB_UINT16, CB_INT16, 40000, -25536 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct op_case c = to(cases[i].to);
        op_case_add_wholes(&c, cases[i].from, OP_SHAPE(1), OP_WHOLES(cases[i].x));
        op_case_run(&c);
        op_case_expect_wholes(&c, 0, OP_WHOLES(cases[i].y));
        op_case_free(&c);
    }
}

Test(cast, survives_what_fits_no_whole_number)
{
    struct op_case c = to(CB_INT64);
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(NAN, INFINITY, -INFINITY, 1e30f));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN));
    op_case_free(&c);
}

Test(cast, to_bool_asks_for_a_difference_from_zero)
{
    struct op_case c = to(CB_BOOL);
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(0, -0.0f, 0.5f, NAN));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(0, 0, 1, 1));
    op_case_free(&c);

    struct op_case w = to(CB_BOOL);
    op_case_add_wholes(&w, CB_INT32, OP_SHAPE(3), OP_WHOLES(-2, 0, 256));
    op_case_run(&w);
    op_case_expect_wholes(&w, 0, OP_WHOLES(1, 0, 1));
    op_case_free(&w);
}

Test(cast, to_a_narrow_real_type_rounds)
{
    struct op_case c = to(CB_FLOAT16);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(2049, 1e6f, 0.5f));
    op_case_run(&c);
    cr_expect(eq(int, (int)c.out[0].dtype, CB_FLOAT16));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(2048, INFINITY, 0.5f));
    op_case_free(&c);

    struct op_case w = to(CB_BFLOAT16);
    op_case_add_wholes(&w, CB_INT64, OP_SHAPE(2), OP_WHOLES(257, -3));
    op_case_run(&w);
    op_case_expect_floats(&w, 0, 0, OP_FLOATS(256, -3));
    op_case_free(&w);
}

Test(cast, knows_that_unsigned_64_bit_numbers_have_no_sign)
{
    struct op_case c = to(CB_FLOAT32);
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(2), OP_WHOLES(-1, 5));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0x1p64f, 5));
    op_case_free(&c);

    struct op_case b = to(CB_UINT64);
    op_case_add(&b, OP_SHAPE(2), OP_FLOATS(0x1p63f, 7));
    op_case_run(&b);
    op_case_expect_wholes(&b, 0, OP_WHOLES(INT64_MIN, 7));
    op_case_free(&b);
}

Test(cast, passes_the_gradient_between_real_types)
{
    struct op_case c = to(CB_FLOAT64);
    op_case_random(&c, OP_SHAPE(3, 5), OP_UNIFORM);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(cast, refuses_a_type_that_is_none)
{
    struct op_case c = to(CB_DTYPE_NONE);
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants a type to cast to, has 0");
    op_case_free(&c);
}

Test(identity, copies_any_type)
{
    struct op_case c = op_case_make(CB_OP_IDENTITY);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 2), OP_WHOLES(3, 255));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(3, 255));
    op_case_free(&c);

    struct op_case g = op_case_make(CB_OP_IDENTITY);
    op_case_random(&g, OP_SHAPE(3, 5), OP_UNIFORM);
    gradcheck(&g, 1e-3);
    op_case_free(&g);
}

Test(not, turns_truth_around_and_takes_nothing_else)
{
    struct op_case c = op_case_make(CB_OP_NOT);
    op_case_add_wholes(&c, CB_BOOL, OP_SHAPE(2), OP_WHOLES(0, 1));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 0));
    op_case_free(&c);

    struct op_case f = op_case_make(CB_OP_NOT);
    op_case_add(&f, OP_SHAPE(1), OP_FLOATS(1));
    op_case_expect_refusal(&f, CB_ERR_MODEL, "node: wants bool, has float");
    op_case_free(&f);
}

static struct op_case dropout_case(float ratio, int64_t training)
{
    struct op_case c = op_case_make(CB_OP_DROPOUT);
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_add(&c, OP_SCALAR, &ratio);
    op_case_add_wholes(&c, CB_BOOL, OP_SCALAR, &training);
    return c;
}

Test(dropout, is_the_identity_unless_it_trains_with_a_ratio)
{
    for (int i = 0; i < 3; i++) {
        struct op_case c = dropout_case(i & 1 ? 0.5f : 0, i >> 1);
        op_case_run(&c);
        op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2));
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
    struct op_case c = dropout_case(0.25f, 1);
    op_case_expect_refusal(&c, CB_ERR_UNSUPPORTED,
                           "node: wants inference or ratio 0, has training with 0.25");
    op_case_free(&c);
}

Test(bitwise_not, turns_every_bit_of_the_type_around)
{
    struct op_case c = op_case_make(CB_OP_BITWISE_NOT);
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(3), OP_WHOLES(0, 255, 5));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(255, 0, 250));
    op_case_free(&c);
    struct op_case s = op_case_make(CB_OP_BITWISE_NOT);
    op_case_add_wholes(&s, CB_INT8, OP_SHAPE(2), OP_WHOLES(0, -128));
    op_case_run(&s);
    op_case_expect_wholes(&s, 0, OP_WHOLES(-1, 127));
    op_case_free(&s);
    struct op_case f = op_case_make(CB_OP_BITWISE_NOT);
    op_case_random(&f, OP_SHAPE(2), OP_UNIFORM);
    op_case_expect_refusal(&f, CB_ERR_MODEL, "node: wants whole numbers, has float");
    op_case_free(&f);
}
