/* core/ops/spatial/col2im.c - Col2Im: columns of blocks, added up to the image that they were taken
 * from.
 *
 * x [N, C * block, places], [image], [block] -> y [N, C, image...]. ONNX Col2Im-18, up to three
 * axes. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/window.h"

enum { X, IMAGE, BLOCK };

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    struct cb_window *w = &node->attr.col2im.window;
    struct cb_list *image = &node->attr.col2im.image, *block = &node->attr.col2im.block;
    const struct cb_shape *x = &in[X].shape;
    int64_t places[CB_MAX_SPATIAL], columns = 1, taps = 1;
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    CB_TRY(cb_args_list(node, in, IMAGE, "the image's sizes", image));
    CB_TRY(cb_args_list(node, in, BLOCK, "the block's sizes", block));
    if (image->count < 1 || image->count > CB_MAX_SPATIAL || block->count != image->count)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s: wants an image and blocks of 1 to %d axes, has %d and %d", node->name,
                       CB_MAX_SPATIAL, image->count, block->count);
    if (x->rank != 3)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,C*block,places], has %s", node->name,
                       cb_shape_text(x, text));
    struct cb_shape y = { image->count + 2, { x->dim[0], x->dim[1] } }, last = y;
    w->rank = image->count;
    for (int i = 0; i < w->rank; i++) {
        w->kernel[i] = block->v[i];
        y.dim[2 + i] = last.dim[1 + i] = image->v[i];
    }
    last.dim[w->rank + 1] = x->dim[1];
    CB_TRY(cb_window_infer(node, w, &last, NULL, places));
    for (int i = 0; i < w->rank; i++)
        if (__builtin_mul_overflow(columns, places[i], &columns) ||
            __builtin_mul_overflow(taps, w->kernel[i], &taps))
            return cb_fail(CB_ERR_TOO_LARGE, "%s: too many places", node->name);
    if (x->dim[1] % taps || x->dim[2] != columns)
        return cb_fail(CB_ERR_MODEL, "%s: wants columns of blocks of %lld at %lld places, has %s",
                       node->name, (long long)taps, (long long)columns, cb_shape_text(x, text));
    y.dim[1] = x->dim[1] / taps;
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

struct columns {
    struct cb_grid grid; /* in: the image's sizes, out: places of blocks */
    size_t taps, places, area;
    const float *from;
    float *to;
    bool gather; /* backward */
};

static struct columns columns_of(const struct cb_op_call *call)
{
    const struct cb_window *w = &call->node->attr.col2im.window;
    const struct cb_shape *y = &call->out[0]->shape;
    struct cb_shape in = { w->rank + 2, { y->dim[0] } }, out = in;
    struct columns c = { .taps = 1 };
    for (int i = 0; i < w->rank; i++) {
        const int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        in.dim[1 + i] = y->dim[2 + i];
        out.dim[1 + i] =
            (y->dim[2 + i] + w->pad_begin[i] + w->pad_end[i] - extent) / w->stride[i] + 1;
        c.taps *= (size_t)w->kernel[i];
    }
    in.dim[w->rank + 1] = out.dim[w->rank + 1] = y->dim[1];
    c.grid = cb_grid_make(w, &in, &out);
    c.places = c.grid.out[0] * c.grid.out[1] * c.grid.out[2];
    c.area = c.grid.in[0] * c.grid.in[1] * c.grid.in[2];
    return c;
}

/* The image's coordinate under a tap of a place; false: in the padding. */
static bool pixel_of(const struct columns *c, int axis, size_t place, size_t tap, size_t *out)
{
    const struct cb_grid *g = &c->grid;
    *out = place * g->stride[axis] + tap * g->dilation[axis] - g->pad[axis];
    return *out < g->in[axis]; /* below 0 wraps */
}

/* One tap of one channel at every place. */
static void walk_tap(const struct columns *c, size_t tap, const float *from, float *to)
{
    const struct cb_grid *g = &c->grid;
    const size_t t[3] = { tap / g->kernel[2] / g->kernel[1], tap / g->kernel[2] % g->kernel[1],
                          tap % g->kernel[2] };
    size_t a, b, d, place = 0;
    for (size_t i = 0; i < g->out[0]; i++)
        for (size_t j = 0; j < g->out[1]; j++)
            for (size_t k = 0; k < g->out[2]; k++, place++) {
                if (!pixel_of(c, 0, i, t[0], &a) || !pixel_of(c, 1, j, t[1], &b) ||
                    !pixel_of(c, 2, k, t[2], &d))
                    continue;
                const size_t pixel = (a * g->in[1] + b) * g->in[2] + d;
                to[c->gather ? place : pixel] += from[c->gather ? pixel : place];
            }
}

static void walk_channel(void *ctx, size_t channel, size_t worker)
{
    (void)worker;
    const struct columns *c = ctx;
    for (size_t t = 0; t < c->taps; t++) {
        const size_t image = channel * c->area, column = (channel * c->taps + t) * c->places;
        walk_tap(c, t, c->from + (c->gather ? image : column),
                 c->to + (c->gather ? column : image));
    }
}

static void forward(const struct cb_op_call *call)
{
    struct columns c = columns_of(call);
    c.from = call->in[X]->f;
    c.to = call->out[0]->f;
    memset(c.to, 0, cb_tensor_bytes(call->out[0]));
    cb_threads_for(call->threads, c.grid.n * c.grid.c, walk_channel, &c);
}

static void backward(const struct cb_op_call *call)
{
    struct columns c = columns_of(call);
    if (!call->dout[0] || !call->din[X])
        return;
    c.gather = true;
    c.from = call->dout[0]->f;
    c.to = call->din[X]->f;
    cb_threads_for(call->threads, c.grid.n * c.grid.c, walk_channel, &c);
}

const struct cb_op_def cb_op_col2im = {
    .name = "Col2Im",
    .min_in = 1,
    .max_in = 3,
    .max_out = 1,
    .params = 1u << IMAGE | 1u << BLOCK,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
