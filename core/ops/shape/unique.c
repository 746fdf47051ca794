/* core/ops/shape/unique.c - Unique: the different elements of x, or its different slices along an
 * axis; where each stood first; which of them each element is; how often there is each. ONNX
 * Unique-11.
 *
 * How many differ decides the shapes, so that x must be known when the plan is made. Every slice is
 * compared with those found so far: simple, for it happens once. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

#define MOST_SLICES ((size_t)16384)

enum { Y, FIRST, INVERSE, COUNTS };

/* x as [outer, slices, inner]; flat: each element is a slice. */
struct slices {
    const struct cb_tensor *x;
    size_t outer, n, inner;
};

static struct slices slices_of(const struct cb_node *node, const struct cb_tensor *x)
{
    if (node->attr.unique.flat)
        return (struct slices){ x, 1, cb_tensor_count(x), 1 };
    const int axis = cb_shape_axis(node->attr.unique.axis, x->shape.rank);
    return (struct slices){ x, cb_shape_span(&x->shape, 0, axis), (size_t)x->shape.dim[axis],
                            cb_shape_span(&x->shape, axis + 1, x->shape.rank) };
}

static int compare_at(const struct cb_tensor *x, size_t a, size_t b)
{
    if (cb_dtype_get(x->dtype)->is_float)
        return (x->f[a] > x->f[b]) - (x->f[a] < x->f[b]);
    if (x->dtype == CB_UINT64)
        return ((uint64_t)x->i[a] > (uint64_t)x->i[b]) - ((uint64_t)x->i[a] < (uint64_t)x->i[b]);
    return (x->i[a] > x->i[b]) - (x->i[a] < x->i[b]);
}

/* By the first element that differs. */
static int compare(const struct slices *s, size_t a, size_t b)
{
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++) {
            const size_t base = o * s->n * s->inner + i;
            const int order = compare_at(s->x, base + a * s->inner, base + b * s->inner);
            if (order)
                return order;
        }
    return 0;
}

/* Whether slice k is equal to none before it. */
static bool is_first(const struct slices *s, size_t k)
{
    for (size_t j = 0; j < k; j++)
        if (compare(s, j, k) == 0)
            return false;
    return true;
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    struct cb_shape y = in[0].shape;
    size_t n = 0;
    int axis = 0;
    CB_TRY(cb_args_check(node, in));
    if (!in[0].known)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s: wants its input known before it runs, has a computed one", node->name);
    if (!node->attr.unique.flat)
        CB_TRY(cb_args_axis(node, node->attr.unique.axis, y.rank, &axis));
    const struct slices s = slices_of(node, in[0].known);
    if (s.n > MOST_SLICES)
        return cb_fail(CB_ERR_TOO_LARGE, "%s: wants at most %zu elements to compare, has %zu",
                       node->name, MOST_SLICES, s.n);
    for (size_t k = 0; k < s.n; k++)
        n += is_first(&s, k);
    if (node->attr.unique.flat)
        y.rank = 1;
    y.dim[axis] = (int64_t)n;
    for (int i = FIRST; i < node->n_out; i++)
        CB_TRY(cb_args_out(node, &out[i], CB_INT64,
                           &(struct cb_shape){ 1, { (int64_t)(i == INVERSE ? s.n : n) } }));
    return cb_args_out(node, &out[Y], in[0].dtype, &y);
}

/* How many different slices come before slice k in the output: smaller ones, or earlier ones. */
static size_t rank_of(const struct slices *s, const bool *first, size_t k, bool sorted)
{
    size_t rank = 0;
    for (size_t j = 0; j < s->n; j++)
        rank += first[j] && (sorted ? compare(s, j, k) < 0 : j < k);
    return rank;
}

static void copy_slice(const struct slices *s, size_t from, struct cb_tensor *y, size_t to)
{
    const size_t size = cb_dtype_size(y->dtype), count = cb_tensor_count(y);
    if (count == 0) /* slices of nothing */
        return;
    const size_t n = count / (s->outer * s->inner);
    for (size_t o = 0; o < s->outer; o++)
        memcpy((char *)y->data + (o * n + to) * s->inner * size,
               (const char *)s->x->data + (o * s->n + from) * s->inner * size, s->inner * size);
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    (void)backward;
    return slices_of(call->node, call->in[0]).n * sizeof(bool);
}

static void forward(const struct cb_op_call *call)
{
    const struct slices s = slices_of(call->node, call->in[0]);
    const int n_out = call->node->n_out;
    struct cb_tensor *const *out = call->out;
    bool *first = call->scratch;
    for (size_t k = 0; k < s.n; k++)
        first[k] = is_first(&s, k);
    for (size_t k = 0; k < s.n; k++) {
        size_t same = k, count = 0;
        for (size_t j = s.n; j-- > 0;)
            if (compare(&s, j, k) == 0) {
                same = j;
                count++;
            }
        const size_t rank = rank_of(&s, first, same, !call->node->attr.unique.unsorted);
        if (n_out > INVERSE && out[INVERSE])
            out[INVERSE]->i[k] = (int64_t)rank;
        if (!first[k])
            continue;
        copy_slice(&s, k, out[Y], rank);
        if (n_out > FIRST && out[FIRST])
            out[FIRST]->i[rank] = (int64_t)k;
        if (n_out > COUNTS && out[COUNTS])
            out[COUNTS]->i[rank] = (int64_t)count;
    }
}

static enum cb_dtype result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node;
    return i == Y ? in[0] : CB_INT64;
}

/* clang-format off */
const struct cb_op_def cb_op_unique = {
    .name = "Unique", .min_in = 1, .max_in = 1, .max_out = 4, .sizes = 1u << 0,
    .result = result, .infer = infer, .scratch = scratch, .forward = forward,
};
