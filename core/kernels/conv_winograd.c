/* core/kernels/conv_winograd.c - convolution of stride 1 (and 3x3 of stride 2) by Winograd's
 * minimal filtering (winograd.h): tiles of the input are transformed into one plane per point, each
 * plane is multiplied with its own matrix of weights, and the products of a tile are transformed
 * back.
 *
 * A block of tiles goes through all three steps before the next one. Where there are enough blocks,
 * each thread takes its own, and what it made lies in its own cache; where there are few (small
 * pictures, many channels: the weights are what has to be read), all threads share one block, first
 * its tiles, then its panels of output channels. A panel's products are transformed back at once.
 *
 * Transformed weights are four times the filters, and with few tiles reading them takes longer than
 * multiplying them. So there is a second form for 3x3, "on taps", which reads the filters as they
 * are and transforms them while it multiplies.
 */
#include <math.h>
#include <string.h>

#include "core/kernels/blocks.h"
#include "core/kernels/winograd_form.h"

enum {
    DEPTH = 256,     /* input channels at a time: rows and panel stay in the first cache */
    LEAST = 3,       /* input channels: with fewer, transforms cost what the products save */
    MOST_OF_8 = 48,  /* input channels with 8 points along both axes: their sums err most */
    TAPS_TILES = 16, /* on taps: at a time, their sums stay in the first cache */
    TAPS_MOST = 64,  /* tiles above which it never pays */
};

/* So many points; with weights kept as taps. */
struct variant {
    size_t points;
    bool taps;
};

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s, struct variant v)
{
    struct cb_winograd_form f;
    return s->cin >= LEAST && cb_winograd_form_of(kernels, s, v.points, &f) &&
           (f.points < CB_WINOGRAD_PIXELS || s->cin <= MOST_OF_8) &&
           (!v.taps || (f.total <= TAPS_MOST && f.k[0] == 3 && f.k[1] == 3));
}

static size_t packed_bytes_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                              const struct cb_winograd_form *f, struct variant v)
{
    return v.taps ? cb_winograd_taps_bytes(kernels, s, f) : cb_winograd_packed_bytes(kernels, s, f);
}

/* A transform takes about 6 operations for each vector of a plane. */
static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                   struct variant v)
{
    struct cb_winograd_form f;
    (void)cb_winograd_form_of(kernels, s, v.points, &f);
    const double planes = (double)(f.points * f.total);
    const double in = (double)s->cin, out = (double)cb_size_divide(s->cout, kernels->vector);
    const double in_vectors = (double)cb_size_divide(s->cin, kernels->vector);
    const double weights = (double)packed_bytes_of(kernels, s, &f, v) / sizeof(float);
    const double rounds = v.taps ? (double)cb_size_divide(f.total, TAPS_TILES) : 0;
    const double filters = 4 * rounds * (double)f.matrices * in * out;
    return planes * (1.1 * in * out + 6 * (in_vectors + out)) + filters +
           cb_conv_reading(kernels, weights);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                           struct variant v)
{
    struct cb_winograd_form f;
    (void)cb_winograd_form_of(kernels, s, v.points, &f);
    return packed_bytes_of(kernels, s, &f, v);
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s, struct variant v,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    struct cb_winograd_form f;
    (void)cb_winograd_form_of(kernels, s, v.points, &f);
    (v.taps ? cb_winograd_pack_taps : cb_winograd_pack)(kernels, s, &f, threads, w, scale, packed);
}

/* ---- scratch: zeros for the padding; blocks of transformed tiles, one or one a thread; of each
 * thread the products of a panel ---- */

static size_t zeros_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(s->cin, sizeof(float));
}

static size_t block_bytes(const struct cb_winograd_form *f)
{
    return cb_size_bytes(f->points, cb_winograd_plane(f, f->block) * sizeof(float));
}

/* Floats of a tile's products of one panel; an odd number of lines, as in planes. */
static size_t product_floats(const struct cb_kernels *kernels, const struct cb_winograd_form *f)
{
    return f->points * kernels->nr + CB_WINOGRAD_LINE;
}

static size_t products_bytes(const struct cb_kernels *kernels, const struct cb_winograd_form *f)
{
    return cb_size_bytes(f->block, product_floats(kernels, f) * sizeof(float));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            struct variant v, size_t threads)
{
    struct cb_winograd_form f;
    (void)cb_winograd_form_of(kernels, s, v.points, &f);
    cb_winograd_choose_blocks(&f, threads);
    const size_t blocks = cb_size_bytes(f.shared ? 1 : threads, block_bytes(&f));
    return cb_size_add(cb_size_add(zeros_bytes(s), blocks),
                       cb_size_bytes(threads, products_bytes(kernels, &f)));
}

/* ---- run ---- */

struct winograd {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    struct cb_winograd_form form;
    struct variant variant;
    const float *zeros;
    char *blocks, *products;
    size_t first, count; /* the shared block: its first tile, its tiles */
};

