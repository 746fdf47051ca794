/* core/ops/spatial/pool.c - MaxPool, AveragePool and LpPool, channels last: x and y [N, spatial...,
 * C].
 *
 * ONNX MaxPool-22, AveragePool-22, LpPool-22, GlobalLpPool-22. Padding is never read: a window is
 * the list of the pixels that it has inside the input. */
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/window.h"

#define CHANNELS_MIN 16 /* of one task in backward: a cache line */

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg *out)
{
    struct cb_shape y = { .rank = in[0].shape.rank };
    CB_TRY(cb_window_infer(node, &node->attr.pool.window, &in[0].shape, NULL, &y.dim[1]));
    y.dim[0] = in[0].shape.dim[0];
    y.dim[y.rank - 1] = in[0].shape.dim[y.rank - 1];
    return cb_args_out(node, out, in[0].dtype, &y);
}

static struct cb_status max_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (!cb_args_is_float(&in[0]) && in[0].dtype != CB_INT8 && in[0].dtype != CB_UINT8)
        return cb_fail(CB_ERR_MODEL, "%s: wants real numbers, int8 or uint8, has %s", node->name,
                       cb_dtype_get(in[0].dtype)->name);
    CB_TRY(infer(node, in, &out[0]));
    return node->n_out > 1 ? cb_args_out(node, &out[1], CB_INT64, &out[0].shape) : cb_ok();
}

static struct cb_status average_infer(struct cb_node *node, const struct cb_arg in[],
                                      struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    return infer(node, in, &out[0]);
}

static struct cb_status lp_infer(struct cb_node *node, const struct cb_arg in[],
                                 struct cb_arg out[])
{
    struct cb_window *w = &node->attr.pool.window;
    const struct cb_shape *x = &in[0].shape;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    if (!(node->attr.pool.p > 0) || !isfinite(node->attr.pool.p))
        return cb_fail(CB_ERR_MODEL, "%s: wants p above 0, has %g", node->name,
                       (double)node->attr.pool.p);
    if (!w->rank && x->rank > 2 && x->rank <= CB_MAX_SPATIAL + 2) {
        w->rank = x->rank - 2;
        for (int i = 0; i < w->rank; i++)
            w->kernel[i] = x->dim[1 + i];
    }
    return infer(node, in, &out[0]);
}

/* ---- windows as lists of pixels ---- */

struct pool {
    const struct cb_op_call *call;
    struct cb_grid grid;
    size_t x_stride, y_stride; /* elements from pixel to pixel */
    size_t max_taps, block;    /* block: channels of one task in backward */
    bool include_pad;
};

/* One output pixel. */
struct window {
    size_t count, divisor; /* pixels inside the input; what an average divides by */
    size_t *offset;        /* [count] elements from the start of x */
    const float **rows;    /* [count] room for pointers */
    float *rest;           /* [block] room for what is left of dy */
};

static struct pool pool_of(const struct cb_op_call *call)
{
    struct pool p = { .call = call,
                      .x_stride = cb_tensor_pixel_stride(call->in[0]),
                      .y_stride = cb_tensor_pixel_stride(call->out[0]) };
    p.grid = cb_grid_make(&call->node->attr.pool.window, &call->in[0]->shape, &call->out[0]->shape);
    p.max_taps = cb_grid_max_taps(&p.grid);
    p.include_pad = call->node->attr.pool.count_include_pad;
    const size_t wanted = (cb_threads_count(call->threads) - 1) / p.grid.n + 1; /* of an image */
    p.block = (p.grid.c - 1) / wanted + 1;
    p.block = p.block > CHANNELS_MIN ? p.block : CHANNELS_MIN;
    return p;
}

static size_t worker_bytes(const struct pool *p)
{
    return cb_align_up(p->max_taps * (sizeof(size_t) + sizeof(float *)) + p->block * sizeof(float));
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    (void)backward;
    const struct pool p = pool_of(call);
    return worker_bytes(&p) * cb_threads_count(call->threads);
}

static struct window window_of(const struct pool *p, size_t worker)
{
    char *start = (char *)p->call->scratch + worker * worker_bytes(p);
    struct window w = { .offset = (size_t *)(void *)start };
    w.rows = (const float **)(void *)(w.offset + p->max_taps);
    w.rest = (float *)(void *)(w.rows + p->max_taps);
    return w;
}

/* What the windows of one line share: taps along the first two axes. */
struct line {
    size_t n;
    struct cb_span a, b;
};

