#include "core/kernels/winograd_form.h"

#include "core/kernels/pack.h"

enum {
    BLOCK_BYTES = 1 << 18,  /* of a block's transformed tiles */
    SHARED_BYTES = 4 << 20, /* the same, when threads share it */
    LEAST_TILES = 28,       /* of a block: they share each weight that is loaded */
    LINE = CB_WINOGRAD_LINE,
};

#define ERROR_BUDGET 2.5e-6

static bool form_axis(const struct cb_conv_shape *s, size_t n, int axis, struct cb_winograd_form *f)
{
    const size_t k = s->kernel[axis + 1], stride = s->stride[axis + 1];
    const bool strided = n == CB_WINOGRAD_STRIDED;
    if (s->dilation[axis + 1] != 1 || k % 2 == 0 || k >= n ||
        (strided ? k != 3 || stride != 2 : stride != 1))
        return false;
    f->k[axis] = k;
    f->n[axis] = k == 1 ? 1 : n;
    f->m[axis] = k == 1 ? 1 : strided ? 2 : n - k + 1;
    f->tiles[axis] = cb_size_divide(s->out[axis + 1], f->m[axis]);
    return true;
}

bool cb_winograd_form_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                         size_t points, struct cb_winograd_form *f)
{
    *f = (struct cb_winograd_form){ 0 };
    if (!form_axis(s, points, 0, f) || !form_axis(s, points, 1, f) || s->group != 1 ||
        s->kernel[0] != 1 || s->stride[0] != 1 || s->pad[0] != 0 || s->in[0] != s->out[0] ||
        (f->k[0] == 1 && f->k[1] == 1) || (f->k[0] != 1 && f->k[1] != 1 && f->k[0] != f->k[1]))
        return false;
    f->points = f->n[0] * f->n[1];
    f->matrices = cb_winograd_rows(f->n[0]) * cb_winograd_rows(f->n[1]);
    for (size_t i = 0; i < f->points; i++)
        f->matrix[i] =
            (unsigned char)(cb_winograd_row(f->n[0], i / f->n[1]) * cb_winograd_rows(f->n[1]) +
                            cb_winograd_row(f->n[1], i % f->n[1]));
    f->total = s->n * s->out[0] * f->tiles[0] * f->tiles[1];
    f->panels = cb_size_divide(s->cout, kernels->nr);
    f->cp = cb_size_divide(s->cin, LINE) * LINE;
    f->cp += f->cp / LINE % 2 ? 0 : LINE; /* a tile's rows fall on different sets of the cache */
    return true;
}

size_t cb_winograd_plane(const struct cb_winograd_form *f, size_t tiles)
{
    const size_t lines = tiles * f->cp / LINE;
    return (lines | 1) * LINE; /* and so do its planes */
}

void cb_winograd_choose_blocks(struct cb_winograd_form *f, size_t threads)
{
    const size_t tile_bytes = f->points * f->cp * sizeof(float);
    const size_t most = cb_size_max(BLOCK_BYTES / tile_bytes, LEAST_TILES);
    f->shared = threads > 1 && f->total < threads * most * 2;
    if (f->shared) {
        f->block = cb_size_min(f->total, cb_size_max(SHARED_BYTES / tile_bytes, LEAST_TILES));
    } else {
        /* As many for each thread. */
        const size_t rounds = cb_size_divide(f->total, most * threads);
        f->block = cb_size_divide(f->total, cb_size_max(rounds * threads, 1));
    }
}

size_t cb_winograd_packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                                const struct cb_winograd_form *f)
{
    return cb_size_bytes(f->panels * f->matrices * s->cin, kernels->nr * sizeof(float));
}

struct pack {
    const struct cb_kernels *kernels;
    const struct cb_winograd_form *form;
    struct cb_filters filters;
    float *packed;
};

/* Some input channels of one panel. */
static void pack_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const struct cb_winograd_form *f = p->form;
    const size_t cin = p->filters.cin, nr = p->filters.nr;
    const size_t tasks = cb_size_divide(cin, LINE), panel = i / tasks, first = i % tasks * LINE;
    float filter[CB_WINOGRAD_PIXELS * CB_TILE_COLUMNS_MAX] __attribute__((aligned(64)));
    for (size_t c = first; c < cin && c < first + LINE; c++) {
        cb_pack_taps(&p->filters, panel, c, 0, p->filters.taps, filter);
        p->kernels->winograd_filter(&(struct cb_winograd_filter){
            .points = { f->n[0], f->n[1] },
            .taps = { f->k[0], f->k[1] },
            .w = filter,
            .out = p->packed + (panel * f->matrices * cin + c) * nr,
            .plane = cin * nr,
        });
    }
}

static void pack_taps_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const size_t cin = p->filters.cin, taps = p->filters.taps;
    const size_t tasks = cb_size_divide(cin, LINE), panel = i / tasks, first = i % tasks * LINE;
    for (size_t c = first; c < cin && c < first + LINE; c++)
        cb_pack_taps(&p->filters, panel, c, 0, taps,
                     p->packed + (panel * cin + c) * taps * p->filters.nr);
}

void cb_winograd_pack(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                      const struct cb_winograd_form *f, struct cb_threads *threads, const void *w,
                      const float *scale, void *packed)
{
    struct pack p = { kernels, f, cb_filters_of(kernels, s, w, scale), packed };
    cb_threads_for(threads, f->panels * cb_size_divide(s->cin, LINE), pack_task, &p);
}

size_t cb_winograd_taps_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                              const struct cb_winograd_form *f)
{
    const size_t columns = cb_size_divide(s->cout, kernels->vector) * kernels->vector;
    return cb_size_bytes(columns * s->cin, f->k[0] * f->k[1] * sizeof(float));
}

void cb_winograd_pack_taps(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                           const struct cb_winograd_form *f, struct cb_threads *threads,
                           const void *w, const float *scale, void *packed)
{
    struct pack p = { kernels, f, cb_filters_of(kernels, s, w, scale), packed };
    p.filters.nr = kernels->vector;
    cb_threads_for(threads, cb_size_divide(s->cout, kernels->vector) * cb_size_divide(s->cin, LINE),
                   pack_taps_task, &p);
}

bool cb_winograd_accurate(const struct cb_kernels *kernels, const struct cb_conv_shape *shape,
                          const struct cb_conv_algorithm *algorithm, const void *w,
                          const void *packed)
{
    return cb_conv_error(kernels, shape, algorithm, w, packed) <= ERROR_BUDGET;
}

void cb_winograd_finish(const struct cb_kernels *kernels, const struct cb_conv_call *call,
                        struct cb_winograd_output t, size_t pixel, size_t column)
{
    const struct cb_conv_shape *s = call->shape;
    const size_t at = pixel * call->y_stride + column;
    t.channels = cb_size_min(s->cout - column, kernels->nr);
    t.out = call->y + at;
    t.line = s->out[2] * call->y_stride;
    t.pixel = call->y_stride;
    t.post = call->post;
    if (t.post.bias)
        t.post.bias += column;
    if (t.post.residual)
        t.post.residual += at;
    kernels->winograd_output(&t);
    for (size_t i = 0; i < t.inside[0]; i++)
        cb_kernels_activate(kernels, t.post.act, t.inside[1], t.channels, t.out + i * t.line,
                            t.pixel);
}
