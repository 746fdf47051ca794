/* server/train_job.h - from a dataset to a trained model: the pipeline that the command line and
 * the server share.
 *
 * features (importers/dataset) -> head (core/train) -> report -> head.onnx, and on demand trunk and
 * head as one file. Knows no HTTP and no job queue. */
#pragma once

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/exec/engine.h"
#include "core/image/augment.h"
#include "core/model/model.h"
#include "core/train/resampling.h"
#include "importers/dataset/dataset.h"
#include "server/json.h"

enum cb_train_mode { CB_TRAIN_HEAD, CB_TRAIN_FULL };

struct cb_train_config {
    enum cb_train_mode mode;
    int views;                 /* of each photo: itself, and views - 1 augmented ones; 1 to 32 */
    struct cb_augment augment; /* of those; head.seed decides them */
    struct cb_head_config head;
    int folds;  /* of cross-validation besides the held-out part; 0: none */
    bool curve; /* a learning curve too */
};
extern const struct cb_train_config cb_train_config_default;

/* Sets one value by the name that it has on the command line and in JSON: mode, hidden, dropout,
 * epochs, patience, learning_rate (also learning-rate), l2, held_out, balance, seed, augment, views,
 * folds, curve.
 * Errors: CB_ERR_INPUT names the key and its range. */
CB_MUST_USE struct cb_status cb_train_config_set(struct cb_train_config *config, const char *key,
                                                 const char *value);

/* The same for the members of a JSON object; names in `others` (ends with NULL; may be NULL) are
 * left to the caller. Errors: CB_ERR_INPUT, an unknown member too. */
CB_MUST_USE struct cb_status cb_train_config_parse(struct cb_train_config *config,
                                                   const cJSON *json, const char *const *others);

/* What may not be asked for together or is not there. Errors: CB_ERR_INPUT augment without views or
 * views without augment; CB_ERR_UNSUPPORTED for mode full. */
CB_MUST_USE struct cb_status cb_train_config_check(const struct cb_train_config *config);

struct cb_train_progress {
    /* "features": done of total photos; "head": done of total epochs, and `epoch`; "folds" and
     * "curve": done of total trainings. */
    const char *stage;
    int done, total;
    const struct cb_epoch *epoch; /* NULL in other stages than "head" */
};
typedef void cb_train_progress_fn(void *ctx, const struct cb_train_progress *progress);

struct cb_train_job {
    const struct cb_engine *engine;
    const struct cb_model *model; /* the base; of a model trained here, its trunk is used again */
    const struct cb_dataset *dataset;
    struct cb_train_config config;
    const char *cache;                 /* folder for features; NULL: none */
    cb_train_progress_fn *on_progress; /* NULL: none */
    void *ctx;
    const atomic_bool *cancel; /* NULL: never */
};

struct cb_train_report {
    int photos, views, cached, duplicates, classes, inputs;
    const char *const *labels;             /* [classes] */
    struct cb_head_judgement judged;       /* by a head that never saw these photos */
    struct cb_evaluation cross_validation; /* every photo by a head that never saw it; n 0: none */
    int folds;
    struct cb_curve curve; /* n 0: none */
    const struct cb_dataset *dataset;
    const int *photo; /* [photos] row of the dataset's photos */
    double seconds_features, seconds_head, seconds_resampling;
    const struct cb_rejections *rejections;
};

struct cb_train_result {
    struct cb_train_report report;
    struct cb_head head;
    struct cb_buf head_file; /* head.onnx, with cambium.trunk, .bottleneck, .labels, .recipe; the
                                caller deinits it */
};

/* Runs it all; report and head lie in `arena`. Errors: CB_ERR_CONTENT too few classes or photos;
 * CB_ERR_UNSUPPORTED; CB_ERR_CANCELLED; CB_ERR_NOMEM; what features and trainer say. */
CB_MUST_USE struct cb_status cb_train_run(const struct cb_train_job *job, struct cb_arena *arena,
                                          struct cb_rejections *rejections,
                                          struct cb_train_result *out);

/* Trunk and head as one ONNX file. `model` is the base (or any model on its trunk), `head_file` is
 * head.onnx. Errors: CB_ERR_MODEL the head is damaged or belongs to another trunk; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_train_export(const struct cb_model *model,
                                             struct cb_bytes head_file, struct cb_buf *out);

/* Members of an open object: "photos","views","cached","duplicates","features","classes":[...],
 * "accuracy","held_out":{an evaluation},"rejected_count","rejected":[...],"seconds":{"features","head"};
 * "accuracy" is that on the held-out photos, "accuracy_interval" its two ends,
 * "temperature":{"value","loss_before","ece_before"}. Where they were asked for:
 * "cross_validation":{"folds", an evaluation},
 * "curve":{"seeds","points":[{"per_class","photos","accuracy","least","most","interval"}]},
 * seconds "resampling". Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_train_report_write(const struct cb_train_report *report,
                                                   struct cb_json *json);

/* Members of an open object: "n","top1","top1_interval":[low,high],"top5","top5_interval","loss",
 * "brier","ece","macro":{"precision","recall","f1","auc"},
 * "per_class":[{"label","count","precision","recall","recall_interval","f1","auc"}],
 * "confusion":{"labels":[...],"rows":[[...]]}; rows are the true classes;
 * "reliability":[{"from","to","count","confidence","accuracy"}]. Classes that no example is of or
 * was taken for are left out; an area that is not defined is null. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_evaluation_write(const struct cb_evaluation *evaluation,
                                                 const char *const *labels, struct cb_json *json);

/* Members of an open object: "mistakes" and "suspicious_labels", up to `most` each:
 * [{"file","label","predicted","probability","probability_of_label"}] (evaluation.h). photo[n] are
 * rows of the dataset's photos. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_mistakes_write(const struct cb_evaluation *evaluation,
                                               const char *const *labels,
                                               const struct cb_dataset *dataset, const int *photo,
                                               int most, struct cb_json *json);

/* seen[classes] gets the classes that some example is of or was taken for, in order; returns how
 * many. */
int cb_evaluation_seen(const struct cb_evaluation *evaluation, int *seen);

/* The member "rejected":[{"file","reason"}] of an open object. */
void cb_rejections_write(const struct cb_rejections *rejections, struct cb_json *json);
