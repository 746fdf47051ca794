/* server/handlers/models.c - GET /models, GET PUT DELETE /models/NAME, GET
 * /models/NAME/model.onnx */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "importers/model/load.h"
#include "server/app.h"
#include "server/config.h"
#include "server/db.h"
#include "server/handlers/handlers.h"
#include "server/log.h"
#include "server/multipart.h"
#include "server/registry.h"
#include "server/store.h"
#include "server/train_job.h"

static void write_info(struct cb_json *json, const struct cb_model_info *info)
{
    static const char *const origin[] = { [CB_ORIGIN_CONFIGURED] = "configured",
                                          [CB_ORIGIN_FOLDER] = "folder",
                                          [CB_ORIGIN_EMBEDDED] = "embedded",
                                          [CB_ORIGIN_STORED] = "stored" };
    static const char *const state[] = {
        [CB_MODEL_LOADING] = "loading", [CB_MODEL_READY] = "ready", [CB_MODEL_FAILED] = "failed"
    };
    cb_json_text(json, "name", info->name);
    cb_json_text(json, "state", state[info->state]);
    cb_json_text(json, "origin", origin[info->origin]);
    cb_json_bool(json, "default", info->is_default);
    if (info->state == CB_MODEL_FAILED)
        cb_json_text(json, "error", info->error.msg);
}

/* What is short enough for a list. */
static void write_summary(struct cb_json *json, const struct cb_model *model)
{
    cb_json_int(json, "version", model->version);
    cb_json_int(json, "classes", model->classes);
    cb_json_int(json, "parameters", (int64_t)cb_model_parameters(model));
    cb_json_bool(json, "trained", model->trained_here);
}

static void write_tensor_name(struct cb_json *json, const char *key, const struct cb_model *model,
                              int value)
{
    cb_json_text(json, key, value < 0 ? NULL : model->graph.values[value].name);
}

static struct cb_status write_details(struct cb_json *json, struct cb_request *req,
                                      const struct cb_model *model)
{
    char digest[CB_DIGEST_TEXT], *recipe;
    CB_TRY(cb_recipe_print(&model->recipe, req->arena, &recipe));
    cb_digest_text(&model->digest, digest);
    cb_json_text(json, "sha256", digest);
    cb_json_int(json, "opset", model->opset);
    cb_json_open(json, "input", '{');
    write_tensor_name(json, "name", model, model->input);
    cb_json_int(json, "height", model->height);
    cb_json_int(json, "width", model->width);
    cb_json_int(json, "channels", model->channels);
    cb_json_close(json, '}');
    write_tensor_name(json, "logits", model, model->logits);
    write_tensor_name(json, "bottleneck", model, model->bottleneck);
    write_tensor_name(json, "cam_layer", model, model->cam_layer);
    cb_json_raw(json, "recipe", recipe);
    cb_json_bool(json, "recipe_assumed", model->recipe.assumed);
    cb_json_open(json, "labels", '[');
    for (int i = 0; i < model->n_labels; i++)
        cb_json_text(json, NULL, model->labels[i]);
    cb_json_close(json, ']');
    return cb_ok();
}

/* What the database knows: when, from what and how well it was trained here. */
static void write_row(void *ctx, struct cb_row *row)
{
    struct cb_json *json = ctx;
    const char *metrics = cb_row_text(row, 3);
    cb_json_time(json, "created", cb_row_int(row, 0));
    cb_json_text(json, "base", cb_row_text(row, 1));
    cb_json_text(json, "job", cb_row_text(row, 2));
    cb_json_raw(json, "metrics", *metrics ? metrics : NULL);
}

