#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static void expect_reversed(int batch, int time, const float *want)
{
    struct op_case c = op_case_make(CB_OP_REVERSE_SEQUENCE);
    c.node.attr.sequence.batch_axis = batch;
    c.node.attr.sequence.time_axis = time;
    op_case_add(&c, OP_SHAPE(3, 3), OP_FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(1, 2, 3));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, want);
    op_case_free(&c);
}

Test(reverse_sequence, turns_the_beginning_of_each_sequence_around)
{
    expect_reversed(0, 1, OP_FLOATS(1, 2, 3, 5, 4, 6, 9, 8, 7));
    expect_reversed(1, 0, OP_FLOATS(1, 5, 9, 4, 2, 6, 7, 8, 3));
}

Test(reverse_sequence, never_reads_outside_whatever_the_lengths)
{
    struct op_case c = op_case_make(CB_OP_REVERSE_SEQUENCE);
    op_case_add_wholes(&c, CB_INT16, OP_SHAPE(2, 3), OP_WHOLES(1, 2, 3, 4, 5, 6));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(INT64_MAX, INT64_MIN, 1));
    op_case_run(&c);
    op_case_expect_wholes(&c, 0, OP_WHOLES(4, 2, 3, 1, 5, 6));
    op_case_free(&c);
}

Test(reverse_sequence, gradients_agree_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_REVERSE_SEQUENCE);
    op_case_random(&c, OP_SHAPE(5, 3, 2), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(4, 5, 0));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(reverse_sequence, refuses_what_does_not_fit)
{
    struct op_case c = op_case_make(CB_OP_REVERSE_SEQUENCE);
    op_case_random(&c, OP_SHAPE(5, 3), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 1));
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "node: wants 3 whole numbers as lengths, has int64 of [2]");
    op_case_free(&c);
    struct op_case l = op_case_make(CB_OP_REVERSE_SEQUENCE);
    l.known = 1u << 1;
    op_case_random(&l, OP_SHAPE(5, 1), OP_UNIFORM);
    op_case_add_wholes(&l, CB_INT64, OP_SHAPE(1), OP_WHOLES(6));
    op_case_expect_refusal(&l, CB_ERR_MODEL, "node: wants lengths up to 5, has 6");
    op_case_free(&l);
    struct op_case a = op_case_make(CB_OP_REVERSE_SEQUENCE);
    a.node.attr.sequence.batch_axis = -2;
    op_case_random(&a, OP_SHAPE(5, 1), OP_UNIFORM);
    op_case_add_wholes(&a, CB_INT64, OP_SHAPE(1), OP_WHOLES(6));
    op_case_expect_refusal(&a, CB_ERR_MODEL, "node: wants two axes, has 0 twice");
    op_case_free(&a);
}
