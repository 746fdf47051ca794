/* core/base/threads.h - the pool of worker threads that all computation uses.
 *
 * A parallel loop may be started from any thread; two at once wait for each other. Loops do not
 * nest. */
#pragma once

#include <stddef.h>

#include "core/base/status.h"

struct cb_threads;

/* The CPUs that this process may really use: affinity and cgroup quota, at least 1. */
size_t cb_threads_available(void);

/* A pool of `count` threads, the caller's included; 0 means cb_threads_available(). */
CB_MUST_USE struct cb_status cb_threads_create(size_t count, struct cb_threads **out);
void cb_threads_destroy(struct cb_threads *threads);

/* The number of workers; 1 for NULL, which is a valid pool of the caller alone. */
size_t cb_threads_count(const struct cb_threads *threads);

/* fn(ctx, i, worker) for every i in 0 .. n-1, in any order; worker is in 0 .. count-1 and no two
 * calls at the same time have the same one (it picks scratch memory). Returns when all are done. */
typedef void cb_threads_fn(void *ctx, size_t i, size_t worker);
void cb_threads_for(struct cb_threads *threads, size_t n, cb_threads_fn *fn, void *ctx);
