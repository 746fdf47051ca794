#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "tests/support/gradcheck.h"

/* f(x) with the operator's default attributes, worked out by hand. */
static const struct {
    enum cb_op op;
    float x[4], y[4];
} examples[] = {
    { CB_OP_LEAKY_RELU, { -100, 0, 1, 3 }, { -1, 0, 1, 3 } },
    { CB_OP_SIGMOID, { 0, 1, -1, 200 }, { 0.5f, 0.73105858f, 0.26894142f, 1 } },
    { CB_OP_TANH, { 0, 1, -1, 100 }, { 0, 0.76159416f, -0.76159416f, 1 } },
    { CB_OP_EXP, { 0, 1, -1, 2 }, { 1, 2.7182818f, 0.36787944f, 7.3890561f } },
    { CB_OP_LOG, { 1, 2, 0.5f, 10 }, { 0, 0.69314718f, -0.69314718f, 2.3025851f } },
    { CB_OP_SQRT, { 0, 1, 4, 2 }, { 0, 1, 2, 1.4142136f } },
    { CB_OP_RECIPROCAL, { 1, -2, 4, 0.5f }, { 1, -0.5f, 0.25f, 2 } },
    { CB_OP_ABS, { -1.5f, 0, 2, -3 }, { 1.5f, 0, 2, 3 } },
    { CB_OP_NEG, { -1.5f, 0, 2, -3 }, { 1.5f, 0, -2, 3 } },
    { CB_OP_SIGN, { -1.5f, 0, 2, -3 }, { -1, 0, 1, -1 } },
    { CB_OP_FLOOR, { -1.5f, 0.9f, 2, -0.1f }, { -2, 0, 2, -1 } },
    { CB_OP_CEIL, { -1.5f, 0.1f, 2, -0.1f }, { -1, 1, 2, 0 } },
    { CB_OP_ROUND, { 0.5f, 1.5f, -2.5f, 2.4f }, { 0, 2, -2, 2 } },
    { CB_OP_ERF, { 0, 1, -1, 5 }, { 0, 0.84270079f, -0.84270079f, 1 } },
    { CB_OP_HARD_SIGMOID, { -3, 0, 1, 3 }, { 0, 0.5f, 0.7f, 1 } },
    { CB_OP_HARD_SWISH, { -4, -1, 1, 4 }, { 0, -1 / 3.0f, 2 / 3.0f, 4 } },
    { CB_OP_SILU, { 0, 1, -1, 20 }, { 0, 0.73105858f, -0.26894142f, 20 } },
    { CB_OP_ELU, { -1, 0, 2, -50 }, { -0.63212056f, 0, 2, -1 } },
    { CB_OP_SELU, { -1, 0, 1, -50 }, { -1.1113307f, 0, 1.0507010f, -1.7580993f } },
    { CB_OP_CELU, { -1, 0, 2, -50 }, { -0.63212056f, 0, 2, -1 } },
    { CB_OP_SOFTPLUS, { 0, 1, -200, 200 }, { 0.69314718f, 1.3132617f, 0, 200 } },
    { CB_OP_SOFTSIGN, { 0, 1, -3, 9 }, { 0, 0.5f, -0.75f, 0.9f } },
    { CB_OP_THRESHOLDED_RELU, { -1, 0.5f, 1, 1.5f }, { 0, 0, 0, 1.5f } },
    { CB_OP_GELU, { 0, 1, -1, 3 }, { 0, 0.84134475f, -0.15865525f, 2.9959503f } },
    { CB_OP_MISH, { 0, 1, -1, 20 }, { 0, 0.86509839f, -0.30340147f, 20 } },
    { CB_OP_SIN, { 0, 1, -1, 3 }, { 0, 0.84147098f, -0.84147098f, 0.14112001f } },
    { CB_OP_COS, { 0, 1, -1, 3 }, { 1, 0.54030231f, 0.54030231f, -0.98999250f } },
    { CB_OP_TAN, { 0, 1, -1, 0.5f }, { 0, 1.5574077f, -1.5574077f, 0.54630249f } },
    { CB_OP_ASIN, { 0, 1, -1, 0.5f }, { 0, 1.5707963f, -1.5707963f, 0.52359878f } },
    { CB_OP_ACOS, { 0, 1, -1, 0.5f }, { 1.5707963f, 0, 3.1415927f, 1.0471976f } },
    { CB_OP_ATAN, { 0, 1, -1, 3 }, { 0, 0.78539816f, -0.78539816f, 1.2490458f } },
    { CB_OP_SINH, { 0, 1, -1, 3 }, { 0, 1.1752012f, -1.1752012f, 10.017875f } },
    { CB_OP_COSH, { 0, 1, -1, 3 }, { 1, 1.5430806f, 1.5430806f, 10.067662f } },
    { CB_OP_ASINH, { 0, 1, -1, 3 }, { 0, 0.88137359f, -0.88137359f, 1.8184465f } },
    { CB_OP_ACOSH, { 1, 1.5f, 2, 3 }, { 0, 0.96242365f, 1.3169579f, 1.7627472f } },
    { CB_OP_ATANH, { 0, 0.5f, -0.5f, 0.9f }, { 0, 0.54930614f, -0.54930614f, 1.4722195f } },
    { CB_OP_SHRINK, { -2, 0.5f, -0.5f, 3 }, { -2, 0, 0, 3 } },
};

