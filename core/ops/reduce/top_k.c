/* core/ops/reduce/top_k.c - TopK: the k greatest (or smallest) elements along an axis, best first,
 * and where they were.
 *
 * Of equal elements the one with the lower index comes first; NaN counts as greater than all
 * others, as in NumPy's order. ONNX TopK-24. `sorted` 0 leaves the order open: this is one. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct top_k_job {
    const struct cb_tensor *x;
    struct cb_tensor *values, *indices; /* NULL: not wanted */
    const float *dy;                    /* backward: */
    float *dx;
    int64_t *best; /* [rows, k]: positions along the axis */
    size_t along, inner, k;
    bool smallest;
};

/* A row: where it begins in x. */
struct row {
    const struct top_k_job *job;
    size_t base;
};

static struct cb_status top_k_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    struct cb_list k = { 1, { node->attr.top_k.k } };
    struct cb_shape y = in[0].shape;
    int axis;
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers, has bool", node->name);
    CB_TRY(cb_args_axis(node, node->attr.top_k.axis, y.rank, &axis));
    CB_TRY(cb_args_list(node, in, 1, "k", &k));
    if (k.count != 1 || k.v[0] < 0 || k.v[0] > y.dim[axis])
        return cb_fail(CB_ERR_MODEL, "%s: wants k of 0 to %lld, has %lld", node->name,
                       (long long)y.dim[axis], (long long)(k.count == 1 ? k.v[0] : -1));
    node->attr.top_k.k = y.dim[axis] = k.v[0];
    if (node->n_out > 1)
        CB_TRY(cb_args_out(node, &out[1], CB_INT64, &y));
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* Compares by value: below 0 when a is less than b. */
static int compare(const struct cb_tensor *x, size_t a, size_t b)
{
    if (cb_dtype_get(x->dtype)->is_float) {
        const float va = x->f[a], vb = x->f[b];
        const bool nan_a = va != va, nan_b = vb != vb;
        return nan_a || nan_b ? nan_a - nan_b : (va > vb) - (va < vb);
    }
    if (x->dtype == CB_UINT64)
        return ((uint64_t)x->i[a] > (uint64_t)x->i[b]) - ((uint64_t)x->i[a] < (uint64_t)x->i[b]);
    return (x->i[a] > x->i[b]) - (x->i[a] < x->i[b]);
}

/* Whether position a along the axis comes before b in the result. */
static bool precedes(const struct row *row, int64_t a, int64_t b)
{
    const struct top_k_job *job = row->job;
    const int order =
        compare(job->x, row->base + (size_t)a * job->inner, row->base + (size_t)b * job->inner);
    return order == 0 ? a < b : (order < 0) == job->smallest;
}

/* Lets heap[i] sink to its place: a heap of n with the last in order at its top. */
static void sink(const struct row *row, int64_t *heap, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && precedes(row, heap[child], heap[child + 1]))
            child++;
        if (precedes(row, heap[child], heap[i]))
            return;
        const int64_t other = heap[i];
        heap[i] = heap[child];
        heap[child] = other;
    }
}

/* The k best of all: a heap keeps those so far, then gives up the last of them, one by one. */
static void choose(const struct row *row, int64_t *best)
{
    const size_t k = row->job->k;
    for (size_t i = 0; i < k; i++)
        best[i] = (int64_t)i;
    for (size_t i = k / 2; i-- > 0;)
        sink(row, best, k, i);
    for (size_t i = k; i < row->job->along; i++)
        if (precedes(row, (int64_t)i, best[0])) {
            best[0] = (int64_t)i;
            sink(row, best, k, 0);
        }
    for (size_t n = k; n > 1; n--) {
        const int64_t last = best[0];
        best[0] = best[n - 1];
        best[n - 1] = last;
        sink(row, best, n - 1, 0);
    }
}

static void top_k_rows(void *ctx, size_t begin, size_t end)
{
    const struct top_k_job *job = ctx;
    const bool real = cb_dtype_get(job->x->dtype)->is_float;
    for (size_t r = begin; r < end; r++) {
        const size_t outer = r / job->inner, column = r % job->inner;
        const struct row row = { job, outer * job->along * job->inner + column };
        int64_t *best = job->best + r * job->k;
        choose(&row, best);
        for (size_t i = 0; i < job->k; i++) {
            const size_t from = row.base + (size_t)best[i] * job->inner;
            const size_t to = (outer * job->k + i) * job->inner + column;
            if (job->dx)
                job->dx[from] += job->dy[to];
            else if (real)
                job->values->f[to] = job->x->f[from];
            else
                job->values->i[to] = job->x->i[from];
            if (job->indices)
                job->indices->i[to] = best[i];
        }
    }
}

static size_t top_k_scratch(const struct cb_op_call *call, bool backward)
{
    (void)backward;
    return cb_tensor_count(call->out[0]) * sizeof(int64_t);
}

static void top_k_run(const struct cb_op_call *call, struct top_k_job job)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int axis = cb_shape_axis(call->node->attr.top_k.axis, x->rank);
    job.x = call->in[0];
    job.best = call->scratch;
    job.along = (size_t)x->dim[axis];
    job.inner = cb_shape_span(x, axis + 1, x->rank);
    job.k = (size_t)call->node->attr.top_k.k;
    job.smallest = call->node->attr.top_k.smallest;
    if (cb_tensor_count(call->out[0]) > 0)
        cb_walk_range(call->threads, cb_shape_span(x, 0, axis) * job.inner,
                      1 + CB_WALK_GRAIN / 4 / job.along, top_k_rows, &job);
}

static void top_k_forward(const struct cb_op_call *call)
{
    top_k_run(call, (struct top_k_job){ .values = call->out[0],
                                        .indices = call->node->n_out > 1 ? call->out[1] : NULL });
}

static void top_k_backward(const struct cb_op_call *call)
{
    if (call->din[0] && call->dout[0])
        top_k_run(call, (struct top_k_job){ .dy = call->dout[0]->f, .dx = call->din[0]->f });
}

static enum cb_dtype top_k_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node;
    return i ? CB_INT64 : in[0];
}

/* clang-format off */
const struct cb_op_def cb_op_top_k = {
    .name = "TopK", .min_in = 1, .max_in = 2, .max_out = 2, .params = 1u << 1,
    .result = top_k_result, .infer = top_k_infer, .scratch = top_k_scratch,
    .forward = top_k_forward, .backward = top_k_backward,
};
