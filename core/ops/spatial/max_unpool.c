/* core/ops/spatial/max_unpool.c - MaxUnpool, channels last: x goes to the places that MaxPool took
 * it from, all others are 0.
 *
 * x and indices [N, spatial..., C]; indices are MaxPool's: into [N, C, spatial...] of y. ONNX
 * MaxUnpool-22. Where a size of y is wanted, files differ in whether indices speak of that or of
 * the size that follows from the window: those that lie in their windows tell. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/window.h"

enum { X, INDICES, SIZE };

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    static const int64_t none[CB_MAX_SPATIAL] = { 0 };
    const struct cb_shape *x = &in[X].shape;
    struct cb_list *sizes = &node->attr.unpool.sizes;
    struct cb_window *w = &node->attr.unpool.window;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    if (in[INDICES].dtype != CB_INT64 || !cb_shape_equal(x, &in[INDICES].shape))
        return cb_fail(CB_ERR_MODEL, "%s: wants indices int64 %s, has %s %s", node->name,
                       cb_shape_text(x, a), cb_dtype_get(in[INDICES].dtype)->name,
                       cb_shape_text(&in[INDICES].shape, b));
    struct cb_shape y = { .rank = x->rank };
    CB_TRY(cb_window_infer_transposed(node, w, x, NULL, none, &y.dim[1]));
    y.dim[0] = x->dim[0];
    y.dim[y.rank - 1] = x->dim[y.rank - 1];
    CB_TRY(cb_args_out(node, &out[0], in[X].dtype, &y)); /* what indices may speak of */
    for (int i = 0; i < w->rank; i++)
        node->attr.unpool.pooled[i] = y.dim[1 + i];
    CB_TRY(cb_args_list(node, in, SIZE, "a size", sizes));
    if (sizes->count < 0)
        return cb_ok();
    if (sizes->count != x->rank)
        return cb_fail(CB_ERR_MODEL, "%s: wants a size of %d axes, has %d", node->name, x->rank,
                       sizes->count);
    for (int i = 0; i < w->rank; i++) { /* [N, C, spatial...] */
        y.dim[1 + i] = sizes->v[2 + i];
        if (y.dim[1 + i] < 1 || y.dim[1 + i] > (int64_t)CB_MAX_ELEMENTS)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of 1 to %zu, has %lld", node->name,
                           CB_MAX_ELEMENTS, (long long)y.dim[1 + i]);
    }
    if (sizes->v[1] != x->dim[x->rank - 1])
        return cb_fail(CB_ERR_MODEL, "%s: wants a size with %lld channels, has %lld", node->name,
                       (long long)x->dim[x->rank - 1], (long long)sizes->v[1]);
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

struct unpool {
    const struct cb_op_call *call;
    struct cb_grid grid;               /* in: x's, out: y's */
    size_t size[CB_MAX_SPATIAL], area; /* what the indices speak of */
};

/* Where an index points to; false: outside of it. */
static bool place_of(const struct unpool *u, int64_t index, size_t *image, size_t *channel,
                     size_t at[CB_MAX_SPATIAL])
{
    const struct cb_grid *g = &u->grid;
    if (index < 0 || (uint64_t)index >= g->n * g->c * u->area)
        return false;
    size_t rest = (size_t)index % u->area;
    for (int i = CB_MAX_SPATIAL - 1; i >= 0; rest /= u->size[i], i--)
        at[i] = rest % u->size[i];
    *image = (size_t)index / u->area / g->c;
    *channel = (size_t)index / u->area % g->c;
    return true;
}

/* Whether every index lies in the window of its pixel. */
static bool is_in_windows(const struct unpool *u)
{
    const struct cb_grid *g = &u->grid;
    const struct cb_tensor *indices = u->call->in[INDICES];
    for (size_t i = 0, n = cb_tensor_count(indices); i < n; i++) {
        size_t at[CB_MAX_SPATIAL], image, channel, rest = i / g->c;
        if (!place_of(u, indices->i[i], &image, &channel, at))
            return false;
        for (int k = CB_MAX_SPATIAL - 1; k >= 0; rest /= g->in[k], k--) {
            const size_t begin = rest % g->in[k] * g->stride[k], place = at[k] + g->pad[k];
            if (place < begin || place >= begin + g->kernel[k])
                return false;
        }
    }
    return true;
}

static void set_size(struct unpool *u, const int64_t *size, int rank)
{
    u->area = 1;
    for (int i = 0; i < CB_MAX_SPATIAL; i++) {
        const int k = i - (CB_MAX_SPATIAL - rank);
        u->size[i] = k < 0 ? 1 : (size_t)size[k];
        u->area *= u->size[i];
    }
}

static struct unpool unpool_of(const struct cb_op_call *call)
{
    const struct cb_window *w = &call->node->attr.unpool.window;
    const int64_t *pooled = call->node->attr.unpool.pooled, *y = &call->out[0]->shape.dim[1];
    struct unpool u = {
        call, cb_grid_make(w, &call->in[X]->shape, &call->out[0]->shape), { 0 }, 0
    };
    bool wanted = false;
    for (int i = 0; i < w->rank; i++)
        wanted |= pooled[i] != y[i];
    set_size(&u, pooled, w->rank);
    if (wanted && !is_in_windows(&u))
        set_size(&u, y, w->rank);
    return u;
}

/* The element of y that element i of x goes to; SIZE_MAX: none. */
static size_t target(const struct unpool *u, size_t i)
{
    const struct cb_grid *g = &u->grid;
    size_t at[CB_MAX_SPATIAL], image, channel;
    if (!place_of(u, u->call->in[INDICES]->i[i], &image, &channel, at))
        return SIZE_MAX;
    for (int k = 0; k < CB_MAX_SPATIAL; k++) {
        if (at[k] >= g->out[k])
            return SIZE_MAX;
        image = image * g->out[k] + at[k];
    }
    return image * g->c + channel;
}

static void forward(const struct cb_op_call *call)
{
    const struct unpool u = unpool_of(call);
    const size_t size = cb_dtype_size(call->in[X]->dtype);
    memset(call->out[0]->data, 0, cb_tensor_bytes(call->out[0]));
    for (size_t i = 0, n = cb_tensor_count(call->in[X]); i < n; i++) {
        const size_t to = target(&u, i);
        if (to != SIZE_MAX)
            memcpy((char *)call->out[0]->data + to * size,
                   (const char *)call->in[X]->data + i * size, size);
    }
}

static void backward(const struct cb_op_call *call)
{
    const struct unpool u = unpool_of(call);
    if (!call->dout[0] || !call->din[X])
        return;
    for (size_t i = 0, n = cb_tensor_count(call->in[X]); i < n; i++) {
        const size_t from = target(&u, i);
        if (from != SIZE_MAX)
            call->din[X]->f[i] += call->dout[0]->f[from];
    }
}

const struct cb_op_def cb_op_max_unpool = {
    .name = "MaxUnpool",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .params = 1u << SIZE,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
