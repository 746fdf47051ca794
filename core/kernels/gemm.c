#include "core/kernels/gemm.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/bf16.h"
#include "core/kernels/blocks.h"
#include "core/kernels/pack.h"
#include "core/kernels/sizes.h"

enum {
    PANEL_BYTES = 1 << 19, /* of a panel at a time: they stay in the second-level cache */
    PAGE = 4096,           /* rows this far apart share a few lines of the first-level cache */
    COPY_DEPTH = 256,      /* columns of A copied at a time where that happens */
    COPY_STRIDE = COPY_DEPTH + 16,
    LEAST_PAIRS = 64, /* length of a sum of bfloat16 */
    PACK_ROWS = 512,  /* rows of B in a packing task */
    TRANSPOSE = 32,   /* side of a block */
};

static size_t panel_count(const struct cb_kernels *kernels, size_t n)
{
    return cb_size_divide(n, kernels->nr);
}

/* Short sums gain little from bfloat16, and lose most: few roundings even out. */
static bool in_pairs(const struct cb_kernels *kernels, size_t k)
{
    return kernels->bf16 && k >= LEAST_PAIRS;
}

size_t cb_gemm_packed_bytes(const struct cb_kernels *kernels, size_t k, size_t n)
{
    size_t floats, bytes;
    if (__builtin_mul_overflow(panel_count(kernels, n) * kernels->nr,
                               in_pairs(kernels, k) ? cb_size_divide(k, 2) : k, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

struct pack {
    size_t k, n, nr, row_stride, column_stride, row_tasks;
    const char *b;
    float *packed;
    const float *scale;
    bool pairs, keep_sums;
};

/* Rows of a panel from row r of it on, `count` <= CB_PACK_ROWS of them, scaled. */
static void pack_some(const struct pack *p, size_t panel, size_t r, size_t count, float *out)
{
    const size_t first = panel * p->nr, columns = cb_size_min(p->n - first, p->nr);
    cb_pack_rows(p->b + (r * p->row_stride + first * p->column_stride) * sizeof(float), count,
                 columns, p->row_stride, p->column_stride, p->nr, out);
    for (size_t i = 0; p->scale && i < count; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * p->nr + j] *= p->scale[first + j];
}

/* Rows [row, row_end) of a panel, rounded. */
static void pack_pairs(const struct pack *p, size_t panel, size_t row, size_t row_end)
{
    float some[CB_PACK_ROWS * CB_TILE_COLUMNS_MAX], carry[CB_TILE_COLUMNS_MAX] = { 0 };
    float *out = p->packed + panel * cb_size_divide(p->k, 2) * p->nr;
    for (size_t r = row; r < row_end; r += CB_PACK_ROWS) {
        const size_t count = cb_size_min(row_end - r, CB_PACK_ROWS);
        pack_some(p, panel, r, count, some);
        if (p->keep_sums)
            cb_bf16_keep_sums(some, count, p->nr, carry);
        cb_bf16_pair_rows(some, count, p->nr, out + r / 2 * p->nr);
    }
}

static void pack_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const size_t panel = i / p->row_tasks, row = i % p->row_tasks * PACK_ROWS;
    const size_t row_end = cb_size_min(row + PACK_ROWS, p->k);
    const size_t first = panel * p->nr, columns = cb_size_min(p->n - first, p->nr);
    float *out = p->packed + (panel * p->k + row) * p->nr;
    if (p->pairs) {
        pack_pairs(p, panel, row, row_end);
        return;
    }
    if (p->column_stride != 1 || p->scale) {
        for (size_t r = row; r < row_end; r += CB_PACK_ROWS)
            pack_some(p, panel, r, cb_size_min(row_end - r, CB_PACK_ROWS), out + (r - row) * p->nr);
        return;
    }
    for (size_t r = row; r < row_end; r++, out += p->nr) {
        memcpy(out, p->b + (r * p->row_stride + first) * sizeof(float), columns * sizeof(float));
        memset(out + columns, 0, (p->nr - columns) * sizeof(float));
    }
}

static void pack_all(const struct cb_kernels *kernels, struct cb_threads *threads, struct pack pack)
{
    pack.nr = kernels->nr;
    pack.row_tasks = cb_size_divide(pack.k, PACK_ROWS);
    pack.pairs = in_pairs(kernels, pack.k);
    cb_threads_for(threads, panel_count(kernels, pack.n) * pack.row_tasks, pack_task, &pack);
}

void cb_gemm_pack(const struct cb_kernels *kernels, struct cb_threads *threads, size_t k, size_t n,
                  const void *b, size_t row_stride, size_t column_stride, void *packed)
{
    pack_all(kernels, threads,
             (struct pack){
                 .k = k,
                 .n = n,
                 .row_stride = row_stride,
                 .column_stride = column_stride,
                 .b = b,
                 .packed = packed,
             });
}

void cb_gemm_pack_filters(const struct cb_kernels *kernels, struct cb_threads *threads, size_t k,
                          size_t n, const void *w, const float *scale, void *packed)
{
    pack_all(kernels, threads,
             (struct pack){
                 .k = k,
                 .n = n,
                 .row_stride = 1,
                 .column_stride = k,
                 .b = w,
                 .packed = packed,
                 .scale = scale,
                 .keep_sums = true,
             });
}

struct product {
    const struct cb_kernels *kernels;
    const struct cb_gemm *gemm;
    struct cb_blocks blocks;
    bool pairs; /* packed so */
};

/* Some rows of A, no more than a tile, from column k to k_end. */
struct part {
    size_t row, rows, k, k_end;
    const float *a; /* where these rows begin with column k */
    size_t lda;
};

static struct part part_of(const struct product *p, size_t tile, size_t k, size_t k_end)
{
    const size_t row = cb_blocks_row(&p->blocks, tile);
    return (struct part){
        .row = row,
        .rows = cb_blocks_row(&p->blocks, tile + 1) - row,
        .k = k,
        .k_end = k_end,
        .a = p->gemm->a + row * p->gemm->lda + k,
        .lda = p->gemm->lda,
    };
}

/* A part times a panel. Columns of A after the first part add to what is there; the last clamps. */
static void run_tile(const struct product *p, const struct part *part, size_t panel)
{
    const struct cb_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, column = panel * nr, at = part->row * g->ldc + column;
    const bool pairs = p->pairs;
    const size_t panel_rows = pairs ? cb_size_divide(g->k, 2) : g->k;
    const size_t panel_row = pairs ? part->k / 2 : part->k;
    const float *rows[CB_TILE_ROWS_MAX];
    for (size_t i = 0; i < part->rows; i++)
        rows[i] = part->a + i * part->lda;
    struct cb_tile t = {
        .m = part->rows,
        .n = cb_size_min(g->n - column, nr),
        .taps = 1,
        .depth = pairs ? cb_size_divide(part->k_end - part->k, 2) : part->k_end - part->k,
        .rows = rows,
        .panel = (const float *)g->packed + (panel * panel_rows + panel_row) * nr,
        .out = g->c + at,
        .out_stride = g->ldc,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    if (part->k > 0) {
        t.post.residual = t.out;
    } else {
        t.post.bias = g->post.bias ? g->post.bias + column : NULL;
        t.post.residual = g->post.residual ? g->post.residual + at : NULL;
    }
    if (part->k_end == g->k) {
        t.post.lo = g->post.lo;
        t.post.hi = g->post.hi;
    }
    (pairs ? p->kernels->tile_pairs : p->kernels->tile)(&t);
    if (part->k_end == g->k)
        cb_kernels_activate(p->kernels, g->post.act, t.m, t.n, t.out, t.out_stride);
}

/* Panel by panel: some rows of one stay in the cache while the tiles pass by. */
static void run_plain(const struct product *p, const struct cb_task *task)
{
    const size_t depth = p->gemm->k, panel_rows = PANEL_BYTES / (p->kernels->nr * sizeof(float));
    const size_t step = task->tile_end - task->tile > 1 ? panel_rows : cb_size_max(depth, 1);
    for (size_t panel = task->panel; panel < task->panel_end; panel++) {
        size_t k = 0;
        do { /* once for a depth of 0 */
            for (size_t tile = task->tile; tile < task->tile_end; tile++) {
                const struct part part = part_of(p, tile, k, cb_size_min(k + step, depth));
                run_tile(p, &part, panel);
            }
            k += step;
        } while (k < depth);
    }
}

/* Row i of a part, after the prologue: as it lies, or in `to`. */
static const float *prepare_row(const struct product *p, const struct part *part, size_t i,
                                float *to)
{
    const struct cb_gemm *g = p->gemm;
    const struct cb_prologue *pre = &g->pre;
    const float *from = part->a + i * part->lda;
    const size_t n = part->k_end - part->k;
    if (!pre->scale)
        return from;
    const size_t image = g->image_rows ? (part->row + i) / g->image_rows : 0;
    const float *scale = pre->scale + image * pre->image_step + part->k;
    if (pre->shift) {
        p->kernels->affine(n, from, scale, pre->shift + part->k, pre->lo, pre->hi, to);
    } else {
        p->kernels->mul(n, from, scale, to);
        if (pre->lo > -INFINITY || pre->hi < INFINITY)
            p->kernels->clamp(n, to, pre->lo, pre->hi, to);
    }
    return to;
}

static void copy_row(const struct product *p, const struct part *part, size_t i, float *to)
{
    float row[2 * COPY_DEPTH];
    const size_t n = part->k_end - part->k;
    if (p->pairs) {
        p->kernels->to_pairs(n, prepare_row(p, part, i, row), to);
        return;
    }
    const float *from = prepare_row(p, part, i, to);
    if (from != to)
        memcpy(to, from, n * sizeof(float));
}

/* Tile by tile: some columns are copied to where rows do not push each other out of the cache, as
 * pairs where these are multiplied, and the panels pass by. */
static void run_copied(const struct product *p, const struct cb_task *task)
{
    float copy[CB_TILE_ROWS_MAX * COPY_STRIDE] __attribute__((aligned(64)));
    const size_t depth = p->gemm->k, step = p->pairs ? 2 * COPY_DEPTH : COPY_DEPTH;
    for (size_t k = 0; k < depth; k += step)
        for (size_t tile = task->tile; tile < task->tile_end; tile++) {
            struct part part = part_of(p, tile, k, cb_size_min(k + step, depth));
            for (size_t i = 0; i < part.rows; i++)
                copy_row(p, &part, i, copy + i * COPY_STRIDE);
            part.a = copy;
            part.lda = COPY_STRIDE;
            for (size_t panel = task->panel; panel < task->panel_end; panel++)
                run_tile(p, &part, panel);
        }
}

static void run_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct product *p = ctx;
    const struct cb_gemm *g = p->gemm;
    const struct cb_task task = cb_blocks_task(&p->blocks, i);
    const bool crowded = g->lda * sizeof(float) % PAGE == 0 && g->m > 4 && g->k > 0;
    if (crowded || p->pairs || g->pre.scale)
        run_copied(p, &task);
    else
        run_plain(p, &task);
}

void cb_gemm_run(const struct cb_kernels *kernels, struct cb_threads *threads,
                 const struct cb_gemm *gemm)
{
    struct product p = {
        .kernels = kernels,
        .gemm = gemm,
        .pairs = in_pairs(kernels, gemm->k),
        .blocks = cb_blocks_for(kernels, cb_threads_count(threads), gemm->m,
                                panel_count(kernels, gemm->n), gemm->k, SIZE_MAX),
    };
    cb_threads_for(threads, p.blocks.tasks, run_task, &p);
}

struct transpose {
    size_t rows, columns, in_stride, out_stride;
    const float *in;
    float *out;
};

static void transpose_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct transpose *t = ctx;
    const size_t row = i * TRANSPOSE, row_end = cb_size_min(row + TRANSPOSE, t->rows);
    for (size_t column = 0; column < t->columns; column += TRANSPOSE) {
        const size_t column_end = cb_size_min(column + TRANSPOSE, t->columns);
        for (size_t c = column; c < column_end; c++)
            for (size_t r = row; r < row_end; r++)
                t->out[c * t->out_stride + r] = t->in[r * t->in_stride + c];
    }
}

void cb_transpose_2d(struct cb_threads *threads, size_t rows, size_t columns, const float *in,
                     size_t in_stride, float *out, size_t out_stride)
{
    struct transpose t = {
        .rows = rows,
        .columns = columns,
        .in_stride = in_stride,
        .out_stride = out_stride,
        .in = in,
        .out = out,
    };
    cb_threads_for(threads, cb_size_divide(rows, TRANSPOSE), transpose_task, &t);
}
