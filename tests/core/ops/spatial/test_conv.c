#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

/* Forms of convolution: spatial rank, sizes, and all that bends the window. */
struct form {
    int rank;
    int64_t n, cin, cout, group, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    enum cb_auto_pad auto_pad;
};

/* clang-format off */
static const struct form forms[] = {
    { 2, 2, 5, 7, 1, { 6, 5 }, { 3, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT },
    { 2, 1, 3, 17, 1, { 9, 11 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, CB_PAD_EXPLICIT },
    { 2, 2, 8, 33, 1, { 5, 7 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT },
    { 2, 2, 8, 6, 1, { 5, 7 }, { 1, 1 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT },
    { 2, 1, 6, 6, 6, { 7, 6 }, { 3, 3 }, { 1, 2 }, { 1, 1 }, { 1, 1 }, { 1, 0 }, CB_PAD_EXPLICIT },
    { 2, 1, 4, 8, 4, { 5, 5 }, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, CB_PAD_EXPLICIT },
    { 2, 1, 6, 9, 3, { 7, 5 }, { 3, 3 }, { 1, 1 }, { 2, 1 }, { 2, 0 }, { 1, 3 }, CB_PAD_EXPLICIT },
    { 2, 1, 2, 3, 1, { 6, 9 }, { 4, 2 }, { 2, 3 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_SAME_UPPER },
    { 2, 1, 2, 3, 1, { 6, 9 }, { 4, 2 }, { 2, 3 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_SAME_LOWER },
    { 2, 1, 2, 3, 1, { 6, 9 }, { 4, 2 }, { 2, 3 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_VALID },
    { 2, 1, 2, 3, 1, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 2, 1 }, { 0, 3 }, CB_PAD_EXPLICIT },
    { 1, 3, 4, 5, 1, { 11 }, { 4 }, { 2 }, { 2 }, { 1 }, { 2 }, CB_PAD_EXPLICIT },
    { 1, 1, 4, 4, 2, { 6 }, { 3 }, { 1 }, { 1 }, { 0 }, { 0 }, CB_PAD_SAME_UPPER },
    { 3, 1, 2, 3, 1, { 4, 5, 3 }, { 2, 3, 2 }, { 1, 2, 1 }, { 1, 1, 2 }, { 1, 0, 1 }, { 0, 1, 1 }, CB_PAD_EXPLICIT },
    { 3, 1, 4, 4, 4, { 3, 4, 5 }, { 3, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, CB_PAD_EXPLICIT },
};
/* clang-format on */

enum fused { PLAIN, BIAS, RESIDUAL, ALL, FUSED_COUNT };

static struct op_case case_of(const struct form *f, enum fused fused, enum op_fill fill)
{
    struct op_case c = op_case_make(CB_OP_CONV);
    struct cb_window *w = &c.node.attr.conv.window;
    struct cb_shape filter = { .rank = f->rank + 2, .dim = { f->cout, f->cin / f->group } };
    *w = (struct cb_window){ .rank = f->rank, .auto_pad = f->auto_pad };
    for (int i = 0; i < f->rank; i++) {
        filter.dim[2 + i] = w->kernel[i] = f->kernel[i];
        w->stride[i] = f->stride[i], w->dilation[i] = f->dilation[i];
        w->pad_begin[i] = f->begin[i], w->pad_end[i] = f->end[i];
    }
    c.node.attr.conv.group = f->group;
    op_case_random(&c, op_shape_around(f->n, f->rank, f->in, f->cin), fill);
    op_case_random(&c, filter, fill);
    if (fused == PLAIN)
        return c;
    if (fused == RESIDUAL)
        op_case_absent(&c);
    else
        op_case_random(&c, OP_SHAPE(f->cout), OP_UNIFORM);
    if (fused == BIAS)
        return c;
    struct op_case probe = c; /* the residual's shape is what infer says */
    cr_assert(op_case_infer(&probe).code == CB_OK);
    c.arena = probe.arena;
    op_case_random(&c, probe.out[0].shape, OP_UNIFORM);
    if (fused == ALL)
        c.node.attr.conv.lo = -0.5f, c.node.attr.conv.hi = 0.75f;
    return c;
}

/* The definition, in double, for element (n, o[], m) of y. */
static double sum_at(const struct op_case *c, int64_t n, const int64_t *o, int64_t m)
{
    const struct cb_window *w = &c->node.attr.conv.window;
    const struct cb_shape *x = &c->in[0].shape, *f = &c->in[1].shape;
    const int64_t per_group = f->dim[1], group = m / (f->dim[0] / c->node.attr.conv.group);
    int64_t taps = 1;
    double sum = 0;
    for (int i = 0; i < w->rank; i++)
        taps *= w->kernel[i];
    for (int64_t t = 0; t < taps; t++) {
        int64_t pixel = 0, rest = t, at[3] = { 0 };
        bool inside = true;
        for (int i = w->rank - 1; i >= 0; rest /= w->kernel[i], i--)
            at[i] = o[i] * w->stride[i] + rest % w->kernel[i] * w->dilation[i] - w->pad_begin[i];
        for (int i = 0; i < w->rank; i++) {
            inside &= at[i] >= 0 && at[i] < x->dim[1 + i];
            pixel = pixel * x->dim[1 + i] + at[i];
        }
        int64_t area = 1;
        for (int i = 0; i < w->rank; i++)
            area *= x->dim[1 + i];
        for (int64_t k = 0; inside && k < per_group; k++)
            sum += (double)c->in[0]
                       .f[(n * area + pixel) * x->dim[x->rank - 1] + group * per_group + k] *
                   c->in[1].f[(m * per_group + k) * taps + t];
    }
    return sum;
}

static void expect_definition(const struct op_case *c)
{
    const struct cb_shape *y = &c->out[0].shape;
    const int64_t channels = y->dim[y->rank - 1];
    for (size_t i = 0; i < cb_tensor_count(&c->out[0]); i++) {
        const int64_t m = (int64_t)i % channels;
        int64_t o[3] = { 0 }, rest = (int64_t)i / channels;
        for (int k = y->rank - 3; k >= 0; k--) {
            o[k] = rest % y->dim[1 + k];
            rest /= y->dim[1 + k];
        }
        double want = sum_at(c, rest, o, m);
        if (c->node.n_in > 2 && c->in[2].dtype)
            want += c->in[2].f[m];
        if (c->node.n_in > 3)
            want += c->in[3].f[i];
        want = fmin(fmax(want, c->node.attr.conv.lo), c->node.attr.conv.hi);
        cr_assert(fabs(c->out[0].f[i] - want) <= 1e-5, "[%zu]: wanted %g, found %g", i, want,
                  c->out[0].f[i]);
    }
}

ParameterizedTestParameters(conv, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(forms) * FUSED_COUNT];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, conv, equals_its_definition)
{
    struct op_case c =
        case_of(&forms[*i / FUSED_COUNT], (enum fused)(*i % FUSED_COUNT), OP_UNIFORM);
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++) {
        op_case_run(&c);
        expect_definition(&c);
    }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

ParameterizedTestParameters(conv, gradient_agrees_with_finite_differences)
{
    static size_t index[CB_COUNT_OF(forms) * FUSED_COUNT];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

/* The clamp has kinks: its mask is checked for itself below. */
ParameterizedTest(size_t *i, conv, gradient_agrees_with_finite_differences)
{
    struct op_case c =
        case_of(&forms[*i / FUSED_COUNT], (enum fused)(*i % FUSED_COUNT), OP_UNIFORM);
    c.node.attr.conv.lo = -INFINITY, c.node.attr.conv.hi = INFINITY;
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(conv, gradient_passes_where_the_clamp_does_not_hold)
{
    struct op_case c = op_case_make(CB_OP_CONV);
    op_case_add(&c, OP_SHAPE(1, 3, 1), OP_FLOATS(-1, 2, 9));
    op_case_add(&c, OP_SHAPE(1, 1, 1), OP_FLOATS(1));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(0));
    op_case_add(&c, OP_SHAPE(1, 3, 1), OP_FLOATS(0, 0, 0));
    c.node.attr.conv.lo = 0, c.node.attr.conv.hi = 6;
    for (c.isa = CB_ISA_GENERIC; c.isa <= cb_isa_best(); c.isa++) {
        op_case_run(&c);
        op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 2, 6));
        op_case_clear(&c);
        op_case_backward(&c);
        const float g = c.dout[0].f[1];
        cr_expect(eq(flt, c.din[0].f[0], 0));
        cr_expect(eq(flt, c.din[0].f[1], g));
        cr_expect(eq(flt, c.din[0].f[2], 0));
        cr_expect(eq(flt, c.din[1].f[0], 2 * g));
        cr_expect(eq(flt, c.din[2].f[0], g));
        cr_expect(eq(flt, c.din[3].f[0], 0));
        cr_expect(eq(flt, c.din[3].f[1], g));
        cr_expect(eq(flt, c.din[3].f[2], 0));
    }
    op_case_free(&c);
}

Test(conv, sums_products_by_hand)
{
    struct op_case c = op_case_make(CB_OP_CONV);
    op_case_add(&c, OP_SHAPE(1, 2, 2, 2), OP_FLOATS(1, 10, 2, 20, 3, 30, 4, 40));
    op_case_add(&c, OP_SHAPE(1, 2, 1, 2), OP_FLOATS(1, -1, 2, 3));
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(0.5));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 2, 1, 1));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1 - 2 + 20 + 60 + 0.5f, 3 - 4 + 60 + 120 + 0.5f));
    op_case_free(&c);
}

