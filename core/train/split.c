#include "core/train/split.h"

#include <math.h>

#include "core/base/rng.h"

/* Examples in an order by class, shuffled inside each: order[start[c] .. start[c + 1]-1] are those
 * of class c. */
struct by_class {
    size_t *order;
    int *start;
};

static struct cb_status group(struct cb_arena *arena, const int *labels, int n, int classes,
                              uint64_t seed, struct by_class *out)
{
    struct cb_rng rng = cb_rng_seed(seed);
    int *next;
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof(size_t), "split", &out->order));
    CB_TRY(cb_arena_get(arena, (size_t)classes + 1, sizeof(int), "split", &out->start));
    CB_TRY(cb_arena_get(arena, (size_t)classes, sizeof(int), "split", &next));
    for (int i = 0; i < n; i++)
        out->start[labels[i] + 1]++;
    for (int c = 0; c < classes; c++) {
        next[c] = out->start[c];
        out->start[c + 1] += out->start[c];
    }
    for (int i = 0; i < n; i++)
        out->order[next[labels[i]]++] = (size_t)i;
    for (int c = 0; c < classes; c++)
        cb_rng_shuffle(&rng, (size_t)(out->start[c + 1] - out->start[c]),
                       out->order + out->start[c]);
    return cb_ok();
}

struct cb_status cb_split_held_out(struct cb_arena *arena, const int *labels, int n, int classes,
                                   float fraction, uint64_t seed, bool **held_out)
{
    struct by_class by;
    bool *flags;
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof(bool), "split", &flags));
    CB_TRY(group(arena, labels, n, classes, seed, &by));
    for (int c = 0; c < classes; c++) {
        const int count = by.start[c + 1] - by.start[c];
        int take = (int)lroundf(fraction * (float)count);
        take = take < 1 ? 1 : take > count - 1 ? count - 1 : take;
        for (int i = 0; i < take; i++)
            flags[by.order[by.start[c] + i]] = true;
    }
    *held_out = flags;
    return cb_ok();
}

struct cb_status cb_split_folds(struct cb_arena *arena, const int *labels, int n, int classes,
                                const bool *held_out, int folds, uint64_t seed, int **fold)
{
    struct by_class by;
    int *out, dealt = 0;
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof(int), "split", &out));
    CB_TRY(group(arena, labels, n, classes, seed, &by));
    for (int c = 0; c < classes; c++) {
        int teaching = 0;
        for (int i = by.start[c]; i < by.start[c + 1]; i++)
            teaching += !held_out[by.order[i]];
        for (int i = by.start[c]; i < by.start[c + 1]; i++)
            out[by.order[i]] = held_out[by.order[i]] || teaching < 2 ? -1 : dealt++ % folds;
    }
    *fold = out;
    return cb_ok();
}

void cb_split_class_weights(const int *labels, int n, int classes, bool balance, float *weight)
{
    for (int c = 0; c < classes; c++)
        weight[c] = 0;
    for (int i = 0; i < n; i++)
        weight[labels[i]] += 1;
    for (int c = 0; c < classes; c++)
        weight[c] = balance && weight[c] > 0 ? (float)n / ((float)classes * weight[c]) : 1.0f;
}
