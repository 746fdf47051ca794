#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static const struct {
    struct cb_shape x;
    int64_t size;
    float beta;
} forms[] = {
    { { 4, { 2, 3, 2, 7 } }, 5, 0.75f }, { { 4, { 1, 5, 7, 33 } }, 4, 0.75f },
    { { 2, { 3, 5 } }, 2, 0.6f },        { { 3, { 2, 2, 3 } }, 1, 0.5f },
    { { 3, { 1, 2, 3 } }, 100, 1.5f },
};

static struct op_case case_of(size_t i)
{
    struct op_case c = op_case_make(CB_OP_LRN);
    c.node.attr.lrn.size = forms[i].size;
    c.node.attr.lrn.alpha = 0.5f; /* large, so that it shows */
    c.node.attr.lrn.beta = forms[i].beta;
    op_case_random(&c, forms[i].x, OP_UNIFORM);
    return c;
}

static void expect_definition(const struct op_case *c)
{
    const struct cb_shape *x = &c->in[0].shape;
    const int64_t channels = x->dim[x->rank - 1], size = c->node.attr.lrn.size;
    for (size_t i = 0; i < cb_tensor_count(&c->out[0]); i++) {
        const int64_t at = (int64_t)i % channels;
        const int64_t first = at - (int64_t)floor((double)(size - 1) / 2),
                      last = at + (int64_t)ceil((double)(size - 1) / 2);
        double sum = 0;
        for (int64_t k = first < 0 ? 0 : first; k <= last && k < channels; k++)
            sum += pow(c->in[0].f[(int64_t)i - at + k], 2);
        const double y = c->in[0].f[i] / pow(1 + 0.5 / (double)size * sum, c->node.attr.lrn.beta);
        cr_assert(epsilon_eq(dbl, c->out[0].f[i], y, 1e-6), "[%d]", (int)i);
    }
}

ParameterizedTestParameters(lrn, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, lrn, equals_its_definition)
{
    struct op_case c = case_of(*i);
    op_case_run(&c);
    expect_definition(&c);
    c.in_place = true;
    op_case_run(&c);
    expect_definition(&c);
    c.in_place = false;
    op_case_expect_same_on_every_isa(&c, 1e-10);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(lrn, an_even_size_looks_one_channel_further_up)
{
    struct op_case c = op_case_make(CB_OP_LRN);
    c.node.attr.lrn.size = 2, c.node.attr.lrn.alpha = 2, c.node.attr.lrn.beta = 1,
    c.node.attr.lrn.bias = 0;
    op_case_add(&c, OP_SHAPE(1, 3), OP_FLOATS(1, 2, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(1 / 5.0f, 2 / 13.0f, 3 / 9.0f));
    op_case_free(&c);
}

Test(lrn, says_why_it_refuses)
{
    struct op_case c = case_of(0);
    c.node.name = "norm1";
    c.node.attr.lrn.size = 0;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "norm1: wants a size of at least 1, has 0");
    c.in[0].shape = OP_SHAPE(3);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "norm1: wants [N,spatial...,C], has [3]");
    c.in[0].dtype = CB_BOOL;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "norm1: wants real numbers, has bool");
    op_case_free(&c);
}
