#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

struct form {
    int rank;
    int64_t n, cin, cout, group, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3],
        more[3];
    bool bias;
};

/* clang-format off */
static const struct form forms[] = {
    { 2, 2, 5, 7, 1, { 4, 3 }, { 3, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, true },
    { 2, 2, 3, 17, 1, { 5, 7 }, { 2, 2 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, true },
    { 2, 1, 33, 18, 1, { 5, 3 }, { 4, 4 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, false },
    { 2, 1, 6, 4, 2, { 5, 3 }, { 3, 3 }, { 2, 3 }, { 1, 1 }, { 1, 0 }, { 2, 1 }, { 1, 2 }, true },
    { 2, 2, 5, 5, 5, { 4, 6 }, { 3, 3 }, { 2, 1 }, { 1, 2 }, { 1, 2 }, { 1, 0 }, { 1, 0 }, false },
    { 2, 1, 3, 2, 1, { 2, 2 }, { 1, 1 }, { 3, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, true },
    { 2, 1, 3, 2, 1, { 2, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, { 5, 3 }, true },
    { 2, 1, 3, 2, 1, { 4, 5 }, { 3, 3 }, { 1, 2 }, { 1, 1 }, { 4, 5 }, { 1, 3 }, { 0, 0 }, true },
    { 1, 3, 4, 6, 2, { 7 }, { 4 }, { 3 }, { 2 }, { 2 }, { 1 }, { 1 }, true },
    { 3, 2, 2, 3, 1, { 2, 3, 2 }, { 2, 3, 2 }, { 1, 2, 3 }, { 2, 1, 1 }, { 1, 0, 1 }, { 0, 1, 0 }, { 0, 1, 2 }, true },
};
/* clang-format on */

static struct op_case case_of(const struct form *f)
{
    struct op_case c = op_case_make(CB_OP_CONV_TRANSPOSE);
    struct cb_window *w = &c.node.attr.conv_transpose.window;
    struct cb_shape filter = { .rank = f->rank + 2, .dim = { f->cin, f->cout / f->group } };
    for (int i = 0; i < f->rank; i++) {
        filter.dim[2 + i] = f->kernel[i];
        w->stride[i] = f->stride[i], w->dilation[i] = f->dilation[i];
        w->pad_begin[i] = f->begin[i], w->pad_end[i] = f->end[i];
        c.node.attr.conv_transpose.more[i] = f->more[i];
    }
    c.node.attr.conv_transpose.group = f->group;
    op_case_random(&c, op_shape_around(f->n, f->rank, f->in, f->cin), OP_UNIFORM);
    op_case_random(&c, filter, OP_UNIFORM);
    if (f->bias)
        op_case_random(&c, OP_SHAPE(f->cout), OP_UNIFORM);
    return c;
}

/* Element `at` of a shape, from its last axis on. */
static void coordinates(const struct cb_shape *s, int64_t at, int64_t out[CB_MAX_RANK])
{
    for (int i = s->rank - 1; i >= 0; at /= s->dim[i], i--)
        out[i] = at % s->dim[i];
}

/* The definition: every product of an input and a weight goes to one place of y. */
static void expect_definition(const struct op_case *c)
{
    const struct cb_window *win = &c->node.attr.conv_transpose.window;
    const struct cb_tensor *x = &c->in[0], *w = &c->in[1], *y = &c->out[0];
    const int last = x->shape.rank - 1;
    const int64_t channels = y->shape.dim[last], per_group = w->shape.dim[1];
    const int64_t in_group = x->shape.dim[last] / c->node.attr.conv_transpose.group;
    static double want[20000];
    const int64_t n = (int64_t)cb_tensor_count(y);
    cr_assert(n <= 20000);
    for (int64_t i = 0; i < n; i++)
        want[i] = c->node.n_in > 2 ? (double)c->in[2].f[i % channels] : 0;
    for (int64_t i = 0; i < (int64_t)cb_tensor_count(x); i++)
        for (int64_t k = 0; k < (int64_t)cb_tensor_count(w); k++) {
            int64_t from[CB_MAX_RANK], tap[CB_MAX_RANK], at;
            bool inside = true;
            coordinates(&x->shape, i, from);
            coordinates(&w->shape, k, tap);
            if (tap[0] != from[last])
                continue;
            at = from[0];
            for (int a = 0; a < win->rank; a++) {
                const int64_t o = from[1 + a] * win->stride[a] + tap[2 + a] * win->dilation[a] -
                                  win->pad_begin[a];
                inside &= o >= 0 && o < y->shape.dim[1 + a];
                at = at * y->shape.dim[1 + a] + o;
            }
            if (inside)
                want[at * channels + from[last] / in_group * per_group + tap[1]] +=
                    (double)x->f[i] * (double)w->f[k];
        }
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs((double)y->f[i] - want[i]) <= 2e-5, "[%d]: wanted %g, found %g", (int)i,
                  want[i], (double)y->f[i]);
}

ParameterizedTestParameters(conv_transpose, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, conv_transpose, equals_its_definition)
{
    struct op_case c = case_of(&forms[*i]);
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++)
        for (int constant = 0; constant < 2; constant++) {
            c.constant = constant;
            op_case_run(&c);
            expect_definition(&c);
        }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

ParameterizedTestParameters(conv_transpose, gradient_agrees_with_finite_differences)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, conv_transpose, gradient_agrees_with_finite_differences)
{
    struct op_case c = case_of(&forms[*i]);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

static struct op_case ones(int64_t in, int64_t kernel, int64_t stride)
{
    struct op_case c = op_case_make(CB_OP_CONV_TRANSPOSE);
    static const float one[] = { 1, 1, 1, 1, 1, 1 };
    static const float x[] = { 1, 2, 3, 4 };
    op_case_add(&c, OP_SHAPE(1, in, 1), x);
    op_case_add(&c, OP_SHAPE(1, 1, kernel), one);
    c.node.attr.conv_transpose.window.stride[0] = stride;
    return c;
}

Test(conv_transpose, lays_the_kernel_by_hand)
{
    struct op_case c = ones(3, 3, 2);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 7, 1));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 1, 3, 2, 5, 3, 3));
    c.node.attr.conv_transpose.window.pad_begin[0] = 1;
    c.node.attr.conv_transpose.window.pad_end[0] = 2;
    c.node.attr.conv_transpose.more[0] = 1;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 5, 1));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 3, 2, 5, 3));
    op_case_free(&c);
}

