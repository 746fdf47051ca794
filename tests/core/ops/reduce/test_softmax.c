#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "tests/support/gradcheck.h"

Test(softmax, gives_shares_that_make_one)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(0, logf(2), logf(5), 7, 7, 7));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6,
                          OP_FLOATS(0.125f, 0.25f, 0.625f, 1 / 3.0f, 1 / 3.0f, 1 / 3.0f));
    op_case_free(&c);
}

Test(softmax, goes_along_any_axis)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    c.node.attr.softmax.axis = 0;
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(0, 0, logf(3), 0));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0.25f, 0.5f, 0.75f, 0.5f));
    op_case_free(&c);
}

Test(softmax, before_opset_13_takes_all_axes_from_the_axis_on)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    c.node.attr.softmax.axis = 1;
    c.node.attr.softmax.flatten = true;
    op_case_add(&c, OP_SHAPE(2, 2, 2), OP_FLOATS(1, 1, 1, 1, 0, 0, logf(2), 0));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6,
                          OP_FLOATS(0.25f, 0.25f, 0.25f, 0.25f, 0.2f, 0.2f, 0.4f, 0.2f));
    op_case_free(&c);
}

Test(softmax, does_not_overflow)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    op_case_add(&c, OP_SHAPE(2, 2), OP_FLOATS(10000, 10000, -10000, 0));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0.5f, 0.5f, 0, 1));
    op_case_free(&c);

    struct op_case l = op_case_make(CB_OP_LOG_SOFTMAX);
    op_case_add(&l, OP_SHAPE(2, 2), OP_FLOATS(10000, 10000, -10000, 0));
    op_case_run(&l);
    op_case_expect_floats(&l, 0, 1e-3, OP_FLOATS(-0.6931472f, -0.6931472f, -10000, 0));
    op_case_free(&l);
}

Test(softmax, equals_its_definition_on_odd_shapes)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_SOFTMAX);
        const struct cb_shape s = OP_SHAPE(3, 5, 37);
        c.node.attr.softmax.axis = axis - 3;
        op_case_random(&c, s, OP_UNIFORM);
        op_case_run(&c);
        const size_t inner = cb_shape_span(&s, axis + 1, 3), n = (size_t)s.dim[axis];
        for (size_t i = 0; i < cb_shape_count(&s); i++) {
            const size_t base = i / (inner * n) * inner * n + i % inner;
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += exp((double)c.in[0].f[base + k * inner]);
            cr_expect(fabs(exp((double)c.in[0].f[i]) / sum - (double)c.out[0].f[i]) < 1e-6,
                      "axis %d, element %zu", axis, i);
        }
        op_case_free(&c);
    }
}

Test(softmax, is_the_same_in_place_and_with_threads)
{
    for (int axis = 0; axis < 3; axis++) {
        struct op_case c = op_case_make(CB_OP_LOG_SOFTMAX);
        c.node.attr.softmax.axis = axis;
        op_case_random(&c, OP_SHAPE(40, 13, 70), OP_UNIFORM);
        op_case_expect_same_on_every_isa(&c, 0);
        float *want = cb_arena_alloc(&c.arena, 40 * 13 * 70, sizeof *want);
        memcpy(want, c.out[0].f, 40 * 13 * 70 * sizeof *want);
        c.in_place = true;
        op_case_forward(&c);
        op_case_expect_floats(&c, 0, 0, want);
        op_case_free(&c);
    }
}

Test(softmax, gradients_agree_with_finite_differences)
{
    static const enum cb_op ops[] = { CB_OP_SOFTMAX, CB_OP_LOG_SOFTMAX };
    for (int axis = 0; axis < 3; axis++)
        for (int k = 0; k < 4; k++) {
            struct op_case c = op_case_make(ops[k / 2]);
            c.node.attr.softmax.axis = axis;
            c.node.attr.softmax.flatten = k % 2;
            op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
            gradcheck(&c, 2e-3);
            op_case_free(&c);
        }
}

Test(softmax, takes_empty_tensors)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    op_case_random(&c, OP_SHAPE(3, 0), OP_UNIFORM);
    op_case_run(&c);
    op_case_free(&c);
}

Test(softmax, refuses_an_axis_outside_and_whole_numbers)
{
    struct op_case c = op_case_make(CB_OP_SOFTMAX);
    c.node.attr.softmax.axis = 2;
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "node: wants an axis of rank 2, has 2");
    op_case_free(&c);

    struct op_case w = op_case_make(CB_OP_SOFTMAX);
    op_case_add_wholes(&w, CB_INT64, OP_SHAPE(1), OP_WHOLES(1));
    op_case_expect_refusal(&w, CB_ERR_MODEL, "node: wants real numbers, has int64");
    op_case_free(&w);
}
