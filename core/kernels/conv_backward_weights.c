/* core/kernels/conv_backward_weights.c - the derivative of convolution by its weights.
 *
 * dw[o][tap, c] = sum over output pixels p: dy[p][o] * x[p under tap][c]: a product over pixels.
 * They are taken in chunks: dy transposed is A, and a panel of B is nr of the columns (tap, c),
 * gathered from x by the thread that needs it; sums are kept as [o][tap, c] until the end. Tasks
 * own their columns, so that no two threads add to the same sum. Depthwise has one column a tap and
 * channel, and runs on the depthwise loop instead, pixels being its taps. */
#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = 512,        /* pixels */
    CHUNK_STRIDE = 528, /* so that rows of A do not lie a page apart */
    CHANNELS = 64,      /* of a depthwise task */
};

struct weights {
    const struct cb_kernels *kernels;
    const struct cb_conv_shape *s;
    const float *x, *dy;
    float *dw;
    float *sums;   /* [cout][columns]; depthwise: [taps][cout] */
    float *across; /* dy of the chunk, [cout][CHUNK_STRIDE] */
    char *workers; /* a panel each; depthwise: pointers */
    const float *zeros;
    size_t taps, cin, cout;  /* channels of one group */
    size_t columns, panels;  /* of one group: taps * cin, and how many panels they make */
    size_t parts;            /* tasks that share a panel, each with some filters */
    size_t pixel, pixel_end; /* the chunk */
};

static bool is_depthwise(const struct cb_conv_shape *s)
{
    return s->group == s->cin && s->group == s->cout;
}

static size_t sums_bytes(const struct cb_conv_shape *s)
{
    return cb_size_bytes(s->cout * (s->cin / s->group), cb_conv_taps(s) * sizeof(float));
}

static size_t across_bytes(const struct cb_conv_shape *s)
{
    return is_depthwise(s) ? cb_size_bytes(s->cin, sizeof(float))
                           : cb_size_bytes(s->cout, CHUNK_STRIDE * sizeof(float));
}

static size_t worker_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    return is_depthwise(s) ? cb_size_bytes(CHUNK * CB_DEPTHWISE_PIXELS, sizeof(float *))
                           : cb_size_bytes(CHUNK * kernels->nr, sizeof(float));
}

size_t cb_conv_weights_scratch_bytes(const struct cb_kernels *kernels,
                                     const struct cb_conv_shape *s, size_t threads)
{
    return cb_size_add(cb_size_add(sums_bytes(s), across_bytes(s)),
                       cb_size_bytes(threads, worker_bytes(kernels, s)));
}

/* Columns that lie together in x: the channels under a tap, or under a line of the kernel. */
static size_t columns_together(const struct weights *w)
{
    const bool lines = w->s->group == 1 && w->s->dilation[2] == 1;
    return lines ? w->s->kernel[2] * w->cin : w->cin;
}

/* The line of the input under tap (t0, t1) of a pixel's line; NULL in the padding. */
static const float *line_under(const struct weights *w, const struct cb_conv_pixel *p, size_t tap)
{
    const struct cb_conv_shape *s = w->s;
    const size_t line = tap / s->kernel[2];
    const size_t i0 = cb_conv_source(s, 0, p->at[0], line / s->kernel[1]);
    const size_t i1 = cb_conv_source(s, 1, p->at[1], line % s->kernel[1]);
    if (i0 >= s->in[0] || i1 >= s->in[1])
        return NULL;
    return w->x + ((p->image * s->in[0] + i0) * s->in[1] + i1) * s->in[2] * s->cin;
}

/* `count` floats of a line of x from `at` on (it wraps below 0); zeros outside it. */
static void copy_floats(const float *line, size_t size, size_t at, size_t count, float *to)
{
    if (line && at < size && count <= size - at)
        memcpy(to, line + at, count * sizeof(float));
    else
        for (size_t i = 0; i < count; i++)
            to[i] = line && at + i < size ? line[at + i] : 0;
}

/* `count` columns that lie together, from (tap, channel) on, for each pixel of the chunk. */
static void gather_columns(const struct weights *w, size_t tap, size_t channel, size_t count,
                           float *to)
{
    const struct cb_conv_shape *s = w->s;
    const size_t nr = w->kernels->nr, size = s->in[2] * s->cin;
    struct cb_conv_pixel p = cb_conv_pixel_at(s, w->pixel);
    for (size_t number = w->pixel; number < w->pixel_end; cb_conv_pixel_next_line(s, &p)) {
        const float *line = line_under(w, &p, tap);
        for (; p.at[2] < s->out[2] && number < w->pixel_end; p.at[2]++, number++, to += nr) {
            const size_t i2 = cb_conv_source(s, 2, p.at[2], tap % s->kernel[2]);
            copy_floats(line, size, i2 * s->cin + channel, count, to);
        }
    }
}

/* Columns first .. first + n of a group. */
static void gather_panel(const struct weights *w, size_t group, size_t first, size_t n,
                         float *panel)
{
    const size_t together = columns_together(w);
    for (size_t done = 0; done < n;) {
        const size_t at = first + done, count = cb_size_min(together - at % together, n - done);
        gather_columns(w, at / w->cin, group * w->cin + at % w->cin, count, panel + done);
        done += count;
    }
}

