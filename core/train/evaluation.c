#include "core/train/evaluation.h"

#include <math.h>

/* How many classes stand before `label` when classes are sorted by probability; ties by index. */
static int rank_of(const float *row, int classes, int label)
{
    int rank = 0;
    for (int c = 0; c < classes; c++)
        rank += row[c] > row[label] || (row[c] == row[label] && c < label);
    return rank;
}

static int best_of(const float *row, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

static void fill_rates(struct cb_evaluation *e)
{
    for (int c = 0; c < e->classes; c++) {
        const int right = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
        int predicted = 0;
        for (int t = 0; t < e->classes; t++)
            predicted += e->confusion[(size_t)t * (size_t)e->classes + (size_t)c];
        e->precision[c] = predicted ? (float)right / (float)predicted : 0.0f;
        e->recall[c] = e->count[c] ? (float)right / (float)e->count[c] : 0.0f;
    }
}

struct cb_status cb_evaluate(struct cb_arena *arena, const float *probabilities, const int *labels,
                             int n, int classes, struct cb_evaluation *out)
{
    struct cb_evaluation e = { .n = n, .classes = classes };
    const size_t k = (size_t)classes;
    CB_TRY(cb_arena_get(arena, k * k, sizeof(int), "confusion matrix", &e.confusion));
    CB_TRY(cb_arena_get(arena, k, sizeof(float), "precision", &e.precision));
    CB_TRY(cb_arena_get(arena, k, sizeof(float), "recall", &e.recall));
    CB_TRY(cb_arena_get(arena, k, sizeof(int), "class counts", &e.count));
    for (int i = 0; i < n; i++) {
        const float *row = probabilities + (size_t)i * k;
        const int label = labels[i], rank = rank_of(row, classes, label);
        e.count[label]++;
        e.confusion[(size_t)label * k + (size_t)best_of(row, classes)]++;
        e.correct += rank == 0;
        e.correct5 += rank < 5;
        e.loss -= log(fmax((double)row[label], 1e-30));
    }
    if (n > 0)
        e.loss /= n;
    fill_rates(&e);
    *out = e;
    return cb_ok();
}
