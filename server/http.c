/* server/http.c - the states of a request, and who moves it:
 *
 *   begin_request      on_request      end_body            run_request          answer         on_completed
 *   ------------> NEW ----------> BODY --------> WORKING ------------> ANSWER --------> SENT ------------> (freed)
 *                  |               |                ^ connection is       ^
 *                  |               |                  suspended           |
 *                  +---------------+--------- refuse: REFUSED ------------+ (a small rest of the body is read first)
 *
 * WORKING belongs to a worker thread, every other state to the network loop. A stream (reply->next) that has nothing to
 * send suspends its connection too and stands in http->waiting until cb_http_wake. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "server/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "server/app.h"
#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/store.h"
#include "server/workers.h"

#define ARENA_EXTRA ((size_t)1 << 20) /* besides request-memory: the exchange itself, target, headers */

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
    size_t limit, received, held; /* of the body: allowed, read, counted in http->body_bytes */
    size_t left;                  /* of a refused body: what may still be read */
    uint8_t *memory;              /* the body, in the arena; or */
    int spool;                    /* in an unlinked file; -1: none */
    bool streaming, waiting;      /* http->mutex: waiting */
    struct exchange *next_waiting;
};

struct cb_http {
    struct cb_app *app;
    const struct cb_config *config;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool draining;
    atomic_size_t busy, body_bytes;
    atomic_uint_fast64_t count;
    pthread_mutex_t mutex; /* guards waiting; may be held while a stream's `next` takes its own lock */
    struct exchange *waiting;
};

/* ---- bodies ---- */

static void refuse(struct exchange *x, int code, const char *detail)
{
    cb_reply_error(&x->rep, code, detail);
    x->phase = REFUSED;
    x->left = (size_t)x->http->config->refused_bytes;
}

/* Counts `more` bytes against what all bodies together may hold. */
static bool hold(struct exchange *x, size_t more)
{
    const size_t total = (size_t)x->http->config->body_total;
    const size_t before = atomic_fetch_add(&x->http->body_bytes, more);
    x->held += more;
    return before <= total && more <= total - before;
}

static void refuse_length(struct exchange *x)
{
    const char *setting;
    char text[200];
    const size_t limit = cb_router_limit(x->route, x->http->config, &setting);
    if (limit)
        snprintf(text, sizeof text, "the body is larger than %zu bytes (%s)", limit, setting);
    else
        snprintf(text, sizeof text, "%s", setting);
    refuse(x, 413, text);
}

/* Chooses where the body will lie. len is SIZE_MAX when the client does not say. */
static void open_body(struct exchange *x, size_t len)
{
    const bool small = len <= (size_t)x->http->config->body_memory;
    x->phase = BODY;
    if (len == 0)
        return;
    if (small && (x->memory = cb_arena_alloc(&x->arena, len, 1)))
        return;
    x->spool = cb_store_spool(x->http->app->store);
    if (x->spool < 0)
        refuse(x, 503, "there is no room for the body in the data folder");
}

