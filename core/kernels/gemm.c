#include "core/kernels/gemm.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/blocks.h"
#include "core/kernels/pack.h"

enum {
    PANEL_BYTES = 512 << 10, /* of one panel between two visits of the tiles: it has to stay in the second-level cache */
    PAGE = 4096,             /* rows this far apart share the same few lines of the first-level cache */
    COPY_DEPTH = 256,        /* columns of A copied at a time where that happens */
    COPY_STRIDE = COPY_DEPTH + 16,
    PACK_ROWS = 512,         /* rows of B in one packing task */
    TRANSPOSE = 32,          /* side of a block */
};

static size_t panel_count(const struct cb_kernels *kernels, size_t n)
{
    return n / kernels->nr + (n % kernels->nr != 0);
}

size_t cb_gemm_packed_bytes(const struct cb_kernels *kernels, size_t k, size_t n)
{
    size_t floats, bytes;
    if (__builtin_mul_overflow(panel_count(kernels, n) * kernels->nr, k, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

struct pack {
    size_t k, n, nr, row_stride, column_stride, row_tasks;
    const char *b;
    float *packed;
};

static void pack_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct pack *p = ctx;
    const size_t panel = i / p->row_tasks, row = i % p->row_tasks * PACK_ROWS;
    const size_t rows = p->k - row < PACK_ROWS ? p->k - row : PACK_ROWS;
    const size_t first = panel * p->nr, columns = p->n - first < p->nr ? p->n - first : p->nr;
    const char *b = p->b + (row * p->row_stride + first * p->column_stride) * sizeof(float);
    float *out = p->packed + (panel * p->k + row) * p->nr;
    if (p->column_stride != 1) {
        for (size_t r = 0; r < rows; r += CB_PACK_ROWS)
            cb_pack_rows(b + r * p->row_stride * sizeof(float), rows - r < CB_PACK_ROWS ? rows - r : CB_PACK_ROWS,
                         columns, p->row_stride, p->column_stride, p->nr, out + r * p->nr);
        return;
    }
    for (size_t r = 0; r < rows; r++, out += p->nr) {
        memcpy(out, b + r * p->row_stride * sizeof(float), columns * sizeof(float));
        memset(out + columns, 0, (p->nr - columns) * sizeof(float));
    }
}

void cb_gemm_pack(const struct cb_kernels *kernels, struct cb_threads *threads, size_t k, size_t n, const void *b,
                  size_t row_stride, size_t column_stride, void *packed)
{
    struct pack pack = {
        .k = k, .n = n, .nr = kernels->nr, .row_stride = row_stride, .column_stride = column_stride,
        .row_tasks = k / PACK_ROWS + (k % PACK_ROWS != 0), .b = b, .packed = packed,
    };
    cb_threads_for(threads, panel_count(kernels, n) * pack.row_tasks, pack_task, &pack);
}

struct product {
    const struct cb_kernels *kernels;
    const struct cb_gemm *gemm;
    struct cb_blocks blocks;
};

/* One tile over rows k .. k_end of B; `a` is its first row from column k on. Parts after the first add to what is
 * there; the last one clamps. */
static void run_tile(const struct product *p, const float *a, size_t lda, size_t tile, size_t panel, size_t k,
                     size_t k_end)
{
    const struct cb_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, column = panel * nr;
    const size_t row = cb_blocks_row(&p->blocks, tile), row_end = cb_blocks_row(&p->blocks, tile + 1);
    const float *rows[CB_TILE_ROWS_MAX];
    for (size_t i = 0; i < row_end - row; i++)
        rows[i] = a + i * lda;
    struct cb_tile t = {
        .m = row_end - row,
        .n = g->n - column < nr ? g->n - column : nr,
        .taps = 1,
        .depth = k_end - k,
        .rows = rows,
        .panel = (const float *)g->packed + (panel * g->k + k) * nr,
        .out = g->c + row * g->ldc + column,
        .out_stride = g->ldc,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    if (k > 0) {
        t.post.residual = t.out;
    } else {
        t.post.bias = g->post.bias ? g->post.bias + column : NULL;
        t.post.residual = g->post.residual ? g->post.residual + row * g->ldc + column : NULL;
    }
    if (k_end == g->k) {
        t.post.lo = g->post.lo;
        t.post.hi = g->post.hi;
    }
    p->kernels->tile(&t);
}

/* Panel by panel: a part of one stays in the cache while the tiles pass by. */
static void run_plain(const struct product *p, const struct cb_task *task)
{
    const struct cb_gemm *g = p->gemm;
    const size_t part = task->tile_end - task->tile > 1 ? PANEL_BYTES / (p->kernels->nr * sizeof(float)) : SIZE_MAX;
    for (size_t panel = task->panel; panel < task->panel_end; panel++) {
        size_t k = 0, k_end;
        do {
            k_end = g->k - k < part ? g->k : k + part;
            for (size_t tile = task->tile; tile < task->tile_end; tile++)
                run_tile(p, g->a + cb_blocks_row(&p->blocks, tile) * g->lda + k, g->lda, tile, panel, k, k_end);
            k = k_end;
        } while (k < g->k);
    }
}

/* Tile by tile: a part of its rows is copied to where they do not push each other out, and the panels pass by. */
static void run_copied(const struct product *p, const struct cb_task *task)
{
    const struct cb_gemm *g = p->gemm;
    float copy[CB_TILE_ROWS_MAX * COPY_STRIDE] __attribute__((aligned(64)));
    for (size_t k = 0; k < g->k; k += COPY_DEPTH) {
        const size_t k_end = g->k - k < COPY_DEPTH ? g->k : k + COPY_DEPTH;
        for (size_t tile = task->tile; tile < task->tile_end; tile++) {
            const size_t row = cb_blocks_row(&p->blocks, tile), row_end = cb_blocks_row(&p->blocks, tile + 1);
            for (size_t i = row; i < row_end; i++)
                memcpy(copy + (i - row) * COPY_STRIDE, g->a + i * g->lda + k, (k_end - k) * sizeof(float));
            for (size_t panel = task->panel; panel < task->panel_end; panel++)
                run_tile(p, copy, COPY_STRIDE, tile, panel, k, k_end);
        }
    }
}

static void run_task(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct product *p = ctx;
    const struct cb_task task = cb_blocks_task(&p->blocks, i);
    const bool crowded = p->gemm->lda * sizeof(float) % PAGE == 0 && p->gemm->m > 4 && p->gemm->k > 0;
    if (crowded)
        run_copied(p, &task);
    else
        run_plain(p, &task);
}

void cb_gemm_run(const struct cb_kernels *kernels, struct cb_threads *threads, const struct cb_gemm *gemm)
{
    struct product p = {
        .kernels = kernels,
        .gemm = gemm,
        .blocks = cb_blocks_for(kernels, cb_threads_count(threads), gemm->m, panel_count(kernels, gemm->n), gemm->k,
                                SIZE_MAX),
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
    const size_t row = i * TRANSPOSE, row_end = t->rows - row < TRANSPOSE ? t->rows : row + TRANSPOSE;
    for (size_t column = 0; column < t->columns; column += TRANSPOSE) {
        const size_t column_end = t->columns - column < TRANSPOSE ? t->columns : column + TRANSPOSE;
        for (size_t c = column; c < column_end; c++)
            for (size_t r = row; r < row_end; r++)
                t->out[c * t->out_stride + r] = t->in[r * t->in_stride + c];
    }
}

void cb_transpose_2d(struct cb_threads *threads, size_t rows, size_t columns, const float *in, size_t in_stride,
                     float *out, size_t out_stride)
{
    struct transpose t = {
        .rows = rows, .columns = columns, .in_stride = in_stride, .out_stride = out_stride, .in = in, .out = out,
    };
    cb_threads_for(threads, rows / TRANSPOSE + (rows % TRANSPOSE != 0), transpose_task, &t);
}
