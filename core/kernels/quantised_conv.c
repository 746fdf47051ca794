#include "core/kernels/quantised_conv.h"

#include <string.h>

#include "core/kernels/quantised_parts.h"

enum {
    GROUP = CB_QUANTISED_GROUP,
    BLOCK_TILES = 16,      /* tiles of a task: they share each panel while it is in the cache */
    BLOCK_BYTES = 1 << 18, /* of their rows, in the second-level cache */
    TASKS_PER_THREAD = 4,
};

/* The shape as the tiles see it. */
struct form {
    bool lines;                /* a tap is a line of the kernel: few channels */
    size_t cin, cout;          /* of a group */
    size_t taps, depth;        /* bytes of a tap */
    size_t groups;             /* of bytes in a tap */
    size_t panels, panel_size; /* of a group of channels; bytes in one */
    size_t columns;            /* all panels' */
};

static struct form form_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    const size_t nr = kernels->quantised.nr;
    struct form f = { .cin = s->cin / s->group, .cout = s->cout / s->group };
    f.lines =
        s->group == 1 && s->cin < CB_CONV_NARROW_INPUT && s->kernel[2] > 1 && s->dilation[2] == 1;
    f.taps = f.lines ? s->kernel[0] * s->kernel[1] : cb_conv_taps(s);
    f.depth = f.lines ? s->kernel[2] * f.cin : f.cin;
    f.groups = cb_size_divide(f.depth, GROUP);
    f.panels = cb_size_divide(f.cout, nr);
    f.panel_size = f.taps * f.groups * GROUP * nr;
    f.columns = s->group * f.panels * nr;
    return f;
}

/* The sums of the columns' weights, their zeros where they have some, then the panels. */
static size_t panels_at(const struct form *f, bool zeros)
{
    return cb_size_bytes(f->columns, sizeof(int32_t)) * (zeros ? 2 : 1);
}

size_t cb_quantised_conv_packed_bytes(const struct cb_kernels *kernels,
                                      const struct cb_conv_shape *s, bool zeros)
{
    if (cb_quantised_depthwise_fits(s))
        return cb_quantised_depthwise_packed_bytes(s, zeros);
    const struct form f = form_of(kernels, s);
    return cb_size_add(panels_at(&f, zeros), cb_size_bytes(s->group * f.panels, f.panel_size));
}

void cb_quantised_conv_pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                            const int8_t *w, const int64_t *w_zero, void *packed)
{
    if (cb_quantised_depthwise_fits(s)) {
        cb_quantised_depthwise_pack(s, w, w_zero, packed);
        return;
    }
    const struct form f = form_of(kernels, s);
    const size_t nr = kernels->quantised.nr, taps = cb_conv_taps(s);
    int32_t *sums = packed;
    int32_t *zeros = (int32_t *)(void *)((char *)packed + panels_at(&f, false));
    int8_t *panels = (int8_t *)packed + panels_at(&f, w_zero != NULL);
    memset(packed, 0, cb_quantised_conv_packed_bytes(kernels, s, w_zero != NULL));
    for (size_t m = 0; m < s->cout; m++) {
        const size_t panel = m / f.cout * f.panels + m % f.cout / nr, column = m % f.cout % nr;
        int8_t *to = panels + panel * f.panel_size + column * GROUP;
        if (w_zero)
            zeros[panel * nr + column] = (int32_t)w_zero[m];
        for (size_t c = 0; c < f.cin; c++)
            for (size_t t = 0; t < taps; t++, w++) {
                /* Where this weight stands along taps x depth, each tap's depth rounded up. */
                const size_t tap = f.lines ? t / s->kernel[2] : t;
                const size_t k = f.lines ? t % s->kernel[2] * f.cin + c : c;
                to[(tap * f.groups + k / GROUP) * nr * GROUP + k % GROUP] = *w;
                sums[panel * nr + column] += *w;
            }
    }
}

/* A thread's part of the scratch: pointers, then copied lines, sums of rows, a tile of reals. */
static size_t table_bytes(const struct cb_kernels *kernels, const struct form *f)
{
    return cb_size_bytes(f->taps * BLOCK_TILES, kernels->quantised.mr * sizeof(uint8_t *));
}

static size_t copies_bytes(const struct cb_kernels *kernels, const struct form *f)
{
    return f->lines
               ? cb_size_bytes(f->taps * f->groups * GROUP, BLOCK_TILES * kernels->quantised.mr)
               : 0;
}

