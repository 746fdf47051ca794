#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

/* y of two small tensors: a [2,2] with b broadcast along rows. */
static void expect_floats(enum cb_op op, const float *a, const float *b, const float *want)
{
    struct op_case c = op_case_make(op);
    c.node.attr.binary.fmod = true;
    op_case_add(&c, OP_SHAPE(2, 2), a);
    op_case_add(&c, OP_SHAPE(2), b);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 2));
    op_case_expect_floats(&c, 0, 1e-6, want);
    op_case_free(&c);
}

Test(elementwise, gives_the_values_of_its_formula)
{
    const float *a = OP_FLOATS(1, -2, 3.5f, 4), *b = OP_FLOATS(2, -0.5f);
    expect_floats(CB_OP_ADD, a, b, OP_FLOATS(3, -2.5f, 5.5f, 3.5f));
    expect_floats(CB_OP_SUB, a, b, OP_FLOATS(-1, -1.5f, 1.5f, 4.5f));
    expect_floats(CB_OP_MUL, a, b, OP_FLOATS(2, 1, 7, -2));
    expect_floats(CB_OP_DIV, a, b, OP_FLOATS(0.5f, 4, 1.75f, -8));
    expect_floats(CB_OP_POW, a, b, OP_FLOATS(1, NAN, 12.25f, 0.5f));
    expect_floats(CB_OP_MOD, a, b, OP_FLOATS(1, 0, 1.5f, 0));
    expect_floats(CB_OP_MIN, a, b, OP_FLOATS(1, -2, 2, -0.5f));
    expect_floats(CB_OP_MAX, a, b, OP_FLOATS(2, -0.5f, 3.5f, 4));
    expect_floats(CB_OP_PRELU, a, b, OP_FLOATS(1, 1, 3.5f, 4));
}

static void expect_truth(enum cb_op op, const int64_t *want)
{
    struct op_case c = op_case_make(op);
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(1, 2, 3, NAN));
    op_case_add(&c, OP_SCALAR, OP_FLOATS(2));
    op_case_run(&c);
    cr_expect(eq(int, (int)c.out[0].dtype, CB_BOOL));
    op_case_expect_wholes(&c, 0, want);
    op_case_free(&c);
}

Test(elementwise, compares_real_numbers)
{
    expect_truth(CB_OP_EQUAL, OP_WHOLES(0, 1, 0, 0));
    expect_truth(CB_OP_GREATER, OP_WHOLES(0, 0, 1, 0));
    expect_truth(CB_OP_LESS, OP_WHOLES(1, 0, 0, 0));
    expect_truth(CB_OP_GREATER_EQUAL, OP_WHOLES(0, 1, 1, 0));
    expect_truth(CB_OP_LESS_EQUAL, OP_WHOLES(1, 1, 0, 0));
}

static void expect_wholes(enum cb_op op, enum cb_dtype dtype, const int64_t *a, const int64_t *b,
                          const int64_t *want)
{
    struct op_case c = op_case_make(op);
    op_case_add_wholes(&c, dtype, OP_SHAPE(4), a);
    op_case_add_wholes(&c, dtype, OP_SHAPE(4), b);
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, want);
    op_case_free(&c);
}

Test(elementwise, computes_whole_numbers_and_wraps_to_the_type)
{
    const int64_t *a = OP_WHOLES(7, -7, 100, 0), *b = OP_WHOLES(2, 2, 100, 5);
    expect_wholes(CB_OP_ADD, CB_INT8, a, b, OP_WHOLES(9, -5, -56, 5));
    expect_wholes(CB_OP_SUB, CB_INT8, a, b, OP_WHOLES(5, -9, 0, -5));
    expect_wholes(CB_OP_MUL, CB_INT8, a, b, OP_WHOLES(14, -14, 16, 0));
    expect_wholes(CB_OP_DIV, CB_INT8, a, b, OP_WHOLES(3, -3, 1, 0));
    expect_wholes(CB_OP_POW, CB_INT32, a, b, OP_WHOLES(49, 49, 0, 0));
    expect_wholes(CB_OP_MOD, CB_INT8, a, b, OP_WHOLES(1, 1, 0, 0));
    expect_wholes(CB_OP_MIN, CB_INT8, a, b, OP_WHOLES(2, -7, 100, 0));
    expect_wholes(CB_OP_MAX, CB_INT8, a, b, OP_WHOLES(7, 2, 100, 5));
    expect_wholes(CB_OP_PRELU, CB_INT32, a, b, OP_WHOLES(7, -14, 100, 0));
    expect_wholes(CB_OP_EQUAL, CB_INT64, a, b, OP_WHOLES(0, 0, 1, 0));
}

