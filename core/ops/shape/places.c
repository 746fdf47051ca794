/* core/ops/shape/places.c - GatherElements, GatherND, ScatterElements, ScatterND: each pick of the
 * indices names a place in x.
 *
 * The Elements forms name one element: pick i stands at i's own coordinates, but along `axis` at
 * indices[i]. The ND forms name a block: the last axis of the indices holds the first coordinates
 * of it (after batch_dims common ones). Gather reads the places; Scatter copies x and writes
 * updates there, or adds, multiplies, takes the greater or the smaller; in the order of the picks.
 * A scatter that combines is a reduction of what meets at a place, and has that one's gradient. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/ops/reduce/reduce_rows.h"
#include "core/ops/shape/indices.h"

enum { X, INDICES, UPDATES };

struct places {
    const int64_t *indices;
    size_t picks, block; /* elements of a pick */
    /* Elements: of each axis of the indices, and elements of x from one to the next along it */
    int rank, axis;
    size_t dim[CB_MAX_RANK], step[CB_MAX_RANK];
    /* ND: numbers of a pick, picks and elements of x of one batch */
    size_t width, batch_picks, batch;
    int64_t bound[CB_MAX_RANK]; /* of each number; of the only one */
};

static bool is_elements(const struct cb_node *node)
{
    return node->op == CB_OP_GATHER_ELEMENTS || node->op == CB_OP_SCATTER_ELEMENTS;
}

static struct places elements_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[X]->shape, *indices = &call->in[INDICES]->shape;
    struct places p = { .indices = call->in[INDICES]->i,
                        .picks = cb_shape_count(indices),
                        .block = 1,
                        .rank = x->rank,
                        .axis = cb_shape_axis(call->node->attr.places.axis, x->rank) };
    for (int i = 0; i < x->rank; i++) {
        p.dim[i] = (size_t)indices->dim[i];
        p.step[i] = cb_shape_span(x, i + 1, x->rank);
    }
    p.bound[0] = x->dim[p.axis];
    return p;
}

static struct places blocks_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[X]->shape, *indices = &call->in[INDICES]->shape;
    const int batch = call->node->attr.places.batch_dims, last = indices->rank - 1;
    const int width = (int)indices->dim[last];
    struct places p = { .indices = call->in[INDICES]->i,
                        .picks = cb_shape_span(indices, 0, last),
                        .block = cb_shape_span(x, batch + width, x->rank),
                        .width = (size_t)width,
                        .batch_picks = cb_shape_span(indices, batch, last),
                        .batch = cb_shape_span(x, batch, x->rank) };
    for (int i = 0; i < width; i++) {
        p.bound[i] = x->dim[batch + i];
        p.step[i] = cb_shape_span(x, batch + i + 1, x->rank);
    }
    return p;
}

static struct places places_of(const struct cb_op_call *call)
{
    return is_elements(call->node) ? elements_of(call) : blocks_of(call);
}

/* The element of x at which pick i begins. */
static size_t place(const struct places *p, size_t i)
{
    size_t at = 0, rest = i;
    if (p->width == 0) {
        for (int k = p->rank - 1; k >= 0; k--) {
            const size_t own = rest % p->dim[k];
            at += p->step[k] * (k == p->axis ? cb_index_inside(p->indices[i], p->bound[0]) : own);
            rest /= p->dim[k];
        }
        return at;
    }
    for (size_t k = 0; k < p->width; k++)
        at += p->step[k] * cb_index_inside(p->indices[i * p->width + k], p->bound[k]);
    return at + i / p->batch_picks * p->batch;
}

/* --- shapes --- */

static struct cb_status check_elements(const struct cb_node *node, const struct cb_arg in[],
                                       struct cb_shape *picked)
{
    const struct cb_shape *x = &in[X].shape, *indices = &in[INDICES].shape;
    char tx[CB_SHAPE_TEXT], ti[CB_SHAPE_TEXT];
    int axis;
    CB_TRY(cb_args_axis(node, node->attr.places.axis, x->rank, &axis));
    bool fits = indices->rank == x->rank;
    for (int i = 0; i < x->rank && fits; i++)
        fits = i == axis || indices->dim[i] <= x->dim[i];
    if (!fits)
        return cb_fail(CB_ERR_MODEL, "%s: wants indices that fit into %s beside axis %d, has %s",
                       node->name, cb_shape_text(x, tx), axis, cb_shape_text(indices, ti));
    *picked = *indices;
    return cb_indices_check(node, &in[INDICES], &x->dim[axis], 1);
}

