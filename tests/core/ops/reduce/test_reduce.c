#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/gradcheck.h"

static const enum cb_op all_ops[] = {
    CB_OP_REDUCE_SUM,         CB_OP_REDUCE_MEAN,       CB_OP_REDUCE_MAX, CB_OP_REDUCE_MIN,
    CB_OP_REDUCE_PROD,        CB_OP_REDUCE_L1,         CB_OP_REDUCE_L2,  CB_OP_REDUCE_LOG_SUM,
    CB_OP_REDUCE_LOG_SUM_EXP, CB_OP_REDUCE_SUM_SQUARE,
};

static void expect_rows(enum cb_op op, const float *want)
{
    struct op_case c = op_case_make(op);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, -1, 4, 0.5f));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(-1));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1));
    op_case_expect_floats(&c, 0, 1e-6, want);
    op_case_free(&c);
}

Test(reduce, gives_the_values_of_its_formula)
{
    expect_rows(CB_OP_REDUCE_SUM, OP_FLOATS(6, 3.5f));
    expect_rows(CB_OP_REDUCE_MEAN, OP_FLOATS(2, 3.5f / 3));
    expect_rows(CB_OP_REDUCE_MAX, OP_FLOATS(3, 4));
    expect_rows(CB_OP_REDUCE_MIN, OP_FLOATS(1, -1));
    expect_rows(CB_OP_REDUCE_PROD, OP_FLOATS(6, -2));
    expect_rows(CB_OP_REDUCE_L1, OP_FLOATS(6, 5.5f));
    expect_rows(CB_OP_REDUCE_L2, OP_FLOATS(sqrtf(14), sqrtf(17.25f)));
    expect_rows(CB_OP_REDUCE_LOG_SUM, OP_FLOATS(logf(6), logf(3.5f)));
    expect_rows(CB_OP_REDUCE_LOG_SUM_EXP, OP_FLOATS(3.4076059f, 4.0362697f));
    expect_rows(CB_OP_REDUCE_SUM_SQUARE, OP_FLOATS(14, 17.25f));
}

Test(reduce, without_axes_takes_all_of_them_or_none_when_asked)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_SUM);
    c.node.attr.reduce.keep_dims = false;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SCALAR);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(10));
    op_case_free(&c);

    struct op_case n = op_case_make(CB_OP_REDUCE_SUM_SQUARE);
    n.node.attr.reduce.noop_if_empty = true;
    op_case_add(&n, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_add_wholes(&n, CB_INT64, OP_SHAPE(0), OP_WHOLES(0));
    op_case_run(&n);
    op_case_expect_shape(&n, 0, OP_SHAPE(2, 2));
    op_case_expect_floats(&n, 0, 0, OP_FLOATS(1, 4, 9, 16));
    op_case_free(&n);
}

Test(reduce, of_nothing_is_the_identity)
{
    static const float want[] = { 0, NAN, -INFINITY, INFINITY, 1, 0, 0, -INFINITY, -INFINITY, 0 };
    for (size_t i = 0; i < CB_COUNT_OF(all_ops); i++) {
        struct op_case c = op_case_make(all_ops[i]);
        c.node.attr.reduce.axes = (struct cb_list){ 1, { 1 } };
        op_case_random(&c, OP_SHAPE(2, 0, 1), OP_UNIFORM);
        op_case_run(&c);
        op_case_expect_shape(&c, 0, OP_SHAPE(2, 1, 1));
        op_case_expect_floats(&c, 0, 0, (const float[]){ want[i], want[i] });
        op_case_free(&c);
    }
}

/* The definition, in double, for the results at the axes that `mask` reduces. */
static double reference(enum cb_op op, const struct op_case *c, unsigned mask, size_t result)
{
    const struct cb_shape *x = &c->in[0].shape;
    double sum = 0, top = -HUGE_VAL, least = HUGE_VAL, product = 1, l1 = 0, squares = 0, exps = 0,
           n = 0;
    for (size_t i = 0; i < cb_shape_count(x); i++) {
        size_t at = 0, step = 1, rest = i;
        for (int k = x->rank - 1; k >= 0; rest /= (size_t)x->dim[k], k--)
            if (!(mask >> k & 1)) {
                at += rest % (size_t)x->dim[k] * step;
                step *= (size_t)x->dim[k];
            }
        const double v = (double)c->in[0].f[i];
        if (at != result)
            continue;
        sum += v, product *= v, l1 += fabs(v), squares += v * v, exps += exp(v), n++;
        top = fmax(top, v);
        least = fmin(least, v);
    }
    switch (op) {
    case CB_OP_REDUCE_MEAN: return sum / n;
    case CB_OP_REDUCE_MAX: return top;
    case CB_OP_REDUCE_MIN: return least;
    case CB_OP_REDUCE_PROD: return product;
    case CB_OP_REDUCE_L1: return l1;
    case CB_OP_REDUCE_L2: return sqrt(squares);
    case CB_OP_REDUCE_LOG_SUM: return log(sum);
    case CB_OP_REDUCE_LOG_SUM_EXP: return log(exps);
    case CB_OP_REDUCE_SUM_SQUARE: return squares;
    default: return sum;
    }
}