/* Some tiles, transformed: point by point, tile by tile, [cp]. */
struct block {
    const float *at;
    size_t first, count, plane;
};

/* Tile `number`: its picture, and the first output line and column. */
struct place {
    size_t image, at[2];
};

static struct place place_of(const struct cb_winograd_form *f, size_t number)
{
    const size_t line = number / f->tiles[1];
    return (struct place){
        .image = line / f->tiles[0],
        .at = { line % f->tiles[0] * f->m[0], number % f->tiles[1] * f->m[1] },
    };
}

static void transform_tile(const struct winograd *w, size_t number, size_t plane, float *out)
{
    const struct cb_winograd_form *f = &w->form;
    const struct cb_conv_shape *s = w->call->shape;
    const struct cb_conv_input x = cb_conv_input_of(w->call);
    const struct place p = place_of(f, number);
    const float *rows[CB_WINOGRAD_PIXELS], **row = rows;
    for (size_t i = 0; i < f->n[0]; i++) {
        const size_t i0 = p.at[0] * s->stride[1] + i - s->pad[1];
        const size_t width = i0 < s->in[1] ? s->in[2] : 0, line = p.image * s->in[1] + i0;
        for (size_t j = 0; j < f->n[1]; j++) {
            const size_t i1 = p.at[1] * s->stride[2] + j - s->pad[2];
            *row++ = i1 < width ? x.at + (line * s->in[2] + i1) * x.stride : w->zeros;
        }
    }
    w->kernels->winograd_input(&(struct cb_winograd_input){
        .points = { f->n[0], f->n[1] },
        .channels = s->cin,
        .rows = rows,
        .out = out,
        .plane = plane,
    });
}

/* Input channels c .. c + depth of all points times their weights, [matrix] step floats apart, to
 * products [tile][point][nr]; after the first channels they are added to what is there. */
