/* core/ops/product/gemm.c - Gemm: y = act(clamp(alpha * A x B + beta * C, lo, hi)), A [M,K] and B
 * [K,N] maybe given transposed, C broadcast to [M,N].
 *
 * ONNX Gemm-13; clamp and act are this library's own, and no gradient flows through act. Whole
 * numbers are multiplied by plain loops and wrap. */
#include <math.h>

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/clamp.h"
#include "core/ops/product/product.h"

enum { A, B, C };

static bool is_whole(float v)
{
    return v == truncf(v) && fabsf(v) < 0x1p31f;
}

static struct cb_status check_types(const struct cb_node *node, const struct cb_arg in[])
{
    const union cb_attr *attr = &node->attr;
    for (int i = B; i < node->n_in; i++)
        if (cb_args_given(node, in, i))
            CB_TRY(cb_args_same_dtype(node, &in[A], &in[i]));
    if (in[A].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    if (!cb_args_is_float(&in[A]) && (!is_whole(attr->gemm.alpha) || !is_whole(attr->gemm.beta)))
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s: whole numbers want a whole alpha and beta, has %g and %g", node->name,
                       (double)attr->gemm.alpha, (double)attr->gemm.beta);
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const union cb_attr *attr = &node->attr;
    const int64_t *a = in[A].shape.dim, *b = in[B].shape.dim;
    char left[CB_SHAPE_TEXT], right[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(check_types(node, in));
    if (in[A].shape.rank != 2 || in[B].shape.rank != 2)
        return cb_fail(CB_ERR_MODEL, "%s: wants two matrices, has %s and %s", node->name,
                       cb_shape_text(&in[A].shape, left), cb_shape_text(&in[B].shape, right));
    if (a[!attr->gemm.trans_a] != b[attr->gemm.trans_b])
        return cb_fail(CB_ERR_MODEL, "%s: %s%s and %s%s do not multiply", node->name,
                       cb_shape_text(&in[A].shape, left), attr->gemm.trans_a ? " transposed" : "",
                       cb_shape_text(&in[B].shape, right), attr->gemm.trans_b ? " transposed" : "");
    const struct cb_shape y = { 2, { a[attr->gemm.trans_a], b[!attr->gemm.trans_b] } };
    struct cb_shape sum;
    if (cb_args_given(node, in, C) &&
        (!cb_shape_broadcast(&in[C].shape, &y, &sum) || !cb_shape_equal(&sum, &y)))
        return cb_fail(CB_ERR_MODEL, "%s: C wants a shape that broadcasts to %s, has %s",
                       node->name, cb_shape_text(&y, left), cb_shape_text(&in[C].shape, right));
    return cb_args_out(node, &out[0], in[A].dtype, &y);
}

static struct cb_matrix matrix_of(const struct cb_tensor *t, bool transposed)
{
    const struct cb_matrix m = { t->f, (size_t)t->shape.dim[1], 1 };
    return transposed ? cb_matrix_flip(m) : m;
}

static struct cb_product product_of(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    const struct cb_shape *a = &call->in[A]->shape, *b = &call->in[B]->shape;
    return (struct cb_product){
        .m = (size_t)a->dim[attr->gemm.trans_a],
        .k = (size_t)a->dim[!attr->gemm.trans_a],
        .n = (size_t)b->dim[!attr->gemm.trans_b],
        .a = matrix_of(call->in[A], attr->gemm.trans_a),
        .b = matrix_of(call->in[B], attr->gemm.trans_b),
        .alpha = attr->gemm.alpha,
    };
}

static bool is_real(const struct cb_op_call *call)
{
    return cb_dtype_get(call->in[A]->dtype)->is_float;
}

static size_t packed_bytes(const struct cb_op_call *call)
{
    const struct cb_product p = product_of(call);
    return !is_real(call) ? 0 : cb_product_packed_bytes(&p, call->kernels);
}

static uint64_t packed_form(const struct cb_op_call *call)
{
    return call->node->attr.gemm.trans_b;
}

static void pack(const struct cb_op_call *call, void *packed)
{
    const struct cb_product p = product_of(call);
    cb_product_pack(&p, call, packed);
}

/* ---- beta * C ---- */

/* How C is added: rows of C (0 where there is none, 1 for a row added to all), and whether it is
 * used as it lies. */
struct addend {
    const struct cb_tensor *c;
    size_t stride[CB_MAX_RANK], rows;
    bool as_it_lies;
};

static struct addend addend_of(const struct cb_op_call *call)
{
    const struct cb_shape *y = &call->out[0]->shape;
    struct addend s = { .c = call->node->n_in > C ? call->in[C] : NULL };
    if (!s.c)
        return s;
    cb_shape_strides(&s.c->shape, y, s.stride);
    s.rows = s.stride[0] ? (size_t)y->dim[0] : 1;
    s.as_it_lies = call->node->attr.gemm.beta == 1 && (s.stride[1] == 1 || y->dim[1] == 1);
    return s;
}

static size_t addend_bytes(const struct addend *s, size_t n)
{
    return s->as_it_lies ? 0 : cb_align_up(s->rows * n * sizeof(float));
}

/* beta * C as [rows,n]. */
static const float *find_addend(const struct addend *s, float beta, size_t n, float *scratch)
{
    if (!s->c || s->as_it_lies)
        return s->c ? s->c->f : NULL;
    for (size_t i = 0; i < s->rows; i++)
        for (size_t j = 0; j < n; j++)
            scratch[i * n + j] = beta * s->c->f[i * s->stride[0] + j * s->stride[1]];
    return scratch;
}

/* ---- forward ---- */

static size_t forward_bytes(const struct cb_op_call *call)
{
    const struct cb_product p = product_of(call);
    const struct addend s = addend_of(call);
    return cb_product_rows_bytes(&p) + addend_bytes(&s, p.n) +
           (call->packed ? 0 : cb_product_packed_bytes(&p, call->kernels));
}

static void forward_whole(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    const struct cb_product p = product_of(call); /* for its sizes and strides */
    const struct addend s = addend_of(call);
    const uint64_t alpha = (uint64_t)(int64_t)attr->gemm.alpha,
                   beta = (uint64_t)(int64_t)attr->gemm.beta;
    const int64_t *a = call->in[A]->i, *b = call->in[B]->i;
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = 0; j < p.n; j++) {
            uint64_t sum = 0;
            for (size_t k = 0; k < p.k; k++)
                sum += (uint64_t)a[i * p.a.row + k * p.a.column] *
                       (uint64_t)b[k * p.b.row + j * p.b.column];
            sum = alpha * sum +
                  (s.c ? beta * (uint64_t)s.c->i[i * s.stride[0] + j * s.stride[1]] : 0);
            call->out[0]->i[i * p.n + j] = cb_dtype_wrap(call->out[0]->dtype, (int64_t)sum);
        }
}

