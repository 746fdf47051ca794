#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static void set_perm(struct op_case *c, int rank, const int *perm)
{
    c->node.attr.transpose.rank = rank;
    for (int i = 0; i < rank; i++)
        c->node.attr.transpose.perm[i] = perm[i];
}

Test(transpose, turns_rows_into_columns)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    op_case_add(&c, OP_SHAPE(2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 4, 2, 5, 3, 6));
    op_case_free(&c);
}

Test(transpose, swaps_the_last_two_axes_whatever_the_rank)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE), row = op_case_make(CB_OP_TRANSPOSE);
    c.node.attr.transpose.rank = row.node.attr.transpose.rank = CB_PERM_SWAP_LAST;
    op_case_add(&c, OP_SHAPE(2, 1, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 3, 1));
    op_case_add(&row, OP_SHAPE(3), OP_FLOATS(1, 2, 3));
    op_case_run(&row);
    op_case_expect_floats(&row, 0, 0, OP_FLOATS(1, 2, 3));
    op_case_free(&c);
    op_case_free(&row);
}

Test(transpose, takes_the_first_axis_behind_the_batch)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    c.node.attr.transpose.rank = CB_PERM_BATCH;
    op_case_add(&c, OP_SHAPE(2, 3, 1), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 2, 1));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 4, 2, 5, 3, 6));
    op_case_free(&c);
}

Test(transpose, takes_channels_to_the_last_axis_and_back_whatever_the_rank)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    c.node.attr.transpose.rank = CB_PERM_TO_LAST;
    op_case_add(&c, OP_SHAPE(1, 2, 3), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 3, 2));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 4, 2, 5, 3, 6));
    op_case_free(&c);

    struct op_case b = op_case_make(CB_OP_TRANSPOSE);
    b.node.attr.transpose.rank = CB_PERM_FROM_LAST;
    op_case_random(&b, OP_SHAPE(2, 3, 5, 7), OP_UNIFORM);
    op_case_run(&b);
    op_case_expect_shape(&b, 0, OP_SHAPE(2, 7, 3, 5));
    op_case_free(&b);

    struct op_case m = op_case_make(CB_OP_TRANSPOSE);
    m.node.attr.transpose.rank = CB_PERM_TO_LAST;
    op_case_add(&m, OP_SHAPE(2, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_run(&m);
    op_case_expect_floats(&m, 0, 0, OP_FLOATS(1, 2, 3, 4));
    op_case_free(&m);
}

static void draw(struct cb_rng *rng, struct cb_shape *x, int *perm)
{
    *x = (struct cb_shape){ .rank = (int)cb_rng_below(rng, 6) };
    for (int i = 0; i < x->rank; i++) {
        x->dim[i] = 1 + (int64_t)cb_rng_below(rng, i ? 6 : 20);
        perm[i] = i;
    }
    for (int i = x->rank; i > 1; i--) {
        const int k = (int)cb_rng_below(rng, (uint64_t)i), t = perm[k];
        perm[k] = perm[i - 1];
        perm[i - 1] = t;
    }
}

static void expect_definition(const struct op_case *c, const int *perm, int seed)
{
    const struct cb_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    size_t stride[CB_MAX_RANK];
    cb_shape_strides(x, x, stride);
    for (size_t i = 0; i < cb_shape_count(y); i++) {
        size_t at = 0, rest = i;
        for (int k = y->rank - 1; k >= 0; rest /= (size_t)y->dim[k], k--)
            at += rest % (size_t)y->dim[k] * stride[perm[k]];
        cr_assert(c->out[0].i[i] == c->in[0].i[at], "seed %d, element %zu", seed, i);
    }
}

Test(transpose, equals_its_definition_and_goes_back_for_random_shapes)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct op_case c = op_case_make(CB_OP_TRANSPOSE), back = op_case_make(CB_OP_TRANSPOSE);
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_shape x;
        int perm[CB_MAX_RANK], inverse[CB_MAX_RANK];
        int64_t numbers[20 * 6 * 6 * 6 * 6];
        draw(&rng, &x, perm);
        for (size_t i = 0; i < cb_shape_count(&x); i++)
            numbers[i] = (int64_t)i + 1;
        op_case_add_wholes(&c, CB_INT64, x, numbers);
        set_perm(&c, x.rank, perm);
        op_case_run(&c);
        expect_definition(&c, perm, (int)seed);
        for (int i = 0; i < x.rank; i++)
            inverse[perm[i]] = i;
        op_case_add_wholes(&back, CB_INT64, c.out[0].shape, c.out[0].i);
        set_perm(&back, x.rank, inverse);
        op_case_run(&back);
        op_case_expect_shape(&back, 0, x);
        op_case_expect_wholes(&back, 0, numbers);
        op_case_free(&c);
        op_case_free(&back);
    }
}

