#include "server/workers.h"

#include <pthread.h>

#include "core/base/arena.h"

struct item {
    cb_task *task;
    void *ctx;
};

struct cb_workers {
    struct cb_arena arena;
    pthread_t *thread;
    size_t n_threads, cap;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct item *ring;
    size_t first, count;
    bool stopping;
};

static void *work(void *ctx)
{
    struct cb_workers *w = ctx;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->count == 0 && !w->stopping)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (w->count == 0)
            break;
        const struct item item = w->ring[w->first];
        w->first = (w->first + 1) % w->cap;
        w->count--;
        pthread_mutex_unlock(&w->mutex);
        item.task(item.ctx);
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

struct cb_status cb_workers_create(size_t threads, size_t queue, struct cb_workers **out)
{
    struct cb_workers *w;
    CB_TRY(cb_arena_begin(queue * sizeof(struct item) + threads * sizeof(pthread_t) + (1 << 16),
                          sizeof *w, &w));
    w->thread = cb_arena_alloc(&w->arena, threads, sizeof *w->thread);
    w->ring = cb_arena_alloc(&w->arena, queue, sizeof *w->ring);
    w->cap = queue;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (; w->n_threads < threads; w->n_threads++)
        if (pthread_create(&w->thread[w->n_threads], NULL, work, w)) {
            cb_workers_destroy(w);
            return cb_fail(CB_ERR_NOMEM, "cannot start worker thread %zu of %zu", w->n_threads + 1,
                           threads);
        }
    *out = w;
    return cb_ok();
}

bool cb_workers_push(struct cb_workers *w, cb_task *task, void *ctx)
{
    bool fits;
    pthread_mutex_lock(&w->mutex);
    if ((fits = !w->stopping && w->count < w->cap)) {
        w->ring[(w->first + w->count++) % w->cap] = (struct item){ task, ctx };
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return fits;
}

size_t cb_workers_waiting(struct cb_workers *w)
{
    size_t n;
    pthread_mutex_lock(&w->mutex);
    n = w->count;
    pthread_mutex_unlock(&w->mutex);
    return n;
}

void cb_workers_destroy(struct cb_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    for (size_t i = 0; i < w->n_threads; i++)
        pthread_join(w->thread[i], NULL);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->changed);
    cb_arena_deinit(&w->arena);
}
