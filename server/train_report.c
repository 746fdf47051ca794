/* What a training or an evaluation came to, as JSON: one form for the command line and the server.
 */
#include <math.h>
#include <stdbool.h>

#include "server/train_job.h"

static double round_to(double value, double steps)
{
    return round(value * steps) / steps;
}

static double share(int part, int whole)
{
    return whole ? round_to((double)part / whole, 1e6) : 0;
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

static void add_classes(cJSON *to, const struct cb_evaluation *e, const char *const *labels,
                        const int *seen, int n)
{
    cJSON *list = cJSON_AddArrayToObject(to, "per_class");
    for (int i = 0; i < n; i++) {
        const int c = seen[i];
        const double precision = (double)e->precision[c], recall = (double)e->recall[c];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "label", labels[c]);
        cJSON_AddNumberToObject(row, "count", e->count[c]);
        cJSON_AddNumberToObject(row, "precision", round_to(precision, 1e6));
        cJSON_AddNumberToObject(row, "recall", round_to(recall, 1e6));
        cJSON_AddNumberToObject(row, "f1", round_to(f1_of(precision, recall), 1e6));
        cJSON_AddItemToArray(list, row);
    }
}

static void add_confusion(cJSON *to, const struct cb_evaluation *e, const char *const *labels,
                          const int *seen, int n)
{
    cJSON *confusion = cJSON_AddObjectToObject(to, "confusion");
    cJSON *names = cJSON_AddArrayToObject(confusion, "labels"),
          *rows = cJSON_AddArrayToObject(confusion, "rows");
    for (int t = 0; t < n; t++) {
        cJSON *row = cJSON_CreateArray();
        cJSON_AddItemToArray(names, cJSON_CreateString(labels[seen[t]]));
        for (int p = 0; p < n; p++)
            cJSON_AddItemToArray(
                row, cJSON_CreateNumber(
                         e->confusion[(size_t)seen[t] * (size_t)e->classes + (size_t)seen[p]]));
        cJSON_AddItemToArray(rows, row);
    }
}

cJSON *cb_evaluation_json(const struct cb_evaluation *evaluation, const char *const *labels)
{
    int *seen = cJSON_malloc((size_t)evaluation->classes * sizeof *seen);
    cJSON *json = seen ? cJSON_CreateObject() : NULL;
    if (!json) {
        cJSON_free(seen);
        return NULL;
    }
    const int n = cb_evaluation_seen(evaluation, seen);
    cJSON_AddNumberToObject(json, "n", evaluation->n);
    cJSON_AddNumberToObject(json, "top1", share(evaluation->correct, evaluation->n));
    cJSON_AddNumberToObject(json, "top5", share(evaluation->correct5, evaluation->n));
    cJSON_AddNumberToObject(json, "loss", round_to(evaluation->loss, 1e6));
    add_classes(json, evaluation, labels, seen, n);
    add_confusion(json, evaluation, labels, seen, n);
    cJSON_free(seen);
    return json;
}

cJSON *cb_rejections_json(const struct cb_rejections *rejections)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; rejections && i < rejections->n_listed; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "file", rejections->list[i].file);
        cJSON_AddStringToObject(row, "reason", rejections->list[i].reason);
        cJSON_AddItemToArray(list, row);
    }
    return list;
}

cJSON *cb_train_report_json(const struct cb_train_report *report)
{
    cJSON *json = cJSON_CreateObject(), *seconds;
    cJSON_AddNumberToObject(json, "photos", report->photos);
    cJSON_AddNumberToObject(json, "cached", report->cached);
    cJSON_AddNumberToObject(json, "duplicates", report->duplicates);
    cJSON_AddNumberToObject(json, "features", report->inputs);
    cJSON_AddItemToObject(json, "classes",
                          cJSON_CreateStringArray(report->labels, report->classes));
    cJSON_AddNumberToObject(json, "accuracy", share(report->held_out.correct, report->held_out.n));
    cJSON_AddItemToObject(json, "held_out", cb_evaluation_json(&report->held_out, report->labels));
    cJSON_AddNumberToObject(json, "rejected_count",
                            report->rejections ? report->rejections->count : 0);
    cJSON_AddItemToObject(json, "rejected", cb_rejections_json(report->rejections));
    seconds = cJSON_AddObjectToObject(json, "seconds");
    cJSON_AddNumberToObject(seconds, "features", round_to(report->seconds_features, 1e3));
    cJSON_AddNumberToObject(seconds, "head", round_to(report->seconds_head, 1e3));
    return json;
}
