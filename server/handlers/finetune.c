/* server/handlers/finetune.c - POST /finetune: {"base","dataset","name","mode",...}, or the archive
 * itself as body with ?base=&name=&...; the answer is 202 and where the job is. */
#include <stdio.h>
#include <string.h>

#include "server/app.h"
#include "server/datasets.h"
#include "server/handlers/dataset_input.h"
#include "server/handlers/handlers.h"
#include "server/ids.h"
#include "server/job_queue.h"
#include "server/registry.h"
#include "server/train_job.h"

/* Address space for the dataset's table and what was rejected. */
#define TABLE_MEMORY ((size_t)256 << 20)

static const char *const not_config[] = { "base", "dataset", "name", NULL };

struct order {
    const char *base, *dataset, *name; /* NULL: not given */
    struct cb_train_config config;
};

static struct cb_status copy(char *to, size_t size, const char *what, const char *text)
{
    if (strlen(text) >= size)
        return cb_fail(CB_ERR_INPUT, "%s '%.80s' is too long", what, text);
    memcpy(to, text, strlen(text) + 1);
    return cb_ok();
}

static struct cb_status member(struct cb_arena *arena, const cJSON *json, const char *key,
                               const char **out)
{
    const char *text;
    CB_TRY(cb_json_get_text(json, key, NULL, &text));
    *out = text && *text ? cb_arena_text(arena, text, strlen(text)) : NULL;
    return cb_ok();
}

static struct cb_status read_json(struct cb_request *req, struct order *order)
{
    struct cb_status st;
    cJSON *json;
    CB_TRY(cb_json_parse(req->body, &json));
    st = member(req->arena, json, "base", &order->base);
    if (st.code == CB_OK)
        st = member(req->arena, json, "dataset", &order->dataset);
    if (st.code == CB_OK)
        st = member(req->arena, json, "name", &order->name);
    if (st.code == CB_OK)
        st = cb_train_config_parse(&order->config, json, not_config);
    cJSON_Delete(json);
    if (st.code == CB_OK && !order->dataset)
        st =
            cb_fail(CB_ERR_INPUT,
                    "\"dataset\" is missing: the id that POST /datasets gave, or send the archive");
    return st;
}

static struct cb_status read_query(struct cb_request *req, struct order *order)
{
    order->base = cb_request_text(req, "base");
    order->name = cb_request_text(req, "name");
    for (int i = 0; i < req->n_query; i++) {
        bool ours = false;
        for (size_t k = 0; not_config[k]; k++)
            ours |= strcmp(req->query[i].name, not_config[k]) == 0;
        if (!ours)
            CB_TRY(cb_train_config_set(&order->config, req->query[i].name, req->query[i].value));
    }
    return cb_ok();
}

/* The settings as JSON that cb_train_config_parse reads. */
static const char *print_config(struct cb_arena *arena, const struct cb_train_config *config)
{
    const struct cb_head_config *h = &config->head;
    char augment[CB_AUGMENT_TEXT];
    cb_augment_print(&config->augment, augment);
    return cb_arena_printf(
        arena,
        "{\"mode\":\"%s\",\"hidden\":%d,\"dropout\":%.9g,\"epochs\":%d,\"patience\":%d,"
        "\"learning_rate\":%.9g,\"l2\":%.9g,\"held_out\":%.9g,\"balance\":%s,\"seed\":%llu,"
        "\"augment\":\"%s\",\"views\":%d,\"folds\":%d,\"curve\":%s}",
        config->mode == CB_TRAIN_FULL ? "full" : "head", h->hidden, (double)h->dropout, h->epochs,
        h->patience, (double)h->learning_rate, (double)h->l2, (double)h->held_out,
        h->balance ? "true" : "false", (unsigned long long)h->seed, augment, config->views,
        config->folds, config->curve ? "true" : "false");
}

