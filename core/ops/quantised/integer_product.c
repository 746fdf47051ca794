/* core/ops/quantised/integer_product.c - IntegerConv (channels last) and IntegerMatMul: exact
 * 32-bit sums of products of bytes, each less its zero.
 *
 * x [N, spatial..., C], w [M, C/group, kernel...], x_zero one number, w_zero one or [M];
 * a, b as MatMul has them, a_zero one number or one for each row, b_zero one or one for each
 * column. int8 or uint8 each, y int32. ONNX ConvInteger-10, MatMulInteger-10; padding is x_zero.
 * Zeros may be known only when it runs. The work is done by core/kernels/quantised_conv.h. */
#include <string.h>

#include "core/base/arena.h"
#include "core/kernels/quantised_conv.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/ops/product/matmul_shape.h"
#include "core/ops/spatial/conv_shape.h"
#include "core/ops/spatial/window.h"

enum { X, W, X_ZERO, W_ZERO };

/* Weights may have zeros, which take a bit of the sums. */
static const size_t depth_max = CB_QUANTISED_DEPTH_MAX / 2;

static struct cb_status check_types(const struct cb_node *node, const struct cb_arg in[])
{
    CB_TRY(cb_args_check(node, in));
    for (int i = X; i <= W; i++) {
        if (in[i].dtype != CB_INT8 && in[i].dtype != CB_UINT8)
            return cb_fail(CB_ERR_MODEL, "%s: wants int8 or uint8, has %s", node->name,
                           cb_dtype_get(in[i].dtype)->name);
        if (cb_args_given(node, in, X_ZERO + i))
            CB_TRY(cb_args_same_dtype(node, &in[i], &in[X_ZERO + i]));
    }
    return cb_ok();
}

static struct cb_status check_depth(const struct cb_node *node, size_t depth)
{
    if (depth > depth_max)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: sums of %zu products, of at most %zu", node->name,
                       depth, depth_max);
    return cb_ok();
}

/* One number, or `count` along an axis: [count], or `whole` with the other of its last two axes
 * 1. */
static struct cb_status check_zero(const struct cb_node *node, const struct cb_arg in[], int i,
                                   int64_t count, const struct cb_shape *whole)
{
    const struct cb_shape *z = &in[i].shape;
    char a[CB_SHAPE_TEXT];
    if (!cb_args_given(node, in, i) || cb_shape_count(z) == 1 ||
        (z->rank == 1 && z->dim[0] == count) || (whole && cb_shape_equal(z, whole)))
        return cb_ok();
    return cb_fail(CB_ERR_MODEL, "%s: wants a zero point, or %lld of them, has %s", node->name,
                   (long long)count, cb_shape_text(z, a));
}

/* ---- on bytes ---- */

/* Where everything stands in the scratch. */
struct layout {
    size_t x, w, zero, packed, sums, rest; /* offsets */
    size_t bytes;
};

/* SIZE_MAX, which no arena has, when it overflows. */
static size_t take(struct layout *l, size_t bytes)
{
    const size_t at = l->bytes;
    if (__builtin_add_overflow(l->bytes, bytes, &l->bytes) || l->bytes > SIZE_MAX - CB_ALIGN)
        l->bytes = SIZE_MAX;
    else
        l->bytes = cb_align_up(l->bytes);
    return at;
}

static struct layout lay_out(const struct cb_op_call *call, const struct cb_conv_shape *s,
                             size_t x_count, size_t w_count)
{
    const size_t pixels = s->n * s->out[0] * s->out[1] * s->out[2];
    struct layout l = { 0 };
    l.x = take(&l, x_count + CB_QUANTISED_GROUP - 1);
    l.w = take(&l, w_count);
    l.zero = take(&l, s->cout * sizeof(int64_t));
    l.packed = take(&l, cb_quantised_conv_packed_bytes(call->kernels, s, true));
    l.sums = take(&l, pixels * s->cout * sizeof(int32_t));
    l.rest = take(&l, cb_quantised_conv_scratch_bytes(call->kernels, s, true,
                                                      cb_threads_count(call->threads)));
    return l;
}

static void *at(const struct cb_op_call *call, size_t offset)
{
    return (char *)call->scratch + offset;
}

struct bytes {
    const struct cb_tensor *from;
    int64_t shift;
    uint8_t *to;
};

static void move_bytes(void *ctx, size_t begin, size_t end)
{
    const struct bytes *b = ctx;
    for (size_t i = begin; i < end; i++)
        b->to[i] = (uint8_t)(b->from->i[i] + b->shift);
}

/* x as bytes 0 .. 255, in scratch. */
static void move_x(const struct cb_op_call *call, const struct layout *l)
{
    struct bytes b = { call->in[X], call->in[X]->dtype == CB_INT8 ? 128 : 0, at(call, l->x) };
    cb_walk_range(call->threads, cb_tensor_count(b.from), CB_WALK_GRAIN, move_bytes, &b);
}