static struct cb_status check_blocks(const struct cb_node *node, const struct cb_arg in[],
                                     struct cb_shape *picked)
{
    const struct cb_shape *x = &in[X].shape, *indices = &in[INDICES].shape;
    const int batch = node->attr.places.batch_dims, last = indices->rank - 1;
    char tx[CB_SHAPE_TEXT], ti[CB_SHAPE_TEXT];
    bool fits = batch >= 0 && last >= batch && x->rank > batch && indices->dim[last] >= 1 &&
                indices->dim[last] <= x->rank - batch;
    for (int i = 0; i < batch && fits; i++)
        fits = x->dim[i] == indices->dim[i];
    if (!fits)
        return cb_fail(CB_ERR_MODEL,
                       "%s: wants indices of places in %s with %d common axes, has %s", node->name,
                       cb_shape_text(x, tx), batch, cb_shape_text(indices, ti));
    const int width = (int)indices->dim[last], rank = last + x->rank - batch - width;
    if (rank > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants rank %d at most, has %d", node->name,
                       CB_MAX_RANK, rank);
    *picked = (struct cb_shape){ .rank = rank };
    for (int i = 0; i < rank; i++)
        picked->dim[i] = i < last ? indices->dim[i] : x->dim[batch + width + i - last];
    return cb_indices_check(node, &in[INDICES], x->dim + batch, (size_t)width);
}

static struct cb_status check_places(const struct cb_node *node, const struct cb_arg in[],
                                     struct cb_shape *picked)
{
    CB_TRY(cb_args_check(node, in));
    return is_elements(node) ? check_elements(node, in, picked) : check_blocks(node, in, picked);
}

static struct cb_status gather_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    struct cb_shape y;
    CB_TRY(check_places(node, in, &y));
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

static struct cb_status scatter_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    const enum cb_scatter how = node->attr.places.how;
    char want[CB_SHAPE_TEXT], has[CB_SHAPE_TEXT];
    struct cb_shape picked;
    CB_TRY(check_places(node, in, &picked));
    CB_TRY(cb_args_same_dtype(node, &in[X], &in[UPDATES]));
    if ((int)how < CB_SCATTER_SET || how > CB_SCATTER_MIN ||
        (how != CB_SCATTER_SET && in[X].dtype == CB_BOOL))
        return cb_fail(CB_ERR_MODEL, "%s: wants numbers to combine, has %s", node->name,
                       cb_dtype_get(in[X].dtype)->name);
    if (!cb_shape_equal(&in[UPDATES].shape, &picked))
        return cb_fail(CB_ERR_MODEL, "%s: wants updates of %s, has %s", node->name,
                       cb_shape_text(&picked, want), cb_shape_text(&in[UPDATES].shape, has));
    return cb_args_out(node, &out[0], in[X].dtype, &in[X].shape);
}

/* --- gather --- */

struct gather_job {
    struct places places;
    const char *x;
    char *y;
    size_t bytes;
};

static void gather_picks(void *ctx, size_t begin, size_t end)
{
    const struct gather_job *job = ctx;
    const size_t size = job->bytes / job->places.block;
    for (size_t i = begin; i < end; i++)
        memcpy(job->y + i * job->bytes, job->x + place(&job->places, i) * size, job->bytes);
}

static void gather_forward(const struct cb_op_call *call)
{
    struct gather_job job = { .x = call->in[X]->data, .y = call->out[0]->data };
    if (cb_tensor_count(call->out[0]) == 0)
        return;
    job.places = places_of(call);
    job.bytes = job.places.block * cb_dtype_size(call->in[X]->dtype);
    cb_walk_range(call->threads, job.places.picks, 1 + CB_WALK_GRAIN / job.bytes, gather_picks,
                  &job);
}

