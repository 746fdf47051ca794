/* core/ops/product/matmul.c - MatMul: y = act(clamp(a x b + bias + residual, lo, hi)) with NumPy's
 * rules: vectors become matrices and lose the axis again, leading axes are broadcast.
 *
 * ONNX MatMul-13; all but the product is this library's own: bias [N] and residual, shaped as y, of
 * real numbers where b is one matrix. No gradient flows through act. Whole numbers are multiplied
 * by plain loops and wrap. */

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/clamp.h"
#include "core/ops/product/matmul_shape.h"
#include "core/ops/product/product.h"

enum { A, B, BIAS, RESIDUAL };

/* The leading axes of a shape of matrices. */
static struct cb_shape batch_of(const struct cb_shape *s)
{
    struct cb_shape batch = *s;
    batch.rank = s->rank > 2 ? s->rank - 2 : 0;
    return batch;
}

bool cb_matmul_shape_find(const struct cb_shape *a, const struct cb_shape *b,
                          struct cb_matmul_shape *out)
{
    const struct cb_shape a_batch = batch_of(a), b_batch = batch_of(b);
    if (a->rank < 1 || b->rank < 1 ||
        a->dim[a->rank - 1] != b->dim[b->rank > 1 ? b->rank - 2 : 0] ||
        !cb_shape_broadcast(&a_batch, &b_batch, &out->batch))
        return false;
    out->m = a->rank > 1 ? (size_t)a->dim[a->rank - 2] : 1;
    out->n = b->rank > 1 ? (size_t)b->dim[b->rank - 1] : 1;
    out->k = (size_t)a->dim[a->rank - 1];
    return true;
}

static struct cb_status check_extras(const struct cb_node *node, const struct cb_arg in[],
                                     const struct cb_shape *y)
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    for (int i = BIAS; i < node->n_in; i++) {
        if (!cb_args_given(node, in, i))
            continue;
        const struct cb_shape bias = { 1, { y->rank > 0 ? y->dim[y->rank - 1] : 1 } };
        const struct cb_shape *want = i == BIAS ? &bias : y;
        CB_TRY(cb_args_same_dtype(node, &in[A], &in[i]));
        CB_TRY(cb_args_want_float(node, &in[i]));
        if (in[B].shape.rank != 2 || !cb_shape_equal(&in[i].shape, want))
            return cb_fail(CB_ERR_MODEL, "%s: %s beside one matrix wants %s, has %s", node->name,
                           i == BIAS ? "bias" : "residual", cb_shape_text(want, a),
                           cb_shape_text(&in[i].shape, b));
    }
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    struct cb_matmul_shape s;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_same_dtype(node, &in[0], &in[1]));
    if (in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    if (!cb_matmul_shape_find(&in[0].shape, &in[1].shape, &s))
        return cb_fail(CB_ERR_MODEL, "%s: %s and %s do not multiply", node->name,
                       cb_shape_text(&in[0].shape, a), cb_shape_text(&in[1].shape, b));
    struct cb_shape y = s.batch;
    if (in[0].shape.rank > 1)
        y.dim[y.rank++] = (int64_t)s.m;
    if (in[1].shape.rank > 1)
        y.dim[y.rank++] = (int64_t)s.n;
    CB_TRY(check_extras(node, in, &y));
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

struct cb_matmul_shape cb_matmul_shape_of(const struct cb_shape *a, const struct cb_shape *b)
{
    const struct cb_shape a_batch = batch_of(a), b_batch = batch_of(b);
    struct cb_matmul_shape s = { 0 };
    cb_matmul_shape_find(a, b, &s);
    s.b_count = cb_shape_count(&b_batch);
    s.batches = cb_shape_count(&s.batch);
    if (s.b_count == 1) {
        s.m *= s.batches;
        s.batches = 1;
        s.batch.rank = 0;
    }
    cb_shape_strides(&a_batch, &s.batch, s.a_step);
    cb_shape_strides(&b_batch, &s.batch, s.b_step);
    return s;
}

static struct cb_matmul_shape sizes_of(const struct cb_op_call *call)
{
    return cb_matmul_shape_of(&call->in[0]->shape, &call->in[1]->shape);
}

void cb_matmul_shape_at(const struct cb_matmul_shape *s, size_t i, size_t *a, size_t *b)
{
    *a = *b = 0;
    for (int k = s->batch.rank - 1; k >= 0; k--) {
        const size_t at = i % (size_t)s->batch.dim[k];
        *a += at * s->a_step[k];
        *b += at * s->b_step[k];
        i /= (size_t)s->batch.dim[k];
    }
}

static bool is_real(const struct cb_op_call *call)
{
    return cb_dtype_get(call->in[0]->dtype)->is_float;
}

/* The product of matrix `ia` of a and `ib` of b; data may be NULL when only sizes matter. */
static struct cb_product product_of(const struct cb_op_call *call, const struct cb_matmul_shape *s,
                                    size_t ia, size_t ib)
{
    const char *a = call->in[0]->data, *b = call->in[1]->data;
    return (struct cb_product){
        .m = s->m,
        .n = s->n,
        .k = s->k,
        .alpha = 1,
        .a = { a ? (const float *)(const void *)(a + ia * s->m * s->k * sizeof(float)) : NULL, s->k,
               1 },
        .b = { b ? (const float *)(const void *)(b + ib * s->k * s->n * sizeof(float)) : NULL, s->n,
               1 },
    };
}

/* Bytes of one packed matrix of b. */
static size_t matrix_bytes(const struct cb_op_call *call, const struct cb_matmul_shape *s)
{
    const struct cb_product p = product_of(call, s, 0, 0);
    return cb_product_packed_bytes(&p, call->kernels);
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_matmul_shape s = sizes_of(call);
    return is_real(call) ? s.b_count * matrix_bytes(call, &s) : 0;
}

static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_matmul_shape s = sizes_of(call);
    for (size_t i = 0; i < s.b_count; i++) {
        const struct cb_product p = product_of(call, &s, 0, i);
        cb_product_pack(&p, call, (char *)packed + i * matrix_bytes(call, &s));
    }
}

