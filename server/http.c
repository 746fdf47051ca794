/* server/http.c - the states of a request, and who moves it:
 *
 *   begin_request    on_request     end_body         run_request      answer     on_completed
 *   -----------> NEW --------> BODY --------> WORKING --------> ANSWER ----> SENT --------> (freed)
 *                 |             |             connection          ^
 *                 |             |             is suspended        |
 *                 +-------------+--- refuse: REFUSED -------------+
 *                                    (a small rest of the body is read first)
 *
 * WORKING belongs to a worker thread, every other state to the network loop. A stream (reply->next)
 * that has nothing to send suspends its connection too and stands in http->waiting until
 * cb_http_wake. */
#include "server/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "server/app.h"
#include "server/body.h"
#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/workers.h"

/* Besides request-memory: the exchange itself, target, headers. */
#define ARENA_EXTRA ((size_t)1 << 20)

enum phase { NEW, BODY, REFUSED, WORKING, ANSWER, SENT };

struct exchange {
    struct cb_arena arena; /* holds this struct too */
    struct cb_http *http;
    struct MHD_Connection *connection;
    const struct cb_route *route;
    struct cb_request req;
    struct cb_reply rep;
    enum phase phase;
    int64_t began_ns;
    struct cb_body body;
    const char *setting;     /* what limits the body */
    size_t left;             /* of a refused body: what may still be read */
    bool started, streaming; /* headers have been seen; the reply is a stream */
    struct exchange *next_waiting;
};

/* An open connection, and until when its client must have sent what it sends now. */
struct peer {
    int fd; /* -1: the row is free */
    int64_t until_ns;
};

struct cb_http {
    struct cb_app *app;
    const struct cb_config *config;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool draining;
    atomic_size_t busy;
    struct cb_body_pool bodies;
    atomic_uint_fast64_t count;
    /* Guards all below; may be held while a stream's `next` takes its own lock. */
    pthread_mutex_t mutex;
    struct exchange *waiting;
    struct peer *peer; /* config->connections of them */
};

/* ---- refusals ---- */

static void refuse(struct exchange *x, int code, const char *detail)
{
    cb_reply_error(&x->rep, code, detail);
    x->phase = REFUSED;
    x->left = (size_t)x->http->config->refused_bytes;
}

static void refuse_if(struct exchange *x, struct cb_status st)
{
    if (st.code)
        refuse(x, cb_router_code(st.code), st.msg);
}

/* ---- streams ---- */

static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t max)
{
    struct exchange *x = cls;
    struct cb_http *http = x->http;
    long n;
    (void)position;
    pthread_mutex_lock(&http->mutex);
    n = x->rep.next(x->rep.ctx, out, max);
    if (n == 0 && atomic_load(&http->draining))
        n = -1;
    if (n == 0) {
        x->next_waiting = http->waiting;
        http->waiting = x;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&http->mutex);
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

void cb_http_wake(struct cb_http *http)
{
    pthread_mutex_lock(&http->mutex);
    for (struct exchange *x = http->waiting; x; x = x->next_waiting)
        MHD_resume_connection(x->connection);
    http->waiting = NULL;
    pthread_mutex_unlock(&http->mutex);
}

/* ---- clients that take their time ---- */

/* The client has `seconds` from now for what it sends next; 0: as long as it likes. */
static void allow_seconds(struct cb_http *http, struct MHD_Connection *connection, int64_t seconds)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *peer = info ? info->socket_context : NULL;
    if (!peer)
        return;
    pthread_mutex_lock(&http->mutex);
    peer->until_ns = seconds ? cb_clock_ns() + seconds * 1000000000 : INT64_MAX;
    pthread_mutex_unlock(&http->mutex);
}

