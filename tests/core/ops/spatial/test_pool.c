#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

struct form {
    int rank;
    int64_t n, c, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    enum cb_auto_pad auto_pad;
    bool ceil_mode, include_pad, column_major;
};

/* clang-format off */
static const struct form forms[] = {
    { 2, 2, 3, { 5, 6 }, { 3, 2 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT, 0, 0, 0 },
    { 2, 1, 17, { 7, 7 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, CB_PAD_EXPLICIT, 0, 1, 0 },
    { 2, 1, 66, { 6, 5 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT, 1, 0, 1 },
    { 2, 1, 3, { 6, 5 }, { 3, 3 }, { 2, 3 }, { 1, 1 }, { 1, 0 }, { 0, 1 }, CB_PAD_EXPLICIT, 1, 1, 1 },
    { 2, 1, 2, { 7, 8 }, { 2, 3 }, { 1, 2 }, { 2, 2 }, { 1, 0 }, { 1, 2 }, CB_PAD_EXPLICIT, 0, 0, 0 },
    { 2, 1, 2, { 7, 8 }, { 2, 3 }, { 1, 2 }, { 2, 2 }, { 1, 0 }, { 1, 2 }, CB_PAD_EXPLICIT, 1, 1, 1 },
    { 2, 1, 2, { 5, 8 }, { 4, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_SAME_UPPER, 0, 0, 0 },
    { 2, 1, 2, { 5, 8 }, { 4, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_SAME_LOWER, 0, 1, 1 },
    { 2, 1, 2, { 5, 8 }, { 4, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_VALID, 0, 0, 0 },
    { 1, 2, 5, { 9 }, { 3 }, { 2 }, { 1 }, { 1 }, { 0 }, CB_PAD_EXPLICIT, 1, 0, 0 },
    { 3, 2, 2, { 4, 3, 5 }, { 2, 3, 2 }, { 2, 1, 3 }, { 1, 1, 2 }, { 0, 1, 1 }, { 1, 1, 0 }, CB_PAD_EXPLICIT, 1, 0, 0 },
    { 3, 1, 2, { 4, 3, 5 }, { 2, 3, 2 }, { 2, 1, 3 }, { 1, 1, 2 }, { 0, 1, 1 }, { 1, 1, 0 }, CB_PAD_EXPLICIT, 1, 1, 1 },
    { 2, 1, 3, { 2, 3 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 0, 0 }, CB_PAD_EXPLICIT, 1, 1, 0 },
};
/* clang-format on */

static struct op_case case_of(enum cb_op op, const struct form *f)
{
    struct op_case c = op_case_make(op);
    struct cb_shape x = { .rank = f->rank + 2, .dim = { f->n } };
    struct cb_window *w = &c.node.attr.pool.window;
    *w = (struct cb_window){ .rank = f->rank, .auto_pad = f->auto_pad, .ceil_mode = f->ceil_mode };
    c.node.attr.pool.count_include_pad = f->include_pad;
    c.node.attr.pool.column_major = f->column_major;
    for (int i = 0; i < f->rank; i++) {
        x.dim[1 + i] = f->in[i];
        w->kernel[i] = f->kernel[i], w->stride[i] = f->stride[i], w->dilation[i] = f->dilation[i];
        w->pad_begin[i] = f->begin[i], w->pad_end[i] = f->end[i];
    }
    x.dim[f->rank + 1] = f->c;
    op_case_random(&c, x, OP_DISTINCT);
    return c;
}

/* The definition for one element of y: average and largest, the latter's place as ONNX numbers
 * it. */
struct answer {
    double sum, largest;
    int64_t count, padded, index;
};

static struct answer answer_at(const struct op_case *c, size_t element)
{
    const struct cb_window *w = &c->node.attr.pool.window;
    const struct cb_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    const int64_t channels = y->dim[y->rank - 1], channel = (int64_t)element % channels;
    struct answer a = { .largest = -INFINITY, .index = -1 };
    int64_t o[3] = { 0 }, rest = (int64_t)element / channels, taps = 1, area = 1;
    for (int k = w->rank - 1; k >= 0; k--) {
        o[k] = rest % y->dim[1 + k];
        rest /= y->dim[1 + k];
        taps *= w->kernel[k];
        area *= x->dim[1 + k];
    }
    for (int64_t t = 0; t < taps; t++) {
        int64_t at[3], left = t, row_major = 0, column_major = 0;
        bool inside = true, padded = true;
        for (int k = w->rank - 1; k >= 0; left /= w->kernel[k], k--) {
            at[k] = o[k] * w->stride[k] + left % w->kernel[k] * w->dilation[k] - w->pad_begin[k];
            inside &= at[k] >= 0 && at[k] < x->dim[1 + k];
            padded &= at[k] < x->dim[1 + k] + w->pad_end[k];
            column_major = column_major * x->dim[1 + k] + at[k];
        }
        for (int k = 0; k < w->rank; k++)
            row_major = row_major * x->dim[1 + k] + at[k];
        a.padded += padded;
        if (!inside)
            continue;
        const double v = c->in[0].f[(rest * area + row_major) * channels + channel];
        a.sum += v;
        a.count++;
        if (v > a.largest) {
            a.largest = v;
            a.index = (rest * channels + channel) * area +
                      (c->node.attr.pool.column_major ? column_major : row_major);
        }
    }
    return a;
}

ParameterizedTestParameters(pool, equals_its_definition)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *form, pool, equals_its_definition)
{
    struct op_case average = case_of(CB_OP_AVERAGE_POOL, &forms[*form]);
    struct op_case max = case_of(CB_OP_MAX_POOL, &forms[*form]),
                   both = case_of(CB_OP_MAX_POOL, &forms[*form]);
    both.node.n_out = 2;
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        average.isa = max.isa = both.isa = isa;
        op_case_run(&average);
        op_case_run(&max);
        op_case_run(&both);
        for (size_t i = 0; i < cb_tensor_count(&max.out[0]); i++) {
            const struct answer a = answer_at(&max, i);
            const int64_t divisor = forms[*form].include_pad ? a.padded : a.count;
            cr_assert(epsilon_eq(dbl, average.out[0].f[i], a.sum / (double)divisor, 1e-5), "[%d]",
                      (int)i);
            cr_assert(eq(flt, max.out[0].f[i], (float)a.largest), "[%d]", (int)i);
            cr_assert(eq(flt, both.out[0].f[i], (float)a.largest), "[%d]", (int)i);
            cr_assert(eq(i64, both.out[1].i[i], a.index), "[%d]", (int)i);
        }
    }
    op_case_expect_same_on_every_isa(&average, 1e-10);
    op_case_expect_same_on_every_isa(&max, 0);
    op_case_expect_same_on_every_isa(&both, 0);
}

ParameterizedTestParameters(pool, gradient_agrees_with_finite_differences)
{
    static size_t index[CB_COUNT_OF(forms)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *form, pool, gradient_agrees_with_finite_differences)
{
    struct op_case average = case_of(CB_OP_AVERAGE_POOL, &forms[*form]);
    struct op_case max = case_of(CB_OP_MAX_POOL, &forms[*form]),
                   both = case_of(CB_OP_MAX_POOL, &forms[*form]);
    both.node.n_out = 2;
    gradcheck(&average, 1e-3);
    gradcheck(&max, 1e-3);
    gradcheck(&both, 1e-3);
}

static const float powers[] = { 1, 2, 3, 2.5f };

static struct op_case lp_case(size_t form, size_t power)
{
    struct op_case c = case_of(CB_OP_LP_POOL, &forms[form]);
    c.node.attr.pool.p = powers[power];
    return c;
}

static struct criterion_test_params lp_cases(void)
{
    static size_t index[CB_COUNT_OF(forms) * CB_COUNT_OF(powers)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTestParameters(lp_pool, sums_what_an_average_has_of_powers)
{
    return lp_cases();
}

/* The average of |x|^p times the number of its terms. */
ParameterizedTest(size_t *i, lp_pool, sums_what_an_average_has_of_powers)
{
    const size_t form = *i / CB_COUNT_OF(powers), power = *i % CB_COUNT_OF(powers);
    struct op_case c = lp_case(form, power), sum = case_of(CB_OP_AVERAGE_POOL, &forms[form]);
    sum.node.attr.pool.count_include_pad = false;
    for (size_t k = 0; k < cb_tensor_count(&sum.in[0]); k++)
        sum.in[0].f[k] = powf(fabsf(c.in[0].f[k]), powers[power]);
    op_case_run(&c);
    op_case_run(&sum);
    for (size_t k = 0; k < cb_tensor_count(&c.out[0]); k++) {
        const struct answer a = answer_at(&sum, k);
        const double want = pow(a.sum, 1 / (double)powers[power]);
        cr_assert(epsilon_eq(dbl, c.out[0].f[k], want, 1e-4 * (1 + want)), "[%d]", (int)k);
    }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
    op_case_free(&sum);
}

ParameterizedTestParameters(lp_pool, gradient_agrees_with_finite_differences)
{
    return lp_cases();
}

ParameterizedTest(size_t *i, lp_pool, gradient_agrees_with_finite_differences)
{
    struct op_case c = lp_case(*i / CB_COUNT_OF(powers), *i % CB_COUNT_OF(powers));
    gradcheck(&c, 5e-3); /* the root bends */
    op_case_free(&c);
}

Test(lp_pool, takes_all_of_x_without_a_window)
{
    struct op_case c = op_case_make(CB_OP_LP_POOL);
    op_case_add(&c, OP_SHAPE(2, 2, 1, 2), OP_FLOATS(3, 1, -4, 2, 0, 0, 5, -12));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1, 1, 2));
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(5, sqrtf(5), 5, 12));
    op_case_clear(&c);
    op_case_backward(&c); /* nothing flows to what is 0 */
    cr_expect(eq(flt, c.din[0].f[4], 0));
    cr_expect(epsilon_eq(flt, c.din[0].f[2], c.dout[0].f[0] * -0.8f, 1e-6f));
    op_case_free(&c);
}

Test(average_pool, clips_the_divisor_of_the_last_window)
{
    struct op_case c = op_case_make(CB_OP_AVERAGE_POOL);
    struct cb_window *w = &c.node.attr.pool.window;
    w->rank = 1, w->kernel[0] = 3, w->stride[0] = 2, w->pad_end[0] = 1, w->ceil_mode = true;
    op_case_add(&c, OP_SHAPE(1, 5, 1), OP_FLOATS(1, 2, 3, 4, 6));
    c.node.attr.pool.count_include_pad = true;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6,
                          OP_FLOATS(2, 13 / 3.0f, 3)); /* 6 over itself and one padded pixel */
    c.node.attr.pool.count_include_pad = false;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(2, 13 / 3.0f, 6));
    op_case_free(&c);
}

Test(max_pool, gives_the_first_of_equals_in_onnx_order)
{
    struct op_case c = op_case_make(CB_OP_MAX_POOL);
    struct cb_window *w = &c.node.attr.pool.window;
    c.node.n_out = 2;
    w->rank = 2, w->kernel[0] = w->kernel[1] = 2;
    op_case_add(&c, OP_SHAPE(1, 2, 3, 2), OP_FLOATS(1, 5, 7, 5, 2, 0, 7, 5, 3, 5, 8, 9));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(7, 5, 8, 9));
    op_case_expect_wholes(&c, 1, OP_WHOLES(1, 6, 5, 11));
    c.node.attr.pool.column_major = true;
    op_case_run(&c);
    op_case_expect_wholes(&c, 1, OP_WHOLES(2, 6, 5, 11));
    op_case_free(&c);
}

Test(max_pool, gives_the_lowest_number_where_there_is_padding_alone)
{
    struct op_case c = op_case_make(CB_OP_MAX_POOL);
    struct cb_window *w = &c.node.attr.pool.window;
    w->rank = 1, w->kernel[0] = 1, w->pad_begin[0] = 1;
    op_case_add(&c, OP_SHAPE(1, 2, 1), OP_FLOATS(1, 2));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-INFINITY, 1, 2));
    c.node.n_out = 2;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(-INFINITY, 1, 2));
    op_case_expect_wholes(&c, 1, OP_WHOLES(-1, 0, 1));
    c.node.op = CB_OP_AVERAGE_POOL;
    c.node.n_out = 1;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 1, 2));
    op_case_free(&c);
}