Test(elementwise, works_on_bits)
{
    expect_wholes(CB_OP_BITWISE_AND, CB_INT8, OP_WHOLES(12, -1, 5, -128), OP_WHOLES(10, 7, 2, -128),
                  OP_WHOLES(8, 7, 0, -128));
    expect_wholes(CB_OP_BITWISE_OR, CB_INT8, OP_WHOLES(12, -1, 5, -128), OP_WHOLES(10, 7, 2, 1),
                  OP_WHOLES(14, -1, 7, -127));
    expect_wholes(CB_OP_BITWISE_XOR, CB_UINT8, OP_WHOLES(12, 255, 5, 0), OP_WHOLES(10, 7, 5, 1),
                  OP_WHOLES(6, 248, 0, 1));
    expect_wholes(CB_OP_SHIFT_LEFT, CB_UINT8, OP_WHOLES(16, 255, 1, 1), OP_WHOLES(1, 4, 8, 0),
                  OP_WHOLES(32, 240, 0, 1));
    expect_wholes(CB_OP_SHIFT_RIGHT, CB_UINT64, OP_WHOLES(16, -1, 1, 1), OP_WHOLES(1, 63, 64, -1),
                  OP_WHOLES(8, 1, 0, 0));
}

Test(elementwise, shifts_take_unsigned_numbers_alone)
{
    struct op_case c = op_case_make(CB_OP_SHIFT_LEFT);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an unsigned type, has int32");
    op_case_free(&c);
}

Test(elementwise, division_by_zero_and_the_one_overflow_do_no_harm)
{
    const int64_t *a = OP_WHOLES(5, -5, INT64_MIN, 0), *b = OP_WHOLES(0, 0, -1, 0);
    expect_wholes(CB_OP_DIV, CB_INT64, a, b, OP_WHOLES(0, 0, INT64_MIN, 0));
    expect_wholes(CB_OP_MOD, CB_INT64, a, b, OP_WHOLES(0, 0, 0, 0));
    expect_wholes(CB_OP_POW, CB_INT64, OP_WHOLES(0, 2, -1, 1), OP_WHOLES(-1, -1, -3, INT64_MIN),
                  OP_WHOLES(0, 0, -1, 1));
}

Test(elementwise, mod_has_the_sign_of_the_divisor_or_with_fmod_of_the_dividend)
{
    const int64_t *a = OP_WHOLES(-4, 7, 5, -6), *b = OP_WHOLES(3, -3, 3, 3);
    expect_wholes(CB_OP_MOD, CB_INT32, a, b, OP_WHOLES(2, -2, 2, 0));

    struct op_case c = op_case_make(CB_OP_MOD);
    c.node.attr.binary.fmod = true;
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(4), a);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(4), b);
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(-1, 1, 2, 0));
    op_case_free(&c);
}

