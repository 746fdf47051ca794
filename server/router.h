/* server/router.h - which handler answers what, and which HTTP code a status is. Two tables; no
 * other file knows. */
#pragma once

#include "server/reply.h"
#include "server/request.h"

struct cb_app;
struct cb_config;

typedef struct cb_status cb_handler(struct cb_app *app, struct cb_request *req,
                                    struct cb_reply *rep);

enum cb_body_kind { CB_BODY_NONE, CB_BODY_JSON, CB_BODY_PHOTO, CB_BODY_ARCHIVE, CB_BODY_MODEL };

struct cb_route {
    const char *method, *path; /* {} stands for one part of the path */
    enum cb_body_kind body;    /* which limit holds */
    bool at_once; /* answered by the network loop: never blocks, works when the queue is full */
    cb_handler *handler;
    const char *summary; /* for the API description */
};

/* Row i; NULL past the last. */
const struct cb_route *cb_router_row(size_t i);
size_t cb_router_index(const struct cb_route *route);

/* The row of req->method and req->path, filling req->part. HEAD finds GET's. NULL when there is
 * none: then `allow` lists the path's methods, "" when the path is unknown. */
#define CB_ALLOW_TEXT 64
const struct cb_route *cb_router_find(struct cb_request *req, char allow[CB_ALLOW_TEXT]);

/* Bytes that a body of this route may have, and the setting that says so. */
size_t cb_router_limit(const struct cb_route *route, const struct cb_config *config,
                       const char **setting);

/* Runs the handler; a failure becomes problem+json. */
void cb_dispatch(struct cb_app *app, const struct cb_route *route, struct cb_request *req,
                 struct cb_reply *rep);

/* The one place where a status becomes an HTTP code. */
int cb_router_code(enum cb_code code);
