/* core/ops/spatial/global_pool.c - GlobalAveragePool and GlobalMaxPool, of any number of spatial
 * axes: x [N, spatial..., C] -> y [N, 1..., C].
 *
 * ONNX GlobalAveragePool-22, GlobalMaxPool-22; arXiv:1312.4400. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

enum {
    CHANNELS = 128, /* of one task at most */
    LINE = 16,      /* channels of a cache line */
    ROWS = 64,      /* pixels at a time: sums stay precise, and the pointers fit the stack */
};

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    struct cb_shape y = in[0].shape;
    if (y.rank < 3)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,spatial...,C], has %s", node->name,
                       cb_shape_text(&y, text));
    for (int i = 1; i < y.rank - 1; i++) {
        if (y.dim[i] < 1)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of at least 1, has %s", node->name,
                           cb_shape_text(&in[0].shape, text));
        y.dim[i] = 1;
    }
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

struct pool {
    const struct cb_op_call *call;
    size_t area, c, stride; /* stride: floats from pixel to pixel of x */
    size_t block, blocks;   /* channels of one task, tasks of an image */
};

/* The channels of one image that a task works on. */
struct block {
    size_t x, y, count; /* offset of its first pixel in x, of its result in y; channels */
};

static struct block block_of(const struct pool *p, size_t task)
{
    const size_t n = task / p->blocks, c = task % p->blocks * p->block;
    return (struct block){
        .x = n * p->area * p->stride + c,
        .y = n * p->c + c,
        .count = p->c - c < p->block ? p->c - c : p->block,
    };
}

static void for_blocks(const struct cb_op_call *call, cb_threads_fn *fn)
{
    const struct cb_shape *x = &call->in[0]->shape;
    struct pool p = { .call = call,
                      .area = cb_shape_span(x, 1, x->rank - 1),
                      .c = (size_t)x->dim[x->rank - 1],
                      .stride = cb_tensor_pixel_stride(call->in[0]) };
    struct cb_threads *threads =
        cb_tensor_count(call->in[0]) < CB_WALK_GRAIN ? NULL : call->threads;
    const size_t share = p.c / cb_threads_count(threads) / LINE * LINE;
    p.block = share < LINE ? LINE : share > CHANNELS ? CHANNELS : share;
    p.blocks = (p.c + p.block - 1) / p.block;
    cb_threads_for(threads, (size_t)x->dim[0] * p.blocks, fn, &p);
}

/* Points at up to ROWS pixels from `first` on; gives how many. */
static size_t point_rows(const struct pool *p, const struct block *b, size_t first,
                         const float **rows)
{
    const size_t count = p->area - first < ROWS ? p->area - first : ROWS;
    for (size_t i = 0; i < count; i++)
        rows[i] = p->call->in[0]->f + b->x + (first + i) * p->stride;
    return count;
}

static void average_block(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct pool *p = ctx;
    const struct block b = block_of(p, task);
    const struct cb_kernels *k = p->call->kernels;
    const float *rows[ROWS], scale = 1.0f / (float)p->area;
    float part[CHANNELS], *y = p->call->out[0]->f + b.y;
    k->sum_rows(point_rows(p, &b, 0, rows), b.count, rows, scale, y);
    for (size_t i = ROWS; i < p->area; i += ROWS) {
        k->sum_rows(point_rows(p, &b, i, rows), b.count, rows, scale, part);
        k->add(b.count, y, part, -INFINITY, INFINITY, y);
    }
}

static void max_block(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct pool *p = ctx;
    const struct block b = block_of(p, task);
    const struct cb_kernels *k = p->call->kernels;
    const float *rows[ROWS];
    float part[CHANNELS], *y = p->call->out[0]->f + b.y;
    const float *const both[] = { y, part };
    k->max_rows(point_rows(p, &b, 0, rows), b.count, rows, y);
    for (size_t i = ROWS; i < p->area; i += ROWS) {
        k->max_rows(point_rows(p, &b, i, rows), b.count, rows, part);
        k->max_rows(2, b.count, both, y);
    }
}

static void average_gradient(void *ctx, size_t task, size_t worker) /* dx = dy / area */
{
    (void)worker;
    const struct pool *p = ctx;
    const struct block b = block_of(p, task);
    for (size_t i = 0; i < p->area; i++)
        p->call->kernels->axpy(b.count, 1.0f / (float)p->area, p->call->dout[0]->f + b.y,
                               p->call->din[0]->f + b.x + i * p->c);
}

static void max_gradient(void *ctx, size_t task,
                         size_t worker) /* all of dy to the first pixel of y's value */
{
    (void)worker;
    const struct pool *p = ctx;
    const struct block b = block_of(p, task);
    const float *x = p->call->in[0]->f + b.x, *y = p->call->out[0]->f + b.y;
    for (size_t c = 0; c < b.count; c++) {
        size_t i = 0;
        while (i < p->area && x[i * p->c + c] != y[c])
            i++;
        if (i < p->area)
            p->call->din[0]->f[b.x + i * p->c + c] += p->call->dout[0]->f[b.y + c];
    }
}

static bool takes_stride(const struct cb_op_call *call, int input)
{
    (void)call;
    return input == 0;
}

static void average_forward(const struct cb_op_call *call)
{
    for_blocks(call, average_block);
}

static void max_forward(const struct cb_op_call *call)
{
    for_blocks(call, max_block);
}

static void average_backward(const struct cb_op_call *call)
{
    if (call->dout[0] && call->din[0])
        for_blocks(call, average_gradient);
}

static void max_backward(const struct cb_op_call *call)
{
    if (call->dout[0] && call->din[0])
        for_blocks(call, max_gradient);
}

const struct cb_op_def cb_op_global_average_pool = {
    .name = "GlobalAveragePool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = infer,
    .takes_stride = takes_stride,
    .forward = average_forward,
    .backward = average_backward,
};

const struct cb_op_def cb_op_global_max_pool = {
    .name = "GlobalMaxPool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = infer,
    .takes_stride = takes_stride,
    .forward = max_forward,
    .backward = max_backward,
};