static int64_t weight_shift(const struct cb_op_call *call)
{
    return call->in[W]->dtype == CB_UINT8 ? -128 : 0;
}

/* Element k of a list that may be one number, or absent. */
static int64_t zero_at(const struct cb_tensor *zero, size_t k)
{
    return zero ? zero->i[cb_tensor_count(zero) == 1 ? 0 : k] : 0;
}

static void run(const struct cb_op_call *call, const struct layout *l,
                const struct cb_conv_shape *s, const uint8_t *x, int64_t x_zero)
{
    const int shift = call->in[X]->dtype == CB_INT8 ? 128 : 0;
    cb_quantised_conv_run(call->kernels, &(struct cb_quantised_conv){
                                             .shape = s,
                                             .x = x,
                                             .x_quantum = { 1, (int)x_zero + shift },
                                             .packed = at(call, l->packed),
                                             .zeros = true,
                                             .sums = at(call, l->sums),
                                             .scratch = at(call, l->rest),
                                             .threads = call->threads,
                                         });
}

/* The zeros of all outputs for the weights as they are kept, from the k-th on. */
static const int64_t *weight_zeros(const struct cb_op_call *call, const struct layout *l,
                                   size_t count, size_t k)
{
    int64_t *zero = at(call, l->zero);
    for (size_t m = 0; m < count; m++)
        zero[m] = zero_at(cb_args_in(call, W_ZERO), k + m) + weight_shift(call);
    return zero;
}

/* ---- IntegerConv ---- */

static struct cb_status conv_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    const struct cb_shape *x = &in[X].shape, *w = &in[W].shape;
    const int64_t group = node->attr.conv.group;
    struct cb_shape y = *x;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(check_types(node, in));
    if (x->rank < 3 || w->rank != x->rank || w->dim[0] < 1 || group < 1 || w->dim[0] % group ||
        w->dim[1] < 1 || w->dim[1] * group != x->dim[x->rank - 1])
        return cb_fail(CB_ERR_MODEL, "%s: wants a filter [M,C/group,kernel...] for %s, has %s",
                       node->name, cb_shape_text(x, a), cb_shape_text(w, b));
    CB_TRY(check_zero(node, in, X_ZERO, 1, NULL));
    CB_TRY(check_zero(node, in, W_ZERO, w->dim[0], NULL));
    CB_TRY(check_depth(node, cb_shape_span(w, 1, w->rank)));
    CB_TRY(cb_window_infer(node, &node->attr.conv.window, x, w, &y.dim[1]));
    y.dim[y.rank - 1] = w->dim[0];
    return cb_args_out(node, &out[0], CB_INT32, &y);
}

static struct cb_conv_shape conv_shape(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    return cb_conv_shape_of(&attr->conv.window, attr->conv.group, &call->in[X]->shape,
                            &call->out[0]->shape);
}

static size_t conv_scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_conv_shape s = conv_shape(call);
    (void)backward;
    return lay_out(call, &s, cb_tensor_count(call->in[X]), cb_tensor_count(call->in[W])).bytes;
}

static void conv_forward(const struct cb_op_call *call)
{
    const struct cb_conv_shape s = conv_shape(call);
    const size_t w_count = cb_tensor_count(call->in[W]), count = cb_tensor_count(call->out[0]);
    const struct layout l = lay_out(call, &s, cb_tensor_count(call->in[X]), w_count);
    struct bytes w = { call->in[W], weight_shift(call), at(call, l.w) };
    const int32_t *sums = at(call, l.sums);
    move_x(call, &l);
    move_bytes(&w, 0, w_count);
    cb_quantised_conv_pack(call->kernels, &s, at(call, l.w), weight_zeros(call, &l, s.cout, 0),
                           at(call, l.packed));
    run(call, &l, &s, at(call, l.x), zero_at(cb_args_in(call, X_ZERO), 0));
    for (size_t i = 0; i < count; i++)
        call->out[0]->i[i] = sums[i];
}

/* ---- IntegerMatMul ---- */

static struct cb_status matmul_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    struct cb_shape rows = in[X].shape, columns = in[W].shape;
    struct cb_matmul_shape s;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(check_types(node, in));
    if (!cb_matmul_shape_find(&rows, &columns, &s))
        return cb_fail(CB_ERR_MODEL, "%s: %s and %s do not multiply", node->name,
                       cb_shape_text(&rows, a), cb_shape_text(&columns, b));
    struct cb_shape y = s.batch;
    if (rows.rank > 1)
        y.dim[y.rank++] = (int64_t)s.m;
    if (columns.rank > 1)
        y.dim[y.rank++] = (int64_t)s.n;
    rows.dim[rows.rank - 1] = 1;
    columns.dim[columns.rank > 1 ? columns.rank - 2 : 0] = 1;
    CB_TRY(check_zero(node, in, X_ZERO, (int64_t)s.m, &rows));
    CB_TRY(check_zero(node, in, W_ZERO, (int64_t)s.n, &columns));
    CB_TRY(check_depth(node, s.k));
    return cb_args_out(node, &out[0], CB_INT32, &y);
}

