#include "server/train_job.h"

#include <string.h>

#include "core/base/clock.h"
#include "importers/dataset/features.h"
#include "importers/model/load.h"
#include "importers/onnx/head/save.h"

#define CURVE_SEEDS 3
#define HEAD_FILE_LIMIT ((size_t)1 << 30)
/* Address space for labels, recipe and weights of an export. */
#define SCRATCH_BUDGET ((size_t)1 << 30)

static const char trunk_key[] = "cambium.trunk", bottleneck_key[] = "cambium.bottleneck";
static const char labels_key[] = "cambium.labels", recipe_key[] = "cambium.recipe";

/* --- progress --- */

static void on_features(void *ctx, int done, int total)
{
    const struct cb_train_job *job = ctx;
    if (job->on_progress)
        job->on_progress(job->ctx, &(struct cb_train_progress){ "features", done, total, NULL });
}

static void on_epoch(void *ctx, const struct cb_epoch *epoch)
{
    const struct cb_train_job *job = ctx;
    if (job->on_progress)
        job->on_progress(job->ctx,
                         &(struct cb_train_progress){ "head", epoch->epoch, epoch->epochs, epoch });
}

/* --- the steps --- */

static struct cb_status make_features(const struct cb_train_job *job, struct cb_arena *arena,
                                      struct cb_rejections *rejections, struct cb_feature_set *set)
{
    const struct cb_feature_job features = {
        .engine = job->engine,
        .model = job->model,
        .dataset = job->dataset,
        .cache = job->cache,
        .views = job->config.views,
        .augment = job->config.augment,
        .seed = job->config.head.seed,
        .on_progress = on_features,
        .ctx = (void *)(uintptr_t)job,
        .cancel = job->cancel,
    };
    return cb_dataset_features(&features, arena, rejections, set);
}

/* What is left of each class when bad photos and duplicates are out. */
static struct cb_status check_classes(const struct cb_train_job *job,
                                      const struct cb_feature_set *set, struct cb_arena *arena)
{
    struct cb_dataset left = *job->dataset;
    int *counts;
    CB_TRY(cb_arena_get(arena, (size_t)left.n_classes, sizeof *counts, "class counts", &counts));
    for (int i = 0; i < set->n; i++)
        counts[set->labels[i]]++;
    left.counts = counts;
    return cb_context(cb_dataset_check_trainable(&left), "photos that can be used");
}

static struct cb_head_job head_job(const struct cb_train_job *job, const struct cb_feature_set *set)
{
    return (struct cb_head_job){
        .config = &job->config.head,
        .features = set->features,
        .labels = set->labels,
        .n = set->n,
        .inputs = set->d,
        .classes = set->n_classes,
        .views = set->views,
        .engine = job->engine,
        .on_epoch = on_epoch,
        .ctx = (void *)(uintptr_t)job,
        .cancel = job->cancel,
    };
}

static void on_fold(void *ctx, int done, int total)
{
    const struct cb_train_job *job = ctx;
    if (job->on_progress)
        job->on_progress(job->ctx, &(struct cb_train_progress){ "folds", done, total, NULL });
}

static void on_point(void *ctx, int done, int total)
{
    const struct cb_train_job *job = ctx;
    if (job->on_progress)
        job->on_progress(job->ctx, &(struct cb_train_progress){ "curve", done, total, NULL });
}

/* The head last: what cannot be done shows before it. */
static struct cb_status train_head(const struct cb_train_job *job, const struct cb_feature_set *set,
                                   struct cb_arena *arena, struct cb_train_result *result)
{
    const struct cb_head_job head = head_job(job, set);
    struct cb_resampling again = { .job = &head, .on_step = on_fold, .ctx = head.ctx };
    struct cb_train_report *report = &result->report;
    const double began = cb_clock_ms();
    report->folds = job->config.folds;
    if (job->config.folds)
        CB_TRY(cb_cross_validate(&again, job->config.folds, arena, &report->cross_validation));
    again.on_step = on_point;
    if (job->config.curve)
        CB_TRY(cb_learning_curve(&again, CURVE_SEEDS, &report->curve));
    const double resampled = cb_clock_ms();
    CB_TRY(cb_head_train(&head, arena, &result->head, &report->judged));
    report->seconds_resampling = (resampled - began) / 1e3;
    report->seconds_head = (cb_clock_ms() - resampled) / 1e3;
    return cb_ok();
}

/* labels.txt's form: one a line. */
static char *join_labels(struct cb_arena *arena, const struct cb_dataset *dataset)
{
    size_t len = 0, at = 0;
    for (int i = 0; i < dataset->n_classes; i++)
        len += strlen(dataset->classes[i]) + 1;
    char *text = cb_arena_alloc(arena, len + 1, 1);
    for (int i = 0; text && i < dataset->n_classes; i++) {
        const size_t n = strlen(dataset->classes[i]);
        memcpy(text + at, dataset->classes[i], n);
        text[at + n] = '\n';
        at += n + 1;
    }
    return text;
}