static struct op_case case_of(enum cb_op op, unsigned mask, struct cb_shape x, enum op_fill fill)
{
    struct op_case c = op_case_make(op);
    struct cb_list *axes = &c.node.attr.reduce.axes;
    axes->count = 0;
    for (int k = x.rank - 1; k >= 0; k--) /* not in order, every other one negative */
        if (mask >> k & 1) {
            axes->v[axes->count] = axes->count % 2 ? k - x.rank : k;
            axes->count++;
        }
    c.node.attr.reduce.noop_if_empty = true;
    c.node.attr.reduce.keep_dims = mask % 3 == 0;
    op_case_random(&c, x, fill);
    return c;
}

Test(reduce, equals_its_definition_over_every_set_of_axes)
{
    static const struct cb_shape shapes[] = { { 4, { 3, 4, 2, 5 } },
                                              { 4, { 2, 1, 3, 67 } },
                                              { 3, { 2, 3, 19 } } };
    for (size_t i = 0; i < CB_COUNT_OF(all_ops) * CB_COUNT_OF(shapes); i++) {
        const struct cb_shape x = shapes[i / CB_COUNT_OF(all_ops)];
        const enum cb_op op = all_ops[i % CB_COUNT_OF(all_ops)];
        for (unsigned mask = 0; mask < 1u << x.rank; mask++) {
            struct op_case c = case_of(op, mask, x, OP_POSITIVE);
            op_case_run(&c);
            for (size_t k = 0; k < cb_tensor_count(&c.out[0]); k++) {
                const double want = reference(op, &c, mask, k), got = (double)c.out[0].f[k];
                cr_assert(fabs(got - want) <= 1e-6 * (1 + fabs(want)),
                          "%s, axes %x, result %zu: wanted %g, found %g", cb_op_get(op)->name, mask,
                          k, want, got);
            }
            op_case_free(&c);
        }
    }
}

Test(reduce, log_sum_exp_does_not_overflow)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_LOG_SUM_EXP);
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(5000, 5000));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-3, OP_FLOATS(5000.6931f));
    op_case_free(&c);

    struct op_case m = op_case_make(CB_OP_REDUCE_LOG_SUM_EXP);
    op_case_add(&m, OP_SHAPE(2), OP_FLOATS(-INFINITY, -INFINITY));
    op_case_run(&m);
    op_case_expect_floats(&m, 0, 0, OP_FLOATS(-INFINITY));
    op_case_free(&m);
}

Test(reduce, keeps_nan)
{
    for (size_t i = 0; i < CB_COUNT_OF(all_ops); i++)
        for (int at = 0; at < 18; at += 17) {
            struct op_case c = op_case_make(all_ops[i]);
            op_case_random(&c, OP_SHAPE(18), OP_POSITIVE);
            c.in[0].f[at] = NAN;
            op_case_run(&c);
            cr_expect(isnan(c.out[0].f[0]), "%s", cb_op_get(all_ops[i])->name);
            op_case_free(&c);
        }
}

Test(reduce, large_tensors_are_the_same_with_threads)
{
    static const unsigned masks[] = { 6, 8, 1, 7, 9 };
    for (size_t i = 0; i < CB_COUNT_OF(masks); i++) {
        struct op_case c =
            case_of(CB_OP_REDUCE_MEAN, masks[i], OP_SHAPE(2, 41, 23, 130), OP_UNIFORM);
        op_case_expect_same_on_every_isa(&c, 0);
        op_case_free(&c);
    }
}

Test(reduce, gradients_agree_with_finite_differences)
{
    for (size_t i = 0; i < CB_COUNT_OF(all_ops); i++)
        for (unsigned mask = 0; mask < 8; mask++) {
            const bool kinks = all_ops[i] == CB_OP_REDUCE_MAX || all_ops[i] == CB_OP_REDUCE_MIN;
            struct op_case c =
                case_of(all_ops[i], mask, OP_SHAPE(2, 3, 4), kinks ? OP_DISTINCT : OP_POSITIVE);
            gradcheck(&c, 2e-3);
            op_case_free(&c);
        }
}

Test(reduce, the_extreme_shares_its_gradient_among_equals)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_MAX);
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(2, 5, 5, 1));
    op_case_run(&c);
    op_case_backward(&c);
    const float half = c.dout[0].f[0] / 2;
    const float want[] = { 0, half, half, 0 };
    for (int i = 0; i < 4; i++)
        cr_expect(eq(flt, c.din[0].f[i], want[i]));
    op_case_free(&c);
}