/* Lists the pixels of a window, in the order in which they lie; c: its taps along the last axis. */
static void list_pixels(const struct pool *p, const struct line *l, const struct cb_span *c,
                        struct window *w)
{
    const struct cb_grid *g = &p->grid;
    const struct cb_span *a = &l->a, *b = &l->b;
    w->count = 0;
    w->divisor =
        p->include_pad ? a->padded * b->padded * c->padded : a->count * b->count * c->count;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++) {
            const size_t plane = l->n * g->in[0] + a->begin + i * g->dilation[0];
            const size_t line = plane * g->in[1] + b->begin + j * g->dilation[1];
            for (size_t k = 0; k < c->count; k++)
                w->offset[w->count++] =
                    (line * g->in[2] + c->begin + k * g->dilation[2]) * p->x_stride;
        }
}

static void point_rows(const struct window *w, const float *x)
{
    for (size_t t = 0; t < w->count; t++)
        w->rows[t] = x + w->offset[t];
}

/* fn(p, n, window, offset of the output pixel) for the pixels of one line of the output. */
typedef void pixel_fn(const struct pool *p, size_t n, const struct window *w, size_t at);

/* Whether all taps of window o along the last axis lie inside the input. */
static bool is_inside(const struct cb_grid *g, size_t o)
{
    const size_t start = o * g->stride[2];
    return start >= g->pad[2] && start - g->pad[2] + (g->kernel[2] - 1) * g->dilation[2] < g->in[2];
}

static void for_line(const struct pool *p, size_t line, size_t worker, pixel_fn *fn)
{
    struct window window = window_of(p, worker), *w = &window;
    const struct cb_grid *g = &p->grid;
    const size_t plane = line / g->out[1], step = g->stride[2] * p->x_stride;
    const struct line l = { .n = plane / g->out[0],
                            .a = cb_grid_span(g, 0, plane % g->out[0]),
                            .b = cb_grid_span(g, 1, line % g->out[1]) };
    bool moves = false; /* the window before was inside, and so is this one */
    for (size_t o = 0; o < g->out[2]; o++) {
        const bool inside = is_inside(g, o);
        if (inside && moves) {
            for (size_t t = 0; t < w->count; t++)
                w->offset[t] += step;
        } else {
            const struct cb_span c = cb_grid_span(g, 2, o);
            list_pixels(p, &l, &c, w);
        }
        moves = inside;
        fn(p, l.n, w, (line * g->out[2] + o) * p->y_stride);
    }
}

static void for_lines(const struct cb_op_call *call, cb_threads_fn *fn)
{
    struct pool p = pool_of(call);
    cb_threads_for(call->threads, p.grid.n * p.grid.out[0] * p.grid.out[1], fn, &p);
}

/* ---- MaxPool: y = max over the window; -inf (the lowest number) where it is padding alone ---- */

static void max_pixel(const struct pool *p, size_t n, const struct window *w, size_t at)
{
    (void)n;
    float *y = p->call->out[0]->f + at;
    point_rows(w, p->call->in[0]->f);
    if (w->count)
        p->call->kernels->max_rows(w->count, p->grid.c, w->rows, y);
    for (size_t c = 0; !w->count && c < p->grid.c; c++)
        y[c] = -INFINITY;
}

/* ONNX's index of an element: into [N, C, spatial...], its spatial axes maybe in column-major
 * order. */
static int64_t onnx_index(const struct pool *p, size_t n, size_t c, size_t offset)
{
    const struct cb_grid *g = &p->grid;
    const size_t area = g->in[0] * g->in[1] * g->in[2], pixel = offset / p->x_stride % area;
    const size_t at[3] = { pixel / g->in[2] / g->in[1], pixel / g->in[2] % g->in[1],
                           pixel % g->in[2] };
    const size_t column_major = at[0] + g->in[0] * (at[1] + g->in[1] * at[2]);
    return (int64_t)((n * g->c + c) * area +
                     (p->call->node->attr.pool.column_major ? column_major : pixel));
}

static float element(const struct cb_tensor *t, size_t i)
{
    return cb_dtype_get(t->dtype)->is_float ? t->f[i] : (float)t->i[i]; /* int8 and uint8 alone */
}