static size_t sums_bytes(const struct cb_kernels *kernels)
{
    return cb_size_bytes(BLOCK_TILES * kernels->quantised.mr, sizeof(int32_t));
}

static size_t worker_bytes(const struct cb_kernels *kernels, const struct form *f)
{
    const size_t tile = kernels->quantised.mr * kernels->quantised.nr;
    return cb_size_add(cb_size_add(table_bytes(kernels, f), copies_bytes(kernels, f)),
                       sums_bytes(kernels) + cb_size_bytes(tile, sizeof(float)));
}

/* What is read in place of padding: the zero of x. */
static size_t zeros_bytes(const struct form *f)
{
    return cb_size_bytes(f->groups, GROUP);
}

size_t cb_quantised_conv_scratch_bytes(const struct cb_kernels *kernels,
                                       const struct cb_conv_shape *s, bool zeros, size_t threads)
{
    if (cb_quantised_depthwise_fits(s))
        return cb_quantised_depthwise_scratch_bytes(s, zeros, threads);
    const struct form f = form_of(kernels, s);
    return cb_size_add(cb_size_add(zeros_bytes(&f), cb_quantised_columns_bytes(f.columns)),
                       cb_size_bytes(threads, worker_bytes(kernels, &f)));
}

struct run {
    const struct cb_kernels *kernels;
    const struct cb_quantised_conv *call;
    struct form form;
    struct cb_quantised_columns columns;
    struct cb_quantised_epilogue post;
    const int32_t *w_zero;
    const uint8_t *zeros;
    char *workers;
    size_t pixels, tiles, block; /* rows, tiles of nearly equal height, tiles in a task */
    size_t blocks, panels;       /* row blocks; panels in a task */
};

static size_t row_of(const struct run *r, size_t tile)
{
    const size_t height = r->pixels / r->tiles, taller = r->pixels % r->tiles;
    return tile * height + cb_size_min(tile, taller);
}

/* A line of the kernel that leaves the picture, from column `left` on. */
static const uint8_t *copy_line(const struct run *r, const uint8_t *line, size_t left,
                                uint8_t *copy)
{
    const struct cb_conv_shape *s = r->call->shape;
    for (size_t t = 0; t < s->kernel[2]; t++)
        if (left + t < s->in[2])
            memcpy(copy + t * s->cin, line + (left + t) * s->cin, s->cin);
        else
            memset(copy + t * s->cin, r->call->x_quantum.zero, s->cin);
    return copy;
}

/* The pointers for `count` pixels of one line from p on; of tap t at rows[t * step]. */
static void fill_lines(const struct run *r, const struct cb_conv_pixel *p, size_t count,
                       uint8_t *copies, const uint8_t **rows)
{
    const struct cb_conv_shape *s = r->call->shape;
    const size_t width = s->kernel[2], depth = r->form.groups * GROUP,
                 step = r->kernels->quantised.mr;
    const size_t left = cb_conv_source(s, 2, p->at[2], 0);
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++)
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++, rows += step, copies += count * depth) {
            const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            const bool inside = i0 < s->in[0] && i1 < s->in[1];
            const size_t number = (p->image * s->in[0] + i0) * s->in[1] + i1;
            const uint8_t *line = inside ? r->call->x + number * s->in[2] * s->cin : NULL;
            for (size_t i = 0; i < count; i++) {
                const size_t at = left + i * s->stride[2];
                if (!inside)
                    rows[i] = r->zeros;
                else if (at < s->in[2] && width <= s->in[2] - at)
                    rows[i] = line + at * s->cin;
                else
                    rows[i] = copy_line(r, line, at, copies + i * depth);
            }
        }
}

static void fill_taps(const struct run *r, const struct cb_conv_pixel *p, size_t count, size_t skip,
                      const uint8_t **rows)
{
    const struct cb_conv_shape *s = r->call->shape;
    const size_t step = r->kernels->quantised.mr;
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++)
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++) {
            const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            const size_t width = i0 < s->in[0] && i1 < s->in[1] ? s->in[2] : 0;
            const size_t line = ((p->image * s->in[0] + i0) * s->in[1] + i1) * s->in[2];
            for (size_t t2 = 0; t2 < s->kernel[2]; t2++, rows += step) {
                const size_t at = cb_conv_source(s, 2, p->at[2], t2);
                for (size_t i = 0; i < count; i++) {
                    const size_t i2 = at + i * s->stride[2];
                    rows[i] = i2 < width ? r->call->x + (line + i2) * s->cin + skip : r->zeros;
                }
            }
        }
}

