#include "core/kernels/blocks.h"

#include <stdbool.h>

#include "core/kernels/sizes.h"

enum {
    A_BYTES = 1 << 18,    /* rows of A in a task: they share the second-level cache with a panel */
    TASKS_PER_THREAD = 4, /* so that a thread that was interrupted does not hold up the others */
    /* Of a product that the caller finishes before others would have begun: some microseconds. A
     * weight that is read for the first time takes as long as so many products. */
    LEAST_WORK = 1 << 18,
    READING = 8,
};

/* m * k * n of it may overflow where it is large. */
static bool is_small(const struct cb_kernels *kernels, size_t m, size_t panels, size_t depth)
{
    const size_t rows = m + READING, wide = panels * kernels->nr;
    return rows < LEAST_WORK && depth < LEAST_WORK && wide < LEAST_WORK &&
           rows * depth < LEAST_WORK && rows * depth * wide < LEAST_WORK;
}

static void count_tasks(struct cb_blocks *b)
{
    b->row_tasks = cb_size_divide(b->tiles, b->block);
    b->tasks = b->row_tasks * cb_size_divide(b->panels, b->group);
}

struct cb_blocks cb_blocks_for(const struct cb_kernels *kernels, size_t threads, size_t m,
                               size_t panels, size_t depth, size_t block_max)
{
    struct cb_blocks b = { .m = m, .tiles = cb_size_divide(m, kernels->mr), .panels = panels };
    if (m == 0 || panels == 0)
        return b;
    const size_t tile_bytes = kernels->mr * sizeof(float) * cb_size_max(depth, 1);
    b.block = cb_size_min(cb_size_max(A_BYTES / tile_bytes, 1), cb_size_min(b.tiles, block_max));
    b.group = panels;
    count_tasks(&b);
    if (is_small(kernels, m, panels, depth))
        threads = 1;
    while (threads > 1 && b.tasks < threads * TASKS_PER_THREAD && b.block * b.group > 1) {
        if (b.group > 1 && (b.block == 1 || b.group * kernels->nr >= b.block * kernels->mr))
            b.group = (b.group + 1) / 2;
        else
            b.block = (b.block + 1) / 2;
        count_tasks(&b);
    }
    return b;
}

struct cb_task cb_blocks_task(const struct cb_blocks *b, size_t i)
{
    const size_t tile = i % b->row_tasks * b->block, panel = i / b->row_tasks * b->group;
    return (struct cb_task){
        .tile = tile,
        .tile_end = cb_size_min(tile + b->block, b->tiles),
        .panel = panel,
        .panel_end = cb_size_min(panel + b->group, b->panels),
    };
}
