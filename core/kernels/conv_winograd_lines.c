/* core/kernels/conv_winograd_lines.c - the first layers: few input channels, large kernels, often
 * of stride 2 or 4. Winograd's minimal filtering (winograd.h) along lines alone; the lines of the
 * kernel are more terms of each sum.
 *
 * As many pixels as the stride has are one wide pixel, so that along a line the stride is 1: 7 taps
 * of stride 2 on 3 channels are 4 taps on 6 (the last one half zero). A band of input lines is
 * transformed to [point][tile][line][wide pixel]: what an output needs of all lines of the kernel
 * then lies together, and each point is a plain product. ResNet's 7x7: 67 products for 147. */
#include <math.h>
#include <string.h>

#include "core/kernels/blocks.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/winograd_form.h"

enum {
    BAND_BYTES = 1 << 17, /* of a band's transformed lines */
    CHUNK = 28,           /* tiles whose products are kept before they are transformed back */
    WIDE_MAX = 32,        /* channels of a wide pixel */
    TAPS_MAX = 4,         /* of wide pixels */
};

struct form {
    size_t n, m;         /* points and outputs of a tile */
    size_t pixels, wide; /* in a wide pixel, and its channels */
    size_t taps, depth;  /* wide pixels along a line; terms of a sum: lines x wide */
    size_t tiles, panels;
    size_t band, lines;        /* output lines of a band, and input lines that they see */
    size_t tile_stride, plane; /* floats from tile to tile, from point to point */
};

static size_t lines_seen(const struct cb_conv_shape *s, size_t lines)
{
    return (lines - 1) * s->stride[1] + s->kernel[1];
}

static void choose_band(const struct cb_conv_shape *s, struct form *f)
{
    f->band = s->out[1];
    do {
        f->lines = lines_seen(s, f->band);
        f->tile_stride = f->lines * f->wide + CB_TILE_COLUMNS_MAX; /* room for whole vectors */
        f->plane = f->tiles * f->tile_stride;
        if (f->n * f->plane * sizeof(float) <= BAND_BYTES)
            return;
        f->band = (f->band + 1) / 2;
    } while (f->lines > s->kernel[1]);
}

/* A padding below 0, as the derivatives have it, wraps: only other algorithms cut a line's begin.
 */
static bool form_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t points,
                    struct form *f)
{
    const size_t stride = s->stride[2], taps = cb_size_divide(s->kernel[2], stride);
    *f = (struct form){ .n = points, .pixels = stride, .wide = stride * s->cin, .taps = taps };
    if (s->group != 1 || s->kernel[0] != 1 || s->stride[0] != 1 || s->pad[0] != 0 ||
        s->in[0] != s->out[0] || s->dilation[1] != 1 || s->dilation[2] != 1 ||
        s->pad[2] >= s->kernel[2] || s->cin >= CB_CONV_NARROW_INPUT || f->wide > WIDE_MAX ||
        taps < 2 || taps > TAPS_MAX)
        return false;
    f->m = points - taps + 1;
    f->depth = s->kernel[1] * f->wide;
    f->tiles = cb_size_divide(s->out[2], f->m);
    f->panels = cb_size_divide(s->cout, kernels->nr);
    choose_band(s, f);
    return true;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t points)
{
    struct form f;
    (void)form_of(kernels, s, points, &f);
    const double vectors = (double)cb_size_divide(s->cout, kernels->vector);
    const double planes = (double)(cb_conv_lines(s) * f.tiles * f.n);
    return planes * (vectors * (1.1 * (double)f.depth + 6) + 6 * (double)s->stride[1]);
}

static size_t panel_floats(const struct cb_kernels *kernels, const struct form *f)
{
    return f->n * f->depth * kernels->nr;
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                           size_t points)
{
    struct form f;
    (void)form_of(kernels, s, points, &f);
    return cb_size_bytes(f.panels * panel_floats(kernels, &f), sizeof(float));
}

/* One line of one channel of a filter, at every point: out[point * step], for each pixel of a wide
 * one `next` floats further. */
static void pack_line(const struct form *f, const char *line, size_t count, double scale,
                      size_t step, size_t next, float *out)
{
    for (size_t pixel = 0; pixel < f->pixels; pixel++, out += next)
        for (size_t point = 0; point < f->n; point++) {
            double sum = 0;
            for (size_t t = 0; t < f->taps && t * f->pixels + pixel < count; t++) {
                float w;
                memcpy(&w, line + (t * f->pixels + pixel) * sizeof w, sizeof w);
                sum += cb_winograd_g(f->n, f->taps, point, t) * (double)w;
            }
            out[point * step] = (float)(sum * scale);
        }
}