/* The table [tile][tap][mr] for tiles first .. end, for a group of channels. */
static void fill_table(const struct run *r, size_t first, size_t end, size_t group, char *scratch)
{
    const struct form *f = &r->form;
    const struct cb_conv_shape *s = r->call->shape;
    const uint8_t **rows = (const uint8_t **)(void *)scratch;
    uint8_t *copies = (uint8_t *)scratch + table_bytes(r->kernels, f);
    size_t number = row_of(r, first);
    struct cb_conv_pixel pixel = cb_conv_pixel_at(s, number);
    for (size_t tile = first; tile < end; tile++, rows += f->taps * r->kernels->quantised.mr) {
        const size_t begin = number, last = row_of(r, tile + 1);
        while (number < last) {
            const size_t count = cb_size_min(s->out[2] - pixel.at[2], last - number);
            if (f->lines) {
                fill_lines(r, &pixel, count, copies, rows + number - begin);
                copies += count * f->taps * f->groups * GROUP;
            } else {
                fill_taps(r, &pixel, count, group * f->cin, rows + number - begin);
            }
            number += count;
            pixel.at[2] += count;
            if (pixel.at[2] == s->out[2])
                cb_conv_pixel_next_line(s, &pixel);
        }
    }
}

static int32_t *row_sums_in(const struct run *r, char *scratch)
{
    return (int32_t *)(void *)(scratch + table_bytes(r->kernels, &r->form) +
                               copies_bytes(r->kernels, &r->form));
}

/* The sums of all rows in the table, for weights whose zero is not 0. */
static void sum_rows(const struct run *r, size_t first, size_t end, char *scratch)
{
    const struct form *f = &r->form;
    const size_t mr = r->kernels->quantised.mr;
    const uint8_t *const *rows = (const uint8_t *const *)(void *)scratch;
    int32_t *sums = row_sums_in(r, scratch);
    for (size_t tile = first; tile < end; tile++, rows += f->taps * mr, sums += mr)
        for (size_t i = 0; i < row_of(r, tile + 1) - row_of(r, tile); i++) {
            sums[i] = 0;
            for (size_t tap = 0; tap < f->taps; tap++)
                sums[i] += r->kernels->quantised.sum(f->depth, rows[tap * mr + i]);
        }
}

/* A tile that passes through reals: the activation, then maybe bytes. */
static void run_active(const struct run *r, struct cb_quantised_tile *t, size_t at, float *reals)
{
    const struct cb_quantised_conv *call = r->call;
    const size_t stride = t->out_stride;
    t->reals = call->bytes ? reals : call->reals + at;
    t->out_stride = call->bytes ? r->kernels->quantised.nr : stride;
    r->kernels->quantised.tile(t);
    cb_kernels_activate(r->kernels, call->act, t->m, t->n, t->reals, t->out_stride);
    for (size_t i = 0; call->bytes && i < t->m; i++)
        r->kernels->quantised.quantise(t->n, reals + i * t->out_stride, call->y_quantum,
                                       call->bytes + at + i * stride);
}

static void run_panel(const struct run *r, size_t first, size_t end, size_t panel, char *scratch)
{
    const struct form *f = &r->form;
    const struct cb_quantised_conv *call = r->call;
    const size_t mr = r->kernels->quantised.mr, nr = r->kernels->quantised.nr;
    const size_t begin = panel % f->panels * nr, column = panel / f->panels * f->cout + begin;
    const int8_t *panels = (const int8_t *)call->packed + panels_at(f, call->zeros);
    const uint8_t *const *rows = (const uint8_t *const *)(void *)scratch;
    const int32_t *row_sums = row_sums_in(r, scratch);
    float *reals = (float *)(void *)((char *)row_sums_in(r, scratch) + sums_bytes(r->kernels));
    for (size_t tile = first; tile < end; tile++, rows += f->taps * mr) {
        const size_t row = row_of(r, tile), at = row * call->shape->cout + column;
        struct cb_quantised_tile t = {
            .m = row_of(r, tile + 1) - row,
            .n = cb_size_min(f->cout - begin, nr),
            .taps = f->taps,
            .groups = f->groups,
            .rows = rows,
            .panel = panels + panel * f->panel_size,
            .row_sums = call->zeros ? row_sums + (tile - first) * mr : NULL,
            .out_stride = call->shape->cout,
            .post = r->post,
        };
        t.post.start = r->columns.start + panel * nr;
        t.post.scale = r->columns.scale + panel * nr;
        t.post.shift = r->columns.shift + panel * nr;
        t.post.w_zero = r->w_zero + panel * nr;
        t.post.residual = call->residual ? call->residual + at : NULL;
        if (call->sums) {
            t.sums = call->sums + at;
            r->kernels->quantised.tile(&t);
        } else if (cb_quantised_direct(call)) {
            t.bytes = call->bytes + at;
            r->kernels->quantised.tile(&t);
        } else {
            run_active(r, &t, at, reals);
        }
    }
}

