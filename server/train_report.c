/* What a training or an evaluation came to, as JSON: one form for the command line and the server.
 */
#include <math.h>
#include <stdbool.h>

#include "server/train_job.h"

#define MISTAKES_LISTED 20 /* photos of each list */

/* Six decimals: enough for shares and losses. */
static void write_share(struct cb_json *json, const char *key, double value)
{
    cb_json_real(json, key, round(value * 1e6) / 1e6);
}

static void write_seconds(struct cb_json *json, const char *key, double value)
{
    cb_json_real(json, key, round(value * 1e3) / 1e3);
}

static double share(int part, int whole)
{
    return whole ? (double)part / whole : 0;
}

static void write_interval(struct cb_json *json, const char *key, struct cb_interval interval)
{
    cb_json_open(json, key, '[');
    write_share(json, NULL, interval.low);
    write_share(json, NULL, interval.high);
    cb_json_close(json, ']');
}

/* A class that some example is of, or was taken for. */
static bool is_seen(const struct cb_evaluation *e, int c)
{
    bool seen = e->count[c] > 0;
    for (int t = 0; t < e->classes && !seen; t++)
        seen = e->confusion[(size_t)t * (size_t)e->classes + (size_t)c] > 0;
    return seen;
}

int cb_evaluation_seen(const struct cb_evaluation *evaluation, int *seen)
{
    int n = 0;
    for (int c = 0; c < evaluation->classes; c++)
        if (is_seen(evaluation, c))
            seen[n++] = c;
    return n;
}

