#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/gradcheck.h"

static struct op_case of(struct cb_shape x, const float *v, const int64_t *indices)
{
    struct op_case c = op_case_make(CB_OP_MAX_UNPOOL);
    struct cb_window *w = &c.node.attr.unpool.window;
    c.node.name = "unpool";
    w->rank = x.rank - 2;
    for (int i = 0; i < w->rank; i++)
        w->kernel[i] = w->stride[i] = 2;
    op_case_add(&c, x, v);
    op_case_add_wholes(&c, CB_INT64, x, indices);
    return c;
}

/* Two channels, whose indices are channels first: the second's begin at 16. */
Test(max_unpool, puts_values_back_by_hand)
{
    struct op_case c = of(OP_SHAPE(1, 2, 2, 2), OP_FLOATS(1, 5, 2, 6, 3, 7, 4, 8),
                          OP_WHOLES(5, 16, 7, 18, 13, 24, 15, 26));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 4, 4, 2));
    op_case_expect_floats(&c, 0, 0,
                          OP_FLOATS(0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, /* */
                                    0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(max_unpool, takes_indices_into_the_wanted_size_or_into_the_windows)
{
    static const float v[] = { 1, 2, 3, 4 };
    static const float want[25] = { [6] = 1, [8] = 2, [16] = 3, [18] = 4 };
    static const int64_t indices[2][4] = { { 5, 7, 13, 15 }, { 6, 8, 16, 18 } };
    for (int i = 0; i < 2; i++) {
        struct op_case c = of(OP_SHAPE(1, 2, 2, 1), v, indices[i]);
        op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(1, 1, 5, 5));
        op_case_run(&c);
        op_case_expect_shape(&c, 0, OP_SHAPE(1, 5, 5, 1));
        op_case_expect_floats(&c, 0, 0, want);
        gradcheck(&c, 1e-3);
        op_case_free(&c);
    }
}

Test(max_unpool, drops_indices_that_point_nowhere)
{
    struct op_case c = of(OP_SHAPE(1, 2, 1), OP_FLOATS(1, 2), OP_WHOLES(-1, INT64_MAX));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 0, 0, 0));
    op_case_free(&c);
}

Test(max_unpool, undoes_max_pool_in_three_dimensions)
{
    struct op_case pool = op_case_make(CB_OP_MAX_POOL);
    struct cb_window *w = &pool.node.attr.pool.window;
    w->rank = 3;
    for (int i = 0; i < 3; i++)
        w->kernel[i] = w->stride[i] = 2;
    pool.node.n_out = 2;
    op_case_random(&pool, OP_SHAPE(2, 4, 2, 6, 3), OP_DISTINCT);
    op_case_run(&pool);
    struct op_case c = of(pool.out[0].shape, pool.out[0].f, pool.out[1].i), again = pool;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 4, 2, 6, 3));
    size_t kept = 0;
    for (size_t i = 0; i < cb_tensor_count(&c.out[0]); i++) {
        const float v = c.out[0].f[i];
        kept += v < 0 || v > 0;
        const bool right = (v >= 0 && v <= 0) || v == again.in[0].f[i];
        cr_expect(right, "[%zu]", i);
    }
    cr_expect(eq(sz, kept, cb_tensor_count(&pool.out[0])));
    op_case_free(&c);
    op_case_free(&pool);
}

Test(max_unpool, says_why_it_refuses)
{
    struct op_case c = of(OP_SHAPE(1, 2, 1), OP_FLOATS(1, 2), OP_WHOLES(0, 2));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 5));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "unpool: wants a size of 3 axes, has 2");
    c.in[1].shape = OP_SHAPE(1, 1, 2);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "unpool: wants indices int64 [1,2,1], has int64 [1,1,2]");
    op_case_free(&c);
    c = of(OP_SHAPE(1, 2, 1), OP_FLOATS(1, 2), OP_WHOLES(0, 2));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(1, 2, 5));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "unpool: wants a size with 1 channels, has 2");
    op_case_free(&c);
}