Test(elementwise, takes_unsigned_64_bit_numbers_as_unsigned)
{
    const int64_t *a = OP_WHOLES(-1, -1, 1, 3), *b = OP_WHOLES(1, 2, -1, 3);
    expect_wholes(CB_OP_GREATER, CB_UINT64, a, b, OP_WHOLES(1, 1, 0, 0));
    expect_wholes(CB_OP_LESS_EQUAL, CB_UINT64, a, b, OP_WHOLES(0, 0, 1, 1));
    expect_wholes(CB_OP_DIV, CB_UINT64, a, b, OP_WHOLES(-1, INT64_MAX, 0, 1));
    expect_wholes(CB_OP_MOD, CB_UINT64, a, b, OP_WHOLES(0, 1, 1, 0));
    expect_wholes(CB_OP_MAX, CB_UINT64, a, b, OP_WHOLES(-1, -1, -1, 3));
    expect_wholes(CB_OP_MIN, CB_UINT64, a, b, OP_WHOLES(1, 2, 1, 3));
}

Test(elementwise, and_or_xor_take_truth_alone)
{
    const int64_t *a = OP_WHOLES(0, 0, 1, 1), *b = OP_WHOLES(0, 1, 0, 1);
    expect_wholes(CB_OP_AND, CB_BOOL, a, b, OP_WHOLES(0, 0, 0, 1));
    expect_wholes(CB_OP_OR, CB_BOOL, a, b, OP_WHOLES(0, 1, 1, 1));
    expect_wholes(CB_OP_XOR, CB_BOOL, a, b, OP_WHOLES(0, 1, 1, 0));
    expect_wholes(CB_OP_EQUAL, CB_BOOL, a, b, OP_WHOLES(1, 0, 0, 1));

    struct op_case c = op_case_make(CB_OP_AND);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants another type, has int32");
    op_case_free(&c);
}

Test(elementwise, pow_takes_an_exponent_of_another_type)
{
    struct op_case c = op_case_make(CB_OP_POW);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(2, 0.5f, -3));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(3, 2, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(8, 0.25f, -27));
    op_case_free(&c);

    struct op_case w = op_case_make(CB_OP_POW);
    op_case_add_wholes(&w, CB_INT32, OP_SHAPE(3), OP_WHOLES(4, 9, 2));
    op_case_add(&w, OP_SCALAR, OP_FLOATS(0.5f));
    op_case_run(&w);
    cr_expect(eq(int, (int)w.out[0].dtype, CB_INT32));
    op_case_expect_wholes(&w, 0, OP_WHOLES(2, 3, 1));
    op_case_free(&w);
}

Test(elementwise, min_and_max_keep_nan)
{
    expect_floats(CB_OP_MIN, OP_FLOATS(NAN, 1, 2, NAN), OP_FLOATS(1, NAN),
                  OP_FLOATS(NAN, NAN, 1, NAN));
    expect_floats(CB_OP_MAX, OP_FLOATS(NAN, 1, 2, NAN), OP_FLOATS(1, NAN),
                  OP_FLOATS(NAN, NAN, 2, NAN));
}

Test(elementwise, add_clamps_when_an_activation_is_fused)
{
    struct op_case c = op_case_make(CB_OP_ADD);
    c.node.attr.binary.lo = 0;
    c.node.attr.binary.hi = 6;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(-3, 1, 5, 2));
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 1, 5, 2));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 2, 6, 4));
    op_case_free(&c);
}

Test(elementwise, the_form_before_opset_7_puts_b_at_an_axis_of_a)
{
    struct op_case c = op_case_make(CB_OP_ADD);
    c.node.attr.binary.aligned = true;
    c.node.attr.binary.axis = 1;
    op_case_add(&c, OP_SHAPE(1, 2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(10, 20));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(11, 12, 23, 24));
    c.node.attr.binary.axis = -1;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(11, 22, 13, 24));
    op_case_free(&c);
}

/* A random shape of at most rank 5, and two that broadcast to it. */
static void draw_shapes(struct cb_rng *rng, struct cb_shape *y, struct cb_shape operand[2])
{
    *y = (struct cb_shape){ .rank = (int)cb_rng_below(rng, 6) };
    for (int i = 0; i < y->rank; i++)
        y->dim[i] = 1 + (int64_t)cb_rng_below(rng, i == y->rank - 1 ? 20 : 4);
    for (int k = 0; k < 2; k++) {
        const int cut = cb_rng_below(rng, 2) ? 0 : (int)cb_rng_below(rng, (uint64_t)y->rank + 1);
        operand[k] = (struct cb_shape){ .rank = y->rank - cut };
        for (int i = 0; i < operand[k].rank; i++)
            operand[k].dim[i] = cb_rng_below(rng, 3) ? y->dim[i + cut] : 1;
    }
}

