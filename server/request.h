/* server/request.h - one HTTP request as handlers see it: decoded path and query, body, typed
 * readers.
 *
 * Everything lies in the request's arena and goes with it. Texts are percent-decoded (RFC 3986),
 * '+' in the query is a space; a malformed escape or a decoded 0 byte is refused. Parameters that
 * no handler asks for are ignored. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"

#define CB_QUERY_MAX 64
#define CB_PATH_PARTS 2

struct cb_parameter {
    const char *name, *value;
};

struct cb_request {
    struct cb_arena *arena;
    uint64_t id; /* counts up; in the log */
    const char *method, *path;
    const char *part[CB_PATH_PARTS]; /* what stood for the route's {}: a name, an id */
    struct cb_parameter query[CB_QUERY_MAX];
    int n_query;
    const char *content_type, *accept, *last_event; /* "" when absent */
    struct cb_bytes body;
    int64_t queued_ns, started_ns; /* monotonic: body complete; a worker began */
};

/* Splits and decodes a request target ("/predict?top=5"). Errors: CB_ERR_INPUT. */
CB_MUST_USE struct cb_status cb_request_target(struct cb_request *req, const char *target);

/* NULL when the parameter is absent or empty. */
const char *cb_request_text(const struct cb_request *req, const char *name);

/* Errors: CB_ERR_INPUT names the parameter, its range and what it got. */
CB_MUST_USE struct cb_status cb_request_int(const struct cb_request *req, const char *name,
                                            int fallback, int lo, int hi, int *out);
CB_MUST_USE struct cb_status cb_request_real(const struct cb_request *req, const char *name,
                                             double fallback, double lo, double hi, double *out);

/* The media type of content_type is this one ("application/json"), parameters aside. */
bool cb_request_is(const struct cb_request *req, const char *type);

/* The client asks for JSON rather than a picture. */
bool cb_request_wants_json(const struct cb_request *req);