struct cb_status cb_handle_model_list(struct cb_app *app, struct cb_request *req,
                                      struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    struct cb_model_info info;
    struct cb_model_ref ref;
    (void)req;
    cb_json_open(&json, NULL, '{');
    cb_json_open(&json, "models", '[');
    for (size_t i = 0; cb_registry_info(app->registry, i, &info); i++) {
        cb_json_open(&json, NULL, '{');
        write_info(&json, &info);
        if (cb_registry_acquire(app->registry, info.name, &ref).code == CB_OK) {
            write_summary(&json, ref.model);
            cb_registry_release(app->registry, &ref);
        }
        cb_json_close(&json, '}');
    }
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_model_get(struct cb_app *app, struct cb_request *req,
                                     struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    struct cb_status st = cb_ok();
    struct cb_model_info info;
    struct cb_model_ref ref;
    CB_TRY(cb_registry_find(app->registry, req->part[0], &info));
    cb_json_open(&json, NULL, '{');
    write_info(&json, &info);
    if (cb_registry_acquire(app->registry, info.name, &ref).code == CB_OK) {
        write_summary(&json, ref.model);
        st = write_details(&json, req, ref.model);
        cb_registry_release(app->registry, &ref);
    }
    if (st.code == CB_OK)
        st = cb_db_run(app->db, "SELECT created, base, job, metrics FROM models WHERE name = ?",
                       write_row, &json, "t", info.name);
    cb_json_close(&json, '}');
    return st;
}

/* ---- PUT ---- */

struct upload {
    struct cb_app *app;
    const char *name;
    char staged[PATH_MAX];
};

static struct cb_status write_file(const struct upload *up, const char *file, struct cb_bytes data)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/%s", PATH_MAX - 32, up->staged, file);
    return cb_file_write(path, data.data, data.len);
}

/* The body is model.onnx, or a form with the parts model and, if wanted, labels and recipe. */
static struct cb_status stage_files(const struct upload *up, struct cb_request *req)
{
    static const struct {
        const char *part, *file;
    } known[] = {
        { "model", "model.onnx" },
        { "labels", "labels.txt" },
        { "recipe", "recipe.json" },
    };
    struct cb_multipart multipart;
    struct cb_part part;
    unsigned seen = 0;
    bool found;
    if (!cb_multipart_is(req))
        return write_file(up, "model.onnx", req->body);
    CB_TRY(cb_multipart_open(req, &multipart));
    for (;;) {
        size_t i = 0;
        CB_TRY(cb_multipart_next(&multipart, &part, &found));
        if (!found)
            return cb_ok();
        while (i < CB_COUNT_OF(known) && strcmp(known[i].part, part.name))
            i++;
        if (i == CB_COUNT_OF(known))
            return cb_fail(CB_ERR_INPUT, "form part '%.60s' is none of model, labels, recipe",
                           part.name);
        if (seen & 1u << i)
            return cb_fail(CB_ERR_INPUT, "form part '%s' comes twice", part.name);
        seen |= 1u << i;
        CB_TRY(write_file(up, known[i].file, part.data));
    }
}

/* cb_registry_add's publish. */
static struct cb_status publish(void *ctx)
{
    const struct upload *up = ctx;
    char place[PATH_MAX];
    cb_store_model_path(up->app->store, up->name, place);
    CB_TRY(cb_db_run(up->app->db, "DELETE FROM models WHERE name = ?", NULL, NULL, "t", up->name));
    return cb_store_publish(up->app->store, up->staged, place);
}

struct cb_status cb_handle_model_put(struct cb_app *app, struct cb_request *req,
                                     struct cb_reply *rep)
{
    struct upload up = { .app = app, .name = req->part[0] };
    struct cb_status st;
    CB_TRY(cb_registry_check_name(up.name));
    if (cb_registry_has(app->registry, up.name))
        return cb_fail(CB_ERR_CONFLICT, "there is a model '%s' already", up.name);
    if (req->body.len == 0)
        return cb_fail(CB_ERR_INPUT, "the body is empty, an ONNX file is wanted");
    CB_TRY(cb_store_stage(app->store, up.staged));
    st = stage_files(&up, req);
    if (st.code == CB_OK)
        st = cb_registry_add(app->registry, up.name, up.staged, publish, &up);
    if (st.code == CB_ERR_NOMEM) /* over a budget that is the same next time */
        st.code = CB_ERR_TOO_LARGE;
    if (st.code) {
        const struct cb_status removed = cb_folder_remove(up.staged);
        if (removed.code)
            cb_log(CB_WARN, "event=staging_left reason=\"%s\"", removed.msg);
        return st.code == CB_ERR_NOT_FOUND ? cb_fail(CB_ERR_INPUT, "the form has no part \"model\"")
                                           : st;
    }
    cb_log(CB_INFO, "event=model_uploaded model=%s bytes=%zu", up.name, req->body.len);
    CB_TRY(cb_handle_model_get(app, req, rep));
    rep->code = 201;
    cb_reply_header(rep, "Location", cb_arena_printf(req->arena, "/models/%s", up.name));
    return cb_ok();
}