Test(elementwise, broadcasts_as_its_definition_says_for_random_shapes)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct op_case c = op_case_make(seed % 2 ? CB_OP_ADD : CB_OP_MUL);
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape y, operand[2];
        size_t stride[2][CB_MAX_RANK];
        draw_shapes(&rng, &y, operand);
        op_case_random(&c, operand[0], OP_UNIFORM);
        op_case_random(&c, operand[1], OP_UNIFORM);
        c.isa = cb_isa_best();
        op_case_run(&c);
        cr_assert(cb_shape_broadcast(&operand[0], &operand[1], &y));
        op_case_expect_shape(&c, 0, y);
        for (int k = 0; k < 2; k++)
            cb_shape_strides(&operand[k], &y, stride[k]);
        for (size_t i = 0; i < cb_shape_count(&y); i++) {
            size_t at[2] = { 0 }, rest = i;
            for (int k = y.rank - 1; k >= 0; rest /= (size_t)y.dim[k], k--)
                for (int o = 0; o < 2; o++)
                    at[o] += rest % (size_t)y.dim[k] * stride[o][k];
            const float a = c.in[0].f[at[0]], b = c.in[1].f[at[1]], want = seed % 2 ? a + b : a * b;
            cr_assert(c.out[0].f[i] == want, "seed %d, element %zu", (int)seed, i);
        }
        op_case_free(&c);
    }
}

Test(elementwise, gradients_of_random_broadcasts_agree_with_finite_differences)
{
    static const enum cb_op ops[] = { CB_OP_ADD, CB_OP_SUB, CB_OP_MUL, CB_OP_DIV,
                                      CB_OP_MIN, CB_OP_MAX, CB_OP_POW };
    for (uint64_t seed = 1; seed <= 42; seed++) {
        const enum cb_op op = ops[seed % CB_COUNT_OF(ops)];
        struct op_case c = op_case_make(op);
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape y, operand[2];
        draw_shapes(&rng, &y, operand);
        for (int k = 0; k < 2; k++)
            op_case_random(&c, operand[k], OP_POSITIVE);
        for (size_t i = 0; i < cb_tensor_count(&c.in[0]);
             i++) /* a on one grid, b on another: no ties */
            c.in[0].f[i] = 0.6f + 0.1f * floorf(c.in[0].f[i] * 10);
        for (size_t i = 0; i < cb_tensor_count(&c.in[1]); i++)
            c.in[1].f[i] = 0.65f + 0.1f * floorf(c.in[1].f[i] * 10);
        gradcheck(&c, 2e-3);
        op_case_free(&c);
    }
}

Test(elementwise, gradients_hold_for_prelu_mod_the_clamp_and_the_aligned_form)
{
    struct op_case p = op_case_make(CB_OP_PRELU);
    op_case_random(&p, OP_SHAPE(2, 3, 5), OP_DISTINCT);
    op_case_random(&p, OP_SHAPE(3, 1), OP_UNIFORM);
    gradcheck(&p, 1e-3);
    op_case_free(&p);

    struct op_case m = op_case_make(CB_OP_MOD);
    m.node.attr.binary.fmod = true;
    op_case_add(&m, OP_SHAPE(4), OP_FLOATS(0.55f, -1.3f, 2.2f, 3.1f));
    op_case_add(&m, OP_SHAPE(1), OP_FLOATS(0.7f));
    gradcheck(&m, 1e-3);
    op_case_free(&m);

    struct op_case a = op_case_make(CB_OP_ADD);
    a.node.attr.binary.lo = 0;
    op_case_random(&a, OP_SHAPE(5, 5), OP_DISTINCT);
    op_case_add(&a, OP_SHAPE(1), OP_FLOATS(0.2f));
    gradcheck(&a, 1e-3);
    op_case_free(&a);

    struct op_case l = op_case_make(CB_OP_MUL);
    l.node.attr.binary.aligned = true;
    l.node.attr.binary.axis = 1;
    op_case_random(&l, OP_SHAPE(2, 3, 2), OP_UNIFORM);
    op_case_random(&l, OP_SHAPE(3), OP_UNIFORM);
    gradcheck(&l, 1e-3);
    op_case_free(&l);
}

