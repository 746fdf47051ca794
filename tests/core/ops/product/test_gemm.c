#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>

#include "tests/support/gradcheck.h"

enum { M = 7, N = 35, K = 11 };

/* How C may be given for [M,N]; rank -1: not at all. */
static const struct cb_shape addends[] = {
    { -1, { 0 } },   { 2, { M, N } }, { 1, { N } }, { 2, { 1, N } },
    { 2, { M, 1 } }, { 1, { 1 } },    { 0, { 0 } }, { 2, { 1, 1 } },
};

static const struct {
    float alpha, beta;
} factors[] = { { 1, 1 }, { 0.5f, 1 }, { 1, -2 }, { 2, 0.25f } };

enum { FORMS = CB_COUNT_OF(addends) * CB_COUNT_OF(factors) * 4 };

static struct op_case case_of(size_t i)
{
    struct op_case c = op_case_make(CB_OP_GEMM);
    const bool trans_a = i & 1, trans_b = i & 2;
    c.node.attr.gemm.trans_a = trans_a, c.node.attr.gemm.trans_b = trans_b;
    c.node.attr.gemm.alpha = factors[i / 4 % CB_COUNT_OF(factors)].alpha;
    c.node.attr.gemm.beta = factors[i / 4 % CB_COUNT_OF(factors)].beta;
    op_case_random(&c, trans_a ? OP_SHAPE(K, M) : OP_SHAPE(M, K), OP_UNIFORM);
    op_case_random(&c, trans_b ? OP_SHAPE(N, K) : OP_SHAPE(K, N), OP_UNIFORM);
    const struct cb_shape sum = addends[i / 4 / CB_COUNT_OF(factors)];
    if (sum.rank >= 0)
        op_case_random(&c, sum, OP_UNIFORM);
    return c;
}

static double definition(const struct op_case *c, size_t i, size_t j)
{
    const union cb_attr *attr = &c->node.attr;
    double sum = 0;
    for (size_t k = 0; k < K; k++)
        sum += (double)c->in[0].f[attr->gemm.trans_a ? k * M + i : i * K + k] *
               c->in[1].f[attr->gemm.trans_b ? j * K + k : k * N + j];
    sum *= attr->gemm.alpha;
    if (c->node.n_in < 3)
        return sum;
    const struct cb_shape *s = &c->in[2].shape;
    const size_t rows = s->rank == 2 ? (size_t)s->dim[0] : 1,
                 columns = s->rank ? (size_t)s->dim[s->rank - 1] : 1;
    return sum + (double)attr->gemm.beta *
                     c->in[2].f[(rows > 1 ? i : 0) * columns + (columns > 1 ? j : 0)];
}

ParameterizedTestParameters(gemm, equals_its_definition)
{
    static size_t index[FORMS];
    for (size_t i = 0; i < FORMS; i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, FORMS);
}

ParameterizedTest(size_t *form, gemm, equals_its_definition)
{
    struct op_case c = case_of(*form);
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++) {
        op_case_run(&c);
        for (size_t i = 0; i < M * N; i++)
            cr_assert(epsilon_eq(dbl, c.out[0].f[i], definition(&c, i / N, i % N), 1e-5), "[%d]",
                      (int)i);
    }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(gemm, clamps_and_its_gradient_knows)
{
    struct op_case c = op_case_make(CB_OP_GEMM);
    c.node.attr.gemm.lo = 0, c.node.attr.gemm.hi = 6;
    op_case_add(&c, OP_SHAPE(3, 1), OP_FLOATS(-2, 2, 5));
    op_case_add(&c, OP_SHAPE(1, 1), OP_FLOATS(2));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 5, 6));
    op_case_backward(&c);
    const float g = c.dout[0].f[1];
    cr_expect(eq(flt, c.din[0].f[0], 0));
    cr_expect(eq(flt, c.din[0].f[1], 2 * g));
    cr_expect(eq(flt, c.din[0].f[2], 0));
    cr_expect(eq(flt, c.din[1].f[0], 2 * g));
    cr_expect(eq(flt, c.din[2].f[0], g));
    op_case_free(&c);
}

Test(gemm, multiplies_whole_numbers_and_wraps)
{
    struct op_case c = op_case_make(CB_OP_GEMM);
    c.node.attr.gemm.alpha = 2, c.node.attr.gemm.beta = -1, c.node.attr.gemm.trans_a = true;
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 1), OP_WHOLES(3, 65536));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 2), OP_WHOLES(5, -7, 0, 32768));
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2), OP_WHOLES(4, 1));
    c.constant = true;
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(26, -43));
    op_case_free(&c);
}

Test(gemm, takes_empty_matrices)
{
    struct op_case c = op_case_make(CB_OP_GEMM);
    op_case_random(&c, OP_SHAPE(2, 0), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(0, 3), OP_UNIFORM);
    op_case_add(&c, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 2, 3, 1, 2, 3));
    op_case_backward(&c);
    op_case_free(&c);
    c = op_case_make(CB_OP_GEMM);
    op_case_random(&c, OP_SHAPE(0, 2), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_expect_same_on_every_isa(&c, 0);
    op_case_expect_shape(&c, 0, OP_SHAPE(0, 3));
    op_case_free(&c);
}

Test(gemm, says_why_it_refuses)
{
    struct op_case c = case_of(4 * CB_COUNT_OF(factors));
    c.node.name = "fc6";
    c.in[2].shape = OP_SHAPE(M, 2);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "fc6: C wants a shape that broadcasts to [7,35], has [7,2]");
    c.in[2].shape = OP_SHAPE(2, M, N);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "fc6: C wants a shape that broadcasts to [7,35], has [2,7,35]");
    c.node.attr.gemm.trans_b = true;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "fc6: [7,11] and [11,35] transposed do not multiply");
    c.in[0].shape = OP_SHAPE(M, K, 1);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "fc6: wants two matrices, has [7,11,1] and [11,35]");
    c.in[0].dtype = CB_INT64;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "fc6: wants inputs of one type, has int64 and float");
    c.in[1].dtype = c.in[2].dtype = CB_INT64;
    c.node.attr.gemm.alpha = 0.5f;
    op_case_expect_refusal(&c, CB_ERR_UNSUPPORTED,
                           "fc6: whole numbers want a whole alpha and beta, has 0.5 and 1");
    c.in[0].dtype = c.in[1].dtype = c.in[2].dtype = CB_BOOL;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "fc6: wants numbers, has bool");
    op_case_free(&c);
}

Test(gemm, refuses_a_product_without_bounds)
{
    struct op_case c = op_case_make(CB_OP_GEMM);
    op_case_random(&c, OP_SHAPE(65536, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(1, 65536), OP_UNIFORM);
    op_case_expect_refusal(
        &c, CB_ERR_TOO_LARGE,
        "node: wants at most 2147483648 elements, has an output of [65536,65536]");
    op_case_free(&c);
}