static void expect_sized(int64_t size, enum cb_auto_pad auto_pad, int n, const float *want)
{
    struct op_case c = ones(3, 3, 2);
    c.node.attr.conv_transpose.window.auto_pad = auto_pad;
    if (size)
        c.node.attr.conv_transpose.sizes = (struct cb_list){ 1, { size } };
    op_case_run(&c);
    op_case_run(&c); /* infer finds what it left */
    op_case_expect_shape(&c, 0, OP_SHAPE(1, n, 1));
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(conv_transpose, splits_the_padding_of_a_wanted_size)
{
    expect_sized(6, CB_PAD_EXPLICIT, 6, OP_FLOATS(1, 3, 2, 5, 3, 3));
    expect_sized(6, CB_PAD_SAME_LOWER, 6, OP_FLOATS(1, 3, 2, 5, 3, 3));
    expect_sized(6, CB_PAD_SAME_UPPER, 6, OP_FLOATS(1, 1, 3, 2, 5, 3));
    expect_sized(4, CB_PAD_EXPLICIT, 4, OP_FLOATS(3, 2, 5, 3));
    expect_sized(9, CB_PAD_EXPLICIT, 9, OP_FLOATS(1, 1, 3, 2, 5, 3, 3, 0, 0));
    expect_sized(0, CB_PAD_SAME_UPPER, 6, OP_FLOATS(1, 1, 3, 2, 5, 3));
    expect_sized(0, CB_PAD_SAME_LOWER, 6, OP_FLOATS(1, 3, 2, 5, 3, 3));
    expect_sized(0, CB_PAD_VALID, 7, OP_FLOATS(1, 1, 3, 2, 5, 3, 3));
}

Test(conv_transpose, says_why_it_refuses)
{
    struct op_case c = ones(3, 3, 2);
    c.node.name = "up";
    c.node.attr.conv_transpose.window.pad_begin[0] = 7;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "up: paddings of 7 and 0 leave nothing of axis 0 of 7");
    c.node.attr.conv_transpose.window.pad_begin[0] = 0;
    c.node.attr.conv_transpose.group = 2;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: 2 groups do not divide 1 input channels");
    c.node.attr.conv_transpose.group = 1;
    c.node.attr.conv_transpose.more[0] = -1;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "up: output padding of axis 0 wants 0 to 2147483648, has -1");
    c.node.attr.conv_transpose.more[0] = 0;
    c.node.attr.conv_transpose.sizes = (struct cb_list){ 2, { 1, 1 } };
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants 1 sizes of the output, has 2");
    c.node.attr.conv_transpose.sizes = (struct cb_list){ 3, { 1, 1, 0 } };
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants sizes of at least 1, has 0");
    c.node.attr.conv_transpose.sizes.count = -1;
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(1, 2));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: bias wants [1], has [2]");
    op_case_free(&c);

    c = op_case_make(CB_OP_CONV_TRANSPOSE);
    c.node.name = "up";
    op_case_random(&c, OP_SHAPE(1, 4, 2), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(3, 2, 2), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "up: wants a filter [2,M/group,kernel...], has [3,2,2]");
    op_case_free(&c);
}