/* head.onnx: the head, and all that is needed to use it again with its trunk. */
static struct cb_status write_head(const struct cb_train_job *job, const struct cb_head *head,
                                   struct cb_arena *arena, struct cb_buf *out)
{
    const struct cb_model *m = job->model;
    const char *bottleneck = m->graph.values[m->bottleneck].name;
    struct cb_recipe recipe = m->recipe;
    char trunk[CB_DIGEST_TEXT], *recipe_text, *labels = join_labels(arena, job->dataset);
    if (!labels)
        return cb_fail(CB_ERR_NOMEM, "no room for the labels");
    if (strlen(bottleneck) >= sizeof recipe.bottleneck)
        return cb_fail(CB_ERR_UNSUPPORTED, "the bottleneck's name is longer than %zu bytes",
                       sizeof recipe.bottleneck);
    memcpy(recipe.bottleneck, bottleneck, strlen(bottleneck) + 1);
    recipe.cam_layer[0] = 0; /* it may lie in the head that is replaced */
    CB_TRY(cb_recipe_print(&recipe, arena, &recipe_text));
    cb_digest_text(&m->digest, trunk);
    const struct cb_onnx_property properties[] = {
        { trunk_key, trunk },
        { bottleneck_key, bottleneck },
        { labels_key, labels },
        { recipe_key, recipe_text },
    };
    const struct cb_onnx_save save = { .name = "head",
                                       .head = head,
                                       .bottleneck = bottleneck,
                                       .properties = properties,
                                       .n_properties = CB_COUNT_OF(properties) };
    cb_buf_init(out, HEAD_FILE_LIMIT);
    const struct cb_status st = cb_onnx_save_head(&save, out);
    if (st.code)
        cb_buf_deinit(out);
    return st;
}

struct cb_status cb_train_run(const struct cb_train_job *job, struct cb_arena *arena,
                              struct cb_rejections *rejections, struct cb_train_result *out)
{
    struct cb_train_result result = { 0 };
    struct cb_feature_set set;
    CB_TRY(cb_train_config_check(&job->config));
    CB_TRY(cb_dataset_check_trainable(job->dataset));
    const double began = cb_clock_ms();
    CB_TRY(make_features(job, arena, rejections, &set));
    CB_TRY(check_classes(job, &set, arena));
    const double made = cb_clock_ms();
    CB_TRY(train_head(job, &set, arena, &result));
    result.report.photos = set.n;
    result.report.views = set.views;
    result.report.cached = set.cached;
    result.report.duplicates = set.duplicates;
    result.report.classes = set.n_classes;
    result.report.inputs = set.d;
    result.report.labels = job->dataset->classes;
    result.report.seconds_features = (made - began) / 1e3;
    result.report.dataset = job->dataset;
    result.report.photo = set.photo;
    result.report.rejections = rejections;
    CB_TRY(write_head(job, &result.head, arena, &result.head_file));
    *out = result;
    return cb_ok();
}

/* --- trunk and head as one file --- */

/* All of the head's properties but the trunk's digest: the trunk is in the file. */
static int keep_properties(const struct cb_onnx_head_file *head, struct cb_onnx_property *out)
{
    int n = 0;
    for (int i = 0; i < head->n_properties; i++)
        if (strcmp(head->properties[i].key, trunk_key))
            out[n++] = head->properties[i];
    return n;
}

static struct cb_status export(const struct cb_model *model, const struct cb_onnx_head_file *head,
                               struct cb_arena *arena, struct cb_buf *out)
{
    const char *trunk = cb_onnx_head_property(head, trunk_key);
    const char *bottleneck = cb_onnx_head_property(head, bottleneck_key);
    const int value = bottleneck ? cb_graph_find(&model->graph, bottleneck) : -1;
    struct cb_onnx_property *properties;
    struct cb_shape shape;
    char digest[CB_DIGEST_TEXT];
    cb_digest_text(&model->digest, digest);
    if (!trunk || strcmp(trunk, digest) || value < 0)
        return cb_fail(CB_ERR_MODEL, "%s: the head belongs to another trunk", model->name);
    CB_TRY(cb_model_shape_of(model, value, &shape));
    CB_TRY(cb_arena_get(arena, (size_t)head->n_properties, sizeof *properties, "properties",
                        &properties));
    const struct cb_onnx_save save = { .name = "cambium",
                                       .head = &head->head,
                                       .bottleneck = bottleneck,
                                       .spatial = shape.rank > 2,
                                       .properties = properties,
                                       .n_properties = keep_properties(head, properties) };
    return cb_onnx_save_whole(cb_model_file(model), &save, out);
}

struct cb_status cb_train_export(const struct cb_model *model, struct cb_bytes head_file,
                                 struct cb_buf *out)
{
    struct cb_onnx_head_file head;
    struct cb_arena arena;
    CB_TRY(cb_arena_init(&arena, SCRATCH_BUDGET));
    struct cb_status st = cb_onnx_read_head(head_file, &arena, &head);
    if (st.code == CB_OK)
        st = export(model, &head, &arena, out);
    cb_arena_deinit(&arena);
    return st;
}
