/* core/kernels/conv_winograd.c - convolution of stride 1 by Winograd's minimal filtering
 * (winograd.h): tiles of the input are transformed into one plane per point, each plane is
 * multiplied with its own matrix of weights, and the products of a tile are transformed back.
 *
 * A block of tiles goes through all three steps before the next one. Where there are enough blocks,
 * each thread takes its own, and what it made lies in its own cache; where there are few (small
 * pictures, many channels: the weights are what has to be read), all threads share one block, first
 * its tiles, then its panels of output channels. A panel's products are transformed back at once.
 *
 * Packed: [panel][point][cin][nr]. */
#include <math.h>
#include <string.h>

#include "core/kernels/blocks.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/pack.h"
#include "core/kernels/winograd.h"

enum {
    PIXELS = CB_WINOGRAD_POINTS_MAX * CB_WINOGRAD_POINTS_MAX,
    BLOCK_BYTES = 1 << 18,  /* of a block's transformed tiles */
    SHARED_BYTES = 4 << 20, /* the same, when threads share it */
    LEAST_TILES = 28,       /* of a block: they share each weight that is loaded */
    DEPTH = 256,            /* input channels at a time: rows and panel stay in the first cache */
    MOST_OF_8 = 48,         /* input channels with 8 points along both axes: their sums err most */
    LINE = 16,              /* floats in a line of the cache */
};

/* Of a layer, as cb_conv_error says it. */
#define ERROR_BUDGET 2.5e-6

/* The shape as tiles; axis 0 is the height, 1 the width. What lies before them counts as images. */
struct form {
    size_t n[2], m[2], k[2];
    size_t points;     /* n[0] * n[1] */
    size_t tiles[2];   /* of a picture, along each axis */
    size_t total;      /* tiles of all pictures */
    size_t panels, cp; /* panels of output channels; floats of a transformed pixel */
    size_t block;      /* tiles in a block */
    bool shared;
};

static bool form_axis(const struct cb_conv_shape *s, size_t n, int axis, struct form *f)
{
    const size_t k = s->kernel[axis + 1];
    if (s->stride[axis + 1] != 1 || s->dilation[axis + 1] != 1 || k % 2 == 0 || k >= n)
        return false;
    f->k[axis] = k;
    f->n[axis] = k == 1 ? 1 : n;
    f->m[axis] = k == 1 ? 1 : n - k + 1;
    f->tiles[axis] = cb_size_divide(s->out[axis + 1], f->m[axis]);
    return true;
}

static size_t plane_floats(const struct form *f, size_t tiles)
{
    /* An odd number of lines: the planes' rows fall on different sets of the first cache. */
    const size_t lines = tiles * f->cp / LINE;
    return (lines | 1) * LINE;
}

static bool form_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t n,
                    struct form *f)
{
    *f = (struct form){ 0 };
    const bool ok = form_axis(s, n, 0, f) && form_axis(s, n, 1, f);
    if (!ok || s->group != 1 || s->kernel[0] != 1 || s->stride[0] != 1 || s->pad[0] != 0 ||
        s->in[0] != s->out[0] || (f->k[0] == 1 && f->k[1] == 1) ||
        (f->k[0] != 1 && f->k[1] != 1 && f->k[0] != f->k[1]))
        return false;
    f->points = f->n[0] * f->n[1];
    f->total = s->n * s->out[0] * f->tiles[0] * f->tiles[1];
    f->panels = cb_size_divide(s->cout, kernels->nr);
    f->cp = cb_size_divide(s->cin, LINE) * LINE;
    f->cp += f->cp / LINE % 2 ? 0 : LINE; /* rows of a tile on different sets, too */
    return true;
}

/* Blocks for so many threads: at least LEAST_TILES, as many as the bytes allow. */
static void choose_blocks(struct form *f, size_t threads)
{
    const size_t tile_bytes = f->points * f->cp * sizeof(float);
    const size_t most = cb_size_max(BLOCK_BYTES / tile_bytes, LEAST_TILES);
    f->shared = threads > 1 && f->total < threads * most * 2;
    if (f->shared) {
        f->block = cb_size_min(f->total, cb_size_max(SHARED_BYTES / tile_bytes, LEAST_TILES));
    } else {
        const size_t blocks = cb_size_divide(f->total, most);
        f->block = cb_size_divide(f->total, cb_size_max(blocks, 1));
    }
}

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t n)
{
    struct form f;
    return form_of(kernels, s, n, &f) && (f.points < PIXELS || s->cin <= MOST_OF_8);
}