static bool write_spool(int fd, const char *data, size_t len)
{
    while (len) {
        const ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void take_chunk(struct exchange *x, const char *data, size_t len)
{
    const bool counted = x->memory != NULL;
    if (len > x->limit - x->received)
        refuse_length(x);
    else if (!counted && !hold(x, len))
        refuse(x, 503, "too many bytes of bodies at once (body-total)");
    else if (x->memory)
        memcpy(x->memory + x->received, data, len);
    else if (!write_spool(x->spool, data, len))
        refuse(x, 503, "there is no room for the body in the data folder");
    x->received += len;
}

/* The body as bytes; a spooled one is mapped. */
static bool close_body(struct exchange *x)
{
    void *p = x->memory;
    if (x->received && !p) {
        p = mmap(NULL, x->received, PROT_READ, MAP_PRIVATE, x->spool, 0);
        if (p == MAP_FAILED)
            return false;
    }
    x->req.body = (struct cb_bytes){ p, x->received };
    return true;
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
        x->waiting = true;
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
    for (struct exchange *x = http->waiting; x; x = x->next_waiting) {
        x->waiting = false;
        MHD_resume_connection(x->connection);
    }
    http->waiting = NULL;
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
    return MHD_create_response_from_buffer(rep->body.len, rep->body.data ? rep->body.data : "", MHD_RESPMEM_PERSISTENT);
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
    x->req.queued_ns = cb_clock_ns();
    if (!close_body(x)) {
        cb_reply_error(&x->rep, 503, "no memory for the body");
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

/* Content-Length; SIZE_MAX for a chunked body. Errors: not a number. */
static bool body_length(struct exchange *x, size_t *out)
{
    const char *text = header(x, "Content-Length");
    char *end;
    errno = 0;
    *out = 0;
    if (*header(x, "Transfer-Encoding"))
        *out = SIZE_MAX;
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
    const char *setting;
    size_t len = 0;
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
        x->limit = cb_router_limit(x->route, x->http->config, &setting);
        if (len != SIZE_MAX && len > x->limit)
            refuse_length(x);
        else if (len != SIZE_MAX && len <= (size_t)x->http->config->body_memory && !hold(x, len))
            refuse(x, 503, "too many bytes of bodies at once (body-total)");
        else
            open_body(x, len);
    }
    /* A refused body is not read where the client waits for our word, or where it is long. */
    if (x->phase == REFUSED && len && (expects || len > x->left))
        return answer(x);
    return MHD_YES;
}

/* libmicrohttpd's uri callback: the first that is heard of a request. Its result is the exchange, NULL without memory. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct cb_http *http = cls;
    struct cb_arena arena;
    struct exchange *x;
    struct cb_status st;
    const size_t memory = (size_t)http->config->request_memory;
    if (cb_arena_init(&arena, memory + ARENA_EXTRA).code)
        return NULL;
    x = cb_arena_alloc(&arena, 1, sizeof *x);
    x->arena = arena;
    x->http = http;
    x->connection = connection;
    x->spool = -1;
    x->began_ns = cb_clock_ns();
    x->req = (struct cb_request){ .arena = &x->arena, .id = atomic_fetch_add(&http->count, 1) + 1, .method = "?",
                                  .path = "?" };
    cb_reply_init(&x->rep, memory);
    st = cb_request_target(&x->req, target);
    if (st.code)
        refuse(x, cb_router_code(st.code), st.msg);
    atomic_fetch_add(&http->busy, 1);
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls, (void)connection, (void)url, (void)version;
    if (!x)
        return MHD_NO;
    if (strcmp(x->req.method, "?") == 0)
        return begin_request(x, method);
    if (x->phase == BODY && cb_clock_ns() - x->began_ns > x->http->config->body_seconds * 1000000000)
        return MHD_NO;
    if (*len) {
        if (x->phase == BODY)
            take_chunk(x, data, *len);
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
    struct cb_arena arena;
    (void)connection;
    if (!x)
        return;
    const double ms = (double)(cb_clock_ns() - x->began_ns) / 1e6;
    if (x->phase == SENT)
        cb_metrics_request(http->app->metrics, x->route ? cb_router_index(x->route) : SIZE_MAX, x->rep.code, ms / 1e3);
    cb_log(CB_INFO, "event=request id=%llu method=%s path=%.200s code=%d ms=%.2f in=%zu out=%zu%s",
           (unsigned long long)x->req.id, x->req.method, x->req.path, x->phase == SENT ? x->rep.code : 0, ms,
           x->received, x->rep.body.len, how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " aborted=1");
    if (!x->streaming)
        atomic_fetch_sub(&http->busy, 1);
    atomic_fetch_sub(&http->body_bytes, x->held);
    if (!x->memory && x->req.body.data)
        cb_file_unmap(&x->req.body);
    if (x->spool >= 0)
        close(x->spool);
    cb_reply_deinit(&x->rep);
    arena = x->arena;
    cb_arena_deinit(&arena);
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
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
    char port[8];
    int fd, error, yes = 1;
    snprintf(port, sizeof port, "%d", (int)config->port);
    if ((error = getaddrinfo(config->host, port, &hints, &found)))
        return cb_fail(CB_ERR_INPUT, "host %s: %s", config->host, gai_strerror(error));
    fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, found->ai_protocol);
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
    CB_TRY(open_socket(config, &fd));
    *out = http; /* before the first request, whose handler may ask for it */
    http->app = app;
    http->config = config;
    http->port = port_of(fd);
    pthread_mutex_init(&http->mutex, NULL);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, http,
        MHD_OPTION_EXTERNAL_LOGGER, on_library_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)config->header_bytes,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_seconds,
        MHD_OPTION_END);
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
