/* Operators that say that their pixels may lie apart: the same numbers as with dense tensors, and
 * nothing written between the pixels. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/close.h"
#include "tests/support/op_case.h"

enum { GAP = 5 };

static struct cb_tensor apart(struct op_case *c, const struct cb_tensor *t)
{
    struct cb_tensor wide = *t;
    const size_t channels = cb_tensor_pixel_stride(t), pixels = cb_tensor_count(t) / channels;
    wide.pixel_stride = channels + GAP;
    wide.f = cb_arena_alloc(&c->arena, pixels * wide.pixel_stride, sizeof *wide.f);
    cr_assert(wide.f);
    for (size_t i = 0; i < pixels * wide.pixel_stride; i++)
        wide.f[i] = 777;
    for (size_t p = 0; p < pixels; p++)
        memcpy(wide.f + p * wide.pixel_stride, t->f + p * channels, channels * sizeof *wide.f);
    return wide;
}

static void expect_apart(const struct cb_tensor *wide, const struct cb_tensor *dense,
                         const char *what)
{
    const size_t channels = cb_tensor_pixel_stride(dense);
    for (size_t p = 0; p < cb_tensor_count(dense) / channels; p++) {
        const float *at = wide->f + p * wide->pixel_stride;
        cb_expect_close(channels, at, dense->f + p * channels, "%s, pixel %zu", what, p);
        for (size_t c = channels; c < wide->pixel_stride; c++)
            cr_expect_eq(at[c], 777, "%s writes after pixel %zu", what, p);
    }
}

/* Every input and output that may lie apart, alone and all together. */
static void check(struct op_case *c, unsigned inputs, bool output)
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int form = 0; form < 3; form++) {
            const struct cb_kernels k = cb_kernels_for(isa);
            struct cb_tensor in[OP_MAX_ARGS], out;
            const struct cb_tensor *ins[OP_MAX_ARGS];
            struct cb_tensor *outs[1] = { &out };
            struct cb_op_call call = { .node = &c->node, .kernels = &k, .in = ins, .out = outs };
            c->isa = isa;
            op_case_run(c);
            out = c->out[0];
            for (int i = 0; i < c->node.n_in; i++) {
                in[i] = c->in[i];
                ins[i] = in[i].dtype == CB_DTYPE_NONE ? NULL : &in[i];
            }
            for (int i = 0; i < c->node.n_in; i++) {
                cr_assert_eq(def->takes_stride(&call, i), inputs >> i & 1, "%s, input %d",
                             def->name, i);
                if (form != 1 && (inputs >> i & 1))
                    in[i] = apart(c, &c->in[i]);
            }
            cr_assert_eq(def->takes_stride(&call, -1), output, "%s", def->name);
            if (form != 0 && output)
                out = apart(c, &c->out[0]);
            else
                out.f = cb_arena_alloc(&c->arena, cb_tensor_count(&out), sizeof *out.f);
            call.scratch =
                cb_arena_alloc(&c->arena, def->scratch ? def->scratch(&call, false) + 1 : 1, 1);
            def->forward(&call);
            if (out.pixel_stride)
                expect_apart(&out, &c->out[0], def->name);
            else
                cb_expect_close(cb_tensor_count(&out), out.f, c->out[0].f, "%s", def->name);
        }
}

static void window(struct op_case *c, int64_t kernel, int64_t stride, int64_t pad)
{
    struct cb_window *w =
        c->node.op == CB_OP_CONV ? &c->node.attr.conv.window : &c->node.attr.pool.window;
    w->rank = 2;
    for (int i = 0; i < 2; i++) {
        w->kernel[i] = kernel;
        w->stride[i] = stride;
        w->pad_begin[i] = w->pad_end[i] = pad;
    }
}

Test(strides, of_convolutions)
{
    static const int64_t kernels[] = { 1, 3 };
    for (int i = 0; i < 2; i++)
        for (int residual = 0; residual < 2; residual++) {
            struct op_case c = op_case_make(CB_OP_CONV);
            window(&c, kernels[i], 1, i);
            op_case_random(&c, OP_SHAPE(2, 5, 4, 9), OP_UNIFORM);
            op_case_random(&c, OP_SHAPE(17, 9, kernels[i], kernels[i]), OP_UNIFORM);
            op_case_random(&c, OP_SHAPE(17), OP_UNIFORM);
            if (residual)
                op_case_random(&c, OP_SHAPE(2, 5, 4, 17), OP_UNIFORM);
            check(&c, 1, !residual);
            op_case_free(&c);
        }
    struct op_case c = op_case_make(CB_OP_CONV); /* an image's few channels are read in lines */
    op_case_random(&c, OP_SHAPE(1, 5, 4, 3), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(17, 3, 2, 2), OP_UNIFORM);
    check(&c, 0, true);
    op_case_free(&c);
}

Test(strides, of_pools)
{
    static const enum cb_op ops[] = { CB_OP_MAX_POOL, CB_OP_AVERAGE_POOL };
    for (int i = 0; i < 2; i++)
        for (int64_t stride = 1; stride <= 2; stride++) {
            struct op_case c = op_case_make(ops[i]);
            window(&c, 3, stride, 1);
            op_case_random(&c, OP_SHAPE(2, 7, 9, 19), OP_UNIFORM);
            check(&c, 1, true);
            op_case_free(&c);
        }
    struct op_case c = op_case_make(CB_OP_GLOBAL_AVERAGE_POOL);
    op_case_random(&c, OP_SHAPE(2, 7, 11, 19), OP_UNIFORM);
    check(&c, 1, false);
    op_case_free(&c);
    c = op_case_make(CB_OP_GLOBAL_MAX_POOL);
    op_case_random(&c, OP_SHAPE(2, 7, 11, 19), OP_UNIFORM);
    check(&c, 1, false);
    op_case_free(&c);
}

Test(strides, of_batch_normalisation)
{
    struct op_case c = op_case_make(CB_OP_BATCH_NORM);
    op_case_random(&c, OP_SHAPE(2, 7, 11, 19), OP_UNIFORM);
    for (int i = 0; i < 4; i++)
        op_case_random(&c, OP_SHAPE(19), OP_POSITIVE);
    check(&c, 1, true);
    op_case_free(&c);
}

Test(strides, of_concat_along_the_last_axis)
{
    struct op_case c = op_case_make(CB_OP_CONCAT);
    c.node.attr.axis.axis = -1;
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 3, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(2, 3, 17), OP_UNIFORM);
    check(&c, 7, true);
    op_case_free(&c);
    c = op_case_make(CB_OP_CONCAT);
    op_case_random(&c, OP_SHAPE(2, 3, 5), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(1, 3, 5), OP_UNIFORM);
    check(&c, 0, false);
    op_case_free(&c);
}