Test(max_pool, takes_bytes)
{
    struct op_case c = op_case_make(CB_OP_MAX_POOL);
    struct cb_window *w = &c.node.attr.pool.window;
    w->rank = 1, w->kernel[0] = 2, w->pad_begin[0] = 2;
    op_case_add_wholes(&c, CB_UINT8, OP_SHAPE(1, 3, 1), OP_WHOLES(3, 255, 0));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(0, 3, 255, 255));
    op_case_free(&c);
    c = op_case_make(CB_OP_MAX_POOL);
    w->rank = 1, w->kernel[0] = 2, w->pad_begin[0] = 2;
    op_case_add_wholes(&c, CB_INT8, OP_SHAPE(1, 3, 1), OP_WHOLES(-3, -100, -128));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(-128, -3, -3, -100));
    op_case_free(&c);
}

Test(pool, says_why_it_refuses)
{
    struct op_case c = op_case_make(CB_OP_AVERAGE_POOL);
    c.node.name = "pool5";
    c.node.attr.pool.window.rank = 1;
    c.node.attr.pool.window.kernel[0] = 9;
    op_case_random(&c, OP_SHAPE(1, 4, 4), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "pool5: a window of 9 does not fit axis 0 of 4 padded by 0 and 0");
    c.in[0].dtype = CB_INT64;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "pool5: wants real numbers, has int64");
    c.node.op = CB_OP_LP_POOL;
    c.in[0].dtype = CB_FLOAT32;
    c.node.attr.pool.p = 0;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "pool5: wants p above 0, has 0");
    c.in[0].dtype = CB_INT64;
    c.node.op = CB_OP_MAX_POOL;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "pool5: wants real numbers, int8 or uint8, has int64");
    op_case_free(&c);
}

