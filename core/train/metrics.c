#include "core/train/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define Z_95 1.959963984540054 /* quantile 0.975 of the normal distribution */
#define LEAST 1e-30            /* a probability whose logarithm is taken */

struct cb_interval cb_wilson(int part, int n)
{
    if (n <= 0)
        return (struct cb_interval){ 0, 1 };
    const double share = (double)part / n, z2 = Z_95 * Z_95 / n;
    const double middle = (share + z2 / 2) / (1 + z2);
    const double half = Z_95 * sqrt(share * (1 - share) / n + z2 / (4.0 * n)) / (1 + z2);
    /* Rounding must not leave the ends that are exact: 0 of n, n of n. */
    return (struct cb_interval){ part <= 0 ? 0 : middle - half, part >= n ? 1 : middle + half };
}

double cb_f1(double precision, double recall)
{
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

int cb_best_class(const float *row, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

/* --- one class against the rest --- */

struct scored {
    float score;
    bool positive;
};

static int descending(const void *a, const void *b)
{
    const float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

/* Examples from the highest score to the lowest; *positives of the class. */
static struct cb_status sort_scores(struct cb_arena *arena, const float *probabilities,
                                    const int *labels, int n, int classes, int class_index,
                                    struct scored **out, int *positives)
{
    struct scored *s;
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *s, "scores", &s));
    *positives = 0;
    for (int i = 0; i < n; i++) {
        s[i].score = probabilities[(size_t)i * (size_t)classes + (size_t)class_index];
        s[i].positive = labels[i] == class_index;
        *positives += s[i].positive;
    }
    qsort(s, (size_t)n, sizeof *s, descending);
    *out = s;
    return cb_ok();
}

/* Takes the examples of one score, from `at` on; returns where the next score begins. */
static int next_score(const struct scored *s, int n, int at, int *positives, int *negatives)
{
    const float score = s[at].score;
    *positives = *negatives = 0;
    for (; at < n && s[at].score == score; at++) {
        *positives += s[at].positive;
        *negatives += !s[at].positive;
    }
    return at;
}

struct cb_status cb_roc_auc(struct cb_arena *arena, const float *probabilities, const int *labels,
                            int n, int classes, int class_index, double *auc)
{
    const size_t mark = arena->used;
    struct scored *s;
    double pairs = 0; /* won by the class: those of equal score count half */
    int positives, above = 0;
    CB_TRY(sort_scores(arena, probabilities, labels, n, classes, class_index, &s, &positives));
    for (int at = 0, p, q; at < n;) {
        at = next_score(s, n, at, &p, &q);
        pairs += (double)q * ((double)above + (double)p / 2);
        above += p;
    }
    cb_arena_rewind(arena, mark);
    *auc = positives && positives < n ? pairs / ((double)positives * (double)(n - positives)) : NAN;
    return cb_ok();
}

struct cb_status cb_roc_curve(struct cb_arena *arena, const float *probabilities, const int *labels,
                              int n, int classes, int class_index, struct cb_roc *out)
{
    struct cb_roc roc = { 0 };
    struct scored *s;
    int positives, right = 0, wrong = 0;
    CB_TRY(cb_arena_get(arena, (size_t)n + 1, sizeof(double), "curve", &roc.x));
    CB_TRY(cb_arena_get(arena, (size_t)n + 1, sizeof(double), "curve", &roc.y));
    const size_t mark = arena->used;
    CB_TRY(sort_scores(arena, probabilities, labels, n, classes, class_index, &s, &positives));
    if (positives && positives < n) {
        roc.n = 1; /* (0, 0) */
        for (int at = 0, p, q; at < n; roc.n++) {
            at = next_score(s, n, at, &p, &q);
            roc.x[roc.n] = (double)(wrong += q) / (n - positives);
            roc.y[roc.n] = (double)(right += p) / positives;
        }
    }
    cb_arena_rewind(arena, mark);
    *out = roc;
    return cb_ok();
}

/* --- all classes --- */

double cb_brier(const float *probabilities, const int *labels, int n, int classes)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < classes; c++) {
            const double p = (double)probabilities[(size_t)i * (size_t)classes + (size_t)c];
            const double miss = p - (labels[i] == c ? 1 : 0);
            sum += miss * miss;
        }
    return n > 0 ? sum / n : 0;
}

double cb_negative_log_likelihood(const float *probabilities, const int *labels, int n, int classes)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const float p = probabilities[(size_t)i * (size_t)classes + (size_t)labels[i]];
        sum -= log(fmax((double)p, LEAST));
    }
    return n > 0 ? sum / n : 0;
}

struct cb_reliability cb_reliability_of(const float *probabilities, const int *labels, int n,
                                        int classes)
{
    struct cb_reliability r = { 0 };
    for (int i = 0; i < n; i++) {
        const float *row = probabilities + (size_t)i * (size_t)classes;
        const int best = cb_best_class(row, classes);
        const int bin = (int)ceil((double)row[best] * CB_RELIABILITY_BINS) - 1;
        const int b = bin < 0 ? 0 : bin < CB_RELIABILITY_BINS ? bin : CB_RELIABILITY_BINS - 1;
        r.count[b]++;
        r.confidence[b] += (double)row[best];
        r.accuracy[b] += best == labels[i];
    }
    for (int b = 0; b < CB_RELIABILITY_BINS; b++) {
        r.error += n ? fabs(r.accuracy[b] - r.confidence[b]) / n : 0;
        r.confidence[b] /= r.count[b] ? r.count[b] : 1;
        r.accuracy[b] /= r.count[b] ? r.count[b] : 1;
    }
    return r;
}
