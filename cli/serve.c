/* cli/serve.c - cambium serve: the HTTP server. The settings are server/config.h's table, each one
 * a flag here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "server/app.h"
#include "server/config.h"
#include "server/http.h"
#include "server/log.h"

struct serve_options {
    struct cb_texts model;
    const char *config, *hints;
    bool print;
#define MEMBER(name, member, kind, lo, hi, fallback, meaning) const char *member;
    CB_CONFIG_SETTINGS(MEMBER)
#undef MEMBER
};

#define HELP_TEXT(meaning, fallback) meaning
#define HELP_NUMBER(meaning, fallback) meaning " [" fallback "]"
#define HELP_BYTES HELP_NUMBER

static const struct cb_option options[] = {
    { .name = "model",
      .kind = CB_OPTION_LIST,
      .offset = offsetof(struct serve_options, model),
      .value = "NAME=PATH",
      .help = "serve this model; may be given several times, the first is the default" },
    { .name = "config",
      .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct serve_options, config),
      .value = "FILE",
      .help = "settings, one `name = value` a line, for what the command line and the environment "
              "leave open" },
    { .name = "print-config",
      .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct serve_options, print),
      .help = "print all settings with their values, and stop" },
    { .name = "hints",
      .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct serve_options, hints),
      .value = "PHOTO",
      .help = "print curl lines to try, with this photo" },
#define ROW(flag, member, type, lo, hi, fallback, meaning)                                         \
    { .name = flag,                                                                                \
      .kind = CB_OPTION_TEXT,                                                                      \
      .offset = offsetof(struct serve_options, member),                                            \
      .value = #type,                                                                              \
      .help = HELP_##type(meaning, fallback) },
    CB_CONFIG_SETTINGS(ROW)
#undef ROW
};

/* The handler of SIGTERM and SIGINT can reach nothing else. */
static int stop_pipe[2] = { -1, -1 };

static void ask_to_stop(int number)
{
    const int saved = errno;
    (void)number;
    if (write(stop_pipe[1], "x", 1) < 0)
        errno = saved; /* the pipe is full: it has been asked already */
    errno = saved;
}

static struct cb_status catch_signals(void)
{
    struct sigaction stop = { .sa_handler = ask_to_stop, .sa_flags = SA_RESTART };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    if (pipe(stop_pipe) || sigaction(SIGTERM, &stop, NULL) || sigaction(SIGINT, &stop, NULL) ||
        sigaction(SIGPIPE, &ignore, NULL))
        return cb_fail(CB_ERR_IO, "signals: %s", strerror(errno));
    return cb_ok();
}

static struct cb_status read_config(struct cb_cli *cli, const struct serve_options *o,
                                    struct cb_config *config)
{
    struct cb_config_given *given;
    size_t n = 0;
    CB_TRY(cb_arena_get(&cli->arena, CB_COUNT_OF(options) + (size_t)o->model.n, sizeof *given,
                        "options", &given));
    for (int i = 0; i < o->model.n; i++)
        given[n++] = (struct cb_config_given){ "model", o->model.item[i] };
#define GIVEN(flag, member, kind, lo, hi, fallback, meaning)                                       \
    if (o->member)                                                                                 \
        given[n++] = (struct cb_config_given){ flag, o->member };
    CB_CONFIG_SETTINGS(GIVEN)
#undef GIVEN
    return cb_config_load(given, n, o->config, config);
}

static void print_hints(const char *photo, const char *host, int port)
{
    printf("\ntry:\n"
           "  curl --data-binary @%s 'http://%s:%d/predict?top=3'\n"
           "  curl --data-binary @%s 'http://%s:%d/explain' -o explained.png\n"
           "  curl 'http://%s:%d/models'\n\n",
           photo, host, port, photo, host, port, host, port);
}

static struct cb_status serve(struct cb_cli *cli, const struct serve_options *o,
                              const struct cb_config *config)
{
    struct cb_app *app;
    const bool any = strcmp(config->host, "0.0.0.0") == 0 || strcmp(config->host, "::") == 0;
    const char *host = any ? "127.0.0.1" : config->host;
    CB_TRY(catch_signals());
    if (cli->cache)
        CB_TRY(cb_cache_start(cli->cache));
    CB_TRY(cb_app_create(config, &cli->engine, &app));
    printf("listening on http://%s:%d\n", host, cb_http_port(app->http));
    if (o->hints || isatty(STDOUT_FILENO))
        print_hints(o->hints ? o->hints : "photo.jpg", host, cb_http_port(app->http));
    fflush(stdout);
    cb_app_run(app, stop_pipe[0]);
    cb_log(CB_INFO, "event=stopping");
    cb_app_destroy(app);
    return cb_ok();
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct serve_options *o = given;
    struct cb_config config;
    struct cb_status st = read_config(cli, o, &config);
    if (st.code)
        return cb_cli_usage(cli, "%s", st.msg);
    config.models = cli->models;
    config.cache = cli->cache;
    if (o->print)
        cb_config_print(&config, stdout);
    else
        st = serve(cli, o, &config);
    cb_config_deinit(&config);
    return st;
}

const struct cb_verb cb_verb_serve = {
    .name = "serve",
    .usage = "[OPTIONS]",
    .summary = "serve models over HTTP",
    .notes = "Every setting below is also an environment variable (--photo-bytes is "
             "CAMBIUM_PHOTO_BYTES) and a line of\n"
             "the file that --config names (photo-bytes = 32M).\n",
    .examples = "  cambium serve\n"
                "  cambium serve --model resnet50=models/resnet50.onnx --port 9000\n",
    .options = options,
    .n_options = CB_COUNT_OF(options),
    .defaults = &(const struct serve_options){ .config = NULL },
    .size = sizeof(struct serve_options),
    .run = run,
};