Test(conv, infers_the_same_twice)
{
    struct op_case c = case_of(&forms[8], PLAIN, OP_UNIFORM);
    op_case_run(&c);
    const struct cb_window first = c.node.attr.conv.window;
    op_case_run(&c);
    cr_expect(eq(i64, first.pad_begin[0], c.node.attr.conv.window.pad_begin[0]));
    cr_expect(eq(i64, first.pad_end[1], c.node.attr.conv.window.pad_end[1]));
    expect_definition(&c);
    op_case_free(&c);
}

static struct op_case refused(struct cb_shape x, struct cb_shape w)
{
    struct op_case c = op_case_make(CB_OP_CONV);
    c.node.name = "conv3";
    op_case_random(&c, x, OP_UNIFORM);
    op_case_random(&c, w, OP_UNIFORM);
    return c;
}

Test(conv, says_why_it_refuses)
{
    struct op_case c = refused(OP_SHAPE(1, 4, 4, 32), OP_SHAPE(8, 64, 1, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "conv3: filter wants 64 channels, input has 32");
    c.node.attr.conv.group = 3;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: 3 groups do not divide 32 input and 8 output channels");
    c.node.attr.conv.group = 0;
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: 0 groups do not divide 32 input and 8 output channels");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 3));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: wants an input [N,spatial...,C] and a filter of its rank, has "
                           "[1,4,4,2] and [8,2,3]");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(0, 2, 3, 3));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: wants a filter [M,C/group,kernel...], has [0,2,3,3]");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 5, 3));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: a window of 5 does not fit axis 0 of 4 padded by 0 and 0");
    op_case_free(&c);

    c = refused(OP_SCALAR, OP_SCALAR);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "conv3: wants an input [N,spatial...,C] and a filter of its rank, has "
                           "[] and []");
    op_case_free(&c);
}