/* ---- global pooling ---- */

Test(global_pool, averages_each_channel_of_each_image)
{
    struct op_case c = op_case_make(CB_OP_GLOBAL_AVERAGE_POOL);
    op_case_add(&c, OP_SHAPE(2, 2, 1, 2), OP_FLOATS(1, 2, 3, 6, -1, -1, 1, 1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1, 1, 2));
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(2, 4, 0, 0));
    c.node.op = CB_OP_GLOBAL_MAX_POOL;
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(3, 6, 1, 1));
    op_case_free(&c);
}

static const struct cb_shape global_shapes[] = {
    { 3, { 2, 7, 3 } },        { 4, { 2, 9, 15, 5 } },      { 4, { 1, 1, 1, 130 } },
    { 5, { 1, 2, 3, 5, 17 } }, { 6, { 2, 2, 1, 3, 2, 3 } },
};

ParameterizedTestParameters(global_pool, works_on_any_rank_and_isa)
{
    static size_t index[CB_COUNT_OF(global_shapes)];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTest(size_t *i, global_pool, works_on_any_rank_and_isa)
{
    const struct cb_shape x = global_shapes[*i];
    const size_t channels = (size_t)x.dim[x.rank - 1], area = cb_shape_span(&x, 1, x.rank - 1);
    struct op_case average = op_case_make(CB_OP_GLOBAL_AVERAGE_POOL),
                   max = op_case_make(CB_OP_GLOBAL_MAX_POOL);
    op_case_random(&average, x, OP_DISTINCT);
    op_case_random(&max, x, OP_DISTINCT);
    op_case_run(&average);
    op_case_run(&max);
    for (size_t k = 0; k < cb_tensor_count(&max.out[0]); k++) {
        const float *first = max.in[0].f + k / channels * area * channels + k % channels;
        double sum = 0, largest = -INFINITY;
        for (size_t p = 0; p < area; p++) {
            sum += first[p * channels];
            largest = fmax(largest, first[p * channels]);
        }
        cr_assert(epsilon_eq(dbl, average.out[0].f[k], sum / (double)area, 1e-5));
        cr_assert(eq(flt, max.out[0].f[k], (float)largest));
    }
    op_case_expect_same_on_every_isa(&average, 1e-10);
    op_case_expect_same_on_every_isa(&max, 0);
    gradcheck(&average, 1e-3);
    gradcheck(&max, 1e-3);
}

Test(global_pool, refuses_a_matrix_and_says_why)
{
    struct op_case c = op_case_make(CB_OP_GLOBAL_AVERAGE_POOL);
    c.node.name = "pool5";
    op_case_random(&c, OP_SHAPE(8, 8), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "pool5: wants [N,spatial...,C], has [8,8]");
    op_case_free(&c);
    c = op_case_make(CB_OP_GLOBAL_MAX_POOL);
    op_case_random(&c, OP_SHAPE(8, 0, 8), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants sizes of at least 1, has [8,0,8]");
    op_case_free(&c);
}
