#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static const struct cb_shape shapes[] = {
    { 4, { 2, 3, 5, 7 } }, { 4, { 1, 9, 8, 67 } },   { 2, { 13, 3 } },
    { 3, { 2, 5, 1 } },    { 5, { 2, 2, 1, 3, 4 } }, { 1, { 11 } },
};

static struct op_case case_of(struct cb_shape x, bool training)
{
    struct op_case c = op_case_make(CB_OP_BATCH_NORM);
    const int64_t channels = x.rank > 1 ? x.dim[x.rank - 1] : 1;
    c.node.attr.batch_norm.training = training;
    c.node.attr.batch_norm.epsilon = 1e-2f;
    op_case_random(&c, x, OP_UNIFORM);
    for (int i = 0; i < 4; i++)
        op_case_random(&c, OP_SHAPE(channels), i == 0 || i == 3 ? OP_POSITIVE : OP_UNIFORM);
    return c;
}

/* Mean and variance that y is normalised with, from the definition. */
static void statistics(const struct op_case *c, size_t channel, double *mean, double *variance)
{
    const size_t channels = cb_tensor_count(&c->in[1]),
                 pixels = cb_tensor_count(&c->in[0]) / channels;
    *mean = c->in[3].f[channel], *variance = c->in[4].f[channel];
    if (!c->node.attr.batch_norm.training)
        return;
    *mean = *variance = 0;
    for (size_t p = 0; p < pixels; p++)
        *mean += c->in[0].f[p * channels + channel] / (double)pixels;
    for (size_t p = 0; p < pixels; p++)
        *variance += pow(c->in[0].f[p * channels + channel] - *mean, 2) / (double)pixels;
}

static void expect_definition(const struct op_case *c)
{
    const size_t channels = cb_tensor_count(&c->in[1]);
    for (size_t i = 0; i < cb_tensor_count(&c->out[0]); i++) {
        const size_t k = i % channels;
        double mean, variance;
        statistics(c, k, &mean, &variance);
        const double y =
            (c->in[0].f[i] - mean) / sqrt(variance + 1e-2f) * c->in[1].f[k] + c->in[2].f[k];
        cr_assert(epsilon_eq(dbl, c->out[0].f[i], y, 1e-5), "[%d]", (int)i);
    }
}

ParameterizedTestParameters(batch_norm, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(shapes) * 2];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, batch_norm, equals_its_definition)
{
    struct op_case c = case_of(shapes[*i / 2], *i % 2);
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++) {
        op_case_run(&c);
        expect_definition(&c);
    }
    c.isa = CB_ISA_GENERIC;
    c.in_place = true;
    op_case_run(&c);
    expect_definition(&c);
    c.in_place = false;
    op_case_expect_same_on_every_isa(&c, 1e-10);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(batch_norm, clamps_and_its_gradient_knows)
{
    struct op_case c = op_case_make(CB_OP_BATCH_NORM);
    op_case_add(&c, OP_SHAPE(4, 1), OP_FLOATS(-2, 1, 2, 9));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(2));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(1));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(4));
    c.node.attr.batch_norm.epsilon = 0;
    c.node.attr.batch_norm.lo = 0, c.node.attr.batch_norm.hi = 6;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 1, 2, 6));
    op_case_backward(&c);
    const float *g = c.dout[0].f;
    cr_expect(eq(flt, c.din[0].f[0], 0));
    cr_expect(eq(flt, c.din[0].f[1], g[1]));
    cr_expect(eq(flt, c.din[0].f[3], 0));
    cr_expect(epsilon_eq(flt, c.din[1].f[0], g[2] / 2, 1e-6f));
    cr_expect(epsilon_eq(flt, c.din[2].f[0], g[1] + g[2], 1e-6f));
    op_case_free(&c);
}

Test(batch_norm, training_gives_running_statistics)
{
    struct op_case c = op_case_make(CB_OP_BATCH_NORM);
    op_case_add(&c, OP_SHAPE(1, 2, 2), OP_FLOATS(1, 10, 3, 30));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(1, 1));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(0, 0));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(10, 20));
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(5, 7));
    c.node.attr.batch_norm.training = true;
    c.node.n_out = 3;
    for (c.unwanted = 0; c.unwanted < 8; c.unwanted += 2) {
        op_case_run(&c);
        op_case_expect_floats(&c, 0, 1e-4, OP_FLOATS(-1, -1, 1, 1));
        if (!(c.unwanted & 2))
            op_case_expect_floats(&c, 1, 1e-5, OP_FLOATS(9.2f, 20));
        if (!(c.unwanted & 4))
            op_case_expect_floats(&c, 2, 1e-5, OP_FLOATS(4.6f, 16.3f)); /* biased: 1 and 100 */
    }
    op_case_free(&c);
}

Test(batch_norm, keeps_its_precision_far_from_zero)
{
    struct op_case c = op_case_make(CB_OP_BATCH_NORM);
    op_case_add(&c, OP_SHAPE(4, 1), OP_FLOATS(10000, 10001, 10002, 10003));
    for (int i = 0; i < 4; i++)
        op_case_add(&c, OP_SHAPE(1), OP_FLOATS(i == 0 || i == 3 ? 1 : 0));
    c.node.attr.batch_norm.training = true;
    c.node.attr.batch_norm.epsilon = 0;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 2e-3, OP_FLOATS(-1.3416408f, -0.4472136f, 0.4472136f, 1.3416408f));
    op_case_free(&c);
}

Test(batch_norm, says_why_it_refuses)
{
    struct op_case c = case_of((struct cb_shape){ 3, { 2, 2, 3 } }, false);
    c.node.name = "bn1";
    c.in[3].shape = OP_SHAPE(2);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "bn1: mean wants [3], has [2]");
    c.in[3].shape = OP_SHAPE(3);
    c.in[1].dtype = CB_INT32;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "bn1: wants real numbers, has int32");
    c.in[1].dtype = CB_FLOAT32;
    c.node.n_out = 2;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "bn1: running statistics are outputs of training alone");
    c.in[0].shape = OP_SCALAR;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "bn1: wants [N,spatial...,C], has []");
    op_case_free(&c);
}