/* libmicrohttpd's connection callback; the socket is open during both calls. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct cb_http *http = cls;
    struct peer *peer = *context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_mutex_lock(&http->mutex);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED && peer)
        peer->fd = -1;
    for (int64_t i = 0;
         what == MHD_CONNECTION_NOTIFY_STARTED && info && i < http->config->connections; i++)
        if (http->peer[i].fd < 0) {
            http->peer[i] =
                (struct peer){ info->connect_fd,
                               cb_clock_ns() + http->config->header_seconds * 1000000000 };
            *context = &http->peer[i];
            break;
        }
    pthread_mutex_unlock(&http->mutex);
}

void cb_http_tick(struct cb_http *http)
{
    const int64_t now = cb_clock_ns();
    pthread_mutex_lock(&http->mutex);
    for (int64_t i = 0; i < http->config->connections; i++)
        if (http->peer[i].fd >= 0 && http->peer[i].until_ns < now) {
            shutdown(http->peer[i].fd, SHUT_RDWR); /* the network loop sees the end and cleans up */
            http->peer[i].until_ns = INT64_MAX;
        }
    pthread_mutex_unlock(&http->mutex);
}

/* ---- answers ---- */

static struct MHD_Response *make_response(struct exchange *x)
{
    struct cb_reply *rep = &x->rep;
    if (rep->next) {
        x->streaming = true;
        atomic_fetch_sub(&x->http->busy, 1);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, x, NULL);
    }
    if (rep->fd >= 0) {
        const int fd = rep->fd;
        rep->fd = -1; /* the response closes it */
        return MHD_create_response_from_fd64(rep->file_len, fd);
    }
    return MHD_create_response_from_buffer(rep->body.len, rep->body.data ? rep->body.data : "",
                                           MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer(struct exchange *x)
{
    struct cb_reply *rep = &x->rep;
    struct MHD_Response *response = make_response(x);
    char retry[24];
    enum MHD_Result sent;
    if (!response)
        return MHD_NO;
    if (rep->type)
        MHD_add_response_header(response, "Content-Type", rep->type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (int i = 0; i < rep->n_headers; i++)
        MHD_add_response_header(response, rep->header[i].name, rep->header[i].value);
    if (rep->code == 503) {
        snprintf(retry, sizeof retry, "%lld", (long long)x->http->config->retry_seconds);
        MHD_add_response_header(response, "Retry-After", retry);
    }
    if (atomic_load(&x->http->draining) || x->phase == REFUSED)
        MHD_add_response_header(response, "Connection", "close");
    sent = MHD_queue_response(x->connection, (unsigned)rep->code, response);
    MHD_destroy_response(response);
    x->phase = SENT;
    return sent;
}

/* A worker's part. */
static void run_request(void *ctx)
{
    struct exchange *x = ctx;
    struct cb_http *http = x->http;
    x->req.started_ns = cb_clock_ns();
    if (x->req.started_ns - x->req.queued_ns > http->config->queue_seconds * 1000000000)
        cb_reply_error(&x->rep, 504, "the request waited too long for a worker (queue-seconds)");
    else
        cb_dispatch(http->app, x->route, &x->req, &x->rep);
    x->phase = ANSWER;
    MHD_resume_connection(x->connection); /* from here on x is the network loop's */
}

static enum MHD_Result end_body(struct exchange *x)
{
    struct cb_http *http = x->http;
    struct cb_status st = cb_body_close(&x->body);
    x->req.queued_ns = cb_clock_ns();
    x->req.body = x->body.bytes;
    allow_seconds(http, x->connection, 0);
    if (st.code) {
        cb_reply_error(&x->rep, cb_router_code(st.code), st.msg);
        return answer(x);
    }
    if (x->route->at_once) {
        x->req.started_ns = x->req.queued_ns;
        cb_dispatch(http->app, x->route, &x->req, &x->rep);
        return answer(x);
    }
    if (atomic_load(&http->draining)) {
        cb_reply_error(&x->rep, 503, "the server is stopping");
        return answer(x);
    }
    x->phase = WORKING;
    MHD_suspend_connection(x->connection);
    if (!cb_workers_push(http->app->workers, run_request, x)) {
        cb_reply_error(&x->rep, 503, "the queue is full (queue)");
        x->phase = ANSWER;
        MHD_resume_connection(x->connection);
    }
    return MHD_YES;
}

/* ---- the beginning ---- */

static const char *header(struct exchange *x, const char *name)
{
    const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

/* A copy in the arena; NULL without memory. */
static const char *keep_header(struct exchange *x, const char *name)
{
    const char *value = header(x, name);
    return cb_arena_text(&x->arena, value, strlen(value));
}

/* Content-Length; false when that is no number. */
static bool body_length(struct exchange *x, size_t *out)
{
    const char *text = header(x, "Content-Length");
    char *end;
    errno = 0;
    *out = 0;
    if (*header(x, "Transfer-Encoding"))
        *out = CB_BODY_LENGTH_UNKNOWN;
    else if (*text) {
        *out = strtoull(text, &end, 10);
        return !errno && !*end && *text != '-';
    }
    return true;
}

static void answer_options(struct exchange *x, const char *allow)
{
    x->rep.code = 204;
    x->rep.type = NULL;
    cb_reply_header(&x->rep, "Allow", cb_arena_text(&x->arena, allow, strlen(allow)));
    x->phase = REFUSED;
}

static void find_route(struct exchange *x)
{
    char allow[CB_ALLOW_TEXT], text[300];
    x->route = cb_router_find(&x->req, allow);
    if (x->route)
        return;
    if (!*allow) {
        snprintf(text, sizeof text, "there is nothing at %.200s", x->req.path);
        refuse(x, 404, text);
    } else if (strcmp(x->req.method, "OPTIONS") == 0) {
        answer_options(x, allow);
    } else {
        snprintf(text, sizeof text, "%.20s is not allowed here; %s are", x->req.method, allow);
        refuse(x, 405, text);
        cb_reply_header(&x->rep, "Allow", cb_arena_text(&x->arena, allow, strlen(allow)));
    }
}

/* All headers are there: route, limits, place for the body. */
static enum MHD_Result begin_request(struct exchange *x, const char *method)
{
    const bool expects = strcasecmp(header(x, "Expect"), "100-continue") == 0;
    size_t len = 0;
    x->started = true;
    allow_seconds(x->http, x->connection, x->http->config->body_seconds);
    x->req.method = cb_arena_text(&x->arena, method, strlen(method));
    x->req.content_type = keep_header(x, "Content-Type");
    x->req.accept = keep_header(x, "Accept");
    x->req.last_event = keep_header(x, "Last-Event-ID");
    if (!x->req.method || !x->req.content_type || !x->req.accept || !x->req.last_event)
        return MHD_NO;
    if (!body_length(x, &len))
        refuse(x, 400, "Content-Length is no number");
    if (x->phase == NEW)
        find_route(x);
    if (x->phase == NEW) {
        const size_t limit = cb_router_limit(x->route, x->http->config, &x->setting);
        x->phase = BODY;
        refuse_if(x, cb_body_open(&x->body, &x->arena, limit, x->setting, len));
    }
    /* A refused body is not read where the client waits for our word, or where it is long. */
    if (x->phase == REFUSED && len && (expects || len > x->left))
        return answer(x);
    return MHD_YES;
}

/* libmicrohttpd's uri callback: the first that is heard of a request. Its result is the exchange,
 * NULL without memory. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct cb_http *http = cls;
    struct exchange *x;
    const size_t memory = (size_t)http->config->request_memory;
    if (cb_arena_begin(memory + ARENA_EXTRA, sizeof *x, &x).code)
        return NULL;
    x->http = http;
    x->connection = connection;
    cb_body_init(&x->body, &http->bodies);
    x->began_ns = cb_clock_ns();
    x->req = (struct cb_request){
        .arena = &x->arena, .id = atomic_fetch_add(&http->count, 1) + 1, .method = "?", .path = "?"
    };
    cb_reply_init(&x->rep, memory);
    refuse_if(x, cb_request_target(&x->req, target));
    atomic_fetch_add(&http->busy, 1);
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls, (void)connection, (void)url, (void)version;
    if (!x)
        return MHD_NO;
    if (!x->started)
        return begin_request(x, method);
    if (*len) {
        if (x->phase == BODY)
            refuse_if(x, cb_body_add(&x->body, x->setting, data, *len));
        else if (*len > x->left)
            return MHD_NO;
        else
            x->left -= *len;
        *len = 0;
        return MHD_YES;
    }
    if (x->phase == BODY)
        return end_body(x);
    return x->phase == REFUSED || x->phase == ANSWER ? answer(x) : MHD_YES;
}

/* ---- the end ---- */

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *con_cls;
    struct cb_http *http = cls;
    if (!x)
        return;
    const double ms = (double)(cb_clock_ns() - x->began_ns) / 1e6;
    if (x->phase == SENT)
        cb_metrics_request(http->app->metrics, x->route ? cb_router_index(x->route) : SIZE_MAX,
                           x->rep.code, ms / 1e3);
    cb_log(CB_INFO, "event=request id=%llu method=%s path=%.200s code=%d ms=%.2f in=%zu out=%zu%s",
           (unsigned long long)x->req.id, x->req.method, x->req.path,
           x->phase == SENT ? x->rep.code : 0, ms, x->body.received, x->rep.body.len,
           how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " aborted=1");
    if (!x->streaming)
        atomic_fetch_sub(&http->busy, 1);
    allow_seconds(http, connection, http->config->idle_seconds + http->config->header_seconds);
    cb_body_deinit(&x->body);
    cb_reply_deinit(&x->rep);
    cb_arena_deinit(&x->arena);
    *con_cls = NULL;
}

static void on_library_message(void *cls, const char *fmt, va_list args)
{
    char text[300];
    (void)cls;
    vsnprintf(text, sizeof text, fmt, args);
    cb_log(CB_WARN, "event=http message=\"%s\"", text);
}

/* A listening socket on the configured address. */
static struct cb_status open_socket(const struct cb_config *config, int *out)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV },
                    *found = NULL;
    char port[8];
    int fd, error, yes = 1;
    snprintf(port, sizeof port, "%d", (int)config->port);
    if ((error = getaddrinfo(config->host, port, &hints, &found)))
        return cb_fail(CB_ERR_INPUT, "host %s: %s", config->host, gai_strerror(error));
    fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                found->ai_protocol);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, SOMAXCONN)) {
        struct cb_status st = cb_fail(CB_ERR_IO, "%s:%s: %s", config->host, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        return st;
    }
    freeaddrinfo(found);
    *out = fd;
    return cb_ok();
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

struct cb_status cb_http_create(struct cb_app *app, struct cb_http **out)
{
    const struct cb_config *config = app->config;
    struct cb_http *http;
    int fd = -1;
    CB_TRY(cb_arena_get(&app->arena, 1, sizeof *http, "http", &http));
    CB_TRY(cb_arena_get(&app->arena, (size_t)config->connections, sizeof *http->peer, "connections",
                        &http->peer));
    CB_TRY(open_socket(config, &fd));
    *out = http; /* before the first request, whose handler may ask for it */
    http->app = app;
    http->config = config;
    http->port = port_of(fd);
    http->bodies = (struct cb_body_pool){ .store = app->store,
                                          .memory = (size_t)config->body_memory,
                                          .total = (size_t)config->body_total };
    pthread_mutex_init(&http->mutex, NULL);
    for (int64_t i = 0; i < config->connections; i++)
        http->peer[i].fd = -1;
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_library_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)config->header_bytes,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_seconds, MHD_OPTION_END);
    if (!http->daemon) {
        *out = NULL;
        close(fd);
        return cb_fail(CB_ERR_IO, "%s:%d: the HTTP server cannot start", config->host, http->port);
    }
    return cb_ok();
}

int cb_http_port(const struct cb_http *http)
{
    return http->port;
}

void cb_http_drain(struct cb_http *http)
{
    const int fd = MHD_quiesce_daemon(http->daemon);
    atomic_store(&http->draining, true);
    if (fd >= 0)
        close(fd);
    cb_http_wake(http); /* streams end */
}

bool cb_http_draining(struct cb_http *http)
{
    return atomic_load(&http->draining);
}

size_t cb_http_busy(struct cb_http *http)
{
    return atomic_load(&http->busy);
}

void cb_http_destroy(struct cb_http *http)
{
    if (!http)
        return;
    cb_http_wake(http); /* a suspended connection may not be stopped */
    MHD_stop_daemon(http->daemon);
    pthread_mutex_destroy(&http->mutex);
}