static void forward_real(const struct cb_op_call *call)
{
    const struct cb_matmul_shape s = sizes_of(call);
    const struct cb_tensor *bias = cb_args_in(call, BIAS), *residual = cb_args_in(call, RESIDUAL);
    const size_t bytes = matrix_bytes(call, &s);
    size_t a, b, in_scratch = SIZE_MAX;
    for (size_t i = 0; i < s.batches; i++) {
        cb_matmul_shape_at(&s, i, &a, &b);
        const struct cb_product p = product_of(call, &s, a, b);
        struct cb_gemm gemm = { .m = s.m,
                                .n = s.n,
                                .k = s.k,
                                .a = p.a.at,
                                .lda = s.k,
                                .packed = call->scratch,
                                .c = call->out[0]->f + i * s.m * s.n,
                                .ldc = s.n,
                                .post = { .bias = bias ? bias->f : NULL,
                                          .residual = residual ? residual->f : NULL,
                                          .lo = call->node->attr.matmul.lo,
                                          .hi = call->node->attr.matmul.hi,
                                          .act = call->node->attr.matmul.act } };
        if (call->packed)
            gemm.packed = (const char *)call->packed + b * bytes;
        else if (b != in_scratch)
            cb_product_pack(&p, call, call->scratch);
        in_scratch = b;
        cb_gemm_run(call->kernels, call->threads, &gemm);
    }
}

static void forward_whole(const struct cb_op_call *call)
{
    const struct cb_matmul_shape s = sizes_of(call);
    const enum cb_dtype dtype = call->out[0]->dtype;
    size_t a, b;
    for (size_t i = 0; i < s.batches; i++) {
        cb_matmul_shape_at(&s, i, &a, &b);
        const int64_t *left = call->in[0]->i + a * s.m * s.k,
                      *right = call->in[1]->i + b * s.k * s.n;
        for (size_t r = 0; r < s.m; r++)
            for (size_t c = 0; c < s.n; c++) {
                uint64_t sum = 0;
                for (size_t k = 0; k < s.k; k++)
                    sum += (uint64_t)left[r * s.k + k] * (uint64_t)right[k * s.n + c];
                call->out[0]->i[(i * s.m + r) * s.n + c] = cb_dtype_wrap(dtype, (int64_t)sum);
            }
    }
}

static void forward(const struct cb_op_call *call)
{
    if (is_real(call))
        forward_real(call);
    else
        forward_whole(call);
}

/* ---- backward: da = g x b^T, db = a^T x g, matrix by matrix ---- */

static struct cb_product product_for_a(const struct cb_product *p, const float *g)
{
    return (struct cb_product){ p->m, p->k, p->n, { g, p->n, 1 }, cb_matrix_flip(p->b), 1 };
}

static struct cb_product product_for_b(const struct cb_product *p, const float *g)
{
    return (struct cb_product){ p->k, p->n, p->m, cb_matrix_flip(p->a), { g, p->n, 1 }, 1 };
}

static size_t masked_bytes(const struct cb_op_call *call)
{
    return cb_clamp_bytes(call, call->node->attr.matmul.lo, call->node->attr.matmul.hi);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_matmul_shape s = sizes_of(call);
    if (!is_real(call))
        return 0;
    if (!backward)
        return call->packed ? 0 : matrix_bytes(call, &s);
    const struct cb_product p = product_of(call, &s, 0, 0), a = product_for_a(&p, NULL),
                            b = product_for_b(&p, NULL);
    const size_t for_a = cb_product_scratch_bytes(&a, call->kernels);
    const size_t for_b = cb_product_scratch_bytes(&b, call->kernels);
    return masked_bytes(call) + (for_a > for_b ? for_a : for_b);
}

static void backward(const struct cb_op_call *call)
{
    const struct cb_matmul_shape s = sizes_of(call);
    void *rest = (char *)call->scratch + masked_bytes(call);
    if (!call->dout[0])
        return;
    const float *dy = cb_clamp_gradient(call, call->node->attr.matmul.lo,
                                        call->node->attr.matmul.hi, call->scratch);
    size_t ia, ib;
    for (size_t i = 0; i < s.batches; i++) {
        cb_matmul_shape_at(&s, i, &ia, &ib);
        const float *g = dy + i * s.m * s.n;
        const struct cb_product p = product_of(call, &s, ia, ib), a = product_for_a(&p, g),
                                b = product_for_b(&p, g);
        if (call->din[0])
            cb_product_add(&a, call, rest, call->din[0]->f + ia * s.m * s.k);
        if (call->din[1])
            cb_product_add(&b, call, rest, call->din[1]->f + ib * s.k * s.n);
    }
    const size_t n = cb_tensor_count(call->out[0]);
    if (call->node->n_in > BIAS && call->din[BIAS])
        for (size_t i = 0; i < n; i += s.n)
            call->kernels->axpy(s.n, 1, dy + i, call->din[BIAS]->f);
    if (call->node->n_in > RESIDUAL && call->din[RESIDUAL])
        call->kernels->axpy(n, 1, dy, call->din[RESIDUAL]->f);
}

const struct cb_op_def cb_op_matmul = {
    .name = "MatMul",
    .min_in = 2,
    .max_in = 4,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .forward = forward,
    .backward = backward,
};
