/* What a training or an evaluation came to, as JSON: one form for the command line and the server.
 */
#include <math.h>
#include <stdbool.h>

#include "server/train_job.h"

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

static double f1_of(double precision, double recall)
{
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
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
        const double precision = (double)e->precision[c], recall = (double)e->recall[c];
        cb_json_open(json, NULL, '{');
        cb_json_text(json, "label", labels[c]);
        cb_json_int(json, "count", e->count[c]);
        write_share(json, "precision", precision);
        write_share(json, "recall", recall);
        write_share(json, "f1", f1_of(precision, recall));
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
    write_share(json, "top5", share(evaluation->correct5, evaluation->n));
    write_share(json, "loss", evaluation->loss);
    write_classes(json, evaluation, labels, seen, n);
    write_confusion(json, evaluation, labels, seen, n);
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

struct cb_status cb_train_report_write(const struct cb_train_report *report, struct cb_json *json)
{
    cb_json_int(json, "photos", report->photos);
    cb_json_int(json, "views", report->views);
    cb_json_int(json, "cached", report->cached);
    cb_json_int(json, "duplicates", report->duplicates);
    cb_json_int(json, "features", report->inputs);
    cb_json_open(json, "classes", '[');
    for (int c = 0; c < report->classes; c++)
        cb_json_text(json, NULL, report->labels[c]);
    cb_json_close(json, ']');
    write_share(json, "accuracy", share(report->held_out.correct, report->held_out.n));
    cb_json_open(json, "held_out", '{');
    CB_TRY(cb_evaluation_write(&report->held_out, report->labels, json));
    cb_json_close(json, '}');
    cb_json_int(json, "rejected_count", report->rejections ? report->rejections->count : 0);
    cb_rejections_write(report->rejections, json);
    cb_json_open(json, "seconds", '{');
    write_seconds(json, "features", report->seconds_features);
    write_seconds(json, "head", report->seconds_head);
    cb_json_close(json, '}');
    return cb_ok();
}