Test(elementwise, gradient_of_a_tensor_with_itself_counts_twice)
{
    struct op_case c = op_case_make(CB_OP_MUL);
    op_case_random(&c, OP_SHAPE(3, 5), OP_UNIFORM);
    op_case_again(&c, 0);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(elementwise, large_tensors_are_the_same_with_threads_and_on_every_isa)
{
    static const struct cb_shape b[] = {
        { 4, { 2, 31, 33, 24 } }, { 0, { 0 } }, { 1, { 24 } }, { 4, { 2, 1, 1, 24 } },
        { 4, { 2, 31, 33, 1 } },
    };
    for (size_t i = 0; i < CB_COUNT_OF(b); i++) {
        struct op_case c = op_case_make(i % 2 ? CB_OP_MUL : CB_OP_ADD);
        op_case_random(&c, OP_SHAPE(2, 31, 33, 24), OP_UNIFORM);
        op_case_random(&c, b[i], OP_UNIFORM);
        op_case_expect_same_on_every_isa(&c, 0);
        op_case_free(&c);
    }
}

Test(elementwise, runs_in_place)
{
    struct op_case c = op_case_make(CB_OP_SUB);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add(&c, OP_SHAPE(2, 1), OP_FLOATS(1, 2));
    op_case_run(&c);
    c.in_place = true;
    op_case_forward(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 1, 1, 2));
    op_case_free(&c);
}

static void expect_refusal(enum cb_op op, bool aligned, struct cb_shape a, struct cb_shape b,
                           const char *message)
{
    struct op_case c = op_case_make(op);
    c.node.attr.binary.aligned = aligned;
    op_case_random(&c, a, OP_UNIFORM);
    op_case_random(&c, b, OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(elementwise, refuses_shapes_that_do_not_fit_and_says_which)
{
    expect_refusal(CB_OP_ADD, false, OP_SHAPE(2, 3), OP_SHAPE(2),
                   "node: wants shapes that broadcast, has [2,3] and [2]");
    expect_refusal(CB_OP_ADD, true, OP_SHAPE(3), OP_SHAPE(1, 3),
                   "node: wants shapes that broadcast, has [3] and [1,3]");
    expect_refusal(CB_OP_ADD, true, OP_SHAPE(2, 1), OP_SHAPE(3),
                   "node: wants a second input that fits into [2,1], has [3]");
    expect_refusal(CB_OP_PRELU, false, OP_SHAPE(1), OP_SHAPE(3),
                   "node: wants a second input that fits into [1], has [3]");
    expect_refusal(CB_OP_MOD, false, OP_SHAPE(3), OP_SHAPE(3),
                   "node: wants fmod for real numbers, has none");
    expect_refusal(CB_OP_XOR, false, OP_SHAPE(3), OP_SHAPE(3),
                   "node: wants another type, has float");
}

Test(elementwise, refuses_inputs_of_two_types_or_an_absent_one)
{
    struct op_case c = op_case_make(CB_OP_ADD);
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants inputs of one type, has float and int64");
    op_case_free(&c);

    struct op_case a = op_case_make(CB_OP_ADD);
    op_case_add(&a, OP_SHAPE(1), OP_FLOATS(1));
    op_case_absent(&a);
    op_case_expect_refusal(&a, CB_ERR_MODEL, "node: wants input 1, has none");
    op_case_free(&a);
}
