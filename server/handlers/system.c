/* server/handlers/system.c - probes, metrics, the API's description, and the start page. Answered
 * by the network loop: nothing here may block. */
#include <string.h>

#include "server/app.h"
#include "server/handlers/handlers.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/registry.h"
#include "server/workers.h"

struct cb_status cb_handle_live(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    (void)app, (void)req;
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "status", "alive");
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_ready(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct cb_json json;
    (void)req;
    if (cb_http_draining(app->http))
        return cb_fail(CB_ERR_BUSY, "the server is stopping");
    if (!cb_registry_ready(app->registry))
        return cb_fail(CB_ERR_BUSY, "models are still being loaded");
    json = cb_reply_json(rep, 200);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "status", "ready");
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_metrics(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    (void)req;
    rep->type = "text/plain; version=0.0.4; charset=utf-8";
    cb_metrics_print(app->metrics, &rep->body);
    cb_metrics_gauge(&rep->body, "cambium_queue_depth", "Requests that wait for a worker.",
                     (double)cb_workers_waiting(app->workers));
    cb_metrics_gauge(&rep->body, "cambium_requests_open", "Requests not answered yet.",
                     (double)cb_http_busy(app->http));
    return cb_ok();
}

/* The parameters of a path, "{}" by position. */
static void write_path(struct cb_buf *out, const char *path)
{
    static const char *const name[CB_PATH_PARTS] = { "name", "part" };
    for (int n = 0; *path; path++)
        if (*path == '{')
            cb_buf_printf(out, "{%s", name[n++]);
        else
            cb_buf_add(out, path, 1);
}

static void write_operation(struct cb_json *json, const struct cb_route *route)
{
    char method[16];
    size_t n = 0;
    for (; route->method[n] && n + 1 < sizeof method; n++)
        method[n] = (char)(route->method[n] | 0x20);
    method[n] = 0;
    cb_json_open(json, method, '{');
    cb_json_text(json, "summary", route->summary);
    cb_json_open(json, "responses", '{');
    cb_json_open(json, "default", '{');
    cb_json_text(json, "description", "The answer, or a problem (RFC 9457)");
    cb_json_close(json, '}');
    cb_json_close(json, '}');
    cb_json_close(json, '}');
}

struct cb_status cb_handle_openapi(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    const struct cb_route *route, *other;
    (void)app, (void)req;
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "openapi", "3.1.0");
    cb_json_open(&json, "info", '{');
    cb_json_text(&json, "title", "Cambium");
    cb_json_text(&json, "version", "1");
    cb_json_close(&json, '}');
    cb_json_open(&json, "paths", '{');
    for (size_t i = 0; (route = cb_router_row(i)); i++) {
        struct cb_buf path;
        size_t first = 0;
        while (strcmp(cb_router_row(first)->path, route->path))
            first++;
        if (first < i)
            continue; /* its path is written already, with all its methods */
        cb_buf_init(&path, 1024);
        write_path(&path, route->path);
        cb_json_open(&json, path.data, '{');
        cb_buf_deinit(&path);
        for (size_t k = i; (other = cb_router_row(k)); k++)
            if (strcmp(other->path, route->path) == 0)
                write_operation(&json, other);
        cb_json_close(&json, '}');
    }
    cb_json_close(&json, '}');
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_index(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    static const char page[] =
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Cambium</title>"
        "<h1>Cambium</h1><p>Classifies photos, shows why, learns new classes.</p><ul>"
        "<li><a href=\"/models\">models</a><li><a href=\"/datasets\">datasets</a><li><a "
        "href=\"/jobs\">jobs</a>"
        "<li><a href=\"/openapi.json\">API</a><li><a href=\"/metrics\">metrics</a></ul>"
        "<pre>curl --data-binary @photo.jpg 'http://HOST/predict'</pre>\n";
    (void)app, (void)req;
    rep->type = "text/html; charset=utf-8";
    cb_reply_header(rep, "Content-Security-Policy", "default-src 'none'");
    cb_buf_add(&rep->body, page, sizeof page - 1);
    return cb_ok();
}