/* A transform takes about 6 operations for each vector of a plane. */
static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t n)
{
    struct form f;
    (void)form_of(kernels, s, n, &f);
    const double planes = (double)(f.points * f.total), vectors = (double)kernels->vector;
    const double in = (double)s->cin, out = (double)cb_size_divide(s->cout, kernels->vector);
    const double in_vectors = (double)cb_size_divide(s->cin, kernels->vector);
    return planes * (1.1 * in * out + 6 * (in_vectors + out)) +
           cb_conv_reading(kernels, (double)f.points * in * out * vectors);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                           size_t n)
{
    struct form f;
    (void)form_of(kernels, s, n, &f);
    return cb_size_bytes(f.panels * f.points * s->cin, kernels->nr * sizeof(float));
}

/* ---- weights ---- */

struct pack {
    const struct cb_kernels *kernels;
    const struct cb_conv_shape *s;
    const struct form *form;
    const char *w;
    const float *scale;
    float *packed, g[2][PIXELS];
};

/* Sixteen input channels of one panel. */
static void pack_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const struct form *f = p->form;
    const size_t tasks = cb_size_divide(p->s->cin, LINE), panel = i / tasks, c0 = i % tasks * LINE;
    const size_t nr = p->kernels->nr, first = panel * nr, taps = f->k[0] * f->k[1];
    const size_t columns = cb_size_min(p->s->cout - first, nr), size = p->s->cin * taps;
    float taps_of[PIXELS * CB_TILE_COLUMNS_MAX];
    for (size_t c = c0; c < p->s->cin && c < c0 + LINE; c++) {
        cb_pack_rows(p->w + (first * size + c * taps) * sizeof(float), taps, columns, 1, size, nr,
                     taps_of);
        for (size_t t = 0; p->scale && t < taps; t++)
            for (size_t j = 0; j < columns; j++)
                taps_of[t * nr + j] *= p->scale[first + j];
        p->kernels->winograd_filter(&(struct cb_winograd_filter){
            .points = { f->n[0], f->n[1] },
            .taps = { f->k[0], f->k[1] },
            .g = { p->g[0], p->g[1] },
            .w = taps_of,
            .out = p->packed + (panel * f->points * p->s->cin + c) * nr,
            .plane = p->s->cin * nr,
        });
    }
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t n,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    struct form f;
    (void)form_of(kernels, s, n, &f);
    struct pack p = {
        .kernels = kernels, .s = s, .form = &f, .w = w, .scale = scale, .packed = packed
    };
    for (int axis = 0; axis < 2; axis++)
        for (size_t i = 0; i < f.n[axis]; i++)
            for (size_t j = 0; j < f.k[axis]; j++)
                p.g[axis][i * f.k[axis] + j] = (float)cb_winograd_g(f.n[axis], f.k[axis], i, j);
    cb_threads_for(threads, f.panels * cb_size_divide(s->cin, LINE), pack_task, &p);
}

/* ---- run ---- */

/* Zeros for the padding; transformed tiles, one block or one a thread; products of a panel of each
 * thread. */
static size_t zeros_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(s->cin, sizeof(float));
}

static size_t block_bytes(const struct form *f)
{
    return cb_size_bytes(f->points, plane_floats(f, f->block) * sizeof(float));
}

/* Floats of a tile's products of one panel; odd in lines, as planes are. */
static size_t product_floats(const struct cb_kernels *kernels, const struct form *f)
{
    return f->points * kernels->nr + LINE;
}

static size_t products_bytes(const struct cb_kernels *kernels, const struct form *f)
{
    return cb_size_bytes(f->block, product_floats(kernels, f) * sizeof(float));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t n, size_t threads)
{
    struct form f;
    (void)form_of(kernels, s, n, &f);
    choose_blocks(&f, threads);
    const size_t blocks = cb_size_bytes(f.shared ? 1 : threads, block_bytes(&f));
    return cb_size_add(zeros_bytes(s),
                       cb_size_add(blocks, cb_size_bytes(threads, products_bytes(kernels, &f))));
}

struct winograd {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    struct form form;
    const float *zeros;
    char *blocks, *products;
    size_t first, count; /* the shared block: its first tile, its tiles */
};

/* Tile `number`: its picture, and the first output line and column. */
struct place {
    size_t image, at[2];
};

