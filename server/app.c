#include "server/app.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/config.h"
#include "server/datasets.h"
#include "server/db.h"
#include "server/finetune.h"
#include "server/http.h"
#include "server/job_queue.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/photos.h"
#include "server/registry.h"
#include "server/store.h"
#include "server/workers.h"

#define TICK_MS 1000
#define HEARTBEAT_TICKS 10 /* how often streams are asked for a sign of life */
#define DRAIN_STEP_MS 5

struct app {
    struct cb_app public; /* first: a cb_app * is a struct app * */
    pthread_t loader;
    bool loading;
};

static void *load_models(void *ctx)
{
    struct cb_app *app = ctx;
    cb_registry_load(app->registry);
    cb_log(CB_INFO, "event=ready");
    return NULL;
}

/* A job's events have grown. */
static void on_job_change(void *ctx)
{
    struct cb_app *app = ctx;
    cb_http_wake(app->http);
}

static void on_job_end(void *ctx, const struct cb_job_order *order)
{
    struct cb_app *app = ctx;
    cb_datasets_let_go(app->datasets, order->dataset);
}

static struct cb_status open_data(struct cb_app *app)
{
    const struct cb_config *config = app->config;
    const struct cb_job_hooks hooks = {
        .run = cb_finetune_run, .on_change = on_job_change, .on_end = on_job_end, .ctx = app
    };
    struct cb_dataset_limits limits = cb_dataset_limits_default;
    struct cb_job_order order;
    limits.max_entries = (int)config->archive_files;
    limits.max_photo_bytes = (size_t)config->photo_bytes;
    limits.max_total_bytes = (size_t)config->dataset_bytes;
    limits.max_pixels = (size_t)config->pixels;
    CB_TRY(cb_store_open(config->data, &app->store));
    CB_TRY(cb_db_open(cb_store_database(app->store), &app->db));
    CB_TRY(cb_datasets_create(&app->arena, app->db, app->store, &limits, &app->datasets));
    CB_TRY(cb_job_queue_create(app->db, &hooks, (int)config->jobs_queued, (int)config->jobs_kept,
                               &app->jobs));
    for (int i = 0; cb_job_queue_open_order(app->jobs, i, &order); i++) {
        const struct cb_status st = cb_datasets_hold(app->datasets, order.dataset);
        if (st.code)
            cb_log(CB_WARN, "event=job_without_dataset model=%s reason=\"%s\"", order.name, st.msg);
    }
    return cb_ok();
}

static struct cb_status open_parts(struct app *a)
{
    struct cb_app *app = &a->public;
    const struct cb_config *config = app->config;
    CB_TRY(open_data(app));
    CB_TRY(cb_registry_create(app->engine, config, app->store, &app->registry));
    CB_TRY(cb_metrics_create(&app->arena, &app->metrics));
    CB_TRY(cb_photos_create(&app->arena, (size_t)config->recent_bytes, (size_t)config->recent_count,
                            config->recent_seconds, &app->photos));
    CB_TRY(cb_workers_create((size_t)config->workers, (size_t)config->queue, &app->workers));
    CB_TRY(cb_http_create(app, &app->http));
    if (pthread_create(&a->loader, NULL, load_models, app))
        return cb_fail(CB_ERR_NOMEM, "cannot start the thread that loads models");
    a->loading = true;
    return cb_job_queue_start(app->jobs);
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
           strcmp(host, "::1") == 0;
}

struct cb_status cb_app_create(const struct cb_config *config, const struct cb_engine *engine,
                               struct cb_app **out)
{
    struct app *a;
    struct cb_status st;
    CB_TRY(cb_arena_begin((size_t)64 << 20, sizeof *a, &a));
    a->public = (struct cb_app){ .arena = a->public.arena, .config = config, .engine = engine };
    st = open_parts(a);
    if (st.code == CB_OK && !is_loopback(config->host))
        cb_log(CB_WARN,
               "event=open_to_all host=%s reason=\"there are no keys: whoever reaches this address "
               "may use, "
               "train and remove models\"",
               config->host);
    if (st.code)
        cb_app_destroy(&a->public);
    else
        *out = &a->public;
    return st;
}

/* Waits until no request is open, at most drain-seconds. */
static void drain(struct cb_app *app)
{
    const int64_t until = cb_clock_ns() + app->config->drain_seconds * 1000000000;
    cb_http_drain(app->http);
    while (cb_http_busy(app->http) && cb_clock_ns() < until)
        poll(NULL, 0, DRAIN_STEP_MS);
    if (cb_http_busy(app->http))
        cb_log(CB_WARN, "event=drain_timeout open=%zu", cb_http_busy(app->http));
}

void cb_app_destroy(struct cb_app *app)
{
    if (!app)
        return;
    if (app->http)
        drain(app);
    cb_job_queue_stop(app->jobs);
    cb_workers_destroy(app->workers); /* no worker uses a connection after this */
    cb_http_destroy(app->http);
    if (((struct app *)app)->loading)
        pthread_join(((struct app *)app)->loader, NULL);
    cb_job_queue_destroy(app->jobs);
    cb_photos_destroy(app->photos);
    cb_registry_destroy(app->registry);
    cb_datasets_destroy(app->datasets);
    cb_db_close(app->db);
    cb_store_close(app->store);
    cb_arena_deinit(&app->arena);
}

void cb_app_run(struct cb_app *app, int stop_fd)
{
    struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
    for (unsigned tick = 1; poll(&stop, 1, TICK_MS) <= 0; tick++) {
        cb_http_tick(app->http);
        if (tick % HEARTBEAT_TICKS == 0)
            cb_http_wake(app->http);
    }
}