/* [panel][point][line][pixel, cin][nr]; few enough weights for one thread. */
static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s, size_t points,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    (void)threads;
    struct form f;
    (void)form_of(kernels, s, points, &f);
    const size_t nr = kernels->nr, lines = s->kernel[1], taps = s->kernel[2];
    memset(packed, 0, packed_bytes(kernels, s, points));
    for (size_t filter = 0; filter < s->cout; filter++)
        for (size_t c = 0; c < s->cin; c++)
            for (size_t i = 0; i < lines; i++) {
                const size_t from = ((filter * s->cin + c) * lines + i) * taps;
                float *panel = (float *)packed + filter / nr * panel_floats(kernels, &f);
                pack_line(&f, (const char *)w + from * sizeof(float), taps,
                          scale ? (double)scale[filter] : 1, f.depth * nr, s->cin * nr,
                          panel + (i * f.wide + c) * nr + filter % nr);
            }
}

/* ---- scratch, of each thread: one padded line, a band's transformed lines, a chunk's products
 * ---- */

static size_t line_floats(const struct form *f)
{
    return ((f->tiles - 1) * f->m + f->n) * f->wide;
}

static size_t product_floats(const struct cb_kernels *kernels, const struct form *f)
{
    return f->n * kernels->nr;
}

static size_t line_bytes(const struct form *f)
{
    return cb_size_bytes(line_floats(f) + CB_TILE_COLUMNS_MAX, sizeof(float));
}

static size_t band_bytes(const struct form *f)
{
    return cb_size_bytes(f->n * f->plane, sizeof(float));
}

static size_t worker_bytes(const struct cb_kernels *kernels, const struct form *f)
{
    return cb_size_add(cb_size_add(line_bytes(f), band_bytes(f)),
                       cb_size_bytes(CHUNK * product_floats(kernels, f), sizeof(float)));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t points, size_t threads)
{
    struct form f;
    (void)form_of(kernels, s, points, &f);
    return cb_size_bytes(threads, worker_bytes(kernels, &f));
}

/* ---- run ---- */

struct lines {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    struct form form;
    size_t bands; /* of a picture */
};

/* Output lines first .. first + count of a picture, and where they are worked on. */
struct band {
    size_t image, first, count;
    float *line, *planes, *products;
};

/* An input line with its padding; lines outside of the picture are zeros. */
static void copy_line(const struct lines *l, const struct band *b, size_t number, float *out)
{
    const struct cb_conv_shape *s = l->call->shape;
    const size_t width = s->in[2] * s->cin, left = s->pad[2] * s->cin, all = line_floats(&l->form);
    const size_t at = cb_conv_source(s, 1, b->first, 0) + number;
    const size_t shown = at < s->in[1] && left < all ? cb_size_min(width, all - left) : 0;
    memset(out, 0, (shown ? left : all) * sizeof *out);
    if (!shown)
        return;
    memcpy(out + left, l->call->x + (b->image * s->in[1] + at) * width, shown * sizeof *out);
    memset(out + left + shown, 0, (all - left - shown) * sizeof *out);
}

static void transform_line(const struct lines *l, const struct band *b, size_t number)
{
    const struct form *f = &l->form;
    const float *rows[CB_WINOGRAD_POINTS_MAX];
    copy_line(l, b, number, b->line);
    for (size_t tile = 0; tile < f->tiles; tile++) {
        for (size_t i = 0; i < f->n; i++)
            rows[i] = b->line + (tile * f->m + i) * f->wide;
        l->kernels->winograd_input(&(struct cb_winograd_input){
            .points = { 1, f->n },
            .channels = f->wide,
            .rows = rows,
            .out = b->planes + tile * f->tile_stride + number * f->wide,
            .plane = f->plane,
        });
    }
}

