#include "core/ops/spatial/window.h"

#include <inttypes.h>

/* Of kernel, stride, dilation, padding: products of two stay within 63 bits. */
#define MAX_SIZE ((int64_t)1 << 31)

static struct cb_status check_rank(const struct cb_node *node, struct cb_window *w,
                                   const struct cb_shape *in)
{
    char text[CB_SHAPE_TEXT];
    if (in->rank < 3)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,spatial...,C], has %s", node->name,
                       cb_shape_text(in, text));
    if (in->rank > CB_MAX_SPATIAL + 2)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants at most %d spatial axes, has %d", node->name,
                       CB_MAX_SPATIAL, in->rank - 2);
    if (w->rank && w->rank != in->rank - 2)
        return cb_fail(CB_ERR_MODEL, "%s: a window of %d axes over an input of %d spatial axes",
                       node->name, w->rank, in->rank - 2);
    for (int i = 0; i < in->rank; i++)
        if (in->dim[i] < 1)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of at least 1, has %s", node->name,
                           cb_shape_text(in, text));
    return cb_ok();
}

static struct cb_status check_sizes(const struct cb_node *node, const struct cb_window *w, int axis)
{
    const struct {
        const char *what;
        int64_t value, least;
    } sizes[] = {
        { "kernel", w->kernel[axis], 1 },
        { "stride", w->stride[axis], 1 },
        { "dilation", w->dilation[axis], 1 },
        { "padding at the beginning", w->pad_begin[axis], 0 },
        { "padding at the end", w->pad_end[axis], 0 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(sizes); i++)
        if (sizes[i].value < sizes[i].least || sizes[i].value > MAX_SIZE)
            return cb_fail(
                CB_ERR_MODEL, "%s: %s of axis %d wants %" PRId64 " to %" PRId64 ", has %" PRId64,
                node->name, sizes[i].what, axis, sizes[i].least, MAX_SIZE, sizes[i].value);
    return cb_ok();
}

/* ceil(a / b) for any a and positive b. */
static int64_t ceil_div(int64_t a, int64_t b)
{
    return a > 0 ? (a - 1) / b + 1 : -(-a / b);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return -ceil_div(-a, b);
}

/* SAME: as many outputs as ceil(in / stride); an odd padding has its larger part at the end (upper)
 * or at the beginning (lower). */
static int64_t pad_same(struct cb_window *w, int axis, int64_t in, int64_t extent)
{
    const int64_t out = ceil_div(in, w->stride[axis]);
    const int64_t missing = (out - 1) * w->stride[axis] + extent - in;
    const int64_t total = missing > 0 ? missing : 0, smaller = total / 2;
    const bool upper = w->auto_pad == CB_PAD_SAME_UPPER;
    w->pad_begin[axis] = upper ? smaller : total - smaller;
    w->pad_end[axis] = total - w->pad_begin[axis];
    return out;
}

/* With ceil_mode the last window may hang over the end, but it must begin before the padding there
 * does. */
static int64_t size_explicit(const struct cb_window *w, int axis, int64_t in, int64_t extent)
{
    const int64_t stride = w->stride[axis],
                  room = in + w->pad_begin[axis] + w->pad_end[axis] - extent;
    if (!w->ceil_mode)
        return floor_div(room, stride) + 1;
    const int64_t out = ceil_div(room, stride) + 1;
    return (out - 1) * stride >= in + w->pad_begin[axis] ? out - 1 : out;
}

static struct cb_status infer_axis(const struct cb_node *node, struct cb_window *w, int axis,
                                   int64_t in, int64_t *out)
{
    const bool same = w->auto_pad == CB_PAD_SAME_UPPER || w->auto_pad == CB_PAD_SAME_LOWER;
    if (w->auto_pad != CB_PAD_EXPLICIT)
        w->pad_begin[axis] = w->pad_end[axis] = 0;
    CB_TRY(check_sizes(node, w, axis));
    const int64_t extent = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
    const int64_t n = same ? pad_same(w, axis, in, extent) : size_explicit(w, axis, in, extent);
    if (n < 1)
        return cb_fail(CB_ERR_MODEL,
                       "%s: a window of %" PRId64 " does not fit axis %d of %" PRId64
                       " padded by %" PRId64 " and %" PRId64,
                       node->name, extent, axis, in, w->pad_begin[axis], w->pad_end[axis]);
    *out = n;
    return cb_ok();
}

/* Rank and kernel, which the filter may give. */
static struct cb_status infer_kernel(const struct cb_node *node, struct cb_window *window,
                                     const struct cb_shape *in, const struct cb_shape *filter)
{
    const bool from_filter = filter && !window->rank;
    CB_TRY(check_rank(node, window, in));
    if (!window->rank && !filter)
        return cb_fail(CB_ERR_MODEL, "%s: the window's size is missing", node->name);
    window->rank = in->rank - 2;
    for (int i = 0; i < window->rank; i++) {
        if (from_filter)
            window->kernel[i] = filter->dim[2 + i];
        if (filter && window->kernel[i] != filter->dim[2 + i])
            return cb_fail(CB_ERR_MODEL,
                           "%s: kernel of axis %d is %" PRId64 ", its filter has %" PRId64,
                           node->name, i, window->kernel[i], filter->dim[2 + i]);
    }
    return cb_ok();
}

struct cb_status cb_window_infer(const struct cb_node *node, struct cb_window *window,
                                 const struct cb_shape *in, const struct cb_shape *filter,
                                 int64_t out[CB_MAX_SPATIAL])
{
    CB_TRY(infer_kernel(node, window, in, filter));
    for (int i = 0; i < window->rank; i++)
        CB_TRY(infer_axis(node, window, i, in->dim[1 + i], &out[i]));
    return cb_ok();
}

/* What the padding of a wanted size is in all goes to both ends; an odd one has its larger part at
 * the end only where auto_pad says so. */
static void split_padding(struct cb_window *w, int axis, int64_t total)
{
    const int64_t smaller = total > 0 ? total / 2 : 0, larger = total > 0 ? total - smaller : 0;
    const bool upper = w->auto_pad == CB_PAD_SAME_UPPER;
    w->pad_begin[axis] = upper ? smaller : larger;
    w->pad_end[axis] = upper ? larger : smaller;
}

static struct cb_status infer_transposed_axis(const struct cb_node *node, struct cb_window *w,
                                              int axis, int64_t in, int64_t more, int64_t *out)
{
    const bool same = w->auto_pad == CB_PAD_SAME_UPPER || w->auto_pad == CB_PAD_SAME_LOWER;
    if (w->auto_pad != CB_PAD_EXPLICIT)
        w->pad_begin[axis] = w->pad_end[axis] = 0;
    CB_TRY(check_sizes(node, w, axis));
    if (more < 0 || more > MAX_SIZE)
        return cb_fail(CB_ERR_MODEL,
                       "%s: output padding of axis %d wants 0 to %" PRId64 ", has %" PRId64,
                       node->name, axis, MAX_SIZE, more);
    const int64_t extent = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
    const int64_t full = (in - 1) * w->stride[axis] + extent + more;
    if (*out > MAX_SIZE)
        return cb_fail(CB_ERR_MODEL, "%s: size of axis %d wants at most %" PRId64 ", has %" PRId64,
                       node->name, axis, MAX_SIZE, *out);
    if (*out > 0 || same)
        split_padding(w, axis, full - (*out > 0 ? *out : in * w->stride[axis]));
    const int64_t n = *out > 0 ? *out : full - w->pad_begin[axis] - w->pad_end[axis];
    if (n < 1)
        return cb_fail(CB_ERR_MODEL,
                       "%s: paddings of %" PRId64 " and %" PRId64 " leave nothing of axis %d of "
                       "%" PRId64,
                       node->name, w->pad_begin[axis], w->pad_end[axis], axis, full);
    *out = n;
    return cb_ok();
}

struct cb_status cb_window_infer_transposed(const struct cb_node *node, struct cb_window *window,
                                            const struct cb_shape *in,
                                            const struct cb_shape *filter, const int64_t *more,
                                            int64_t out[CB_MAX_SPATIAL])
{
    CB_TRY(infer_kernel(node, window, in, filter));
    for (int i = 0; i < window->rank; i++)
        CB_TRY(infer_transposed_axis(node, window, i, in->dim[1 + i], more[i], &out[i]));
    return cb_ok();
}

struct cb_grid cb_grid_make(const struct cb_window *window, const struct cb_shape *in,
                            const struct cb_shape *out)
{
    struct cb_grid g = { (size_t)in->dim[0], (size_t)in->dim[in->rank - 1],
                         { 1, 1, 1 },        { 1, 1, 1 },
                         { 1, 1, 1 },        { 1, 1, 1 },
                         { 1, 1, 1 },        { 0, 0, 0 },
                         { 0, 0, 0 } };
    for (int i = 0; i < window->rank; i++) {
        const int k = CB_MAX_SPATIAL - window->rank + i;
        g.in[k] = (size_t)in->dim[1 + i];
        g.out[k] = (size_t)out->dim[1 + i];
        g.kernel[k] = (size_t)window->kernel[i];
        g.stride[k] = (size_t)window->stride[i];
        g.dilation[k] = (size_t)window->dilation[i];
        g.pad[k] = (size_t)window->pad_begin[i];
        g.pad_end[k] = (size_t)window->pad_end[i];
    }
    return g;
}

struct cb_span cb_grid_span(const struct cb_grid *grid, int axis, size_t out)
{
    const int64_t dilation = (int64_t)grid->dilation[axis], kernel = (int64_t)grid->kernel[axis];
    const int64_t in = (int64_t)grid->in[axis];
    const int64_t start = (int64_t)(out * grid->stride[axis]) - (int64_t)grid->pad[axis];
    const int64_t first = start < 0 ? ceil_div(-start, dilation) : 0;
    const int64_t inside = ceil_div(in - start, dilation);
    const int64_t last = inside < kernel ? inside : kernel;
    const int64_t padded = ceil_div(in + (int64_t)grid->pad_end[axis] - start, dilation);
    return (struct cb_span){
        .begin = (size_t)(start + first * dilation),
        .count = last > first ? (size_t)(last - first) : 0,
        .padded = (size_t)(padded < kernel ? padded : kernel),
    };
}

size_t cb_grid_max_taps(const struct cb_grid *grid)
{
    size_t taps = 1;
    for (int i = 0; i < CB_MAX_SPATIAL; i++)
        taps *= grid->kernel[i] < grid->in[i] ? grid->kernel[i] : grid->in[i];
    return taps;
}
