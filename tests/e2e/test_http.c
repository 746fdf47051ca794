/* The real server at its edge: wrong, large, slow and broken requests, full queues, and its end. */
#include <poll.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "tests/e2e/e2e.h"

static struct server_process server;

static void stop(void)
{
    e2e_clean(&server);
}

TestSuite(e2e_http, .fini = stop);

Test(e2e_http, knows_its_paths_and_methods)
{
    char allow[64];
    server = e2e_start("", "");
    e2e_expect_code(http_get(server.port, "/nothing/here"), 404);
    e2e_expect_code(http_get(server.port, "/jobs/none"), 404);
    e2e_expect_code(http_get(server.port, "/datasets/none"), 404);
    e2e_expect_code(http_get(server.port, "/%00"), 400);
    struct http_reply r = http_call(server.port, "PUT", "/predict", "", "x", 1);
    cr_expect(eq(int, r.code, 405));
    cr_expect(http_header(&r, "Allow", allow, sizeof allow));
    cr_expect(eq(str, (char *)allow, "POST, OPTIONS"));
    http_free(&r);
    r = http_call(server.port, "OPTIONS", "/models/x", "", NULL, 0);
    cr_expect(eq(int, r.code, 204));
    http_free(&r);
    r = http_call(server.port, "HEAD", "/models", "", NULL, 0);
    cr_expect(eq(int, r.code, 200));
    cr_expect(eq(sz, r.len, 0));
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_http, answers_probes_metrics_and_its_description)
{
    server = e2e_start("", "");
    e2e_expect_code(http_get(server.port, "/livez"), 200);
    e2e_expect_code(http_get(server.port, "/readyz"), 200);
    e2e_expect_code(http_get(server.port, "/"), 200);
    struct http_reply r = http_get(server.port, "/metrics");
    cr_expect(http_has(
        &r, "cambium_http_requests_total{method=\"GET\",route=\"/livez\",code=\"2xx\"} 1\n"));
    cr_expect(http_has(&r, "cambium_http_request_duration_seconds_bucket{"));
    http_free(&r);
    r = http_get(server.port, "/openapi.json");
    cr_expect(http_has(&r, "\"openapi\":\"3.1.0\""));
    cr_expect(http_has(&r, "\"/models/{name}\":{"));
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_http, refuses_bodies_over_the_limit)
{
    char *big = calloc(1, 300000);
    char chunk[20000] = { 0 };
    server = e2e_start("", "--photo-bytes 100K --refused-bytes 1M");
    e2e_expect_code(http_call(server.port, "POST", "/predict", "", big, 300000), 413);
    e2e_expect_code(http_call(server.port, "POST", "/models", "", big, 10), 405);
    e2e_expect_code(http_call(server.port, "POST", "/livez", "", big, 10), 405);
    /* chunked: known only when the count passes the limit */
    const int fd = http_connect(server.port);
    const char head[] = "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: "
                        "close\r\nTransfer-Encoding: chunked\r\n\r\n";
    cr_assert(http_send(fd, head, sizeof head - 1));
    for (int i = 0; i < 10; i++)
        if (!http_send(fd, "4e20\r\n", 6) || !http_send(fd, chunk, sizeof chunk) ||
            !http_send(fd, "\r\n", 2))
            break;
    http_send(fd, "0\r\n\r\n", 5);
    e2e_expect_code(http_receive(fd, 5000), 413);
    close(fd);
    free(big);
    e2e_end(&server);
}

Test(e2e_http, answers_at_once_to_a_client_that_asks_before_it_sends)
{
    const char head[] = "POST /predict HTTP/1.1\r\nHost: x\r\nExpect: "
                        "100-continue\r\nContent-Length: 9000000000\r\n\r\n";
    server = e2e_start("", "");
    const int fd = http_connect(server.port);
    cr_assert(http_send(fd, head, sizeof head - 1));
    e2e_expect_code(http_receive(fd, 3000), 413);
    close(fd);
    e2e_end(&server);
}

Test(e2e_http, keeps_large_bodies_in_a_file)
{
    struct cb_buf photo;
    server = e2e_start("", "--body-memory 100");
    cb_buf_init(&photo, 1 << 20);
    make_photo(60, 10, 200, 10, 3, &photo);
    e2e_expect_code(http_call(server.port, "POST", "/predict", "", photo.data, photo.len), 200);
    cb_buf_deinit(&photo);
    e2e_end(&server);
}

Test(e2e_http, survives_garbage)
{
    static const char *const garbage[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02",
        "POST /predict HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: -5\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        "GET predict HTTP/1.1\r\n\r\n",
        "GET /?%%%%%% HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nshort",
    };
    server = e2e_start("", "");
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        const int fd = http_connect(server.port);
        struct http_reply r;
        http_send(fd, garbage[i], strlen(garbage[i]));
        r = http_receive(fd, 100);
        cr_expect(r.code == 0 || (r.code >= 400 && r.code < 500) || r.code == 505,
                  "garbage %zu: %d", i, r.code);
        http_free(&r);
        close(fd);
    }
    e2e_expect_code(http_get(server.port, "/livez"), 200);
    e2e_end(&server);
}

