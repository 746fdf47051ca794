/* core/kernels/blocks.h - how a product of m rows and so many panels of columns is cut into tasks.
 *
 * Rows are cut into tiles of nearly equal height, tiles into blocks whose rows of A stay in the
 * second-level cache while panels pass by. A task is one block times one group of panels, so that
 * tall products (many pixels) and wide ones (a fully connected layer, m = 1) both give every thread
 * work. Private to core/kernels. */
#pragma once

#include "core/kernels/kernels.h"

struct cb_blocks {
    size_t m, tiles, panels; /* what there is */
    size_t block, group;     /* tiles and panels in a task (the last ones may have fewer) */
    size_t row_tasks, tasks; /* task i: block i % row_tasks, group i / row_tasks */
};

struct cb_task {
    size_t tile, tile_end, panel, panel_end;
};

/* `block_max` bounds the tiles in a task (scratch per thread). */
struct cb_blocks cb_blocks_for(const struct cb_kernels *kernels, size_t threads, size_t m,
                               size_t panels, size_t depth, size_t block_max);

struct cb_task cb_blocks_task(const struct cb_blocks *blocks, size_t i);

/* The first row of a tile; that of the next one ends it. */
static inline size_t cb_blocks_row(const struct cb_blocks *blocks, size_t tile)
{
    const size_t height = blocks->m / blocks->tiles, taller = blocks->m % blocks->tiles;
    return tile * height + (tile < taller ? tile : taller);
}