static struct place place_of(const struct form *f, size_t number)
{
    const size_t line = number / f->tiles[1];
    return (struct place){
        .image = line / f->tiles[0],
        .at = { line % f->tiles[0] * f->m[0], number % f->tiles[1] * f->m[1] },
    };
}

static void transform_tile(const struct winograd *w, size_t number, size_t count, float *out)
{
    const struct form *f = &w->form;
    const struct cb_conv_shape *s = w->call->shape;
    const struct cb_conv_input x = cb_conv_input_of(w->call);
    const struct place p = place_of(f, number);
    const float *rows[PIXELS], **row = rows;
    for (size_t i = 0; i < f->n[0]; i++) {
        const size_t i0 = p.at[0] + i - s->pad[1];
        const size_t width = i0 < s->in[1] ? s->in[2] : 0, line = p.image * s->in[1] + i0;
        for (size_t j = 0; j < f->n[1]; j++) {
            const size_t i1 = p.at[1] + j - s->pad[2];
            *row++ = i1 < width ? x.at + (line * s->in[2] + i1) * x.stride : w->zeros;
        }
    }
    w->kernels->winograd_input(&(struct cb_winograd_input){
        .points = { f->n[0], f->n[1] },
        .channels = s->cin,
        .rows = rows,
        .out = out,
        .plane = plane_floats(f, count),
    });
}

/* All points of `count` tiles times one panel: to [tile][point][nr]. */
static void multiply_panel(const struct winograd *w, const float *block, size_t count, size_t panel,
                           float *products)
{
    const struct form *f = &w->form;
    const size_t cin = w->call->shape->cin, nr = w->kernels->nr;
    const size_t plane = plane_floats(f, count), stride = product_floats(w->kernels, f);
    const struct cb_blocks rows = { .m = count, .tiles = cb_size_divide(count, w->kernels->mr) };
    const float *weights = (const float *)w->call->packed + panel * f->points * cin * nr;
    const float *row[CB_TILE_ROWS_MAX];
    for (size_t point = 0; point < f->points; point++, block += plane, weights += cin * nr)
        for (size_t c = 0; c < cin; c += DEPTH)
            for (size_t tile = 0; tile < rows.tiles; tile++) {
                const size_t first = cb_blocks_row(&rows, tile);
                struct cb_tile t = {
                    .m = cb_blocks_row(&rows, tile + 1) - first,
                    .n = nr,
                    .taps = 1,
                    .depth = cb_size_min(cin - c, DEPTH),
                    .rows = row,
                    .panel = weights + c * nr,
                    .out = products + first * stride + point * nr,
                    .out_stride = stride,
                    .post = { .lo = -INFINITY, .hi = INFINITY },
                };
                if (c)
                    t.post.residual = t.out;
                for (size_t i = 0; i < t.m; i++)
                    row[i] = block + (first + i) * f->cp + c;
                w->kernels->tile(&t);
            }
}

static void finish_tile(const struct winograd *w, size_t number, size_t panel,
                        const float *products)
{
    const struct form *f = &w->form;
    const struct cb_conv_call *call = w->call;
    const struct cb_conv_shape *s = call->shape;
    const struct place p = place_of(f, number);
    const size_t column = panel * w->kernels->nr;
    const size_t pixel = (p.image * s->out[1] + p.at[0]) * s->out[2] + p.at[1];
    const size_t at = pixel * call->y_stride + column;
    struct cb_winograd_output t = {
        .points = { f->n[0], f->n[1] },
        .size = { f->m[0], f->m[1] },
        .inside = { cb_size_min(f->m[0], s->out[1] - p.at[0]),
                    cb_size_min(f->m[1], s->out[2] - p.at[1]) },
        .channels = cb_size_min(s->cout - column, w->kernels->nr),
        .in = products,
        .out = call->y + at,
        .line = s->out[2] * call->y_stride,
        .pixel = call->y_stride,
        .post = call->post,
    };
    if (t.post.bias)
        t.post.bias += column;
    if (t.post.residual)
        t.post.residual += at;
    w->kernels->winograd_output(&t);
    for (size_t i = 0; i < t.inside[0]; i++)
        cb_kernels_activate(w->kernels, t.post.act, t.inside[1], t.channels, t.out + i * t.line,
                            t.pixel);
}

static void run_panel(const struct winograd *w, const float *block, size_t first, size_t count,
                      size_t panel, size_t worker)
{
    float *products =
        (float *)(void *)(w->products + worker * products_bytes(w->kernels, &w->form));
    const size_t stride = product_floats(w->kernels, &w->form);
    multiply_panel(w, block, count, panel, products);
    for (size_t i = 0; i < count; i++)
        finish_tile(w, first + i, panel, products + i * stride);
}

