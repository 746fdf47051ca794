/* server/body.h - the body of a request while it comes in: counted, limited, in memory when small,
 * else in a file.
 *
 * One thread at a time per body; the pool that all bodies are counted in is shared. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/file.h"

struct cb_store;

struct cb_body_pool {
    struct cb_store *store; /* where files are made */
    size_t memory; /* a body that says it has no more than this lies in the request's arena */
    size_t total;  /* of all bodies together */
    atomic_size_t held;
};

struct cb_body {
    struct cb_body_pool *pool;
    size_t limit, received;
    size_t held;           /* counted in the pool */
    uint8_t *memory;       /* or */
    int spool;             /* an unlinked file; -1: none */
    struct cb_bytes bytes; /* after cb_body_close */
};

#define CB_BODY_LENGTH_UNKNOWN SIZE_MAX

void cb_body_init(struct cb_body *body, struct cb_body_pool *pool);
void cb_body_deinit(struct cb_body *body);

/* `length` as the client says it. `setting` is what messages call the limit; with limit 0 it is the
 * whole message. Errors: CB_ERR_TOO_LARGE; CB_ERR_BUSY all bodies together are too large, or there
 * is no room on disk. */
CB_MUST_USE struct cb_status cb_body_open(struct cb_body *body, struct cb_arena *arena,
                                          size_t limit, const char *setting, size_t length);

/* The same errors. */
CB_MUST_USE struct cb_status cb_body_add(struct cb_body *body, const char *setting,
                                         const void *data, size_t len);

/* The body is complete: fills `bytes`. Errors: CB_ERR_BUSY no memory to map it. */
CB_MUST_USE struct cb_status cb_body_close(struct cb_body *body);
