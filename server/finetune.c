#include "server/finetune.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "importers/model/load.h"
#include "server/app.h"
#include "server/config.h"
#include "server/datasets.h"
#include "server/registry.h"
#include "server/store.h"
#include "server/train_job.h"

#define TELL_NS 200000000 /* progress of features is told at most this often */
#define LOADING_STEP_MS 10
#define HEAD_SHARE 0.1 /* of the work, in the progress shown */

/* One job under way. */
struct work {
    struct cb_app *app;
    const struct cb_job *job;
    const struct cb_model *base;
    const char *metrics;
    char staged[PATH_MAX];
    int64_t told_ns;
};

static void tell_epoch(struct work *w, const struct cb_train_progress *p, double progress)
{
    char data[256];
    struct cb_buf out;
    struct cb_json json = { .out = &out };
    cb_buf_init(&out, sizeof data - 1);
    cb_json_open(&json, NULL, '{');
    cb_json_int(&json, "epoch", p->epoch->epoch);
    cb_json_int(&json, "epochs", p->epoch->epochs);
    cb_json_real(&json, "train_loss", (double)p->epoch->train_loss);
    cb_json_real(&json, "held_out_loss", (double)p->epoch->held_out_loss);
    cb_json_real(&json, "held_out_accuracy", (double)p->epoch->held_out_accuracy);
    cb_json_close(&json, '}');
    if (!out.failed)
        cb_job_progress(w->job, progress, "head", "epoch", out.data);
    cb_buf_deinit(&out);
}

static void on_progress(void *ctx, const struct cb_train_progress *p)
{
    struct work *w = ctx;
    const int64_t now = cb_clock_ns();
    const double part = p->total > 0 ? (double)p->done / (double)p->total : 0;
    char data[96];
    if (p->epoch) {
        tell_epoch(w, p, 1 - HEAD_SHARE + HEAD_SHARE * part);
        return;
    }
    if (p->done < p->total && now - w->told_ns < TELL_NS)
        return;
    w->told_ns = now;
    snprintf(data, sizeof data, "{\"stage\":\"%s\",\"done\":%d,\"total\":%d}", p->stage, p->done,
             p->total);
    cb_job_progress(w->job, (1 - HEAD_SHARE) * (strcmp(p->stage, "features") ? 1 : part), p->stage,
                    "progress", data);
}

static struct cb_status read_config(const char *text, struct cb_train_config *out)
{
    cJSON *json;
    struct cb_status st;
    *out = cb_train_config_default;
    CB_TRY(cb_json_parse(cb_bytes_of_text(text), &json));
    st = cb_train_config_parse(out, json, NULL);
    cJSON_Delete(json);
    return st;
}

/* cb_registry_add's publish: what is known of the model first, then its folder. */
static struct cb_status publish(void *ctx)
{
    const struct work *w = ctx;
    const struct cb_job_order *order = &w->job->order;
    char place[PATH_MAX];
    cb_store_model_path(w->app->store, order->name, place);
    CB_TRY(cb_db_run(
        w->app->db,
        "INSERT OR REPLACE INTO models(name, created, base, job, metrics) VALUES(?,?,?,?,?)", NULL,
        NULL, "tittt", order->name, cb_clock_wall_ms(), order->base, w->job->id, w->metrics));
    return cb_store_publish(w->app->store, w->staged, place);
}

/* head.onnx and its trunk to disk, then into the registry. */
static struct cb_status publish_head(struct work *w, const struct cb_buf *head)
{
    char path[PATH_MAX];
    struct cb_status st;
    CB_TRY(cb_store_keep_trunk(w->app->store, &w->base->digest, cb_model_file(w->base)));
    CB_TRY(cb_store_stage(w->app->store, w->staged));
    snprintf(path, sizeof path, "%.*s/head.onnx", PATH_MAX - 16, w->staged);
    st = cb_file_write(path, head->data, head->len);
    if (st.code == CB_OK)
        st = cb_registry_add(w->app->registry, w->job->order.name, w->staged, publish, w);
    if (st.code) {
        const struct cb_status removed = cb_folder_remove(w->staged);
        if (removed.code)
            st = cb_context(st, "%.80s", removed.msg);
    }
    return st;
}