Test(activation, gives_the_values_of_its_formula)
{
    for (size_t i = 0; i < CB_COUNT_OF(examples); i++) {
        struct op_case c = op_case_make(examples[i].op);
        op_case_add(&c, OP_SHAPE(2, 2), examples[i].x);
        op_case_run(&c);
        op_case_expect_shape(&c, 0, OP_SHAPE(2, 2));
        for (size_t k = 0; k < 4; k++)
            cr_expect(fabsf(c.out[0].f[k] - examples[i].y[k]) <=
                          1e-6f * (1 + fabsf(examples[i].y[k])),
                      "%s(%g): wanted %.8g, found %.8g", cb_op_get(examples[i].op)->name,
                      (double)examples[i].x[k], (double)examples[i].y[k], (double)c.out[0].f[k]);
        op_case_free(&c);
    }
}

Test(activation, is_the_same_in_place_with_threads_and_on_every_isa)
{
    for (size_t i = 0; i < CB_COUNT_OF(examples); i++) {
        struct op_case c = op_case_make(examples[i].op);
        op_case_random(&c, OP_SHAPE(3, 5, 4001), OP_POSITIVE);
        op_case_expect_same_on_every_isa(&c, 1e-12);
        op_case_forward(&c);
        float *want = cb_arena_alloc(&c.arena, 3 * 5 * 4001, sizeof *want);
        memcpy(want, c.out[0].f, 3 * 5 * 4001 * sizeof *want);
        c.in_place = true;
        op_case_forward(&c);
        op_case_expect_floats(&c, 0, 0, want);
        op_case_free(&c);
    }
}

Test(activation, gradients_agree_with_finite_differences)
{
    for (size_t i = 0; i < CB_COUNT_OF(examples); i++) {
        struct op_case c = op_case_make(examples[i].op);
        const enum cb_op op = examples[i].op;
        const bool positive = op == CB_OP_LOG || op == CB_OP_SQRT || op == CB_OP_RECIPROCAL;
        op_case_random(&c, OP_SHAPE(3, 7), positive ? OP_POSITIVE : OP_DISTINCT);
        for (size_t k = 0; k < 21; k++) /* to where they have a slope */
            c.in[0].f[k] = op == CB_OP_ASIN || op == CB_OP_ACOS || op == CB_OP_ATANH
                               ? 0.7f * sinf(c.in[0].f[k])
                           : op == CB_OP_ACOSH ? 1.5f + fabsf(c.in[0].f[k])
                                               : c.in[0].f[k];
        gradcheck(&c, 2e-3);
        op_case_free(&c);
    }
}

Test(activation, gradients_hold_for_other_attributes_too)
{
    static const enum cb_op ops[] = { CB_OP_LEAKY_RELU, CB_OP_HARD_SIGMOID, CB_OP_ELU,
                                      CB_OP_SELU,       CB_OP_CELU,         CB_OP_THRESHOLDED_RELU,
                                      CB_OP_SHRINK };
    for (size_t i = 0; i < CB_COUNT_OF(ops); i++) {
        struct op_case c = op_case_make(ops[i]);
        c.node.attr.unary.alpha = 0.4f;
        c.node.attr.unary.beta = 0.6f;
        op_case_random(&c, OP_SHAPE(3, 7), OP_DISTINCT);
        gradcheck(&c, 2e-3);
        op_case_free(&c);
    }
}

Test(activation, gelu_has_an_approximate_form)
{
    struct op_case c = op_case_make(CB_OP_GELU);
    c.node.attr.unary.approximate = true;
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, -1, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0.84119199f, -0.15880801f, 2.9963627f));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(activation, keeps_nan)
{
    for (size_t i = 0; i < CB_COUNT_OF(examples); i++) {
        struct op_case c = op_case_make(examples[i].op);
        if (examples[i].op == CB_OP_THRESHOLDED_RELU || examples[i].op == CB_OP_SHRINK)
            continue;
        op_case_add(&c, OP_SHAPE(1), OP_FLOATS(NAN));
        op_case_run(&c);
        cr_expect(isnan(c.out[0].f[0]), "%s", cb_op_get(examples[i].op)->name);
        op_case_free(&c);
    }
}

Test(activation, abs_neg_and_sign_take_whole_numbers_and_wrap)
{
    static const struct {
        enum cb_op op;
        int64_t y[4];
    } whole[] = {
        { CB_OP_ABS, { 3, 0, 5, -128 } },
        { CB_OP_NEG, { 3, 0, -5, -128 } },
        { CB_OP_SIGN, { -1, 0, 1, -1 } },
    };
    for (size_t i = 0; i < CB_COUNT_OF(whole); i++) {
        struct op_case c = op_case_make(whole[i].op);
        op_case_add_wholes(&c, CB_INT8, OP_SHAPE(4), OP_WHOLES(-3, 0, 5, -128));
        op_case_run(&c);
        op_case_expect_wholes(&c, 0, whole[i].y);
        op_case_free(&c);
    }
}

Test(activation, takes_unsigned_64_bit_numbers_as_unsigned)
{
    struct op_case c = op_case_make(CB_OP_SIGN);
    op_case_add_wholes(&c, CB_UINT64, OP_SHAPE(2), OP_WHOLES(-1, 0));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 0));
    op_case_free(&c);
}

Test(activation, refuses_whole_numbers_where_they_make_no_sense)
{
    struct op_case c = op_case_make(CB_OP_SIGMOID);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants real numbers, has int32");
    op_case_free(&c);
}

Test(activation, takes_scalars_and_empty_tensors)
{
    struct op_case c = op_case_make(CB_OP_EXP);
    op_case_add(&c, OP_SCALAR, OP_FLOATS(0));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SCALAR);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1));
    op_case_free(&c);

    struct op_case e = op_case_make(CB_OP_EXP);
    op_case_random(&e, OP_SHAPE(3, 0), OP_UNIFORM);
    op_case_run(&e);
    op_case_expect_shape(&e, 0, OP_SHAPE(3, 0));
    op_case_free(&e);
}