Test(transpose, blocks_and_strides_give_the_same_on_large_tensors_with_threads)
{
    static const struct {
        struct cb_shape x;
        int perm[4];
    } forms[] = {
        { { 4, { 2, 37, 41, 33 } }, { 0, 2, 3, 1 } }, { { 4, { 2, 37, 41, 33 } }, { 0, 3, 1, 2 } },
        { { 4, { 1, 3, 211, 97 } }, { 0, 2, 3, 1 } }, { { 4, { 2, 37, 41, 33 } }, { 0, 2, 1, 3 } },
        { { 4, { 2, 37, 41, 33 } }, { 3, 2, 1, 0 } },
    };
    for (size_t i = 0; i < CB_COUNT_OF(forms); i++) {
        struct op_case c = op_case_make(CB_OP_TRANSPOSE);
        const struct cb_shape *x = &forms[i].x;
        size_t stride[CB_MAX_RANK];
        op_case_random(&c, *x, OP_UNIFORM);
        set_perm(&c, 4, forms[i].perm);
        op_case_expect_same_on_every_isa(&c, 0);
        cb_shape_strides(x, x, stride);
        for (size_t k = 0; k < cb_shape_count(x); k++) {
            size_t at = 0, rest = k;
            for (int a = 3; a >= 0; rest /= (size_t)c.out[0].shape.dim[a], a--)
                at += rest % (size_t)c.out[0].shape.dim[a] * stride[forms[i].perm[a]];
            cr_assert(c.out[0].f[k] == c.in[0].f[at], "form %zu, element %zu", i, k);
        }
        op_case_free(&c);
    }
}

Test(transpose, gradients_agree_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    op_case_random(&c, OP_SHAPE(2, 3, 1, 5), OP_UNIFORM);
    set_perm(&c, 4, (const int[]){ 3, 0, 2, 1 });
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(transpose, takes_empty_tensors)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    op_case_random(&c, OP_SHAPE(2, 0, 3), OP_UNIFORM);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 0, 2));
    op_case_free(&c);
}

static void expect_refusal(int rank, const int *perm, const char *message)
{
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    op_case_random(&c, OP_SHAPE(2, 3), OP_UNIFORM);
    set_perm(&c, rank, perm);
    op_case_expect_refusal(&c, CB_ERR_MODEL, message);
    op_case_free(&c);
}

Test(transpose, refuses_what_is_no_permutation)
{
    expect_refusal(3, (const int[]){ 0, 1, 2 }, "node: wants rank 3, has rank 2");
    expect_refusal(2, (const int[]){ 0, 0 }, "node: wants each axis once, has 0 in place 1");
    expect_refusal(2, (const int[]){ 0, 2 }, "node: wants each axis once, has 2 in place 1");
    expect_refusal(2, (const int[]){ -1, 0 }, "node: wants each axis once, has -1 in place 0");
}

Test(transpose, moves_bytes)
{
    static uint8_t bytes[2 * 37 * 67];
    struct op_case c = op_case_make(CB_OP_TRANSPOSE);
    set_perm(&c, 3, (const int[]){ 0, 2, 1 });
    op_case_random(&c, OP_SHAPE(2, 37, 67), OP_UNIFORM);
    c.in[0].dtype = CB_QUINT8;
    c.in[0].data = bytes;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    op_case_run(&c);
    cr_expect_eq(c.out[0].dtype, CB_QUINT8);
    for (size_t i = 0; i < sizeof bytes; i++) {
        const size_t n = i / (37 * 67), column = i / 37 % 67, row = i % 37;
        cr_assert_eq(c.out[0].u8[i], bytes[(n * 37 + row) * 67 + column], "%zu", i);
    }
    op_case_free(&c);
}