static struct cb_status print_report(const struct cb_train_report *report, struct cb_buf *out)
{
    struct cb_json json = { .out = out };
    cb_json_open(&json, NULL, '{');
    CB_TRY(cb_train_report_write(report, &json));
    cb_json_close(&json, '}');
    return out->failed ? cb_fail(CB_ERR_NOMEM, "no memory for the report") : cb_ok();
}

static struct cb_status train(struct work *w, struct cb_arena *arena, struct cb_buf *metrics)
{
    struct cb_train_job job = { .engine = w->app->engine,
                                .model = w->base,
                                .on_progress = on_progress,
                                .ctx = w,
                                .cache = cb_store_features_folder(w->app->store),
                                .cancel = w->job->cancel };
    struct cb_rejections rejections = { .arena = arena };
    struct cb_dataset dataset;
    struct cb_train_result result;
    struct cb_status st;
    CB_TRY(read_config(w->job->order.config, &job.config));
    CB_TRY(cb_datasets_open(w->app->datasets, w->job->order.dataset, arena, &rejections, &dataset));
    job.dataset = &dataset;
    CB_TRY(cb_train_run(&job, arena, &rejections, &result));
    st = print_report(&result.report, metrics);
    if (st.code == CB_OK) {
        w->metrics = metrics->data;
        st = publish_head(w, &result.head_file);
    }
    cb_buf_deinit(&result.head_file);
    return st;
}

struct made {
    const char *job;
    struct cb_buf *metrics;
    bool found;
};

static void read_made(void *ctx, struct cb_row *row)
{
    struct made *made = ctx;
    const char *metrics = cb_row_text(row, 1);
    made->found = strcmp(cb_row_text(row, 0), made->job) == 0;
    if (made->found)
        cb_buf_add(made->metrics, metrics, strlen(metrics));
}

/* Whether this very job published its model before the server died. */
static struct cb_status was_made(struct cb_app *app, const struct cb_job *job,
                                 struct cb_buf *metrics, bool *out)
{
    struct made made = { .job = job->id, .metrics = metrics };
    char place[PATH_MAX];
    *out = false;
    cb_store_model_path(app->store, job->order.name, place);
    if (!cb_file_exists(place))
        return cb_ok();
    CB_TRY(cb_db_run(app->db, "SELECT job, metrics FROM models WHERE name = ?", read_made, &made,
                     "t", job->order.name));
    *out = made.found;
    return cb_ok();
}

/* Models are loaded in the background: a job of an earlier process may come before its base. */
static struct cb_status acquire_base(struct cb_app *app, const struct cb_job *job,
                                     struct cb_model_ref *out)
{
    while (!cb_registry_ready(app->registry)) {
        if (atomic_load(job->cancel))
            return cb_fail(CB_ERR_CANCELLED, "cancelled");
        poll(NULL, 0, LOADING_STEP_MS);
    }
    return cb_registry_acquire(app->registry, job->order.base, out);
}

struct cb_status cb_finetune_run(void *ctx, const struct cb_job *job, struct cb_buf *metrics)
{
    struct work w = { .app = ctx, .job = job };
    struct cb_model_ref ref;
    struct cb_arena arena;
    struct cb_status st;
    bool made;
    CB_TRY(acquire_base(w.app, job, &ref));
    st = was_made(w.app, job, metrics, &made);
    if (st.code == CB_OK && !made) {
        w.base = ref.model;
        st = cb_arena_init(&arena, (size_t)w.app->config->job_memory);
        if (st.code == CB_OK)
            st = train(&w, &arena, metrics);
        cb_arena_deinit(&arena);
    }
    cb_registry_release(w.app->registry, &ref);
    return st;
}