/* The first tap of the largest value; a NaN is larger than all. */
static size_t find_largest(const struct cb_tensor *x, const struct window *w, size_t c)
{
    size_t best = 0;
    float largest = element(x, w->offset[0] + c);
    for (size_t t = 1; t < w->count && !isnan(largest); t++) {
        const float v = element(x, w->offset[t] + c);
        if (v > largest || isnan(v)) {
            largest = v;
            best = t;
        }
    }
    return best;
}

/* The general form, one element at a time: whole numbers, and the indices of the largest. */
static void argmax_pixel(const struct pool *p, size_t n, const struct window *w, size_t at)
{
    const struct cb_tensor *x = p->call->in[0];
    struct cb_tensor *y = p->call->out[0];
    struct cb_tensor *index = p->call->node->n_out > 1 ? p->call->out[1] : NULL;
    const bool real = cb_dtype_get(x->dtype)->is_float;
    for (size_t c = 0; c < p->grid.c; c++) {
        const size_t from = w->count ? w->offset[find_largest(x, w, c)] : 0;
        if (real)
            y->f[at + c] = w->count ? x->f[from + c] : -INFINITY;
        else
            y->i[at + c] = w->count ? x->i[from + c] : x->dtype == CB_INT8 ? INT8_MIN : 0;
        if (index)
            index->i[at + c] = w->count ? onnx_index(p, n, c, from) : -1;
    }
}

static void max_line(void *ctx, size_t line, size_t worker)
{
    for_line(ctx, line, worker, max_pixel);
}

static void argmax_line(void *ctx, size_t line, size_t worker)
{
    for_line(ctx, line, worker, argmax_pixel);
}

static void max_forward(const struct cb_op_call *call)
{
    const bool indices = call->node->n_out > 1 && call->out[1];
    for_lines(call,
              indices || !cb_dtype_get(call->in[0]->dtype)->is_float ? argmax_line : max_line);
}

/* Real numbers without indices. */
static bool max_takes_stride(const struct cb_op_call *call, int input)
{
    return input <= 0 && call->node->n_out == 1 && cb_dtype_get(call->in[0]->dtype)->is_float;
}

/* ---- AveragePool: y = sum over the window / divisor ---- */

static bool average_takes_stride(const struct cb_op_call *call, int input)
{
    (void)call;
    return input <= 0;
}

static void average_pixel(const struct pool *p, size_t n, const struct window *w, size_t at)
{
    (void)n;
    float *y = p->call->out[0]->f + at;
    point_rows(w, p->call->in[0]->f);
    if (w->count)
        p->call->kernels->sum_rows(w->count, p->grid.c, w->rows, 1.0f / (float)w->divisor, y);
    else
        memset(y, 0, p->grid.c * sizeof *y);
}

static void average_line(void *ctx, size_t line, size_t worker)
{
    for_line(ctx, line, worker, average_pixel);
}

static void average_forward(const struct cb_op_call *call)
{
    for_lines(call, average_line);
}

/* ---- LpPool: y = (sum of |x|^p)^(1/p) ---- */

static void lp_pixel(const struct pool *p, size_t n, const struct window *w, size_t at)
{
    (void)n;
    const float power = p->call->node->attr.pool.p;
    const bool one = !(power < 1 || power > 1), two = !(power < 2 || power > 2);
    float *y = p->call->out[0]->f + at;
    memset(y, 0, p->grid.c * sizeof *y);
    for (size_t t = 0; t < w->count; t++) {
        const float *x = p->call->in[0]->f + w->offset[t];
        for (size_t c = 0; c < p->grid.c; c++)
            y[c] += one ? fabsf(x[c]) : two ? x[c] * x[c] : powf(fabsf(x[c]), power);
    }
    for (size_t c = 0; !one && c < p->grid.c; c++)
        y[c] = two ? sqrtf(y[c]) : powf(y[c], 1 / power);
}

static void lp_line(void *ctx, size_t line, size_t worker)
{
    for_line(ctx, line, worker, lp_pixel);
}

static void lp_forward(const struct cb_op_call *call)
{
    for_lines(call, lp_line);
}

/* ---- backward: a task is a block of channels of one image: no two write the same place ---- */

/* fn(p, window, offset of the output pixel, first channel, channels) */
typedef void gradient_fn(const struct pool *p, const struct window *w, size_t at, size_t c,
                         size_t count);

