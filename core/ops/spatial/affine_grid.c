/* core/ops/spatial/affine_grid.c - AffineGrid: the places of an output's pixels, moved by a matrix
 * per image: what GridSample reads.
 *
 * theta [N, axes, axes + 1], size [N, C, spatial...] -> grid [N, spatial..., axes], x first. ONNX
 * AffineGrid-20, two or three axes. */
#include "core/ops/args.h"
#include "core/ops/defs.h"

enum { THETA, SIZE };

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *theta = &in[THETA].shape;
    struct cb_list *size = &node->attr.affine_grid.size;
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[THETA]));
    CB_TRY(cb_args_list(node, in, SIZE, "the size", size));
    const int axes = size->count - 2;
    if (axes != 2 && axes != 3)
        return cb_fail(CB_ERR_MODEL, "%s: wants a size of 4 or 5 numbers, has %d", node->name,
                       size->count);
    if (theta->rank != 3 || theta->dim[0] != size->v[0] || theta->dim[1] != axes ||
        theta->dim[2] != axes + 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants matrices [%lld,%d,%d], has %s", node->name,
                       (long long)size->v[0], axes, axes + 1, cb_shape_text(theta, text));
    struct cb_shape grid = { axes + 2, { size->v[0] } };
    for (int i = 0; i < axes; i++)
        grid.dim[1 + i] = size->v[2 + i];
    grid.dim[1 + axes] = axes;
    return cb_args_out(node, &out[0], in[THETA].dtype, &grid);
}

/* Place `at` of n, from -1 to 1: at the pixels' centres, or with the outer ones at the ends (a
 * single one at the first). */
static float centre(const struct cb_op_call *call, size_t at, size_t n)
{
    if (!call->node->attr.affine_grid.align_corners)
        return (float)(2 * at + 1) / (float)n - 1;
    return n > 1 ? 2 * (float)at / (float)(n - 1) - 1 : 0;
}

struct grid {
    size_t axes, places;
    size_t size[CB_MAX_SPATIAL];
};

static struct grid grid_of(const struct cb_op_call *call)
{
    const struct cb_shape *y = &call->out[0]->shape;
    struct grid g = { .axes = (size_t)y->rank - 2, .places = cb_shape_span(y, 1, y->rank - 1) };
    for (size_t i = 0; i < g.axes; i++)
        g.size[i] = (size_t)y->dim[1 + i];
    return g;
}

/* (x, y, .., 1) of a place of an image. */
static void place_of(const struct cb_op_call *call, const struct grid *g, size_t place,
                     float v[CB_MAX_SPATIAL + 1])
{
    for (size_t k = 0; k < g->axes; k++) {
        const size_t n = g->size[g->axes - 1 - k];
        v[k] = centre(call, place % n, n);
        place /= n;
    }
    v[g->axes] = 1;
}

static void forward(const struct cb_op_call *call)
{
    const struct grid g = grid_of(call);
    const size_t images = (size_t)call->in[THETA]->shape.dim[0], columns = g.axes + 1;
    for (size_t i = 0; i < images * g.places; i++) {
        const float *theta = call->in[THETA]->f + i / g.places * g.axes * columns;
        float v[CB_MAX_SPATIAL + 1], *y = call->out[0]->f + i * g.axes;
        place_of(call, &g, i % g.places, v);
        for (size_t r = 0; r < g.axes; r++) {
            y[r] = 0;
            for (size_t k = 0; k < columns; k++)
                y[r] += theta[r * columns + k] * v[k];
        }
    }
}

static void backward(const struct cb_op_call *call)
{
    const struct grid g = grid_of(call);
    const size_t images = (size_t)call->in[THETA]->shape.dim[0], columns = g.axes + 1;
    if (!call->dout[0] || !call->din[THETA])
        return;
    for (size_t i = 0; i < images * g.places; i++) {
        const float *dy = call->dout[0]->f + i * g.axes;
        float v[CB_MAX_SPATIAL + 1], *d = call->din[THETA]->f + i / g.places * g.axes * columns;
        place_of(call, &g, i % g.places, v);
        for (size_t r = 0; r < g.axes; r++)
            for (size_t k = 0; k < columns; k++)
                d[r * columns + k] += dy[r] * v[k];
    }
}

const struct cb_op_def cb_op_affine_grid = {
    .name = "AffineGrid",
    .min_in = 1,
    .max_in = 2,
    .max_out = 1,
    .params = 1u << SIZE,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