Test(reduce, the_gradient_of_a_product_with_zeros_is_that_of_the_others)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_PROD);
    c.node.attr.reduce.axes = (struct cb_list){ 1, { 1 } };
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(2, 0, 3, 0, 0, 3));
    op_case_run(&c);
    op_case_backward(&c);
    const float want[] = { 0, 6 * c.dout[0].f[0], 0, 0, 0, 0 };
    for (int i = 0; i < 6; i++)
        cr_expect(epsilon_eq(flt, c.din[0].f[i], want[i], 1e-6f));
    op_case_free(&c);
}

static void expect_wholes(enum cb_op op, enum cb_dtype dtype, const int64_t *want)
{
    struct op_case c = op_case_make(op);
    c.node.attr.reduce.axes = (struct cb_list){ 1, { 0 } };
    op_case_add_wholes(&c, dtype, OP_SHAPE(3, 2), OP_WHOLES(1, -5, 4, 2, 3, 1));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, want);
    op_case_free(&c);
}

Test(reduce, takes_whole_numbers)
{
    expect_wholes(CB_OP_REDUCE_SUM, CB_INT32, OP_WHOLES(8, -2));
    expect_wholes(CB_OP_REDUCE_MEAN, CB_INT32, OP_WHOLES(2, 0));
    expect_wholes(CB_OP_REDUCE_MAX, CB_INT64, OP_WHOLES(4, 2));
    expect_wholes(CB_OP_REDUCE_MAX, CB_UINT64, OP_WHOLES(4, -5));
    expect_wholes(CB_OP_REDUCE_MIN, CB_INT8, OP_WHOLES(1, -5));
    expect_wholes(CB_OP_REDUCE_PROD, CB_INT64, OP_WHOLES(12, -10));
    expect_wholes(CB_OP_REDUCE_L1, CB_INT64, OP_WHOLES(8, 8));
    expect_wholes(CB_OP_REDUCE_L2, CB_INT64, OP_WHOLES(5, 5));
    expect_wholes(CB_OP_REDUCE_SUM_SQUARE, CB_INT64, OP_WHOLES(26, 30));
}

Test(reduce, of_no_whole_numbers_is_the_end_of_the_type)
{
    static const struct {
        enum cb_dtype dtype;
        int64_t least, most;
    } ends[] = { { CB_INT8, -128, 127 },
                 { CB_UINT8, 0, 255 },
                 { CB_INT32, INT32_MIN, INT32_MAX },
                 { CB_INT64, INT64_MIN, INT64_MAX },
                 { CB_UINT64, 0, -1 },
                 { CB_BOOL, 0, 1 } };
    for (size_t i = 0; i < 2 * CB_COUNT_OF(ends); i++) {
        struct op_case c = op_case_make(i % 2 ? CB_OP_REDUCE_MAX : CB_OP_REDUCE_MIN);
        op_case_add_wholes(&c, ends[i / 2].dtype, OP_SHAPE(0), OP_WHOLES(0));
        op_case_run(&c);
        op_case_expect_wholes(&c, 0,
                              (const int64_t[]){ i % 2 ? ends[i / 2].least : ends[i / 2].most });
        op_case_free(&c);
    }
}

static void expect_refusal(struct cb_list axes, const char *message)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_SUM);
    c.node.attr.reduce.axes = axes;
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(reduce, refuses_axes_outside_or_twice)
{
    expect_refusal((struct cb_list){ 1, { 2 } }, "node: wants an axis of rank 2, has 2");
    expect_refusal((struct cb_list){ 1, { INT64_MIN } },
                   "node: wants an axis of rank 2, has -9223372036854775808");
    expect_refusal((struct cb_list){ 2, { 1, -1 } }, "node: wants each axis once, has 1 twice");
}

Test(reduce, refuses_types_that_make_no_sense_and_axes_that_are_not_known)
{
    struct op_case c = op_case_make(CB_OP_REDUCE_LOG_SUM_EXP);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants real numbers, has int32");
    op_case_free(&c);

    struct op_case b = op_case_make(CB_OP_REDUCE_SUM);
    op_case_add_wholes(&b, CB_BOOL, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&b, CB_ERR_MODEL, "node: wants real numbers, has bool");
    op_case_free(&b);

    struct op_case u = op_case_make(CB_OP_REDUCE_SUM);
    struct cb_arg in[2] = { { CB_FLOAT32, OP_SHAPE(2), NULL }, { CB_INT64, OP_SHAPE(1), NULL } },
                  out[1];
    u.node.n_in = 2;
    const struct cb_status st = cb_op_get(CB_OP_REDUCE_SUM)->infer(&u.node, in, out);
    cr_expect(eq(int, (int)st.code, CB_ERR_UNSUPPORTED));
    cr_expect(eq(str, (char *)st.msg, "node: wants axes known before it runs, has a computed one"));
    op_case_free(&u);
}