static void for_block(const struct pool *p, size_t task, size_t worker, gradient_fn *fn)
{
    const struct cb_grid *g = &p->grid;
    const size_t blocks = (g->c + p->block - 1) / p->block, n = task / blocks;
    const size_t c = task % blocks * p->block, count = g->c - c < p->block ? g->c - c : p->block;
    struct window w = window_of(p, worker);
    size_t o[3], at = n * g->out[0] * g->out[1] * g->out[2] * g->c;
    for (o[0] = 0; o[0] < g->out[0]; o[0]++)
        for (o[1] = 0; o[1] < g->out[1]; o[1]++) {
            const struct line l = { n, cb_grid_span(g, 0, o[0]), cb_grid_span(g, 1, o[1]) };
            for (o[2] = 0; o[2] < g->out[2]; o[2]++, at += g->c) {
                const struct cb_span last = cb_grid_span(g, 2, o[2]);
                list_pixels(p, &l, &last, &w);
                fn(p, &w, at, c, count);
            }
        }
}

static void for_blocks(const struct cb_op_call *call, cb_threads_fn *fn)
{
    struct pool p = pool_of(call);
    if (call->dout[0] && call->din[0])
        cb_threads_for(call->threads, p.grid.n * ((p.grid.c + p.block - 1) / p.block), fn, &p);
}

/* All of dy goes to the first pixel that has the value of y. */
static void max_gradient(const struct pool *p, const struct window *w, size_t at, size_t c,
                         size_t count)
{
    const float *y = p->call->out[0]->f + at + c;
    float *rest = w->rest;
    memcpy(rest, p->call->dout[0]->f + at + c, count * sizeof *rest);
    for (size_t t = 0; t < w->count; t++) {
        const float *x = p->call->in[0]->f + w->offset[t] + c;
        float *dx = p->call->din[0]->f + w->offset[t] + c;
        for (size_t i = 0; i < count; i++) {
            dx[i] += x[i] == y[i] ? rest[i] : 0;
            rest[i] = x[i] == y[i] ? 0 : rest[i];
        }
    }
}

static void average_gradient(const struct pool *p, const struct window *w, size_t at, size_t c,
                             size_t count)
{
    const float *dy = p->call->dout[0]->f + at + c;
    for (size_t t = 0; t < w->count; t++)
        p->call->kernels->axpy(count, 1.0f / (float)w->divisor, dy,
                               p->call->din[0]->f + w->offset[t] + c);
}

/* dx = dy * sign(x) * (|x| / y)^(p - 1). */
static void lp_gradient(const struct pool *p, const struct window *w, size_t at, size_t c,
                        size_t count)
{
    const float power = p->call->node->attr.pool.p - 1;
    const float *y = p->call->out[0]->f + at + c, *dy = p->call->dout[0]->f + at + c;
    for (size_t t = 0; t < w->count; t++) {
        const float *x = p->call->in[0]->f + w->offset[t] + c;
        float *dx = p->call->din[0]->f + w->offset[t] + c;
        for (size_t i = 0; i < count; i++)
            if (x[i] < 0 || x[i] > 0)
                dx[i] += dy[i] * copysignf(powf(fabsf(x[i]) / y[i], power), x[i]);
    }
}

static void max_block(void *ctx, size_t task, size_t worker)
{
    for_block(ctx, task, worker, max_gradient);
}

static void average_block(void *ctx, size_t task, size_t worker)
{
    for_block(ctx, task, worker, average_gradient);
}

static void lp_block(void *ctx, size_t task, size_t worker)
{
    for_block(ctx, task, worker, lp_gradient);
}

static void max_backward(const struct cb_op_call *call)
{
    for_blocks(call, max_block);
}

static void average_backward(const struct cb_op_call *call)
{
    for_blocks(call, average_block);
}

static void lp_backward(const struct cb_op_call *call)
{
    for_blocks(call, lp_block);
}

static enum cb_dtype max_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node;
    return i ? CB_INT64 : in[0];
}

const struct cb_op_def cb_op_max_pool = {
    .name = "MaxPool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 2,
    .result = max_result,
    .infer = max_infer,
    .scratch = scratch,
    .takes_stride = max_takes_stride,
    .forward = max_forward,
    .backward = max_backward,
};

const struct cb_op_def cb_op_average_pool = {
    .name = "AveragePool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = average_infer,
    .scratch = scratch,
    .takes_stride = average_takes_stride,
    .forward = average_forward,
    .backward = average_backward,
};

const struct cb_op_def cb_op_lp_pool = {
    .name = "LpPool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = lp_infer,
    .scratch = scratch,
    .takes_stride = average_takes_stride,
    .forward = lp_forward,
    .backward = lp_backward,
};
