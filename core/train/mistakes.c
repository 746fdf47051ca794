/* Which examples a classifier gets wrong, and whose labels are likely wrong (evaluation.h). */
#include <stdlib.h>

#include "core/train/evaluation.h"

static struct cb_mistake compare_with_label(const struct cb_evaluation *e, int row, int predicted)
{
    const float *p = e->probabilities + (size_t)row * (size_t)e->classes;
    return (struct cb_mistake){ .row = row,
                                .label = e->labels[row],
                                .predicted = predicted,
                                .of_label = p[e->labels[row]],
                                .of_predicted = p[predicted] };
}

static int more_confident(const void *a, const void *b)
{
    const struct cb_mistake *x = a, *y = b;
    const int order = (x->of_predicted < y->of_predicted) - (x->of_predicted > y->of_predicted);
    return order ? order : x->row - y->row;
}

static int less_of_its_label(const void *a, const void *b)
{
    const struct cb_mistake *x = a, *y = b;
    const int order = (x->of_label > y->of_label) - (x->of_label < y->of_label);
    return order ? order : x->row - y->row;
}

static int sort_and_cut(struct cb_mistake *list, int n, int most,
                        int (*order)(const void *, const void *))
{
    qsort(list, (size_t)n, sizeof *list, order);
    return n < most ? n : most;
}

struct cb_status cb_worst_mistakes(const struct cb_evaluation *evaluation, struct cb_arena *arena,
                                   int most, struct cb_mistake **out, int *n)
{
    const struct cb_evaluation *e = evaluation;
    struct cb_mistake *list;
    int found = 0;
    CB_TRY(cb_arena_get(arena, (size_t)e->n, sizeof *list, "mistakes", &list));
    for (int i = 0; i < e->n; i++) {
        const int best =
            cb_best_class(e->probabilities + (size_t)i * (size_t)e->classes, e->classes);
        if (best != e->labels[i])
            list[found++] = compare_with_label(e, i, best);
    }
    *out = list;
    *n = sort_and_cut(list, found, most, more_confident);
    return cb_ok();
}

/* The mean probability that a class's own examples give it. */
static void mean_of_own(const struct cb_evaluation *e, double *mean)
{
    for (int i = 0; i < e->n; i++)
        mean[e->labels[i]] +=
            (double)e->probabilities[(size_t)i * (size_t)e->classes + (size_t)e->labels[i]];
    for (int c = 0; c < e->classes; c++)
        mean[c] /= e->count[c] ? e->count[c] : 1;
}

/* The likeliest other class that row i belongs to with confidence; -1: none. */
static int confident_other(const struct cb_evaluation *e, const double *mean, int i)
{
    const float *p = e->probabilities + (size_t)i * (size_t)e->classes;
    int other = -1;
    for (int c = 0; c < e->classes; c++)
        if (e->count[c] && p[c] > p[e->labels[i]] && (double)p[c] >= mean[c] &&
            (other < 0 || p[c] > p[other]))
            other = c;
    return other;
}

struct cb_status cb_suspicious_labels(const struct cb_evaluation *evaluation,
                                      struct cb_arena *arena, int most, struct cb_mistake **out,
                                      int *n)
{
    const struct cb_evaluation *e = evaluation;
    struct cb_mistake *list;
    double *mean;
    int found = 0;
    CB_TRY(cb_arena_get(arena, (size_t)e->n, sizeof *list, "suspicious labels", &list));
    CB_TRY(cb_arena_get(arena, (size_t)e->classes, sizeof *mean, "class means", &mean));
    mean_of_own(e, mean);
    for (int i = 0; i < e->n; i++) {
        const int other = confident_other(e, mean, i);
        if (other >= 0)
            list[found++] = compare_with_label(e, i, other);
    }
    *out = list;
    *n = sort_and_cut(list, found, most, less_of_its_label);
    return cb_ok();
}