Test(e2e_http, closes_on_silent_clients)
{
    server = e2e_start("", "--idle-seconds 1");
    const int fd = http_connect(server.port);
    struct http_reply r;
    const double began = cb_clock_ms();
    static const char cut[] = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";
    http_send(fd, cut, strlen(cut));
    r = http_receive(fd, 10000);
    cr_expect(cb_clock_ms() - began < 8000, "closed in time");
    http_free(&r);
    close(fd);
    e2e_expect_code(http_get(server.port, "/livez"), 200);
    e2e_end(&server);
}

Test(e2e_http, answers_many_requests_on_one_connection)
{
    const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
               last[] = "GET /livez HTTP/1.0\r\n\r\n";
    server = e2e_start("", "");
    const int fd = http_connect(server.port);
    int n = 0;
    for (int i = 0; i < 20; i++)
        cr_assert(http_send(fd, request, sizeof request - 1));
    cr_assert(http_send(fd, last, sizeof last - 1));
    struct http_reply r = http_receive(fd, 5000);
    for (size_t i = 0; i + 9 < r.all.len; i++)
        n += memcmp(r.all.data + i, "{\"status\"", 9) == 0;
    cr_expect(eq(int, n, 21));
    http_free(&r);
    close(fd);
    e2e_end(&server);
}

/* Sends n predictions of a photo without reading the answers; the sockets. */
static void send_many(int n, int *fd)
{
    struct cb_buf photo;
    char head[200];
    cb_buf_init(&photo, 1 << 20);
    make_photo(64, 10, 200, 10, 3, &photo);
    const int len = snprintf(head, sizeof head,
                             "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             photo.len);
    for (int i = 0; i < n; i++) {
        fd[i] = http_connect(server.port);
        cr_assert(http_send(fd[i], head, (size_t)len));
        cr_assert(http_send(fd[i], photo.data, photo.len));
    }
    cb_buf_deinit(&photo);
}

Test(e2e_http, loses_no_request_when_the_queue_is_full)
{
    enum { N = 200 };
    int fd[N], ok = 0, busy = 0;
    server = e2e_start("", "--workers 1 --queue 2");
    send_many(N, fd);
    for (int i = 0; i < N; i++) {
        struct http_reply r = http_receive(fd[i], 20000);
        char retry[16];
        ok += r.code == 200;
        busy += r.code == 503 && http_header(&r, "Retry-After", retry, sizeof retry);
        http_free(&r);
        close(fd[i]);
    }
    cr_expect(eq(int, ok + busy, N));
    cr_expect(gt(int, ok, 0));
    e2e_end(&server);
}

Test(e2e_http, finishes_what_runs_when_asked_to_stop)
{
    enum { N = 20 };
    int fd[N], ok = 0, busy = 0, lost = 0;
    server = e2e_start("", "");
    send_many(N, fd);
    poll(NULL, 0, 20);
    cr_expect(eq(int, server_stop(&server, SIGTERM), 0));
    for (int i = 0; i < N; i++) {
        struct http_reply r = http_receive(fd[i], 2000);
        ok += r.code == 200;
        busy += r.code == 503;
        lost += r.code == 0;
        http_free(&r);
        close(fd[i]);
    }
    cr_expect(eq(int, ok + busy, N), "%d lost", lost);
    cr_expect(server_logged(&server, "event=stopping"));
    e2e_end(&server);
}

Test(e2e_http, forgets_clients_that_go_away)
{
    int fd[20];
    bool through = false;
    server = e2e_start("", "--workers 1");
    send_many(20, fd);
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    for (int i = 0; i < 100 && !through; i++) {
        struct http_reply r = http_get(server.port, "/metrics");
        through = http_has(&r, "cambium_requests_open 1\n");
        http_free(&r);
        poll(NULL, 0, 50);
    }
    cr_expect(through, "requests stay open");
    e2e_end(&server);
}

/* A byte now and then; true when the server ends it within `ms`. */
static bool ends_slow_client(const char *head, int ms)
{
    const int fd = http_connect(server.port);
    const double until = cb_clock_ms() + ms;
    bool ended = false;
    http_send(fd, head, strlen(head));
    while (!ended && cb_clock_ms() < until) {
        char c;
        ended = !http_send(fd, "x", 1) || recv(fd, &c, 1, MSG_DONTWAIT) == 0;
        poll(NULL, 0, 100);
    }
    close(fd);
    return ended;
}

Test(e2e_http, ends_clients_that_send_too_slowly)
{
    server = e2e_start("", "--header-seconds 1 --body-seconds 1");
    cr_expect(ends_slow_client("GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", 6000));
    cr_expect(ends_slow_client(
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 6000));
    e2e_expect_code(http_get(server.port, "/livez"), 200);
    e2e_end(&server);
}
