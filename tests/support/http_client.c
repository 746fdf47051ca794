#define _GNU_SOURCE /* strcasestr, memmem */
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"

#define ANSWER_MS 120000

int http_connect(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool http_send(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        const ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Puts a chunked body (RFC 9112, 7.1) together in place. */
static size_t join_chunks(char *body, size_t len)
{
    char *from = body, *to = body, *const end = body + len;
    while (from < end) {
        char *text;
        size_t n = strtoul(from, &text, 16);
        char *data = memmem(text, (size_t)(end - text), "\r\n", 2);
        if (!data || n == 0)
            break;
        data += 2;
        if (n > (size_t)(end - data))
            n = (size_t)(end - data);
        memmove(to, data, n);
        to += n;
        from = data + n + 2;
    }
    return (size_t)(to - body);
}

static void parse(struct http_reply *reply)
{
    char *head = reply->all.data, *end = head ? strstr(head, "\r\n\r\n") : NULL;
    char text[64];
    if (!end || sscanf(head, "HTTP/1.%*d %d", &reply->code) != 1)
        return;
    reply->body = end + 4;
    reply->len = reply->all.len - (size_t)(end + 4 - head);
    end[2] = 0; /* headers are text of their own */
    if (http_header(reply, "Transfer-Encoding", text, sizeof text) &&
        strcasecmp(text, "chunked") == 0)
        reply->len = join_chunks(end + 4, reply->len);
    end[4 + reply->len] = 0;
}

struct http_reply http_receive(int fd, int ms)
{
    struct http_reply reply = { .code = 0 };
    const double until = cb_clock_ms() + ms;
    char piece[65536];
    cb_buf_init(&reply.all, (size_t)1 << 30);
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        const double left = until - cb_clock_ms();
        ssize_t n;
        if (left <= 0 || poll(&p, 1, (int)left + 1) <= 0 ||
            (n = recv(fd, piece, sizeof piece, 0)) <= 0)
            break;
        cb_buf_add(&reply.all, piece, (size_t)n);
    }
    parse(&reply);
    return reply;
}

struct http_reply http_call(int port, const char *method, const char *target, const char *headers,
                            const void *body, size_t len)
{
    struct http_reply reply = { .code = 0 };
    const int fd = http_connect(port);
    char head[4096];
    int n;
    if (fd < 0)
        return reply;
    n = body ? snprintf(head, sizeof head,
                        "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%sContent-Length: %zu"
                        "\r\n\r\n",
                        method, target, headers, len)
             : snprintf(head, sizeof head,
                        "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method,
                        target, headers);
    if (http_send(fd, head, (size_t)n) && len && !http_send(fd, body, len))
        shutdown(fd, SHUT_WR); /* refused midway: the answer may still be there */
    reply = http_receive(fd, ANSWER_MS);
    close(fd);
    return reply;
}

struct http_reply http_get(int port, const char *target)
{
    return http_call(port, "GET", target, "", NULL, 0);
}

void http_free(struct http_reply *reply)
{
    cb_buf_deinit(&reply->all);
    *reply = (struct http_reply){ .code = 0 };
}

bool http_header(const struct http_reply *reply, const char *name, char *text, size_t size)
{
    char line[80];
    const char *at;
    snprintf(line, sizeof line, "\r\n%s:", name);
    if (!reply->all.data || !(at = strcasestr(reply->all.data, line)))
        return false;
    at += strlen(line);
    at += strspn(at, " ");
    snprintf(text, size, "%.*s", (int)strcspn(at, "\r"), at);
    return true;
}

bool http_has(const struct http_reply *reply, const char *text)
{
    return reply->body && memmem(reply->body, reply->len, text, strlen(text)) != NULL;
}