static void sum_panel(void *ctx, size_t i, size_t worker)
{
    const struct weights *w = ctx;
    const size_t part = i % w->parts, group = i / w->parts / w->panels, nr = w->kernels->nr;
    const size_t first = i / w->parts % w->panels * nr, n = cb_size_min(w->columns - first, nr);
    float *panel = (float *)(void *)(w->workers + worker * worker_bytes(w->kernels, w->s));
    gather_panel(w, group, first, n, panel);
    const size_t end = group * w->cout + w->cout * (part + 1) / w->parts;
    for (size_t o = group * w->cout + w->cout * part / w->parts; o < end; o += w->kernels->mr) {
        const float *rows[CB_TILE_ROWS_MAX];
        struct cb_tile t = {
            .m = cb_size_min(end - o, w->kernels->mr),
            .n = n,
            .taps = 1,
            .depth = w->pixel_end - w->pixel,
            .rows = rows,
            .panel = panel,
            .out = w->sums + o * w->columns + first,
            .out_stride = w->columns,
            .post = { .lo = -INFINITY, .hi = INFINITY },
        };
        t.post.residual = t.out;
        for (size_t r = 0; r < t.m; r++)
            rows[r] = w->across + (o + r) * CHUNK_STRIDE;
        w->kernels->tile(&t);
    }
}

/* Four taps of CHANNELS channels. */
static void sum_depthwise(void *ctx, size_t i, size_t worker)
{
    const struct weights *w = ctx;
    const struct cb_conv_shape *s = w->s;
    const size_t first = i % w->parts * CB_DEPTHWISE_PIXELS, channel = i / w->parts * CHANNELS;
    const float **rows =
        (const float **)(void *)(w->workers + worker * worker_bytes(w->kernels, s));
    struct cb_depthwise d = {
        .m = cb_size_min(w->taps - first, CB_DEPTHWISE_PIXELS),
        .taps = w->pixel_end - w->pixel,
        .channels = cb_size_min(s->cout - channel, CHANNELS),
        .rows = rows,
        .w = w->dy + w->pixel * s->cout + channel,
        .w_stride = s->cout,
        .out = w->sums + first * s->cout + channel,
        .out_stride = s->cout,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    d.post.residual = d.out;
    for (size_t j = 0; j < d.m; j++) {
        const size_t tap = first + j;
        struct cb_conv_pixel p = cb_conv_pixel_at(s, w->pixel);
        for (size_t number = w->pixel; number < w->pixel_end; cb_conv_pixel_next_line(s, &p)) {
            const float *line = line_under(w, &p, tap);
            for (; p.at[2] < s->out[2] && number < w->pixel_end; p.at[2]++, number++) {
                const size_t i2 = cb_conv_source(s, 2, p.at[2], tap % s->kernel[2]);
                rows[(number - w->pixel) * CB_DEPTHWISE_PIXELS + j] =
                    (line && i2 < s->in[2] ? line + i2 * s->cin : w->zeros) + channel;
            }
        }
    }
    w->kernels->depthwise(&d);
}

/* dw[o][c][tap] += sums, for one filter. */
static void add_filter(void *ctx, size_t o, size_t worker)
{
    (void)worker;
    const struct weights *w = ctx;
    const bool depthwise = is_depthwise(w->s);
    const size_t tap_step = depthwise ? w->s->cout : w->cin;
    const float *sums = w->sums + (depthwise ? o : o * w->columns);
    float *dw = w->dw + o * w->columns;
    for (size_t c = 0; c < w->cin; c++)
        for (size_t t = 0; t < w->taps; t++)
            *dw++ += sums[t * tap_step + c];
}

static void run_depthwise(struct weights *w, struct cb_threads *threads)
{
    w->zeros = memset(w->across, 0, across_bytes(w->s));
    w->parts = cb_size_divide(w->taps, CB_DEPTHWISE_PIXELS);
    const size_t blocks = cb_size_divide(w->s->cout, CHANNELS), pixels = cb_conv_pixels(w->s);
    for (w->pixel = 0; w->pixel < pixels; w->pixel = w->pixel_end) {
        w->pixel_end = cb_size_min(w->pixel + CHUNK, pixels);
        cb_threads_for(threads, blocks * w->parts, sum_depthwise, w);
    }
}

static void run_panels(struct weights *w, struct cb_threads *threads)
{
    const size_t pixels = cb_conv_pixels(w->s), workers = cb_threads_count(threads);
    const size_t tiles = cb_size_divide(w->cout, w->kernels->mr);
    w->panels = cb_size_divide(w->columns, w->kernels->nr);
    w->parts = 1;
    while (workers > 1 && w->parts < tiles && w->s->group * w->panels * w->parts < 2 * workers)
        w->parts++;
    for (w->pixel = 0; w->pixel < pixels; w->pixel = w->pixel_end) {
        w->pixel_end = cb_size_min(w->pixel + CHUNK, pixels);
        cb_transpose_2d(threads, w->pixel_end - w->pixel, w->s->cout, w->dy + w->pixel * w->s->cout,
                        w->s->cout, w->across, CHUNK_STRIDE);
        cb_threads_for(threads, w->s->group * w->panels * w->parts, sum_panel, w);
    }
}

void cb_conv_weights_run(const struct cb_kernels *kernels, struct cb_threads *threads,
                         const struct cb_conv_shape *s, const float *x, const float *dy,
                         void *scratch, float *dw)
{
    const bool at_once = cb_conv_taps(s) == 1 && s->group == 1; /* dw is laid out as the sums */
    char *across = (char *)scratch + sums_bytes(s);
    struct weights w = {
        .kernels = kernels,
        .s = s,
        .x = x,
        .dy = dy,
        .dw = dw,
        .sums = at_once ? dw : memset(scratch, 0, sums_bytes(s)),
        .across = (float *)(void *)across,
        .workers = across + across_bytes(s),
        .taps = cb_conv_taps(s),
        .cin = s->cin / s->group,
        .cout = s->cout / s->group,
    };
    w.columns = w.taps * w.cin;
    if (is_depthwise(s))
        run_depthwise(&w, threads);
    else
        run_panels(&w, threads);
    if (!at_once)
        cb_threads_for(threads, s->cout, add_filter, &w);
}
