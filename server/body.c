#include "server/body.h"

#include <string.h>
#include <unistd.h>

#include "server/store.h"

void cb_body_init(struct cb_body *body, struct cb_body_pool *pool)
{
    *body = (struct cb_body){ .pool = pool, .spool = -1 };
}

void cb_body_deinit(struct cb_body *body)
{
    atomic_fetch_sub(&body->pool->held, body->held);
    if (!body->memory && body->bytes.data)
        cb_file_unmap(&body->bytes);
    if (body->spool >= 0)
        close(body->spool);
    cb_body_init(body, body->pool);
}

static struct cb_status too_large(size_t limit, const char *setting)
{
    if (limit == 0)
        return cb_fail(CB_ERR_TOO_LARGE, "%s", setting);
    return cb_fail(CB_ERR_TOO_LARGE, "the body is larger than %zu bytes (%s)", limit, setting);
}

static struct cb_status no_room(void)
{
    return cb_fail(CB_ERR_BUSY, "there is no room for the body in the data folder");
}

/* Counts `more` bytes against what all bodies together may hold. */
static struct cb_status hold(struct cb_body *body, size_t more)
{
    const size_t before = atomic_fetch_add(&body->pool->held, more);
    body->held += more;
    if (before > body->pool->total || more > body->pool->total - before)
        return cb_fail(CB_ERR_BUSY, "all bodies together are larger than %zu bytes (body-total)",
                       body->pool->total);
    return cb_ok();
}

struct cb_status cb_body_open(struct cb_body *body, struct cb_arena *arena, size_t limit,
                              const char *setting, size_t length)
{
    body->limit = limit;
    if (length == 0)
        return cb_ok();
    if (limit == 0 || (length != CB_BODY_LENGTH_UNKNOWN && length > limit))
        return too_large(limit, setting);
    if (length <= body->pool->memory) {
        CB_TRY(hold(body, length));
        if ((body->memory = cb_arena_alloc(arena, length, 1)))
            return cb_ok();
    }
    body->spool = cb_store_spool(body->pool->store);
    return body->spool < 0 ? no_room() : cb_ok();
}

struct cb_status cb_body_add(struct cb_body *body, const char *setting, const void *data,
                             size_t len)
{
    if (len > body->limit - body->received)
        return too_large(body->limit, setting);
    if (body->memory) {
        if (len > body->held - body->received)
            return cb_fail(CB_ERR_INPUT, "the body is longer than its Content-Length");
        memcpy(body->memory + body->received, data, len);
    } else {
        CB_TRY(hold(body, len));
        if (!cb_file_add(body->spool, data, len))
            return no_room();
    }
    body->received += len;
    return cb_ok();
}

struct cb_status cb_body_close(struct cb_body *body)
{
    body->bytes = (struct cb_bytes){ body->memory, body->received };
    if (body->received && !body->memory && cb_file_map_open(body->spool, "body", &body->bytes).code)
        return cb_fail(CB_ERR_BUSY, "there is no memory for the body");
    return cb_ok();
}