/* A thread's own block, from tiles to outputs. */
static void run_block(void *ctx, size_t i, size_t worker)
{
    const struct winograd *w = ctx;
    const struct form *f = &w->form;
    float *block = (float *)(void *)(w->blocks + worker * block_bytes(f));
    const size_t first = i * f->block, count = cb_size_min(f->total - first, f->block);
    for (size_t t = 0; t < count; t++)
        transform_tile(w, first + t, count, block + t * f->cp);
    for (size_t panel = 0; panel < f->panels; panel++)
        run_panel(w, block, first, count, panel, worker);
}

static void transform_shared(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct winograd *w = ctx;
    transform_tile(w, w->first + i, w->count, (float *)(void *)w->blocks + i * w->form.cp);
}

static void run_shared(void *ctx, size_t i, size_t worker)
{
    const struct winograd *w = ctx;
    run_panel(w, (const float *)(const void *)w->blocks, w->first, w->count, i, worker);
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call, size_t n)
{
    const size_t threads = cb_threads_count(call->threads), zeros = zeros_bytes(call->shape);
    struct winograd w = { .kernels = kernels, .call = call };
    (void)form_of(kernels, call->shape, n, &w.form);
    choose_blocks(&w.form, threads);
    w.zeros = memset(call->scratch, 0, zeros);
    w.blocks = (char *)call->scratch + zeros;
    w.products = w.blocks + (w.form.shared ? 1 : threads) * block_bytes(&w.form);
    if (!w.form.shared) {
        cb_threads_for(call->threads, cb_size_divide(w.form.total, w.form.block), run_block, &w);
        return;
    }
    for (; w.first < w.form.total; w.first += w.form.block) {
        w.count = cb_size_min(w.form.total - w.first, w.form.block);
        cb_threads_for(call->threads, w.count, transform_shared, &w);
        cb_threads_for(call->threads, w.form.panels, run_shared, &w);
    }
}

static bool accurate(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                     const struct cb_conv_algorithm *algorithm, const void *w, const void *packed)
{
    return cb_conv_error(kernels, s, algorithm, w, packed) <= ERROR_BUDGET;
}

/* clang-format off */
/* One row of the table of algorithms for each number of points. */
#define ALGORITHM(points)                                                                          \
    static bool fits_##points(const struct cb_kernels *k, const struct cb_conv_shape *s)           \
    {                                                                                              \
        return fits(k, s, points);                                                                 \
    }                                                                                              \
    static double cost_##points(const struct cb_kernels *k, const struct cb_conv_shape *s)         \
    {                                                                                              \
        return cost(k, s, points);                                                                 \
    }                                                                                              \
    static size_t packed_bytes_##points(const struct cb_kernels *k, const struct cb_conv_shape *s) \
    {                                                                                              \
        return packed_bytes(k, s, points);                                                         \
    }                                                                                              \
    static void pack_##points(const struct cb_kernels *k, const struct cb_conv_shape *s,           \
                              struct cb_threads *threads, const void *w, const float *scale,       \
                              void *packed)                                                        \
    {                                                                                              \
        pack(k, s, points, threads, w, scale, packed);                                             \
    }                                                                                              \
    static size_t scratch_bytes_##points(const struct cb_kernels *k,                               \
                                         const struct cb_conv_shape *s, size_t threads)            \
    {                                                                                              \
        return scratch_bytes(k, s, points, threads);                                               \
    }                                                                                              \
    static void run_##points(const struct cb_kernels *k, const struct cb_conv_call *call)          \
    {                                                                                              \
        run(k, call, points);                                                                      \
    }                                                                                              \
    static bool accurate_##points(const struct cb_kernels *k, const struct cb_conv_shape *s,       \
                                  const void *w, const void *packed)                               \
    {                                                                                              \
        return accurate(k, s, &cb_conv_winograd_##points, w, packed);                              \
    }                                                                                              \
    const struct cb_conv_algorithm cb_conv_winograd_##points = {                                   \
        .name = "winograd-" #points, .fits = fits_##points, .cost = cost_##points,                 \
        .packed_bytes = packed_bytes_##points, .pack = pack_##points,                              \
        .scratch_bytes = scratch_bytes_##points, .run = run_##points,                              \
        .accurate = accurate_##points,                                                             \
    };

ALGORITHM(4)
ALGORITHM(6)
ALGORITHM(8)