/* Rows are the pixels of a 1x1 convolution. */
static struct cb_conv_shape product_shape(const struct cb_matmul_shape *s)
{
    return (struct cb_conv_shape){ .n = 1,
                                   .cin = s->k,
                                   .cout = s->n,
                                   .group = 1,
                                   .in = { 1, 1, s->m },
                                   .out = { 1, 1, s->m },
                                   .kernel = { 1, 1, 1 },
                                   .stride = { 1, 1, 1 },
                                   .dilation = { 1, 1, 1 } };
}

static size_t matmul_scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_matmul_shape m = cb_matmul_shape_of(&call->in[X]->shape, &call->in[W]->shape);
    const struct cb_conv_shape s = product_shape(&m);
    (void)backward;
    if (!m.k || !m.m || !m.n)
        return 0;
    return lay_out(call, &s, cb_tensor_count(call->in[X]), m.n * m.k).bytes;
}

/* Matrix `ib` of b, its columns as filters. */
static void pack_matrix(const struct cb_op_call *call, const struct layout *l,
                        const struct cb_matmul_shape *s, size_t ib)
{
    const struct cb_tensor *zero = cb_args_in(call, W_ZERO);
    const struct cb_conv_shape shape = product_shape(s);
    const int64_t *b = call->in[W]->i + ib * s->k * s->n, shift = weight_shift(call);
    const bool each = zero && cb_tensor_count(zero) == s->b_count * s->n;
    int8_t *w = at(call, l->w);
    for (size_t k = 0; k < s->k; k++)
        for (size_t n = 0; n < s->n; n++)
            w[n * s->k + k] = (int8_t)(b[k * s->n + n] + shift);
    cb_quantised_conv_pack(call->kernels, &shape, w,
                           weight_zeros(call, l, s->n, each ? ib * s->n : 0), at(call, l->packed));
}

/* What rows' own zeros take: each times the sum of a column. */
static void take_zeros(const struct cb_op_call *call, const struct layout *l,
                       const struct cb_matmul_shape *s, size_t ia, int64_t *y)
{
    const struct cb_tensor *zero = cb_args_in(call, X_ZERO);
    const size_t zeros = cb_tensor_count(zero);
    const int8_t *w = at(call, l->w);
    const int64_t *w_zero = at(call, l->zero);
    for (size_t n = 0; n < s->n; n++) {
        int64_t sum = 0;
        for (size_t k = 0; k < s->k; k++)
            sum += w[n * s->k + k] - w_zero[n];
        for (size_t m = 0; m < s->m; m++)
            y[m * s->n + n] -= zero->i[(ia * s->m + m) % zeros] * sum;
    }
}

static void matmul_forward(const struct cb_op_call *call)
{
    const struct cb_matmul_shape s = cb_matmul_shape_of(&call->in[X]->shape, &call->in[W]->shape);
    const struct cb_conv_shape shape = product_shape(&s);
    const struct layout l = lay_out(call, &shape, cb_tensor_count(call->in[X]), s.n * s.k);
    const struct cb_tensor *zero = cb_args_in(call, X_ZERO);
    const bool by_row = zero && cb_tensor_count(zero) > 1;
    const int32_t *sums = at(call, l.sums);
    size_t ia, ib, packed = SIZE_MAX;
    if (!s.k || !s.m || !s.n) { /* sums of nothing */
        memset(call->out[0]->i, 0, cb_tensor_bytes(call->out[0]));
        return;
    }
    move_x(call, &l);
    for (size_t i = 0; i < s.batches; i++) {
        int64_t *y = call->out[0]->i + i * s.m * s.n;
        cb_matmul_shape_at(&s, i, &ia, &ib);
        if (ib != packed)
            pack_matrix(call, &l, &s, packed = ib);
        run(call, &l, &shape, (const uint8_t *)at(call, l.x) + ia * s.m * s.k,
            by_row ? 0 : zero_at(zero, 0));
        for (size_t k = 0; k < s.m * s.n; k++)
            y[k] = sums[k];
        if (by_row)
            take_zeros(call, &l, &s, ia, y);
    }
}

static enum cb_dtype result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node, (void)in, (void)i;
    return CB_INT32;
}

/* clang-format off */
const struct cb_op_def cb_op_integer_conv = {
    .name = "IntegerConv", .min_in = 2, .max_in = 4, .max_out = 1, .result = result,
    .infer = conv_infer, .scratch = conv_scratch, .forward = conv_forward,
};

const struct cb_op_def cb_op_integer_matmul = {
    .name = "IntegerMatMul", .min_in = 2, .max_in = 4, .max_out = 1, .result = result,
    .infer = matmul_infer, .scratch = matmul_scratch, .forward = matmul_forward,
};