/* Tiles first .. first + count of the band times one panel, at every point. */
static void multiply(const struct lines *l, const struct band *b, size_t first, size_t count,
                     size_t panel)
{
    const struct form *f = &l->form;
    const size_t nr = l->kernels->nr, stride = product_floats(l->kernels, f);
    const size_t down = l->call->shape->stride[1] * f->wide;
    const struct cb_blocks blocks = { .m = count, .tiles = cb_size_divide(count, l->kernels->mr) };
    const float *rows[CHUNK];
    struct cb_tile t = {
        .n = nr,
        .taps = 1,
        .depth = f->depth,
        .panel = (const float *)l->call->packed + panel * panel_floats(l->kernels, f),
        .out_stride = stride,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    for (size_t i = 0; i < count; i++)
        rows[i] =
            b->planes + (first + i) % f->tiles * f->tile_stride + (first + i) / f->tiles * down;
    for (size_t point = 0; point < f->n; point++, t.panel += f->depth * nr) {
        for (size_t i = 0; i < blocks.tiles; i++) {
            const size_t row = cb_blocks_row(&blocks, i);
            t.m = cb_blocks_row(&blocks, i + 1) - row;
            t.rows = rows + row;
            t.out = b->products + row * stride + point * nr;
            l->kernels->tile(&t);
        }
        for (size_t i = 0; i < count; i++)
            rows[i] += f->plane;
    }
}

static void finish_tile(const struct lines *l, const struct band *b, size_t tile, size_t panel,
                        const float *products)
{
    const struct form *f = &l->form;
    const struct cb_conv_shape *s = l->call->shape;
    const size_t x = tile % f->tiles * f->m;
    const size_t line = b->image * s->out[1] + b->first + tile / f->tiles;
    const struct cb_winograd_output t = {
        .points = { 1, f->n },
        .size = { 1, f->m },
        .inside = { 1, cb_size_min(f->m, s->out[2] - x) },
        .in = products,
    };
    cb_winograd_finish(l->kernels, l->call, t, line * s->out[2] + x, panel * l->kernels->nr);
}

static void run_band(void *ctx, size_t i, size_t worker)
{
    const struct lines *l = ctx;
    const struct form *f = &l->form;
    const struct cb_conv_shape *s = l->call->shape;
    char *at = (char *)l->call->scratch + worker * worker_bytes(l->kernels, f);
    struct band b = {
        .image = i / l->bands,
        .first = i % l->bands * f->band,
        .line = (float *)(void *)at,
        .planes = (float *)(void *)(at + line_bytes(f)),
        .products = (float *)(void *)(at + line_bytes(f) + band_bytes(f)),
    };
    b.count = cb_size_min(f->band, s->out[1] - b.first);
    for (size_t line = 0; line < lines_seen(s, b.count); line++)
        transform_line(l, &b, line);
    const size_t tiles = b.count * f->tiles;
    for (size_t first = 0; first < tiles; first += CHUNK) {
        const size_t count = cb_size_min(tiles - first, CHUNK);
        for (size_t panel = 0; panel < f->panels; panel++) {
            multiply(l, &b, first, count, panel);
            for (size_t k = 0; k < count; k++)
                finish_tile(l, &b, first + k, panel,
                            b.products + k * product_floats(l->kernels, f));
        }
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call, size_t points)
{
    const struct cb_conv_shape *s = call->shape;
    struct lines l = { .kernels = kernels, .call = call };
    (void)form_of(kernels, s, points, &l.form);
    l.bands = cb_size_divide(s->out[1], l.form.band);
    cb_threads_for(call->threads, s->n * s->out[0] * l.bands, run_band, &l);
}

/* clang-format off */
/* A row of the table of algorithms for each number of points. */
#define ALGORITHM(id)                                                                              \
    static bool fits_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)               \
    {                                                                                              \
        struct form f;                                                                             \
        return form_of(k, s, id, &f);                                                              \
    }                                                                                              \
    static double cost_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)             \
    {                                                                                              \
        return cost(k, s, id);                                                                     \
    }                                                                                              \
    static size_t packed_bytes_##id(const struct cb_kernels *k, const struct cb_conv_shape *s)     \
    {                                                                                              \
        return packed_bytes(k, s, id);                                                             \
    }                                                                                              \
    static void pack_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,               \
                          struct cb_threads *threads, const void *w, const float *scale,           \
                          void *packed)                                                            \
    {                                                                                              \
        pack(k, s, id, threads, w, scale, packed);                                                 \
    }                                                                                              \
    static size_t scratch_bytes_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,    \
                                     size_t threads)                                               \
    {                                                                                              \
        return scratch_bytes(k, s, id, threads);                                                   \
    }                                                                                              \
    static void run_##id(const struct cb_kernels *k, const struct cb_conv_call *call)              \
    {                                                                                              \
        run(k, call, id);                                                                          \
    }                                                                                              \
    static bool accurate_##id(const struct cb_kernels *k, const struct cb_conv_shape *s,           \
                              const void *w, const void *packed)                                   \
    {                                                                                              \
        return cb_winograd_accurate(k, s, &cb_conv_winograd_lines_##id, w, packed);                \
    }                                                                                              \
    const struct cb_conv_algorithm cb_conv_winograd_lines_##id = {                                 \
        .name = "winograd-lines-" #id, .fits = fits_##id, .cost = cost_##id, .pack = pack_##id,    \
        .packed_bytes = packed_bytes_##id, .scratch_bytes = scratch_bytes_##id,                    \
        .run = run_##id, .accurate = accurate_##id,                                                \
    };

ALGORITHM(6)
ALGORITHM(8)
