/* server/app.h - owns everything of a running server; the only place that wires its parts
 * together. */
#pragma once

#include "core/base/arena.h"
#include "core/exec/engine.h"

struct cb_config;
struct cb_datasets;
struct cb_db;
struct cb_http;
struct cb_job_queue;
struct cb_metrics;
struct cb_photos;
struct cb_registry;
struct cb_store;
struct cb_workers;

struct cb_app {
    struct cb_arena arena; /* holds this struct too */
    const struct cb_config *config;
    const struct cb_engine *engine;
    struct cb_store *store;
    struct cb_db *db;
    struct cb_datasets *datasets;
    struct cb_registry *registry;
    struct cb_photos *photos;
    struct cb_metrics *metrics;
    struct cb_workers *workers;
    struct cb_job_queue *jobs;
    struct cb_http *http;
};

/* Opens the data folder, begins to load models, listens. `config` and `engine` must outlive the
 * app. */
CB_MUST_USE struct cb_status cb_app_create(const struct cb_config *config,
                                           const struct cb_engine *engine, struct cb_app **out);

/* Refuses new work, finishes requests that run (for drain-seconds at most), puts a training job
 * back into its queue, closes. Accepts NULL. */
void cb_app_destroy(struct cb_app *app);

/* Blocks until `stop_fd` has something to read, then returns. */
void cb_app_run(struct cb_app *app, int stop_fd);
