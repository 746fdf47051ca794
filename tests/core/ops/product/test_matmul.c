#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>

#include "tests/support/gradcheck.h"

/* clang-format off */
static const struct { struct cb_shape a, b, y; } forms[] = {
    { { 2, { 3, 5 } }, { 2, { 5, 37 } }, { 2, { 3, 37 } } },
    { { 1, { 5 } }, { 1, { 5 } }, { 0, { 0 } } },
    { { 1, { 5 } }, { 2, { 5, 4 } }, { 1, { 4 } } },
    { { 2, { 4, 5 } }, { 1, { 5 } }, { 1, { 4 } } },
    { { 3, { 2, 3, 5 } }, { 2, { 5, 4 } }, { 3, { 2, 3, 4 } } },
    { { 2, { 3, 5 } }, { 3, { 2, 5, 4 } }, { 3, { 2, 3, 4 } } },
    { { 4, { 2, 1, 3, 5 } }, { 4, { 1, 3, 5, 4 } }, { 4, { 2, 3, 3, 4 } } },
    { { 4, { 2, 3, 2, 5 } }, { 3, { 3, 5, 4 } }, { 4, { 2, 3, 2, 4 } } },
    { { 1, { 5 } }, { 3, { 2, 5, 4 } }, { 2, { 2, 4 } } },
    { { 4, { 3, 1, 4, 5 } }, { 1, { 5 } }, { 3, { 3, 1, 4 } } },
    { { 3, { 1, 2, 5 } }, { 4, { 1, 1, 5, 3 } }, { 4, { 1, 1, 2, 3 } } },
    { { 3, { 1, 2, 5 } }, { 3, { 4, 5, 3 } }, { 3, { 4, 2, 3 } } },
    { { 3, { 0, 2, 5 } }, { 2, { 5, 3 } }, { 3, { 0, 2, 3 } } },
    { { 2, { 2, 0 } }, { 2, { 0, 3 } }, { 2, { 2, 3 } } },
};
/* clang-format on */

/* y[index] from the definition; index counts y's elements. */
static double definition(const struct op_case *c, size_t index)
{
    const struct cb_shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    const int64_t m = a->rank > 1 ? a->dim[a->rank - 2] : 1,
                  n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    const int64_t k = a->dim[a->rank - 1], row = (int64_t)index / n % m,
                  column = (int64_t)index % n;
    int64_t rest = (int64_t)index / n / m, ia = 0, ib = 0, a_step = 1, b_step = 1;
    for (int i = 3; i <= CB_MAX_RANK; i++) { /* leading axes from the last one on */
        const int64_t da = a->rank >= i ? a->dim[a->rank - i] : 1,
                      db = b->rank >= i ? b->dim[b->rank - i] : 1;
        const int64_t d = da > db ? da : db;
        ia += da > 1 ? rest % d * a_step : 0, ib += db > 1 ? rest % d * b_step : 0;
        a_step *= da, b_step *= db, rest /= d;
    }
    double sum = 0;
    for (int64_t i = 0; i < k; i++)
        sum += (double)c->in[0].f[(ia * m + row) * k + i] * c->in[1].f[(ib * k + i) * n + column];
    return sum;
}

ParameterizedTestParameters(matmul, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *form, matmul, equals_its_definition)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    op_case_random(&c, forms[*form].a, OP_UNIFORM);
    op_case_random(&c, forms[*form].b, OP_UNIFORM);
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++) {
        op_case_run(&c);
        op_case_expect_shape(&c, 0, forms[*form].y);
        for (size_t i = 0; i < cb_tensor_count(&c.out[0]); i++)
            cr_assert(epsilon_eq(dbl, c.out[0].f[i], definition(&c, i), 1e-5), "[%d]", (int)i);
    }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(matmul, gradient_of_a_matrix_times_itself)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    op_case_random(&c, OP_SHAPE(2, 5, 5), OP_UNIFORM);
    op_case_again(&c, 0);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(matmul, clamps_and_its_gradient_knows)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    c.node.attr.matmul.lo = 0, c.node.attr.matmul.hi = 6;
    op_case_add(&c, OP_SHAPE(3, 1), OP_FLOATS(-2, 2, 5));
    op_case_add(&c, OP_SHAPE(1, 1), OP_FLOATS(2));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 4, 6));
    op_case_backward(&c);
    const float g = c.dout[0].f[1];
    cr_expect(eq(flt, c.din[0].f[0], 0));
    cr_expect(eq(flt, c.din[0].f[1], 2 * g));
    cr_expect(eq(flt, c.din[1].f[0], 2 * g));
    op_case_free(&c);
}

