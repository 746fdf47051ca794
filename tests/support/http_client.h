/* tests/support/http_client.h - a small HTTP/1.1 client on plain sockets: what tests of the server
 * speak with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/buf.h"

struct http_reply {
    int code;          /* 0: no answer came */
    struct cb_buf all; /* status line, headers, body */
    const char *body;  /* in all; a chunked one is put together */
    size_t len;
};

/* One request on a connection of its own. `headers` is lines that end with \r\n, or "". body NULL:
 * none. */
struct http_reply http_call(int port, const char *method, const char *target, const char *headers,
                            const void *body, size_t len);

/* GET target. */
struct http_reply http_get(int port, const char *target);

void http_free(struct http_reply *reply);

/* The value of a header, without blanks around it, into text; false when it is not there. */
bool http_header(const struct http_reply *reply, const char *name, char *text, size_t size);

/* The body holds this text. */
bool http_has(const struct http_reply *reply, const char *text);

/* The pieces: a connected socket, bytes out, and whatever comes until the other side closes or `ms`
 * pass. */
int http_connect(int port);
bool http_send(int fd, const void *data, size_t len);
struct http_reply http_receive(int fd, int ms);