static void run_task(void *ctx, size_t i, size_t worker)
{
    const struct run *r = ctx;
    const struct form *f = &r->form;
    const size_t all = r->call->shape->group * f->panels;
    const size_t first = i % r->blocks * r->block, panel = i / r->blocks * r->panels;
    const size_t end = cb_size_min(first + r->block, r->tiles);
    const size_t panel_end = cb_size_min(panel + r->panels, all);
    char *scratch = r->workers + worker * worker_bytes(r->kernels, f);
    size_t filled = SIZE_MAX; /* the group that the table is for */
    for (size_t p = panel; p < panel_end; p++) {
        if (p / f->panels != filled) {
            fill_table(r, first, end, filled = p / f->panels, scratch);
            if (r->call->zeros)
                sum_rows(r, first, end, scratch);
        }
        run_panel(r, first, end, p, scratch);
    }
}

/* Row blocks times groups of panels: few enough to share what is in the cache, enough for all
 * threads. */
static size_t cut(struct run *r)
{
    const struct form *f = &r->form;
    const size_t threads = cb_threads_count(r->call->threads);
    const size_t panels = r->call->shape->group * f->panels, mr = r->kernels->quantised.mr;
    size_t tasks;
    r->pixels = cb_conv_pixels(r->call->shape);
    r->tiles = cb_size_divide(r->pixels, mr);
    r->block = cb_size_max(1, BLOCK_BYTES / (mr * f->groups * GROUP));
    r->block = cb_size_min(cb_size_min(r->block, BLOCK_TILES), cb_size_max(r->tiles, 1));
    r->panels = panels;
    for (;;) {
        r->blocks = cb_size_divide(r->tiles, r->block);
        tasks = r->blocks * cb_size_divide(panels, r->panels);
        if (threads == 1 || tasks >= threads * TASKS_PER_THREAD || r->block * r->panels <= 1)
            return tasks;
        if (r->panels > 1 &&
            (r->block == 1 || r->panels * r->kernels->quantised.nr >= r->block * mr))
            r->panels = (r->panels + 1) / 2;
        else
            r->block = (r->block + 1) / 2;
    }
}

static void fill_columns(struct run *r)
{
    const struct form *f = &r->form;
    const size_t nr = r->kernels->quantised.nr;
    const int32_t *sums = r->call->packed;
    const int64_t depth = (int64_t)(f->taps * f->depth);
    for (size_t m = 0; m < r->call->shape->cout; m++) {
        const size_t at = (m / f->cout * f->panels) * nr + m % f->cout;
        const int64_t zero = r->call->zeros ? r->w_zero[at] : 0;
        cb_quantised_column(r->call, &r->columns, at, m, sums[at] - depth * zero);
    }
}

void cb_quantised_conv_run(const struct cb_kernels *kernels, const struct cb_quantised_conv *call)
{
    if (cb_quantised_depthwise_fits(call->shape)) {
        cb_quantised_depthwise_run(kernels, call);
        return;
    }
    struct run r = { .kernels = kernels, .call = call, .form = form_of(kernels, call->shape) };
    char *scratch = call->scratch;
    r.zeros = memset(scratch, call->x_quantum.zero, zeros_bytes(&r.form));
    scratch += zeros_bytes(&r.form);
    r.columns = cb_quantised_columns_in(scratch, r.form.columns);
    r.workers = scratch + cb_quantised_columns_bytes(r.form.columns);
    r.w_zero =
        (const int32_t *)(const void *)((const char *)call->packed + panels_at(&r.form, false));
    r.post = cb_quantised_post(call);
    fill_columns(&r);
    const size_t tasks = cut(&r);
    cb_threads_for(call->threads, tasks, run_task, &r);
}