Test(matmul, multiplies_whole_numbers_and_wraps)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 1, 2), OP_WHOLES(1, 2, 65536, 65536));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 2), OP_WHOLES(3, -4, 32768, 6));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1, 2));
    op_case_expect_wholes(&c, 0, OP_WHOLES(65539, 8, -2147483648LL + 196608, 131072));
    op_case_free(&c);
}

Test(matmul, says_why_it_refuses)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    c.node.name = "scores";
    op_case_random(&c, OP_SHAPE(2, 3, 4), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(3, 4, 5), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "scores: [2,3,4] and [3,4,5] do not multiply");
    c.in[1].shape = OP_SHAPE(3, 5);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "scores: [2,3,4] and [3,5] do not multiply");
    c.in[1].shape = OP_SCALAR;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "scores: [2,3,4] and [] do not multiply");
    c.in[1].dtype = CB_INT64;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "scores: wants inputs of one type, has float and int64");
    c.in[0].dtype = c.in[1].dtype = CB_BOOL;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "scores: wants numbers, has bool");
    op_case_free(&c);
}

static struct op_case extended(struct cb_shape a, bool bias, bool residual)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    struct cb_shape y = a;
    y.dim[y.rank - 1] = 7;
    op_case_random(&c, a, OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5, 7), OP_UNIFORM);
    if (bias)
        op_case_random(&c, OP_SHAPE(7), OP_UNIFORM);
    else
        op_case_absent(&c);
    if (residual)
        op_case_random(&c, y, OP_UNIFORM);
    return c;
}

Test(matmul, adds_bias_and_residual_before_it_clamps)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    op_case_add(&c, OP_SHAPE(1, 2, 1), OP_FLOATS(1, 2));
    op_case_add(&c, OP_SHAPE(1, 2), OP_FLOATS(3, 4));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(10, 20));
    op_case_add(&c, OP_SHAPE(1, 2, 2), OP_FLOATS(100, 200, 300, -400));
    c.node.attr.matmul.lo = 0;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(113, 224, 316, 0));
    op_case_free(&c);
}

Test(matmul, gradients_of_bias_and_residual_agree_with_finite_differences)
{
    for (int form = 0; form < 4; form++) {
        struct op_case c = extended(OP_SHAPE(2, 3, 5), form & 1, form & 2);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
        c = extended(OP_SHAPE(5), form & 1, form & 2);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(matmul, ends_with_an_activation)
{
    struct op_case plain = extended(OP_SHAPE(2, 3, 5), true, true);
    op_case_run(&plain);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(CB_ISA_GENERIC);
        struct op_case c = extended(OP_SHAPE(2, 3, 5), true, true);
        const struct cb_act act = { CB_ACT_GELU, 0, 0 };
        float want[42];
        c.isa = isa;
        c.node.attr.matmul.act = act;
        op_case_run(&c);
        k.activate[CB_ACT_GELU](act, 1, 42, 0, plain.out[0].f, want);
        op_case_expect_floats(&c, 0, 1e-6, want);
        op_case_free(&c);
    }
    op_case_free(&plain);
}

Test(matmul, takes_a_bias_and_a_residual_of_its_own_shape_beside_one_matrix_alone)
{
    struct op_case c = op_case_make(CB_OP_MATMUL);
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 5, 7), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(7), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: bias beside one matrix wants [7], has [7]");
    op_case_free(&c);
    c = extended(OP_SHAPE(3, 5), false, false);
    op_case_random(&c, OP_SHAPE(3, 1), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: residual beside one matrix wants [3,7], has [3,1]");
    op_case_free(&c);
}