static void gather_backward(const struct cb_op_call *call)
{
    if (!call->din[X] || !call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    const struct places p = places_of(call);
    for (size_t i = 0; i < p.picks; i++)
        call->kernels->axpy(p.block, 1.0f, call->dout[0]->f + i * p.block,
                            call->din[X]->f + place(&p, i));
}

/* --- scatter --- */

static const enum cb_op reduction[] = { [CB_SCATTER_ADD] = CB_OP_REDUCE_SUM,
                                        [CB_SCATTER_MUL] = CB_OP_REDUCE_PROD,
                                        [CB_SCATTER_MAX] = CB_OP_REDUCE_MAX,
                                        [CB_SCATTER_MIN] = CB_OP_REDUCE_MIN };

static void combine_reals(enum cb_scatter how, size_t n, const float *from, float *to)
{
    for (size_t i = 0; i < n; i++) {
        const float a = to[i], b = from[i];
        to[i] = how == CB_SCATTER_ADD   ? a + b
                : how == CB_SCATTER_MUL ? a * b
                : how == CB_SCATTER_MAX ? (a >= b || a != a ? a : b)
                                        : (a <= b || a != a ? a : b);
    }
}

static void combine_wholes(enum cb_scatter how, size_t n, const int64_t *from, struct cb_tensor *to,
                           size_t at)
{
    const struct cb_reduce_rows *rows = cb_reduce_rows_get(reduction[how]);
    for (size_t i = 0; i < n; i++)
        to->i[at + i] =
            cb_dtype_wrap(to->dtype, rows->whole(to->i[at + i], from[i], to->dtype == CB_UINT64));
}

static void scatter_forward(const struct cb_op_call *call)
{
    const enum cb_scatter how = call->node->attr.places.how;
    const size_t size = cb_dtype_size(call->in[X]->dtype);
    struct cb_tensor *y = call->out[0];
    if (cb_tensor_count(y) == 0)
        return;
    memcpy(y->data, call->in[X]->data, cb_tensor_bytes(y));
    if (cb_tensor_count(call->in[UPDATES]) == 0)
        return;
    const struct places p = places_of(call);
    for (size_t i = 0; i < p.picks; i++) {
        const size_t at = place(&p, i), from = i * p.block;
        if (how == CB_SCATTER_SET)
            memcpy((char *)y->data + at * size, (char *)call->in[UPDATES]->data + from * size,
                   p.block * size);
        else if (cb_dtype_get(y->dtype)->is_float)
            combine_reals(how, p.block, call->in[UPDATES]->f + from, y->f + at);
        else
            combine_wholes(how, p.block, call->in[UPDATES]->i + from, y, at);
    }
}

/* What backward knows of each element of y: who wrote it last (a pick, from 1), or what met there.
 */
static size_t scatter_scratch(const struct cb_op_call *call, bool backward)
{
    const size_t n = cb_tensor_count(call->in[X]);
    if (!backward)
        return 0;
    return n * (call->node->attr.places.how == CB_SCATTER_SET ? sizeof(size_t)
                                                              : sizeof(struct cb_reduce_state));
}

static void set_backward(const struct cb_op_call *call, const struct places *p)
{
    const size_t n = cb_tensor_count(call->in[X]);
    const float *dy = call->dout[0]->f;
    size_t *writer = call->scratch;
    memset(writer, 0, n * sizeof *writer);
    for (size_t i = 0; i < p->picks; i++)
        for (size_t k = 0, at = place(p, i); k < p->block; k++)
            writer[at + k] = i + 1;
    for (size_t i = 0; i < n && call->din[X]; i++)
        call->din[X]->f[i] += writer[i] ? 0.0f : dy[i];
    for (size_t i = 0; i < p->picks && call->din[UPDATES]; i++)
        for (size_t k = 0, at = place(p, i); k < p->block; k++)
            if (writer[at + k] == i + 1)
                call->din[UPDATES]->f[i * p->block + k] += dy[at + k];
}

static void combined_backward(const struct cb_op_call *call, const struct places *p)
{
    const struct cb_reduce_rows *rows = cb_reduce_rows_get(reduction[call->node->attr.places.how]);
    const size_t n = cb_tensor_count(call->in[X]);
    const float *x = call->in[X]->f, *u = call->in[UPDATES]->f, *y = call->out[0]->f;
    struct cb_reduce_state *state = call->scratch;
    for (size_t i = 0; i < n; i++) {
        state[i] = (struct cb_reduce_state){ .product = 1 };
        if (rows->prepare)
            rows->prepare(x[i], y[i], &state[i]);
    }
    for (size_t i = 0; i < p->picks * p->block && rows->prepare; i++) {
        const size_t at = place(p, i / p->block) + i % p->block;
        rows->prepare(u[i], y[at], &state[at]);
    }
    for (size_t i = 0; i < n && call->din[X]; i++)
        call->din[X]->f[i] += call->dout[0]->f[i] * rows->slope(x[i], y[i], 1, &state[i]);
    for (size_t i = 0; i < p->picks * p->block && call->din[UPDATES]; i++) {
        const size_t at = place(p, i / p->block) + i % p->block;
        call->din[UPDATES]->f[i] += call->dout[0]->f[at] * rows->slope(u[i], y[at], 1, &state[at]);
    }
}

static void scatter_backward(const struct cb_op_call *call)
{
    struct places p = { .picks = 0 };
    if (!call->dout[0] || cb_tensor_count(call->dout[0]) == 0)
        return;
    if (cb_tensor_count(call->in[UPDATES]) > 0)
        p = places_of(call);
    if (call->node->attr.places.how == CB_SCATTER_SET)
        set_backward(call, &p);
    else
        combined_backward(call, &p);
}

/* clang-format off */
#define GATHER(onnx_name) {                                                                        \
    .name = onnx_name, .min_in = 2, .max_in = 2, .max_out = 1,                                     \
    .infer = gather_infer, .forward = gather_forward, .backward = gather_backward,                 \
}
#define SCATTER(onnx_name) {                                                                       \
    .name = onnx_name, .min_in = 3, .max_in = 3, .max_out = 1, .infer = scatter_infer,             \
    .scratch = scatter_scratch, .forward = scatter_forward, .backward = scatter_backward,          \
}

const struct cb_op_def cb_op_gather_elements = GATHER("GatherElements");
const struct cb_op_def cb_op_gather_nd = GATHER("GatherND");
const struct cb_op_def cb_op_scatter_elements = SCATTER("ScatterElements");
const struct cb_op_def cb_op_scatter_nd = SCATTER("ScatterND");