Test(conv, refuses_wrong_bias_residual_and_size)
{
    struct op_case c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 1, 1));
    op_case_random(&c, OP_SHAPE(7), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "conv3: bias wants [8], has [7]");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 1, 1));
    op_case_absent(&c);
    op_case_random(&c, OP_SHAPE(1, 4, 3, 8), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "conv3: residual wants [1,4,4,8], has [1,4,3,8]");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 1, 1));
    for (int i = 0; i < 2; i++)
        c.node.attr.conv.window.pad_begin[i] = (int64_t)1 << 20;
    op_case_expect_refusal(
        &c, CB_ERR_TOO_LARGE,
        "conv3: wants at most 2147483648 elements, has an output of [1,1048580,1048580,8]");
    op_case_free(&c);

    c = refused(OP_SHAPE(1, 4, 4, 2), OP_SHAPE(8, 2, 1, 1));
    c.in[0].dtype = CB_INT64;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "conv3: wants real numbers, has int64");
    op_case_free(&c);
}

/* 1x1 over [2,3,3,4] with everything that may stand around it. */
static struct op_case prologue_case(enum cb_isa isa, struct cb_shape scale, bool shift)
{
    struct op_case c = op_case_make(CB_OP_CONV);
    c.isa = isa;
    c.node.attr.conv.in_lo = 0;
    c.node.attr.conv.act = (struct cb_act){ CB_ACT_HARD_SWISH, 1.0f / 6, 0.5f };
    op_case_random(&c, OP_SHAPE(2, 3, 3, 4), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5, 4, 1, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(5), OP_UNIFORM);
    op_case_absent(&c);
    op_case_random(&c, scale, OP_UNIFORM);
    if (shift)
        op_case_random(&c, OP_SHAPE(4), OP_UNIFORM);
    return c;
}

Test(conv, scales_its_input_and_activates_its_output_as_loops_do)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int form = 0; form < 4; form++) {
            const bool per_image = form & 1, shift = form & 2;
            struct op_case c =
                prologue_case(isa, per_image ? OP_SHAPE(2, 1, 1, 4) : OP_SHAPE(4), shift);
            float want[90];
            op_case_run(&c);
            for (int p = 0; p < 18; p++)
                for (int o = 0; o < 5; o++) {
                    float sum = c.in[2].f[o];
                    for (int i = 0; i < 4; i++) {
                        const float v =
                            c.in[0].f[p * 4 + i] * c.in[4].f[(per_image ? p / 9 * 4 : 0) + i] +
                            (shift ? c.in[5].f[i] : 0);
                        sum += fmaxf(v, 0) * c.in[1].f[o * 4 + i];
                    }
                    want[p * 5 + o] = sum * fminf(fmaxf(sum / 6 + 0.5f, 0), 1);
                }
            op_case_expect_floats(&c, 0, 1e-5, want);
            op_case_free(&c);
        }
}

Test(conv, refuses_scales_of_other_shapes_and_before_larger_windows)
{
    struct op_case c = prologue_case(CB_ISA_GENERIC, OP_SHAPE(3), false);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: scale wants a number per input channel, has [3]");
    op_case_free(&c);
    c = prologue_case(CB_ISA_GENERIC, OP_SHAPE(4), false);
    c.node.attr.conv.window.rank = 2;
    c.node.attr.conv.window.kernel[0] = c.node.attr.conv.window.kernel[1] = 1;
    c.node.attr.conv.window.pad_end[1] = 1;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: scale wants a 1x1 convolution of stride 1");
    op_case_free(&c);
}
