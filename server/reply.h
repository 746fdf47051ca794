/* server/reply.h - what goes back: code, headers, and a body that is bytes, a file, or a stream of
 * events. */
#pragma once

#include "core/base/status.h"
#include "server/json.h"
#include "server/request.h"

#define CB_REPLY_HEADERS 6

/* The next bytes of a stream, at most max: their number, 0 to wait for cb_http_wake, -1 at the end.
 * Called by the network loop: must not block. */
typedef long cb_reply_next(void *ctx, char *out, size_t max);

struct cb_reply {
    int code;
    const char *type; /* of the body */
    struct cb_parameter header[CB_REPLY_HEADERS];
    int n_headers;
    struct cb_buf body;
    int fd; /* instead of body: a file of file_len bytes, closed with the reply; -1: none */
    size_t file_len;
    cb_reply_next *next; /* instead of body: a stream; NULL: none */
    void *ctx;
};

void cb_reply_init(struct cb_reply *rep, size_t limit);
void cb_reply_deinit(struct cb_reply *rep);

/* name and value must outlive the reply: constants, or in the request's arena. */
void cb_reply_header(struct cb_reply *rep, const char *name, const char *value);

/* Starts a JSON body; the caller writes one value. */
struct cb_json cb_reply_json(struct cb_reply *rep, int code);

/* Problem details (RFC 9457) instead of whatever the reply held; "error" repeats the detail. */
void cb_reply_error(struct cb_reply *rep, int code, const char *detail);

/* The words of a code: "Not Found". */
const char *cb_reply_reason(int code);
