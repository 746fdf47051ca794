#include "tests/e2e/e2e.h"

#include <poll.h>

#include "tests/support/onnx_builder.h"

const char *e2e_model(int classes, unsigned long seed)
{
    static char path[64];
    struct onnx_builder b = onnx_begin(17);
    struct cb_bytes file;
    onnx_small_classifier(&b, 16, classes, seed);
    file = onnx_end(&b);
    snprintf(path, sizeof path, "/tmp/cambium-e2e-%d-%lu.onnx", (int)getpid(), seed);
    cr_assert(cb_file_write(path, file.data, file.len).code == CB_OK);
    onnx_free(&b);
    return path;
}

struct server_process e2e_start(const char *folder, const char *options)
{
    char all[1024];
    struct server_process s;
    const char *model = e2e_model(3, 1);
    snprintf(all, sizeof all, "--model tiny=%s %s", model, options);
    s = server_start(folder, all);
    unlink(model);
    return s;
}

void e2e_end(struct server_process *server)
{
    if (server->pid)
        cr_expect(eq(int, server_stop(server, SIGTERM), 0), "see %s/log", server->folder);
}

void e2e_clean(struct server_process *server)
{
    if (server->pid)
        server_stop(server, SIGKILL);
    server_clean(server);
}

bool e2e_text(const struct http_reply *reply, const char *key, char *text, size_t size)
{
    char wanted[64];
    const char *at;
    snprintf(wanted, sizeof wanted, "\"%s\":\"", key);
    if (!reply->body || !(at = strstr(reply->body, wanted)))
        return false;
    at += strlen(wanted);
    snprintf(text, size, "%.*s", (int)strcspn(at, "\""), at);
    return true;
}

struct http_reply e2e_wait_job(int port, const char *id)
{
    char target[64];
    snprintf(target, sizeof target, "/jobs/%s", id);
    for (int i = 0;; i++) {
        struct http_reply reply = http_get(port, target);
        if (i > 2400 || (!http_has(&reply, "\"state\":\"queued\"") &&
                         !http_has(&reply, "\"state\":\"running\"")))
            return reply;
        http_free(&reply);
        poll(NULL, 0, 50);
    }
}
