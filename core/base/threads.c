#define _GNU_SOURCE
#include "core/base/threads.h"

#include <pthreadpool.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct cb_threads {
    pthreadpool_t pool;
    size_t count;
};

/* CPUs that the cgroup's quota allows (cgroup v2, then v1); 0: no limit. */
static size_t quota_cpus(void)
{
    long long quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2)
            quota = -1; /* "max": no limit */
        fclose(f);
    } else {
        if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
            if (fscanf(f, "%lld", &quota) != 1)
                quota = -1;
            fclose(f);
        }
        if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(f, "%lld", &period) != 1)
                period = 0;
            fclose(f);
        }
    }
    return quota > 0 && period > 0 ? (size_t)((quota + period - 1) / period) : 0;
}

size_t cb_threads_available(void)
{
    cpu_set_t set;
    size_t n = 1;
    const size_t quota = quota_cpus();
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        n = (size_t)CPU_COUNT(&set);
    return quota && quota < n ? quota : n;
}

struct cb_status cb_threads_create(size_t count, struct cb_threads **out)
{
    struct cb_threads *threads = calloc(1, sizeof *threads);
    if (!threads)
        return cb_fail(CB_ERR_NOMEM, "thread pool: out of memory");
    threads->count = count ? count : cb_threads_available();
    if (threads->count > 1 && !(threads->pool = pthreadpool_create(threads->count))) {
        free(threads);
        return cb_fail(CB_ERR_NOMEM, "thread pool: cannot start %zu threads", count);
    }
    *out = threads;
    return cb_ok();
}

void cb_threads_destroy(struct cb_threads *threads)
{
    if (!threads)
        return;
    pthreadpool_destroy(threads->pool);
    free(threads);
}

size_t cb_threads_count(const struct cb_threads *threads)
{
    return threads ? threads->count : 1;
}

struct loop {
    cb_threads_fn *fn;
    void *ctx;
    size_t n;
    atomic_size_t next;
};

/* ThreadSanitizer does not see how pthreadpool orders its threads (futexes, in a library built without it). */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define SEES_ALL_BEFORE(loop) __tsan_acquire(loop)
#define SHOWS_ALL_AFTER(loop) __tsan_release(loop)
#else
#define SEES_ALL_BEFORE(loop) (void)(loop)
#define SHOWS_ALL_AFTER(loop) (void)(loop)
#endif

static void work(void *ctx, size_t worker)
{
    struct loop *loop = ctx;
    SEES_ALL_BEFORE(loop);
    for (size_t i; (i = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed)) < loop->n;)
        loop->fn(loop->ctx, i, worker);
    SHOWS_ALL_AFTER(loop);
}

void cb_threads_for(struct cb_threads *threads, size_t n, cb_threads_fn *fn, void *ctx)
{
    const size_t workers = cb_threads_count(threads);
    struct loop loop = { .fn = fn, .ctx = ctx, .n = n };
    SHOWS_ALL_AFTER(&loop);
    if (n <= 1 || workers == 1)
        work(&loop, 0);
    else
        pthreadpool_parallelize_1d(threads->pool, work, &loop, workers < n ? workers : n, 0);
    SEES_ALL_BEFORE(&loop);
}
