/* core/ops/quantised/quantised_pool.c - MaxPool and AveragePool of bytes, channels last: x and y
 * [N, spatial..., C].
 *
 * The maximum keeps x's scale and zero. The mean may change them: y = round(mean of x's reals /
 * scale + zero). A window of rank 0 is the whole picture (GlobalAveragePool). Padding counts as
 * real 0 where count_include_pad says so. */
#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/spatial/window.h"

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    struct cb_window *w = &node->attr.quantised_pool.window;
    const struct cb_shape *x = &in[0].shape;
    struct cb_shape y = *x;
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype != CB_QUINT8 || x->rank < 3 || x->rank > 2 + CB_MAX_SPATIAL)
        return cb_fail(CB_ERR_MODEL, "%s: wants bytes [N,spatial...,C], has %s %s", node->name,
                       cb_dtype_get(in[0].dtype)->name, cb_shape_text(x, text));
    if (w->rank == 0) {
        w->rank = x->rank - 2;
        for (int i = 0; i < w->rank; i++)
            w->kernel[i] = x->dim[1 + i];
    }
    CB_TRY(cb_window_infer(node, w, x, NULL, &y.dim[1]));
    return cb_args_out(node, &out[0], CB_QUINT8, &y);
}

struct pool {
    const struct cb_op_call *call;
    struct cb_grid grid;
    size_t max_taps;
    bool mean;
};

static struct pool pool_of(const struct cb_op_call *call)
{
    struct pool p = { .call = call, .mean = call->node->op == CB_OP_QUANTISED_AVERAGE_POOL };
    p.grid = cb_grid_make(&call->node->attr.quantised_pool.window, &call->in[0]->shape,
                          &call->out[0]->shape);
    p.max_taps = cb_grid_max_taps(&p.grid);
    return p;
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct pool p = pool_of(call);
    (void)backward;
    return cb_align_up(p.max_taps * sizeof(uint8_t *)) * cb_threads_count(call->threads);
}

/* The pixels under a window; how many. */
static size_t point_rows(const struct pool *p, size_t n, const struct cb_span span[3],
                         const uint8_t **rows)
{
    const struct cb_grid *g = &p->grid;
    size_t count = 0;
    for (size_t i = 0; i < span[0].count; i++)
        for (size_t j = 0; j < span[1].count; j++) {
            const size_t plane = n * g->in[0] + span[0].begin + i * g->dilation[0];
            const size_t line = plane * g->in[1] + span[1].begin + j * g->dilation[1];
            for (size_t k = 0; k < span[2].count; k++)
                rows[count++] = p->call->in[0]->u8 +
                                (line * g->in[2] + span[2].begin + k * g->dilation[2]) * g->c;
        }
    return count;
}

static void finish_pixel(const struct pool *p, const struct cb_span span[3], size_t count,
                         const uint8_t *const *rows, uint8_t *y)
{
    const struct cb_quantised_kernels *k = &p->call->kernels->quantised;
    const union cb_attr *attr = &p->call->node->attr;
    const struct cb_quantum in = attr->quantised_pool.x, out = attr->quantised_pool.y;
    if (!p->mean && count) {
        k->max_rows(count, p->grid.c, rows, y);
        return;
    }
    if (!count) { /* padding alone: the mean is 0, the maximum the lowest number */
        for (size_t c = 0; c < p->grid.c; c++)
            y[c] = p->mean ? (uint8_t)out.zero : 0;
        return;
    }
    const size_t divisor = attr->quantised_pool.count_include_pad
                               ? span[0].padded * span[1].padded * span[2].padded
                               : count;
    const float unit = in.scale / (out.scale * (float)divisor);
    const struct cb_quantised_mean mean = { -(int32_t)count * in.zero, unit, out.zero };
    k->mean_rows(count, p->grid.c, rows, &mean, y);
}

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct pool *p = ctx;
    const struct cb_grid *g = &p->grid;
    const uint8_t **rows =
        (const uint8_t **)(void *)((char *)p->call->scratch +
                                   worker * cb_align_up(p->max_taps * sizeof *rows));
    const size_t plane = line / g->out[1], n = plane / g->out[0];
    struct cb_span span[3] = { cb_grid_span(g, 0, plane % g->out[0]),
                               cb_grid_span(g, 1, line % g->out[1]) };
    for (size_t o = 0; o < g->out[2]; o++) {
        span[2] = cb_grid_span(g, 2, o);
        const size_t count = point_rows(p, n, span, rows);
        finish_pixel(p, span, count, rows, p->call->out[0]->u8 + (line * g->out[2] + o) * g->c);
    }
}

static void forward(const struct cb_op_call *call)
{
    struct pool p = pool_of(call);
    cb_threads_for(call->threads, p.grid.n * p.grid.out[0] * p.grid.out[1], run_line, &p);
}

/* clang-format off */
#define POOL(id, its_name)                                                           \
    const struct cb_op_def cb_op_##id = {                                            \
        .name = its_name, .min_in = 1, .max_in = 1, .max_out = 1,                    \
        .infer = infer, .scratch = scratch, .forward = forward,                      \
    };

POOL(quantised_max_pool, "QuantisedMaxPool")
POOL(quantised_average_pool, "QuantisedAveragePool")