static void write_classes(struct cb_json *json, const struct cb_evaluation *e,
                          const char *const *labels, const int *seen, int n)
{
    cb_json_open(json, "per_class", '[');
    for (int i = 0; i < n; i++) {
        const int c = seen[i];
        const int right = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
        cb_json_open(json, NULL, '{');
        cb_json_text(json, "label", labels[c]);
        cb_json_int(json, "count", e->count[c]);
        write_share(json, "precision", (double)e->precision[c]);
        write_share(json, "recall", (double)e->recall[c]);
        write_interval(json, "recall_interval", cb_wilson(right, e->count[c]));
        write_share(json, "f1", (double)e->f1[c]);
        write_share(json, "auc", e->auc[c]);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
}

static void write_confusion(struct cb_json *json, const struct cb_evaluation *e,
                            const char *const *labels, const int *seen, int n)
{
    cb_json_open(json, "confusion", '{');
    cb_json_open(json, "labels", '[');
    for (int t = 0; t < n; t++)
        cb_json_text(json, NULL, labels[seen[t]]);
    cb_json_close(json, ']');
    cb_json_open(json, "rows", '[');
    for (int t = 0; t < n; t++) {
        const int *row = e->confusion + (size_t)seen[t] * (size_t)e->classes;
        cb_json_open(json, NULL, '[');
        for (int p = 0; p < n; p++)
            cb_json_int(json, NULL, row[seen[p]]);
        cb_json_close(json, ']');
    }
    cb_json_close(json, ']');
    cb_json_close(json, '}');
}

static void write_macro(struct cb_json *json, const struct cb_evaluation *e)
{
    cb_json_open(json, "macro", '{');
    write_share(json, "precision", e->macro.precision);
    write_share(json, "recall", e->macro.recall);
    write_share(json, "f1", e->macro.f1);
    write_share(json, "auc", e->macro.auc);
    cb_json_close(json, '}');
}

static void write_reliability(struct cb_json *json, const struct cb_reliability *r)
{
    cb_json_open(json, "reliability", '[');
    for (int b = 0; b < CB_RELIABILITY_BINS; b++) {
        cb_json_open(json, NULL, '{');
        write_share(json, "from", (double)b / CB_RELIABILITY_BINS);
        write_share(json, "to", (double)(b + 1) / CB_RELIABILITY_BINS);
        cb_json_int(json, "count", r->count[b]);
        write_share(json, "confidence", r->count[b] ? r->confidence[b] : NAN);
        write_share(json, "accuracy", r->count[b] ? r->accuracy[b] : NAN);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
}

struct cb_status cb_evaluation_write(const struct cb_evaluation *evaluation,
                                     const char *const *labels, struct cb_json *json)
{
    const size_t classes = (size_t)evaluation->classes;
    struct cb_arena arena;
    int *seen;
    CB_TRY(cb_arena_init(&arena, classes * sizeof *seen));
    CB_TRY(cb_arena_get(&arena, classes, sizeof *seen, "classes", &seen));
    const int n = cb_evaluation_seen(evaluation, seen);
    cb_json_int(json, "n", evaluation->n);
    write_share(json, "top1", share(evaluation->correct, evaluation->n));
    write_interval(json, "top1_interval", evaluation->top1);
    write_share(json, "top5", share(evaluation->correct5, evaluation->n));
    write_interval(json, "top5_interval", evaluation->top5);
    write_share(json, "loss", evaluation->loss);
    write_share(json, "brier", evaluation->brier);
    write_share(json, "ece", evaluation->reliability.error);
    write_macro(json, evaluation);
    write_classes(json, evaluation, labels, seen, n);
    write_confusion(json, evaluation, labels, seen, n);
    write_reliability(json, &evaluation->reliability);
    cb_arena_deinit(&arena);
    return cb_ok();
}

void cb_rejections_write(const struct cb_rejections *rejections, struct cb_json *json)
{
    cb_json_open(json, "rejected", '[');
    for (int i = 0; rejections && i < rejections->n_listed; i++) {
        cb_json_open(json, NULL, '{');
        cb_json_text(json, "file", rejections->list[i].file);
        cb_json_text(json, "reason", rejections->list[i].reason);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
}

static void write_mistakes(struct cb_json *json, const char *key, const struct cb_mistake *list,
                           int n, const char *const *labels, const struct cb_dataset *dataset,
                           const int *photo)
{
    cb_json_open(json, key, '[');
    for (int i = 0; i < n; i++) {
        cb_json_open(json, NULL, '{');
        cb_json_text(json, "file", dataset->photos[photo[list[i].row]].name);
        cb_json_text(json, "label", labels[list[i].label]);
        cb_json_text(json, "predicted", labels[list[i].predicted]);
        write_share(json, "probability", (double)list[i].of_predicted);
        write_share(json, "probability_of_label", (double)list[i].of_label);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
}

static struct cb_status find_and_write(const struct cb_evaluation *e, struct cb_arena *arena,
                                       const char *const *labels, const struct cb_dataset *dataset,
                                       const int *photo, int most, struct cb_json *json)
{
    struct cb_mistake *mistakes, *suspicious;
    int n_mistakes, n_suspicious;
    CB_TRY(cb_worst_mistakes(e, arena, most, &mistakes, &n_mistakes));
    CB_TRY(cb_suspicious_labels(e, arena, most, &suspicious, &n_suspicious));
    write_mistakes(json, "mistakes", mistakes, n_mistakes, labels, dataset, photo);
    write_mistakes(json, "suspicious_labels", suspicious, n_suspicious, labels, dataset, photo);
    return cb_ok();
}

struct cb_status cb_mistakes_write(const struct cb_evaluation *evaluation,
                                   const char *const *labels, const struct cb_dataset *dataset,
                                   const int *photo, int most, struct cb_json *json)
{
    const size_t n = (size_t)evaluation->n, classes = (size_t)evaluation->classes;
    struct cb_arena arena;
    CB_TRY(cb_arena_init(&arena, 4 * CB_ALIGN + 2 * n * sizeof(struct cb_mistake) +
                                     classes * sizeof(double)));
    const struct cb_status st =
        find_and_write(evaluation, &arena, labels, dataset, photo, most, json);
    cb_arena_deinit(&arena);
    return st;
}

static void write_temperature(struct cb_json *json, const struct cb_head_judgement *judged)
{
    cb_json_open(json, "temperature", '{');
    write_share(json, "value", judged->temperature);
    write_share(json, "loss_before", judged->plain_loss);
    write_share(json, "ece_before", judged->plain_error);
    cb_json_close(json, '}');
}

static void write_curve(struct cb_json *json, const struct cb_curve *curve)
{
    cb_json_open(json, "curve", '{');
    cb_json_int(json, "seeds", curve->seeds);
    cb_json_open(json, "points", '[');
    for (int i = 0; i < curve->n; i++) {
        const struct cb_curve_point *p = &curve->point[i];
        cb_json_open(json, NULL, '{');
        cb_json_int(json, "per_class", p->per_class);
        cb_json_int(json, "photos", p->n);
        write_share(json, "accuracy", p->accuracy);
        write_share(json, "least", p->least);
        write_share(json, "most", p->most);
        write_interval(json, "interval", p->interval);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
    cb_json_close(json, '}');
}

static struct cb_status write_resampling(struct cb_json *json, const struct cb_train_report *report)
{
    const struct cb_evaluation *e = &report->cross_validation;
    if (e->n) {
        cb_json_open(json, "cross_validation", '{');
        cb_json_int(json, "folds", report->folds);
        CB_TRY(cb_evaluation_write(e, report->labels, json));
        CB_TRY(cb_mistakes_write(e, report->labels, report->dataset, report->photo, MISTAKES_LISTED,
                                 json));
        cb_json_close(json, '}');
    }
    if (report->curve.n)
        write_curve(json, &report->curve);
    return cb_ok();
}

struct cb_status cb_train_report_write(const struct cb_train_report *report, struct cb_json *json)
{
    const struct cb_evaluation *held_out = &report->judged.held_out;
    cb_json_int(json, "photos", report->photos);
    cb_json_int(json, "views", report->views);
    cb_json_int(json, "cached", report->cached);
    cb_json_int(json, "duplicates", report->duplicates);
    cb_json_int(json, "features", report->inputs);
    cb_json_open(json, "classes", '[');
    for (int c = 0; c < report->classes; c++)
        cb_json_text(json, NULL, report->labels[c]);
    cb_json_close(json, ']');
    write_share(json, "accuracy", share(held_out->correct, held_out->n));
    write_interval(json, "accuracy_interval", held_out->top1);
    cb_json_open(json, "held_out", '{');
    CB_TRY(cb_evaluation_write(held_out, report->labels, json));
    cb_json_close(json, '}');
    write_temperature(json, &report->judged);
    CB_TRY(write_resampling(json, report));
    cb_json_int(json, "rejected_count", report->rejections ? report->rejections->count : 0);
    cb_rejections_write(report->rejections, json);
    cb_json_open(json, "seconds", '{');
    write_seconds(json, "features", report->seconds_features);
    write_seconds(json, "head", report->seconds_head);
    if (report->folds || report->curve.n)
        write_seconds(json, "resampling", report->seconds_resampling);
    cb_json_close(json, '}');
    return cb_ok();
}
