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

static void fill_rates(struct cb_evaluation *e)
{
    for (int c = 0; c < e->classes; c++) {
        const int right = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
        int predicted = 0;
        for (int t = 0; t < e->classes; t++)
            predicted += e->confusion[(size_t)t * (size_t)e->classes + (size_t)c];
        e->precision[c] = predicted ? (float)right / (float)predicted : 0.0f;
        e->recall[c] = e->count[c] ? (float)right / (float)e->count[c] : 0.0f;
        e->f1[c] = (float)cb_f1((double)e->precision[c], (double)e->recall[c]);
    }
}

/* A class without examples has no curve: of a thousand classes only those that occur are sorted. */
static struct cb_status fill_areas(struct cb_arena *arena, struct cb_evaluation *e)
{
    for (int c = 0; c < e->classes; c++) {
        e->auc[c] = NAN;
        if (e->count[c])
            CB_TRY(cb_roc_auc(arena, e->probabilities, e->labels, e->n, e->classes, c, &e->auc[c]));
    }
    return cb_ok();
}

static void fill_means(struct cb_evaluation *e)
{
    int occur = 0, curves = 0;
    double auc = 0;
    for (int c = 0; c < e->classes; c++) {
        if (!e->count[c])
            continue;
        occur++;
        e->macro.precision += (double)e->precision[c];
        e->macro.recall += (double)e->recall[c];
        e->macro.f1 += (double)e->f1[c];
        curves += !isnan(e->auc[c]);
        auc += isnan(e->auc[c]) ? 0 : e->auc[c];
    }
    e->macro.precision /= occur ? occur : 1;
    e->macro.recall /= occur ? occur : 1;
    e->macro.f1 /= occur ? occur : 1;
    e->macro.auc = curves ? auc / curves : NAN;
}

static void count_examples(struct cb_evaluation *e)
{
    const size_t k = (size_t)e->classes;
    for (int i = 0; i < e->n; i++) {
        const float *row = e->probabilities + (size_t)i * k;
        const int label = e->labels[i], rank = rank_of(row, e->classes, label);
        e->count[label]++;
        e->confusion[(size_t)label * k + (size_t)cb_best_class(row, e->classes)]++;
        e->correct += rank == 0;
        e->correct5 += rank < 5;
    }
}

struct cb_status cb_evaluate(struct cb_arena *arena, const float *probabilities, const int *labels,
                             int n, int classes, struct cb_evaluation *out)
{
    struct cb_evaluation e = {
        .n = n, .classes = classes, .probabilities = probabilities, .labels = labels
    };
    const size_t k = (size_t)classes;
    CB_TRY(cb_arena_get(arena, k * k, sizeof(int), "confusion matrix", &e.confusion));
    CB_TRY(cb_arena_get(arena, k, sizeof(float), "precision", &e.precision));
    CB_TRY(cb_arena_get(arena, k, sizeof(float), "recall", &e.recall));
    CB_TRY(cb_arena_get(arena, k, sizeof(float), "F1", &e.f1));
    CB_TRY(cb_arena_get(arena, k, sizeof(double), "areas", &e.auc));
    CB_TRY(cb_arena_get(arena, k, sizeof(int), "class counts", &e.count));
    count_examples(&e);
    e.top1 = cb_wilson(e.correct, n);
    e.top5 = cb_wilson(e.correct5, n);
    e.loss = cb_negative_log_likelihood(probabilities, labels, n, classes);
    e.brier = cb_brier(probabilities, labels, n, classes);
    e.reliability = cb_reliability_of(probabilities, labels, n, classes);
    fill_rates(&e);
    CB_TRY(fill_areas(arena, &e));
    fill_means(&e);
    *out = e;
    return cb_ok();
}
