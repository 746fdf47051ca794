#define _GNU_SOURCE /* strcasestr */
#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/http_client.h"

/* The head of a request; false when none comes. */
static bool read_head(int fd, char *out, size_t room)
{
    size_t len = 0;
    while (len + 1 < room) {
        const ssize_t n = recv(fd, out + len, room - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        out[len] = 0;
        if (strstr(out, "\r\n\r\n"))
            return true;
    }
    return false;
}

static bool head(int fd, const char *text)
{
    return http_send(fd, text, strlen(text));
}

/* Answers that are no file; false when the manner gives one. */
static bool answer_without_file(struct http_server *s, int fd, const char *request)
{
    const enum http_manner manner = s->manner;
    char text[256];
    switch (manner) {
    case HTTP_NOT_FOUND:
        return head(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"), true;
    case HTTP_FAILS: return head(fd, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"), true;
    case HTTP_EMPTY: return head(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), true;
    case HTTP_TO_FILE:
        return head(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
                        "Content-Length: 0\r\n\r\n"),
               true;
    case HTTP_ONCE_AROUND:
        if (strncmp(request, "GET /there", 10) == 0)
            return false;
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 Found\r\nLocation: %s/there\r\n"
                 "Content-Length: 0\r\n\r\n",
                 s->base);
        return head(fd, text), true;
    case HTTP_LOOPS:
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 Found\r\nLocation: %s/round\r\n"
                 "Content-Length: 0\r\n\r\n",
                 s->base);
        return head(fd, text), true;
    default: return false;
    }
}

/* "Range: bytes=N-", kept to only when If-Range, if there, is our ETag. */
static size_t asked_from(struct http_server *s, const char *request, const char *etag)
{
    const char *range = strcasestr(request, "\r\nRange: bytes="),
               *only = strcasestr(request, "\r\nIf-Range: ");
    if (!range)
        return 0;
    s->ranges++;
    if (only && strncmp(only + 12, etag, strlen(etag)))
        return 0;
    return (size_t)strtoul(range + 15, NULL, 10);
}

static void send_endlessly(int fd)
{
    char part[4096] = { 0 };
    if (!head(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
        return;
    for (int i = 0; i < 100000 && http_send(fd, part, sizeof part); i++)
        ;
}

static void send_file(struct http_server *s, int fd, const char *request)
{
    const enum http_manner m = s->manner;
    const char *etag = m == HTTP_CHANGED ? "\"second\"" : "\"first\"";
    size_t from = asked_from(s, request, etag), announced, sent;
    char text[512], *file = malloc(s->len + 1);
    memcpy(file, s->file, s->len);
    if (m == HTTP_WRONG_BYTES)
        file[s->len / 2] ^= 4;
    if (m == HTTP_CHANGED)
        memset(file, 'x', s->len);
    from = m == HTTP_NO_RANGES ? 0 : m == HTTP_OTHER_RANGE && from ? 1 : from;
    announced = sent = s->len - (from < s->len ? from : 0);
    announced += m == HTTP_SAYS_MORE ? 100 : 0;
    announced /= m == HTTP_SAYS_LESS ? 2 : 1;
    sent /= m == HTTP_BREAKS_OFF || m == HTTP_STALLS ? 2 : 1;
    if (m == HTTP_NO_LENGTH)
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    else if (from >= s->len)
        snprintf(text, sizeof text, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n");
    else if (from)
        snprintf(text, sizeof text,
                 "HTTP/1.1 206 Part\r\nETag: %s\r\nContent-Length: %zu\r\n"
                 "Content-Range: bytes %zu-%zu/%zu\r\n\r\n",
                 etag, announced, from, s->len - 1, s->len);
    else
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %zu\r\n\r\n",
                 etag, announced);
    if (head(fd, text) && from < s->len && http_send(fd, file + from, sent) && m == HTTP_STALLS)
        recv(fd, text, sizeof text, 0); /* until the other side has had enough */
    free(file);
}

static void *serve(void *ctx)
{
    struct http_server *s = ctx;
    char request[4096];
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        if (!read_head(fd, request, sizeof request))
            continue;
        s->requests++;
        if (s->manner == HTTP_ENDLESS)
            send_endlessly(fd);
        else if (!answer_without_file(s, fd, request))
            send_file(s, fd, request);
    }
    return NULL;
}

void http_server_start(struct http_server *s, const char *file, size_t len)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    s->file = file;
    s->len = len;
    s->manner = HTTP_HONEST;
    s->requests = s->ranges = 0;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(s->fd, 8) == 0 && getsockname(s->fd, (struct sockaddr *)&address, &size) == 0);
    s->port = ntohs(address.sin_port);
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%d", s->port);
    setenv("no_proxy", "127.0.0.1", 1); /* the network of this machine, whatever is set */
    cr_assert(pthread_create(&s->thread, NULL, serve, s) == 0);
}

void http_server_stop(struct http_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}
