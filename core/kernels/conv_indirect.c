/* core/kernels/conv_indirect.c - any convolution as a product whose rows are found through pointers
 * (arXiv:1907.02129).
 *
 * Per task, a table of pointers [tile][tap][mr] is filled for a block of output pixels, then the
 * panels of weights pass by. Two forms widen what is too narrow for the tile. Few input channels: a
 * whole line of the kernel is one tap (kernel width x cin floats lie together); where it leaves the
 * picture, a copy with zeros is made. Few output channels in a group: neighbouring groups are
 * joined until they fill a vector, with zeros off the diagonal. */
#include "core/kernels/blocks.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/pack.h"

#include <string.h>

enum {
    BLOCK_ROWS = 112, /* pixels in a task: they share each panel while it is in the cache */
};

/* The shape as the tiles see it. */
struct form {
    bool lines;                             /* a tap is a line of the kernel */
    size_t joined, groups;                  /* groups joined, and how many there are then */
    size_t cin, cout;                       /* of a group so joined */
    size_t taps, depth, panels, panel_size; /* panels of a group, floats in one */
};

static struct form form_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    struct form f = { .joined = 1 };
    for (size_t q = 2; q <= s->group && q * (s->cout / s->group) <= kernels->vector; q++)
        if (s->group % q == 0)
            f.joined = q;
    f.groups = s->group / f.joined;
    f.cin = s->cin / f.groups;
    f.cout = s->cout / f.groups;
    f.lines =
        s->group == 1 && s->cin < CB_CONV_NARROW_INPUT && s->kernel[2] > 1 && s->dilation[2] == 1;
    f.taps = f.lines ? s->kernel[0] * s->kernel[1] : cb_conv_taps(s);
    f.depth = f.lines ? s->kernel[2] * f.cin : f.cin;
    f.panels = cb_size_divide(f.cout, kernels->nr);
    f.panel_size = f.taps * f.depth * kernels->nr;
    return f;
}

static bool fits(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    (void)kernels, (void)s;
    return true;
}

static double cost(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const struct form f = form_of(kernels, s);
    const double weights = (double)(f.groups * f.panels) * (double)f.panel_size;
    const double products = (double)(cb_conv_pixels(s) * f.groups) * (double)(f.taps * f.depth) *
                            (double)cb_size_divide(f.cout, kernels->vector);
    return products * 1.05 + cb_conv_reading(kernels, weights);
}

static size_t packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const struct form f = form_of(kernels, s);
    return cb_size_bytes(f.groups * f.panels, cb_size_bytes(f.panel_size, sizeof(float)));
}

struct pack {
    const struct cb_kernels *kernels;
    const struct cb_conv_shape *s;
    struct form form;
    const char *w;
    const float *scale;
    float *packed;
};

/* The row of the panel for number i of a filter, [cin, taps], of the first of the joined groups. */
static size_t panel_row(const struct pack *p, size_t i)
{
    const size_t taps = cb_conv_taps(p->s);
    return i % taps * p->form.cin + i / taps;
}

static void pack_panel(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const struct form *f = &p->form;
    const size_t cout = p->s->cout / p->s->group, cin = p->s->cin / p->s->group;
    const size_t size = cin * cb_conv_taps(p->s), nr = p->kernels->nr, begin = i % f->panels * nr;
    const size_t first = i / f->panels * f->cout + begin,
                 columns = cb_size_min(f->cout - begin, nr);
    const char *w = p->w + first * size * sizeof(float);
    float *panel = p->packed + i * f->panel_size, rows[CB_PACK_ROWS * CB_TILE_COLUMNS_MAX];
    if (f->joined > 1)
        memset(panel, 0, f->panel_size * sizeof(float));
    for (size_t at = 0; at < size; at += CB_PACK_ROWS, w += CB_PACK_ROWS * sizeof(float)) {
        const size_t count = cb_size_min(size - at, CB_PACK_ROWS);
        cb_pack_rows(w, count, columns, 1, size, nr, rows);
        for (size_t r = 0; r < count; r++) {
            float *to = panel + panel_row(p, at + r) * nr, *row = rows + r * nr;
            for (size_t j = 0; p->scale && j < columns; j++)
                row[j] *= p->scale[first + j];
            if (f->joined == 1)
                memcpy(to, row, nr * sizeof(float));
            else
                for (size_t j = 0; j < columns; j++)
                    to[(begin + j) / cout * cin * nr + j] = row[j];
        }
    }
}

