/* tests/support/http_server.h - a small HTTP/1.1 server of one file, that can be made to misbehave.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum http_manner {
    HTTP_HONEST,      /* Content-Length, ETag, ranges */
    HTTP_BREAKS_OFF,  /* closes in the middle */
    HTTP_SAYS_MORE,   /* announces 100 bytes more than it sends */
    HTTP_SAYS_LESS,   /* announces half, sends all */
    HTTP_WRONG_BYTES, /* one bit is different */
    HTTP_NO_RANGES,   /* sends all whatever is asked for */
    HTTP_OTHER_RANGE, /* 206, from byte 1 */
    HTTP_CHANGED,     /* another file of the same length, another ETag */
    HTTP_NO_LENGTH,   /* neither length nor ETag; ends by closing */
    HTTP_ENDLESS,     /* no length, and more and more of it */
    HTTP_EMPTY,
    HTTP_STALLS, /* half of it, then nothing */
    HTTP_NOT_FOUND,
    HTTP_FAILS,       /* 500 */
    HTTP_LOOPS,       /* 302 to itself */
    HTTP_TO_FILE,     /* 302 to file:///etc/passwd */
    HTTP_ONCE_AROUND, /* 302 to where the file is */
};

struct http_server {
    const char *file;
    size_t len;
    _Atomic enum http_manner manner;
    _Atomic int requests, ranges; /* that came; that asked for a part */
    int port, fd;
    char base[64]; /* "http://127.0.0.1:PORT" */
    pthread_t thread;
};

void http_server_start(struct http_server *server, const char *file, size_t len);
void http_server_stop(struct http_server *server);
