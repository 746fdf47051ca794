#include "core/kernels/peak.h"

#include <math.h>

#include "core/base/clock.h"

enum {
    DEPTH = 128, /* panel and rows: 16 KB and 8 KB at most */
    TASKS = 16,  /* for each thread, so that one that starts late does less */
    TRIES = 20,
};
#define TRY_MS 5.0

struct work {
    const struct cb_kernels *kernels;
    size_t tiles; /* in a task */
};

static void run_task(void *ctx, size_t i, size_t worker)
{
    (void)i, (void)worker;
    const struct work *work = ctx;
    float panel[DEPTH * CB_TILE_COLUMNS_MAX] __attribute__((aligned(64))) = { 0 };
    float a[CB_TILE_ROWS_MAX * DEPTH] __attribute__((aligned(64))) = { 0 };
    float out[CB_TILE_ROWS_MAX * CB_TILE_COLUMNS_MAX];
    const float *rows[CB_TILE_ROWS_MAX];
    for (size_t row = 0; row < CB_TILE_ROWS_MAX; row++)
        rows[row] = a + row * DEPTH;
    const struct cb_tile tile = {
        .m = work->kernels->mr,
        .n = work->kernels->nr,
        .taps = 1,
        .depth = DEPTH,
        .rows = rows,
        .panel = panel,
        .out = out,
        .out_stride = CB_TILE_COLUMNS_MAX,
        .post = { .lo = -INFINITY, .hi = INFINITY },
    };
    for (size_t t = 0; t < work->tiles; t++)
        work->kernels->tile(&tile);
}

static double milliseconds(const struct work *work, struct cb_threads *threads)
{
    const double began = cb_clock_ms();
    cb_threads_for(threads, cb_threads_count(threads) * TASKS, run_task, (void *)(uintptr_t)work);
    return cb_clock_ms() - began;
}

double cb_peak_gflops(const struct cb_kernels *kernels, struct cb_threads *threads)
{
    struct work work = { .kernels = kernels, .tiles = 1 };
    while (milliseconds(&work, threads) < TRY_MS)
        work.tiles *= 2;
    double best = milliseconds(&work, threads);
    for (int i = 1; i < TRIES; i++)
        best = fmin(best, milliseconds(&work, threads));
    const double tiles = (double)(cb_threads_count(threads) * TASKS * work.tiles);
    return 2e-6 * tiles * (double)(kernels->mr * kernels->nr * DEPTH) / best;
}