/* ---- DELETE ---- */

struct cb_status cb_handle_model_remove(struct cb_app *app, struct cb_request *req,
                                        struct cb_reply *rep)
{
    const char *name = req->part[0];
    struct cb_model_ref ref;
    struct cb_digest trunk;
    bool trained = false;
    char place[PATH_MAX];
    if (cb_registry_acquire(app->registry, name, &ref).code == CB_OK) {
        trained = ref.model->trained_here;
        trunk = ref.model->digest;
        cb_registry_release(app->registry, &ref);
    }
    CB_TRY(cb_registry_remove(app->registry, name));
    cb_store_model_path(app->store, name, place);
    CB_TRY(cb_store_remove(app->store, place));
    CB_TRY(cb_db_run(app->db, "DELETE FROM models WHERE name = ?", NULL, NULL, "t", name));
    if (trained && !cb_registry_needs_trunk(app->registry, &trunk))
        cb_store_drop_trunk(app->store, &trunk);
    cb_log(CB_INFO, "event=model_removed model=%s", name);
    rep->code = 204;
    rep->type = NULL;
    return cb_ok();
}

/* ---- the file ---- */

/* The bytes go by way of an unlinked file: they need no memory while they are sent, however long
 * that takes. */
static struct cb_status reply_with(struct cb_app *app, struct cb_reply *rep, const void *data,
                                   size_t len)
{
    const char *at = data;
    size_t left = len;
    rep->fd = cb_store_spool(app->store);
    while (left && rep->fd >= 0) {
        const ssize_t n = write(rep->fd, at, left);
        if (n <= 0)
            return cb_fail(CB_ERR_IO, "there is no room for the file in the data folder");
        at += n;
        left -= (size_t)n;
    }
    if (rep->fd < 0)
        return cb_fail(CB_ERR_IO, "the data folder cannot be written");
    rep->file_len = len;
    rep->type = "application/octet-stream";
    return cb_ok();
}

static struct cb_status export_trained(struct cb_app *app, struct cb_reply *rep,
                                       const struct cb_model *model)
{
    char place[PATH_MAX], path[PATH_MAX];
    struct cb_bytes head;
    struct cb_buf whole;
    struct cb_status st;
    cb_store_model_path(app->store, model->name, place);
    snprintf(path, sizeof path, "%.*s/head.onnx", PATH_MAX - 16, place);
    CB_TRY(cb_file_map(path, &head));
    cb_buf_init(&whole, (size_t)app->config->model_bytes);
    st = cb_train_export(model, head, &whole);
    if (st.code == CB_OK)
        st = reply_with(app, rep, whole.data, whole.len);
    cb_buf_deinit(&whole);
    cb_file_unmap(&head);
    return st;
}

struct cb_status cb_handle_model_file(struct cb_app *app, struct cb_request *req,
                                      struct cb_reply *rep)
{
    struct cb_model_ref ref;
    struct cb_status st;
    CB_TRY(cb_registry_acquire(app->registry, req->part[0], &ref));
    if (ref.model->trained_here)
        st = export_trained(app, rep, ref.model);
    else {
        const struct cb_bytes file = cb_model_file(ref.model);
        st = reply_with(app, rep, file.data, file.len);
    }
    cb_reply_header(
        rep, "Content-Disposition",
        cb_arena_printf(req->arena, "attachment; filename=\"%s.onnx\"", ref.model->name));
    cb_registry_release(app->registry, &ref);
    return st;
}
