#include "core/kernels/blocks.h"

enum {
    A_BYTES = 256 << 10,  /* rows of A in a task: a quarter of the smallest second-level cache that matters */
    TASKS_PER_THREAD = 4, /* so that a thread that was interrupted does not hold up the others */
};

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t clamp_size(size_t x, size_t lo, size_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static void count_tasks(struct cb_blocks *b)
{
    b->row_tasks = divide_up(b->tiles, b->block);
    b->tasks = b->row_tasks * divide_up(b->panels, b->group);
}

struct cb_blocks cb_blocks_for(const struct cb_kernels *kernels, size_t threads, size_t m, size_t panels,
                               size_t depth, size_t block_max)
{
    struct cb_blocks b = { .m = m, .tiles = divide_up(m, kernels->mr), .panels = panels };
    if (m == 0 || panels == 0)
        return b;
    const size_t tile_bytes = kernels->mr * sizeof(float) * (depth ? depth : 1);
    b.block = clamp_size(A_BYTES / tile_bytes, 1, b.tiles < block_max ? b.tiles : block_max);
    b.group = panels;
    count_tasks(&b);
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
        .tile_end = b->tiles - tile < b->block ? b->tiles : tile + b->block,
        .panel = panel,
        .panel_end = b->panels - panel < b->group ? b->panels : panel + b->group,
    };
}
