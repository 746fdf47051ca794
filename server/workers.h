/* server/workers.h - a bounded queue and the threads that empty it. A full queue refuses at
 * once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct cb_workers;

typedef void cb_task(void *ctx);

CB_MUST_USE struct cb_status cb_workers_create(size_t threads, size_t queue,
                                               struct cb_workers **out);

/* task(ctx) will run in one of the threads; false when the queue is full or the workers are
 * stopping. */
CB_MUST_USE bool cb_workers_push(struct cb_workers *workers, cb_task *task, void *ctx);

/* Tasks that wait for a thread now. */
size_t cb_workers_waiting(struct cb_workers *workers);

/* Refuses new tasks, runs those that wait, joins the threads. */
void cb_workers_destroy(struct cb_workers *workers);