static void pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                 struct cb_threads *threads, const void *w, const float *scale, void *packed)
{
    struct pack p = {
        .kernels = kernels,
        .s = s,
        .form = form_of(kernels, s),
        .w = w,
        .scale = scale,
        .packed = packed,
    };
    cb_threads_for(threads, p.form.groups * p.form.panels, pack_panel, &p);
}

/* A thread's part of the scratch: the pointers, then the copied lines. */
static size_t table_bytes(const struct form *f)
{
    return cb_size_bytes(f->taps, BLOCK_ROWS * sizeof(float *));
}

static size_t worker_bytes(const struct form *f)
{
    const size_t copied = f->lines ? f->taps * f->depth : 0;
    return cb_size_add(table_bytes(f), cb_size_bytes(copied, BLOCK_ROWS * sizeof(float)));
}

/* Read in place of padding: a tap of any group. */
static size_t zeros_bytes(const struct cb_conv_shape *s, const struct form *f)
{
    return cb_size_bytes(f->lines ? f->depth : s->cin, sizeof(float));
}

static size_t scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            size_t threads)
{
    const struct form f = form_of(kernels, s);
    return cb_size_add(zeros_bytes(s, &f), cb_size_bytes(threads, worker_bytes(&f)));
}

struct indirect {
    const struct cb_kernels *kernels;
    const struct cb_conv_call *call;
    struct form form;
    struct cb_blocks blocks;
    const float *zeros;
    char *workers;
};

/* A line of the kernel that leaves the picture: kernel[2] x cin floats from column `left` on. */
static const float *copy_line(const struct cb_conv_shape *s, const float *line, size_t left,
                              float *copy)
{
    const size_t cin = s->cin;
    for (size_t t = 0; t < s->kernel[2]; t++)
        for (size_t c = 0; c < cin; c++)
            copy[t * cin + c] = left + t < s->in[2] ? line[(left + t) * cin + c] : 0;
    return copy;
}

/* As cb_conv_fill_rows, with lines of the kernel as taps; copies: taps x depth floats a pixel. */
static void fill_lines(const struct indirect *d, const struct cb_conv_pixel *p, size_t count,
                       float *copies, const float **rows)
{
    const struct cb_conv_shape *s = d->call->shape;
    const size_t width = s->kernel[2], depth = width * s->cin, step = d->kernels->mr;
    const size_t left = cb_conv_source(s, 2, p->at[2], 0), image = p->image * s->in[0];
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++) {
        const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++, rows += step, copies += count * depth) {
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            const bool inside = i0 < s->in[0] && i1 < s->in[1];
            const size_t number = (image + i0) * s->in[1] + i1;
            const float *line = d->call->x + number * s->in[2] * s->cin;
            for (size_t i = 0; i < count; i++) {
                const size_t at = left + i * s->stride[2];
                if (!inside)
                    rows[i] = d->zeros;
                else if (at < s->in[2] && width <= s->in[2] - at)
                    rows[i] = line + at * s->cin;
                else
                    rows[i] = copy_line(s, line, at, copies + i * depth);
            }
        }
    }
}

