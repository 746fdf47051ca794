/* A pool of our own, since a loop of a small network lasts some ten microseconds: workers look for
 * the next loop for a moment, then sleep. pthreadpool, tried first, spins for milliseconds while
 * another worker is not scheduled: with more runnable threads than CPUs nine tenths of the time
 * went there.
 *
 * One word says all: which loop it is, whether it is open, and how many workers are inside. A
 * worker may enter only an open loop; the caller closes it when no index is left, and waits for
 * those inside. A worker that wakes late finds it closed and holds nobody up. */
#define _GNU_SOURCE
#include "core/base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_FOR_MORE 4000 /* pauses before a worker sleeps: about 40 microseconds */
#define LOOK_FOR_END 1000  /* pauses before the caller lets others run */

#define OPEN ((uint64_t)1 << 31)
#define INSIDE (OPEN - 1)
#define NEXT_LOOP ((uint64_t)1 << 32)

struct cb_threads {
    size_t count;
    pthread_t *workers; /* count - 1; the caller is worker 0 */
    size_t started;
    pthread_mutex_t turn; /* one loop at a time */
    cb_threads_fn *fn;    /* the loop; written while it is closed and empty */
    void *ctx;
    size_t n;
    atomic_size_t next;     /* index to be taken */
    _Atomic uint64_t state; /* loop number, open, workers inside */
    pthread_mutex_t lock;   /* for sleeping alone */
    pthread_cond_t wake;
    atomic_size_t sleeping;
    atomic_bool stop;
    atomic_size_t numbers; /* workers take their number from here */
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

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void take_indices(struct cb_threads *t, size_t worker)
{
    for (size_t i; (i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed)) < t->n;)
        t->fn(t->ctx, i, worker);
}

static bool is_news(const struct cb_threads *t, uint64_t seen)
{
    const uint64_t state = atomic_load(&t->state);
    return atomic_load(&t->stop) || ((state & OPEN) && state / NEXT_LOOP != seen);
}

static void wait_for_news(struct cb_threads *t, uint64_t seen)
{
    for (int i = 0; i < LOOK_FOR_MORE; i++) {
        if (is_news(t, seen))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->sleeping, 1);
    while (!is_news(t, seen))
        pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->sleeping, 1);
    pthread_mutex_unlock(&t->lock);
}

static void wake_sleepers(struct cb_threads *t)
{
    if (atomic_load(&t->sleeping) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

static void *run_worker(void *ctx)
{
    struct cb_threads *t = ctx;
    const size_t worker = atomic_fetch_add(&t->numbers, 1) + 1;
    uint64_t seen = 0;
    for (;;) {
        uint64_t state;
        wait_for_news(t, seen);
        if (atomic_load(&t->stop))
            return NULL;
        state = atomic_load(&t->state);
        if (!(state & OPEN) || !atomic_compare_exchange_strong(&t->state, &state, state + 1))
            continue; /* closed, or another entered at the same moment: look again */
        seen = state / NEXT_LOOP;
        take_indices(t, worker);
        atomic_fetch_sub(&t->state, 1);
    }
}

struct cb_status cb_threads_create(size_t count, struct cb_threads **out)
{
    struct cb_threads *t = calloc(1, sizeof *t);
    if (!t)
        return cb_fail(CB_ERR_NOMEM, "thread pool: out of memory");
    t->count = count ? count : cb_threads_available();
    pthread_mutex_init(&t->turn, NULL);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->workers = calloc(t->count, sizeof *t->workers);
    while (t->workers && t->started + 1 < t->count &&
           pthread_create(&t->workers[t->started], NULL, run_worker, t) == 0)
        t->started++;
    if (!t->workers || t->started + 1 < t->count) {
        cb_threads_destroy(t);
        return cb_fail(CB_ERR_NOMEM, "thread pool: cannot start %zu threads", count);
    }
    *out = t;
    return cb_ok();
}

void cb_threads_destroy(struct cb_threads *threads)
{
    if (!threads)
        return;
    atomic_store(&threads->stop, true);
    pthread_mutex_lock(&threads->lock);
    pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->lock);
    for (size_t i = 0; i < threads->started; i++)
        pthread_join(threads->workers[i], NULL);
    pthread_cond_destroy(&threads->wake);
    pthread_mutex_destroy(&threads->lock);
    pthread_mutex_destroy(&threads->turn);
    free(threads->workers);
    free(threads);
}

size_t cb_threads_count(const struct cb_threads *threads)
{
    return threads ? threads->count : 1;
}

void cb_threads_for(struct cb_threads *threads, size_t n, cb_threads_fn *fn, void *ctx)
{
    if (n <= 1 || cb_threads_count(threads) == 1) {
        for (size_t i = 0; i < n; i++)
            fn(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&threads->turn);
    threads->fn = fn;
    threads->ctx = ctx;
    threads->n = n;
    atomic_store(&threads->next, 0);
    atomic_fetch_add(&threads->state, NEXT_LOOP + OPEN);
    wake_sleepers(threads);
    take_indices(threads, 0);
    atomic_fetch_and(&threads->state, ~OPEN);
    for (int i = 0; atomic_load(&threads->state) & INSIDE; i++) {
        if (i < LOOK_FOR_END)
            pause_briefly();
        else
            sched_yield();
    }
    pthread_mutex_unlock(&threads->turn);
}
