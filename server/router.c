#include "server/router.h"

#include <stdio.h>
#include <string.h>

#include "server/app.h"
#include "server/config.h"
#include "server/handlers/handlers.h"

/* clang-format off */
static const struct cb_route routes[] = {
    /* method, path,               body,            at once, handler, summary */
    { "POST",   "/predict",              CB_BODY_PHOTO,   false, cb_handle_predict, "Classify photos" },
    { "GET",    "/explain",              CB_BODY_NONE,    false, cb_handle_explain, "Why: Grad-CAM of a recent photo" },
    { "POST",   "/explain",              CB_BODY_PHOTO,   false, cb_handle_explain, "Why: Grad-CAM of a photo" },
    { "GET",    "/models",               CB_BODY_NONE,    false, cb_handle_model_list, "List models" },
    { "GET",    "/models/{}",            CB_BODY_NONE,    false, cb_handle_model_get, "Describe a model" },
    { "PUT",    "/models/{}",            CB_BODY_MODEL,   false, cb_handle_model_put, "Upload a model" },
    { "DELETE", "/models/{}",            CB_BODY_NONE,    false, cb_handle_model_remove, "Remove a model" },
    { "GET",    "/models/{}/model.onnx", CB_BODY_NONE,    false, cb_handle_model_file, "Download a model" },
    { "POST",   "/datasets",             CB_BODY_ARCHIVE, false, cb_handle_dataset_add, "Upload labelled photos" },
    { "GET",    "/datasets",             CB_BODY_NONE,    false, cb_handle_dataset_list, "List datasets" },
    { "GET",    "/datasets/{}",          CB_BODY_NONE,    false, cb_handle_dataset_get, "Describe a dataset" },
    { "DELETE", "/datasets/{}",          CB_BODY_NONE,    false, cb_handle_dataset_remove, "Remove a dataset" },
    { "POST",   "/datasets/{}/images",   CB_BODY_PHOTO,   false, cb_handle_dataset_extend, "Add photos to a class" },
    { "POST",   "/finetune",             CB_BODY_ARCHIVE, false, cb_handle_finetune, "Train a new head" },
    { "GET",    "/jobs",                 CB_BODY_NONE,    false, cb_handle_job_list, "List jobs" },
    { "GET",    "/jobs/{}",              CB_BODY_NONE,    false, cb_handle_job_get, "How far a job is" },
    { "DELETE", "/jobs/{}",              CB_BODY_NONE,    false, cb_handle_job_cancel, "Cancel a job" },
    { "GET",    "/jobs/{}/events",       CB_BODY_NONE,    false, cb_handle_job_events, "Follow a job" },
    { "GET",    "/",                     CB_BODY_NONE,    true,  cb_handle_index, "Start page" },
    { "GET",    "/livez",                CB_BODY_NONE,    true,  cb_handle_live, "Is the process alive" },
    { "GET",    "/readyz",               CB_BODY_NONE,    true,  cb_handle_ready, "Are all models loaded" },
    { "GET",    "/metrics",              CB_BODY_NONE,    true,  cb_handle_metrics, "Prometheus metrics" },
    { "GET",    "/openapi.json",         CB_BODY_NONE,    true,  cb_handle_openapi, "This description" },
};
/* clang-format on */

static const int http_code[CB_CODE_COUNT] = {
    [CB_OK] = 200,
    [CB_ERR_INPUT] = 400,
    [CB_ERR_MEDIA] = 415,
    [CB_ERR_CONTENT] = 422,
    [CB_ERR_MODEL] = 422,
    [CB_ERR_UNSUPPORTED] = 422,
    [CB_ERR_TOO_LARGE] = 413,
    [CB_ERR_NOMEM] = 503,
    [CB_ERR_BUSY] = 503,
    [CB_ERR_NOT_FOUND] = 404,
    [CB_ERR_CONFLICT] = 409,
    [CB_ERR_CANCELLED] = 409,
    [CB_ERR_IO] = 500,
};

const struct cb_route *cb_router_row(size_t i)
{
    return i < CB_COUNT_OF(routes) ? &routes[i] : NULL;
}

size_t cb_router_index(const struct cb_route *route)
{
    return (size_t)(route - routes);
}

int cb_router_code(enum cb_code code)
{
    return http_code[code];
}

/* Path against pattern; a {} takes one part that is not empty. */
static bool matches(const char *pattern, const char *path, struct cb_arena *arena,
                    const char *part[CB_PATH_PARTS])
{
    int n = 0;
    while (*pattern) {
        if (strncmp(pattern, "{}", 2) == 0) {
            const size_t len = strcspn(path, "/");
            if (len == 0 || n == CB_PATH_PARTS || !(part[n++] = cb_arena_text(arena, path, len)))
                return false;
            pattern += 2;
            path += len;
        } else if (*pattern++ != *path++)
            return false;
    }
    return *path == 0;
}

static void allow_method(char allow[CB_ALLOW_TEXT], const char *method)
{
    const size_t len = strlen(allow);
    snprintf(allow + len, CB_ALLOW_TEXT - len, "%s%s", len ? ", " : "", method);
}

const struct cb_route *cb_router_find(struct cb_request *req, char allow[CB_ALLOW_TEXT])
{
    const char *method = strcmp(req->method, "HEAD") ? req->method : "GET";
    allow[0] = 0;
    for (size_t i = 0; i < CB_COUNT_OF(routes); i++) {
        const char *part[CB_PATH_PARTS] = { NULL };
        if (!matches(routes[i].path, req->path, req->arena, part))
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            memcpy(req->part, part, sizeof part);
            return &routes[i];
        }
        allow_method(allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            allow_method(allow, "HEAD");
    }
    if (*allow)
        allow_method(allow, "OPTIONS");
    return NULL;
}

size_t cb_router_limit(const struct cb_route *route, const struct cb_config *config,
                       const char **setting)
{
    const struct {
        int64_t bytes;
        const char *name;
    } limit[] = {
        [CB_BODY_NONE] = { 0, "no body is wanted here" },
        [CB_BODY_JSON] = { config->json_bytes, "json-bytes" },
        [CB_BODY_PHOTO] = { config->photo_bytes, "photo-bytes" },
        [CB_BODY_ARCHIVE] = { config->archive_bytes, "archive-bytes" },
        [CB_BODY_MODEL] = { config->model_bytes, "model-bytes" },
    };
    *setting = limit[route->body].name;
    return (size_t)limit[route->body].bytes;
}

void cb_dispatch(struct cb_app *app, const struct cb_route *route, struct cb_request *req,
                 struct cb_reply *rep)
{
    struct cb_status st = route->handler(app, req, rep);
    if (st.code == CB_OK && rep->body.failed)
        st = cb_fail(CB_ERR_NOMEM, "the answer is over the memory of one request (request-memory)");
    if (st.code)
        cb_reply_error(rep, http_code[st.code], st.msg);
}