/* Base and name: what was not given is chosen. */
static struct cb_status choose_names(struct cb_app *app, const struct order *order,
                                     struct cb_job_order *out)
{
    struct cb_model_ref ref;
    char id[9];
    CB_TRY(cb_registry_acquire(app->registry, order->base, &ref));
    memcpy(out->base, ref.model->name, sizeof out->base);
    cb_registry_release(app->registry, &ref);
    cb_id_make('t', id, sizeof id);
    if (order->name)
        CB_TRY(copy(out->name, sizeof out->name, "name", order->name));
    else
        snprintf(out->name, sizeof out->name, "%.50s-%s", out->base, id);
    CB_TRY(cb_registry_check_name(out->name));
    if (cb_registry_has(app->registry, out->name))
        return cb_fail(CB_ERR_CONFLICT, "there is a model '%s' already", out->name);
    return cb_ok();
}

static struct cb_status check_dataset(struct cb_app *app, const char *id)
{
    struct cb_arena arena;
    struct cb_dataset table;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, TABLE_MEMORY));
    st = cb_datasets_open(app->datasets, id, &arena, NULL, &table);
    if (st.code == CB_OK)
        st = cb_dataset_check_trainable(&table);
    cb_arena_deinit(&arena);
    return st;
}

/* Holds the dataset and queues the job; the queue's on_end lets go. */
static struct cb_status submit(struct cb_app *app, const struct cb_job_order *order,
                               char id[CB_JOB_ID])
{
    struct cb_status st;
    CB_TRY(cb_datasets_hold(app->datasets, order->dataset));
    st = check_dataset(app, order->dataset);
    if (st.code == CB_OK)
        st = cb_job_queue_submit(app->jobs, order, id);
    if (st.code)
        cb_datasets_let_go(app->datasets, order->dataset);
    return st;
}

/* The body is the dataset: it stays when the job is accepted. */
static struct cb_status submit_archive(struct cb_app *app, struct cb_request *req,
                                       struct cb_job_order *order, char id[CB_JOB_ID])
{
    struct cb_rejections rejections = { 0 };
    char dataset[CB_DATASET_ID];
    struct cb_arena arena;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, TABLE_MEMORY));
    rejections.arena = &arena;
    st = cb_datasets_add(app->datasets, order->name, cb_dataset_input_fill, req, &rejections,
                         dataset);
    cb_arena_deinit(&arena);
    if (st.code)
        return st;
    memcpy(order->dataset, dataset, sizeof dataset);
    st = submit(app, order, id);
    if (st.code) {
        const struct cb_status removed = cb_datasets_remove(app->datasets, dataset);
        if (removed.code)
            st = cb_context(st, "%.80s", removed.msg);
    }
    return st;
}

static bool is_json(const struct cb_request *req)
{
    return cb_request_is(req, "application/json") || (req->body.len && req->body.data[0] == '{');
}

struct cb_status cb_handle_finetune(struct cb_app *app, struct cb_request *req,
                                    struct cb_reply *rep)
{
    struct order given = { .config = cb_train_config_default };
    struct cb_job_order order = { .config = NULL };
    struct cb_json json;
    char id[CB_JOB_ID];
    CB_TRY(is_json(req) ? read_json(req, &given) : read_query(req, &given));
    CB_TRY(cb_train_config_check(&given.config));
    CB_TRY(choose_names(app, &given, &order));
    if (!(order.config = print_config(req->arena, &given.config)))
        return cb_fail(CB_ERR_NOMEM, "no memory for the job's settings");
    if (given.dataset) {
        CB_TRY(copy(order.dataset, sizeof order.dataset, "dataset", given.dataset));
        CB_TRY(submit(app, &order, id));
    } else
        CB_TRY(submit_archive(app, req, &order, id));
    json = cb_reply_json(rep, 202);
    cb_reply_header(rep, "Location", cb_arena_printf(req->arena, "/jobs/%s", id));
    return cb_job_queue_write(app->jobs, id, &json);
}
