/* core/ops/shape/trilu.c - Trilu: the upper or lower triangle of each matrix of x, zeros beside it.
 * Diagonal k (counted to the right) belongs to both. ONNX Trilu-14. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct trilu_job {
    const struct cb_tensor *from;
    struct cb_tensor *to;
    int64_t rows, columns, k;
    bool lower;
};

static struct cb_status trilu_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    struct cb_list k = { 1, { node->attr.trilu.k } };
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    if (x->rank < 2 || (node->attr.trilu.square && x->dim[x->rank - 1] != x->dim[x->rank - 2]))
        return cb_fail(CB_ERR_MODEL, "%s: wants %s, has %s", node->name,
                       node->attr.trilu.square ? "square matrices" : "matrices",
                       cb_shape_text(x, text));
    CB_TRY(cb_args_list(node, in, 1, "a diagonal", &k));
    if (k.count != 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants one diagonal, has %d", node->name, k.count);
    node->attr.trilu.k = k.v[0];
    return cb_args_out(node, &out[0], in[0].dtype, x);
}

/* The columns [first, end) of a row that belong to the triangle. */
static void span_of(const struct trilu_job *job, int64_t row, size_t *first, size_t *end)
{
    const int64_t most = (int64_t)CB_MAX_ELEMENTS;
    const int64_t k = job->k < -most ? -most : job->k > most ? most : job->k;
    const int64_t at = row + k + job->lower;
    const int64_t edge = at < 0 ? 0 : at > job->columns ? job->columns : at;
    *first = job->lower ? 0 : (size_t)edge;
    *end = job->lower ? (size_t)edge : (size_t)job->columns;
}

static void copy_rows(void *ctx, size_t begin, size_t end)
{
    const struct trilu_job *job = ctx;
    const size_t size = cb_dtype_size(job->from->dtype), bytes = (size_t)job->columns * size;
    for (size_t i = begin; i < end; i++) {
        const char *from = (const char *)job->from->data + i * bytes;
        char *to = (char *)job->to->data + i * bytes;
        size_t a, b;
        span_of(job, (int64_t)i % job->rows, &a, &b);
        if (to != from)
            memcpy(to + a * size, from + a * size, (b - a) * size);
        memset(to, 0, a * size);
        memset(to + b * size, 0, bytes - b * size);
    }
}

static void add_rows(void *ctx, size_t begin, size_t end)
{
    const struct trilu_job *job = ctx;
    const size_t columns = (size_t)job->columns;
    for (size_t i = begin; i < end; i++) {
        size_t a, b;
        span_of(job, (int64_t)i % job->rows, &a, &b);
        for (size_t j = a; j < b; j++)
            job->to->f[i * columns + j] += job->from->f[i * columns + j];
    }
}

static void trilu_run(const struct cb_op_call *call, const struct cb_tensor *from,
                      struct cb_tensor *to, cb_range_fn *fn)
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct trilu_job job = { from,
                             to,
                             x->dim[x->rank - 2],
                             x->dim[x->rank - 1],
                             call->node->attr.trilu.k,
                             call->node->attr.trilu.lower };
    if (cb_shape_count(x) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, x->rank - 1),
                      1 + CB_WALK_GRAIN / (size_t)job.columns, fn, &job);
}

static void trilu_forward(const struct cb_op_call *call)
{
    trilu_run(call, call->in[0], call->out[0], copy_rows);
}

static void trilu_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0])
        trilu_run(call, call->dout[0], call->din[0], add_rows);
}

/* clang-format off */
const struct cb_op_def cb_op_trilu = {
    .name = "Trilu", .min_in = 1, .max_in = 2, .max_out = 1, .params = 1u << 1, .in_place = true,
    .infer = trilu_infer, .forward = trilu_forward, .backward = trilu_backward,
};
