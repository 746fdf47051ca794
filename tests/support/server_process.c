#include "tests/support/server_process.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/support/http_client.h"

#define ARGS_MAX 64
#define START_STEPS 1200 /* of 25 ms */

/* The child: options to arguments, its output to files. */
static void become_server(const struct server_process *s, const char *binary, char *options)
{
    char data[128], log[128], out[128];
    const char *argv[ARGS_MAX] = { binary,     "serve",        "--port", "0",
                                   "--models", "/nonexistent", "--data", data };
    int n = 8;
    snprintf(data, sizeof data, "%s/data", s->folder);
    snprintf(log, sizeof log, "%s/log", s->folder);
    snprintf(out, sizeof out, "%s/out", s->folder);
    for (char *word = strtok(options, " "); word && n < ARGS_MAX - 1; word = strtok(NULL, " "))
        argv[n++] = word;
    setenv("CAMBIUM_CACHE", "none", 0);
    dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
    dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0644), STDERR_FILENO);
    execv(binary, (char *const *)argv);
    _exit(127);
}

static int read_port(const struct server_process *s)
{
    char path[128], line[200] = "";
    int port = 0;
    FILE *f;
    snprintf(path, sizeof path, "%s/out", s->folder);
    if (!(f = fopen(path, "r")))
        return 0;
    if (fgets(line, sizeof line, f) && strchr(line, '\n'))
        sscanf(line, "listening on http://127.0.0.1:%d", &port);
    fclose(f);
    return port;
}

static bool is_ready(struct server_process *s)
{
    struct http_reply reply;
    bool ready;
    if (!s->port && !(s->port = read_port(s)))
        return false;
    reply = http_get(s->port, "/readyz");
    ready = reply.code == 200;
    http_free(&reply);
    return ready;
}

struct server_process server_start(const char *folder, const char *options)
{
    const char *binary = getenv("CAMBIUM_BIN");
    struct server_process s = { .port = 0 };
    char copy[2048], out[128];
    if (!binary)
        cr_skip_test("CAMBIUM_BIN is not set");
    snprintf(s.folder, sizeof s.folder, "%s", *folder ? folder : "/tmp/cambium-e2e-XXXXXX");
    if (!*folder)
        cr_assert_not_null(mkdtemp(s.folder));
    snprintf(out, sizeof out, "%s/out", s.folder);
    unlink(out);
    snprintf(copy, sizeof copy, "%s", options);
    s.pid = fork();
    cr_assert(s.pid >= 0);
    if (s.pid == 0)
        become_server(&s, binary, copy);
    for (int i = 0; i < START_STEPS && !is_ready(&s); i++) {
        cr_assert(waitpid(s.pid, NULL, WNOHANG) == 0, "the server ended at once; see %s/log",
                  s.folder);
        poll(NULL, 0, 25);
    }
    cr_assert(is_ready(&s), "the server does not become ready; see %s/log", s.folder);
    return s;
}

int server_stop(struct server_process *s, int signal)
{
    int status = 0;
    if (s->pid <= 0)
        return -1;
    kill(s->pid, signal);
    waitpid(s->pid, &status, 0);
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool server_logged(const struct server_process *s, const char *text)
{
    char path[128], line[2048];
    bool found = false;
    FILE *f;
    snprintf(path, sizeof path, "%s/log", s->folder);
    if (!(f = fopen(path, "r")))
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = strstr(line, text) != NULL;
    fclose(f);
    return found;
}

void server_clean(struct server_process *s)
{
    cr_assert(cb_folder_remove(s->folder).code == CB_OK);
}
