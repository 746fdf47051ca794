/* server/http.h - the network: connections, headers, bodies and their limits; the only user of
 * libmicrohttpd.
 *
 * One thread runs the network loop and never computes: a complete request goes to the workers while
 * its connection is suspended, and comes back with its reply (http.c draws the states). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct cb_app;
struct cb_http;

/* Listens and answers. Errors: CB_ERR_IO the address or port cannot be had; CB_ERR_INPUT no such
 * address. */
CB_MUST_USE struct cb_status cb_http_create(struct cb_app *app, struct cb_http **out);

/* The port listened on. */
int cb_http_port(const struct cb_http *http);

/* Any thread: streams have something new, or should look whether they have. */
void cb_http_wake(struct cb_http *http);

/* Now and then (every second or so): ends connections whose clients take too long to send. */
void cb_http_tick(struct cb_http *http);

/* Accepts no new connection; open ones get 503 for what they ask from now on. */
void cb_http_drain(struct cb_http *http);

bool cb_http_draining(struct cb_http *http);

/* Requests whose answers are not sent yet, streams aside. */
size_t cb_http_busy(struct cb_http *http);

/* Closes all connections. No worker may run a request any more. Accepts NULL. */
void cb_http_destroy(struct cb_http *http);