/* The table for the tiles of a task, for its first group. */
static void fill_table(const struct indirect *d, const struct cb_task *task, size_t group,
                       char *scratch)
{
    const struct form *f = &d->form;
    const struct cb_conv_shape *s = d->call->shape;
    const size_t mr = d->kernels->mr, skip = group * f->cin;
    const struct cb_conv_input whole = cb_conv_input_of(d->call);
    const struct cb_conv_input x = { whole.at + skip, whole.stride };
    const float **rows = (const float **)(void *)scratch;
    float *copies = (float *)(void *)(scratch + table_bytes(f));
    size_t number = cb_blocks_row(&d->blocks, task->tile);
    struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
    for (size_t tile = task->tile; tile < task->tile_end; tile++, rows += f->taps * mr) {
        const size_t begin = number, end = cb_blocks_row(&d->blocks, tile + 1);
        while (number < end) {
            const size_t count = cb_size_min(s->out[2] - pixel.at[2], end - number);
            const float **to = rows + number - begin;
            if (f->lines) {
                fill_lines(d, &pixel, count, copies, to);
                copies += count * f->taps * f->depth;
            } else {
                cb_conv_fill_rows(s, &x, &pixel, count, d->zeros + skip, mr, to);
            }
            number += count;
            pixel.at[2] += count;
            if (pixel.at[2] == s->out[2])
                cb_conv_pixel_next_line(s, &pixel);
        }
    }
}

/* Moves the table on to the next group. */
static void shift_table(const struct indirect *d, const struct cb_task *task, const float **rows)
{
    const size_t mr = d->kernels->mr;
    for (size_t tile = task->tile; tile < task->tile_end; tile++) {
        const size_t m = cb_blocks_row(&d->blocks, tile + 1) - cb_blocks_row(&d->blocks, tile);
        for (size_t tap = 0; tap < d->form.taps; tap++, rows += mr)
            for (size_t i = 0; i < m; i++)
                rows[i] += d->form.cin;
    }
}

static void run_panel(const struct indirect *d, const struct cb_task *task, size_t panel,
                      const float **rows)
{
    const struct cb_conv_call *call = d->call;
    const struct form *f = &d->form;
    const size_t nr = d->kernels->nr, begin = panel % f->panels * nr;
    const size_t column = panel / f->panels * f->cout + begin;
    const float *bias = call->post.bias, *residual = call->post.residual;
    const size_t table = f->taps * d->kernels->mr;
    for (size_t tile = task->tile; tile < task->tile_end; tile++, rows += table) {
        const size_t row = cb_blocks_row(&d->blocks, tile), at = row * call->y_stride + column;
        const struct cb_tile t = {
            .m = cb_blocks_row(&d->blocks, tile + 1) - row,
            .n = cb_size_min(f->cout - begin, nr),
            .taps = f->taps,
            .depth = f->depth,
            .rows = rows,
            .panel = (const float *)call->packed + panel * f->panel_size,
            .out = call->y + at,
            .out_stride = call->y_stride,
            .post = {
                .bias = bias ? bias + column : NULL,
                .residual = residual ? residual + at : NULL,
                .lo = call->post.lo,
                .hi = call->post.hi,
            },
        };
        d->kernels->tile(&t);
        cb_kernels_activate(d->kernels, call->post.act, t.m, t.n, t.out, t.out_stride);
    }
}

static void run_task(void *ctx, size_t i, size_t worker)
{
    const struct indirect *d = ctx;
    const struct cb_task task = cb_blocks_task(&d->blocks, i);
    char *scratch = d->workers + worker * worker_bytes(&d->form);
    const float **rows = (const float **)(void *)scratch;
    fill_table(d, &task, task.panel / d->form.panels, scratch);
    for (size_t panel = task.panel; panel < task.panel_end; panel++) {
        if (panel > task.panel && panel % d->form.panels == 0)
            shift_table(d, &task, rows);
        run_panel(d, &task, panel, rows);
    }
}

static void run(const struct cb_kernels *kernels, const struct cb_conv_call *call)
{
    const struct cb_conv_shape *s = call->shape;
    struct indirect d = { .kernels = kernels, .call = call, .form = form_of(kernels, s) };
    const size_t zeros = zeros_bytes(s, &d.form);
    d.zeros = memset(call->scratch, 0, zeros);
    d.workers = (char *)call->scratch + zeros;
    d.blocks = cb_blocks_for(kernels, cb_threads_count(call->threads), cb_conv_pixels(s),
                             d.form.groups * d.form.panels, d.form.depth, BLOCK_ROWS / kernels->mr);
    cb_threads_for(call->threads, d.blocks.tasks, run_task, &d);
}

const struct cb_conv_algorithm cb_conv_indirect = {
    .name = "indirect",
    .fits = fits,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