static void forward_real(const struct cb_op_call *call)
{
    const struct cb_product p = product_of(call);
    const struct addend s = addend_of(call);
    float *sum = (float *)(void *)((char *)call->scratch + cb_product_rows_bytes(&p));
    void *packed = (char *)sum + addend_bytes(&s, p.n);
    struct cb_gemm gemm = { .m = p.m,
                            .n = p.n,
                            .k = p.k,
                            .packed = call->packed,
                            .c = call->out[0]->f,
                            .ldc = p.n,
                            .post = { .lo = call->node->attr.gemm.lo,
                                      .hi = call->node->attr.gemm.hi,
                                      .act = call->node->attr.gemm.act } };
    const float *c = find_addend(&s, call->node->attr.gemm.beta, p.n, sum);
    if (s.rows > 1)
        gemm.post.residual = c;
    else
        gemm.post.bias = c;
    gemm.a = cb_product_rows(&p, call->threads, call->scratch, &gemm.lda);
    if (!call->packed) {
        cb_product_pack(&p, call, packed);
        gemm.packed = packed;
    }
    cb_gemm_run(call->kernels, call->threads, &gemm);
}

static void forward(const struct cb_op_call *call)
{
    if (is_real(call))
        forward_real(call);
    else
        forward_whole(call);
}

/* ---- backward: dA' = alpha * g x B'^T, dB' = alpha * A'^T x g, for A' and B' as they are
 * multiplied; what was given transposed gets the transposed product ---- */

static struct cb_product product_for_a(const struct cb_op_call *call, const float *g)
{
    const struct cb_product p = product_of(call);
    const struct cb_matrix dy = { g, p.n, 1 };
    if (call->node->attr.gemm.trans_a)
        return (struct cb_product){ p.k, p.m, p.n, p.b, cb_matrix_flip(dy), p.alpha };
    return (struct cb_product){ p.m, p.k, p.n, dy, cb_matrix_flip(p.b), p.alpha };
}

static struct cb_product product_for_b(const struct cb_op_call *call, const float *g)
{
    const struct cb_product p = product_of(call);
    const struct cb_matrix dy = { g, p.n, 1 };
    if (call->node->attr.gemm.trans_b)
        return (struct cb_product){ p.n, p.k, p.m, cb_matrix_flip(dy), p.a, p.alpha };
    return (struct cb_product){ p.k, p.n, p.m, cb_matrix_flip(p.a), dy, p.alpha };
}

static size_t masked_bytes(const struct cb_op_call *call)
{
    return cb_clamp_bytes(call, call->node->attr.gemm.lo, call->node->attr.gemm.hi);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    if (!is_real(call))
        return 0;
    if (!backward)
        return forward_bytes(call);
    const struct cb_product a = product_for_a(call, NULL), b = product_for_b(call, NULL);
    const size_t for_a = cb_product_scratch_bytes(&a, call->kernels);
    const size_t for_b = cb_product_scratch_bytes(&b, call->kernels);
    return masked_bytes(call) + (for_a > for_b ? for_a : for_b);
}

static void backward(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    void *rest = (char *)call->scratch + masked_bytes(call);
    if (!call->dout[0])
        return;
    const float *g = cb_clamp_gradient(call, attr->gemm.lo, attr->gemm.hi, call->scratch);
    if (call->din[A]) {
        const struct cb_product p = product_for_a(call, g);
        cb_product_add(&p, call, rest, call->din[A]->f);
    }
    if (call->din[B]) {
        const struct cb_product p = product_for_b(call, g);
        cb_product_add(&p, call, rest, call->din[B]->f);
    }
    struct cb_tensor *dc = call->node->n_in > C ? call->din[C] : NULL;
    const struct addend s = addend_of(call);
    const size_t m = (size_t)call->out[0]->shape.dim[0], n = (size_t)call->out[0]->shape.dim[1];
    for (size_t i = 0; dc && i < m; i++)
        for (size_t j = 0; j < n; j++)
            dc->f[i * s.stride[0] + j * s.stride[1]] += attr->gemm.beta * g[i * n + j];
}

const struct cb_op_def cb_op_gemm = {
    .name = "Gemm",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .infer = infer,
    .scratch = scratch,
    .packed_bytes = packed_bytes,
    .packed_form = packed_form,
    .pack = pack,
    .forward = forward,
    .backward = backward,
};