static void multiply(const struct winograd *w, const struct block *b, size_t c, size_t depth,
                     const float *weights, size_t step, float *products)
{
    const struct cb_winograd_form *f = &w->form;
    const size_t nr = w->kernels->nr, stride = product_floats(w->kernels, f);
    const struct cb_blocks rows = { .m = b->count,
                                    .tiles = cb_size_divide(b->count, w->kernels->mr) };
    const float *row[CB_TILE_ROWS_MAX];
    struct cb_tile t = {
        .n = nr,
        .taps = 1,
        .depth = depth,
        .rows = row,
        .out_stride = stride,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    for (size_t point = 0; point < f->points; point++)
        for (size_t tile = 0; tile < rows.tiles; tile++) {
            const size_t first = cb_blocks_row(&rows, tile);
            const float *at = b->at + point * b->plane + first * f->cp + c;
            t.m = cb_blocks_row(&rows, tile + 1) - first;
            for (size_t i = 0; i < t.m; i++)
                row[i] = at + i * f->cp;
            t.panel = weights + f->matrix[point] * step;
            t.out = products + first * stride + point * nr;
            t.post.residual = c ? t.out : NULL;
            w->kernels->tile(&t);
        }
}

static void multiply_taps(const struct winograd *w, const struct block *b, size_t panel,
                          float *products)
{
    const struct cb_winograd_form *f = &w->form;
    const size_t cin = w->call->shape->cin, cout = w->call->shape->cout;
    const size_t nr = w->kernels->nr, vector = w->kernels->vector;
    const size_t columns = cb_size_min(cout - panel * nr, nr);
    const size_t step = product_floats(w->kernels, f);
    memset(products, 0, b->count * step * sizeof *products);
    for (size_t j = 0; j < columns; j += vector)
        for (size_t tile = 0; tile < b->count; tile += TAPS_TILES)
            w->kernels->winograd_taps(&(struct cb_winograd_taps){
                .points = f->n[0],
                .tiles = cb_size_min(b->count - tile, TAPS_TILES),
                .channels = cin,
                .in = b->at + tile * f->cp,
                .plane = b->plane,
                .row = f->cp,
                .w = (const float *)w->call->packed + (panel * nr + j) * cin * 3 * 3,
                .out = products + tile * step + j,
                .step = step,
            });
}

static void multiply_panel(const struct winograd *w, const struct block *b, size_t panel,
                           float *products)
{
    const size_t cin = w->call->shape->cin, nr = w->kernels->nr, matrices = w->form.matrices;
    const float *weights = (const float *)w->call->packed + panel * matrices * cin * nr;
    for (size_t c = 0; c < cin; c += DEPTH)
        multiply(w, b, c, cb_size_min(cin - c, DEPTH), weights + c * nr, cin * nr, products);
}

static void finish_tile(const struct winograd *w, size_t number, size_t panel,
                        const float *products)
{
    const struct cb_winograd_form *f = &w->form;
    const struct cb_conv_shape *s = w->call->shape;
    const struct place p = place_of(f, number);
    const struct cb_winograd_output t = {
        .points = { f->n[0], f->n[1] },
        .size = { f->m[0], f->m[1] },
        .inside = { cb_size_min(f->m[0], s->out[1] - p.at[0]),
                    cb_size_min(f->m[1], s->out[2] - p.at[1]) },
        .in = products,
    };
    cb_winograd_finish(w->kernels, w->call, t,
                       (p.image * s->out[1] + p.at[0]) * s->out[2] + p.at[1],
                       panel * w->kernels->nr);
}

static void run_panel(const struct winograd *w, const struct block *b, size_t panel, size_t worker)
{
    float *products =
        (float *)(void *)(w->products + worker * products_bytes(w->kernels, &w->form));
    const size_t stride = product_floats(w->kernels, &w->form);
    if (w->variant.taps)
        multiply_taps(w, b, panel, products);
    else
        multiply_panel(w, b, panel, products);
    for (size_t i = 0; i < b->count; i++)
        finish_tile(w, b->first + i, panel, products + i * stride);
}

/* A thread's own block, from tiles to outputs. */
static void run_block(void *ctx, size_t i, size_t worker)
{
    const struct winograd *w = ctx;
    const struct cb_winograd_form *f = &w->form;
    const size_t first = i * f->block, count = cb_size_min(f->total - first, f->block);
    float *at = (float *)(void *)(w->blocks + worker * block_bytes(f));
    const struct block b = { at, first, count, cb_winograd_plane(f, count) };
    for (size_t t = 0; t < count; t++)
        transform_tile(w, first + t, b.plane, at + t * f->cp);
    for (size_t panel = 0; panel < f->panels; panel++)
        run_panel(w, &b, panel, worker);
}

static void transform_shared(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct winograd *w = ctx;
    transform_tile(w, w->first + i, cb_winograd_plane(&w->form, w->count),
                   (float *)(void *)w->blocks + i * w->form.cp);
}

static void run_shared(void *ctx, size_t i, size_t worker)
{
    const struct winograd *w = ctx;
    const struct block b = { (const float *)(const void *)w->blocks, w->first, w->count,
                             cb_winograd_plane(&w->form, w->count) };
    run_panel(w, &b, i, worker);
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call, struct variant v)
{
    const size_t threads = cb_threads_count(call->threads), zeros = zeros_bytes(call->shape);
    struct winograd w = { .kernels = kernels, .call = call, .variant = v };
    (void)cb_winograd_form_of(kernels, call->shape, v.points, &w.form);
    cb_winograd_choose_blocks(&w.form, threads);
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

/* clang-format off */
/* A row of the table of algorithms for each variant. */
#define ALGORITHM(id, algorithm_name, ...)                                                         \
    static const struct variant variant_##id = { __VA_ARGS__ };                                    \
    static bool fits_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)               \
    {                                                                                              \
        return fits(k, s, variant_##id);                                                           \
    }                                                                                              \
    static double cost_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)             \
    {                                                                                              \
        return cost(k, s, variant_##id);                                                           \
    }                                                                                              \
    static size_t packed_bytes_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)     \
    {                                                                                              \
        return packed_bytes(k, s, variant_##id);                                                   \
    }                                                                                              \
    static void pack_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,               \
                          struct cb_threads *threads, const void *w, const float *scale,           \
                          void *packed)                                                            \
    {                                                                                              \
        pack(k, s, variant_##id, threads, w, scale, packed);                                       \
    }                                                                                              \
    static size_t scratch_bytes_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,    \
                                     size_t threads)                                               \
    {                                                                                              \
        return scratch_bytes(k, s, variant_##id, threads);                                         \
    }                                                                                              \
    static void run_##id(const struct cb_kernels *k, const struct cb_conv_call *call)              \
    {                                                                                              \
        run(k, call, variant_##id);                                                                \
    }                                                                                              \
    static bool accurate_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,           \
                              const void *w, const void *packed)                                   \
    {                                                                                              \
        return cb_winograd_accurate(k, s, &cb_conv_winograd_##id, w, packed);                      \
    }                                                                                              \
    const struct cb_conv_algorithm cb_conv_winograd_##id = {                                       \
        .name = algorithm_name, .fits = fits_##id, .cost = cost_##id, .pack = pack_##id,           \
        .packed_bytes = packed_bytes_##id, .scratch_bytes = scratch_bytes_##id,                    \
        .run = run_##id, .accurate = accurate_##id,                                                \
    };

ALGORITHM(4, "winograd-4", .points = 4)
ALGORITHM(5, "winograd-5", .points = 5)
ALGORITHM(6, "winograd-6", .points = 6)
ALGORITHM(8, "winograd-8", .points = 8)
ALGORITHM(4_taps, "winograd-4-taps", .points = 4, .taps = true)
ALGORITHM(6_taps, "winograd-6-taps", .points = 6, .taps = true)
