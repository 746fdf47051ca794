/* importers/remote/remote.h - one GET over the network: the only room that knows libcurl.
 *
 * https only, unless http is allowed by name; redirects, at most five of them, keep to that. No
 * cookies, no passwords, no decoding: bytes come as they are stored. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define CB_REMOTE_VALIDATOR_MAX 256

struct cb_remote_answer {
    int status;    /* of HTTP; 0: none came */
    int64_t at;    /* where in the file the body begins: 0, or what was asked for */
    int64_t total; /* bytes of the whole file; -1: not said */
    char validator[CB_REMOTE_VALIDATOR_MAX]; /* strong ETag, else Last-Modified; "" for none */
};

struct cb_remote {
    const char *address;
    bool http;             /* http is allowed too */
    int stall_s;           /* seconds without news until it is given up */
    int64_t from;          /* first byte that is wanted */
    const char *validator; /* of the file whose beginning is there; "" : any will do */
    /* `begin` is called once, before any data; what either refuses ends the transfer with that
     * status. */
    struct cb_status (*begin)(void *ctx, const struct cb_remote_answer *answer);
    struct cb_status (*data)(void *ctx, const void *data, size_t len);
    void *ctx;
};

/* `out` is filled as far as an answer came, also on failure. Errors: CB_ERR_INPUT for an address of
 * another kind, CB_ERR_NOT_FOUND (404, 410), CB_ERR_IO for all else that a network does; what the
 * callbacks say. Each names the address, what was wanted and what was found. */
CB_MUST_USE struct cb_status cb_remote_get(const struct cb_remote *remote,
                                           struct cb_remote_answer *out);
