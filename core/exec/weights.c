#include "core/exec/weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/arena.h"

struct block {
    struct cb_arena arena; /* holds this struct and the data */
    uint64_t key;
    void *data;
    bool filled;
    struct block *next;
};

struct cb_weights {
    struct cb_arena arena; /* holds this struct */
    atomic_int references;
    pthread_mutex_t lock; /* guards the list; filling happens outside it */
    pthread_cond_t filled;
    struct block *blocks;
    size_t bytes;
};

struct cb_status cb_weights_create(struct cb_weights **out)
{
    struct cb_arena arena;
    struct cb_weights *w;
    CB_TRY(cb_arena_init(&arena, sizeof *w));
    CB_TRY(cb_arena_get(&arena, 1, sizeof *w, "packed weights", &w));
    w->arena = arena;
    atomic_init(&w->references, 1);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->filled, NULL);
    *out = w;
    return cb_ok();
}

struct cb_weights *cb_weights_acquire(struct cb_weights *weights)
{
    atomic_fetch_add(&weights->references, 1);
    return weights;
}

void cb_weights_release(struct cb_weights *weights)
{
    struct cb_arena arena;
    if (!weights || atomic_fetch_sub(&weights->references, 1) != 1)
        return;
    for (struct block *b = weights->blocks, *next; b; b = next) {
        next = b->next;
        arena = b->arena;
        cb_arena_deinit(&arena);
    }
    pthread_cond_destroy(&weights->filled);
    pthread_mutex_destroy(&weights->lock);
    arena = weights->arena;
    cb_arena_deinit(&arena);
}

/* A new, empty block at the head of the list; NULL without memory. Called with the lock held. */
static struct block *add_block(struct cb_weights *weights, uint64_t key, size_t bytes)
{
    struct cb_arena arena;
    struct block *b;
    size_t budget;
    if (__builtin_add_overflow(bytes, sizeof *b + 2 * CB_ALIGN, &budget) ||
        cb_arena_init(&arena, budget).code)
        return NULL;
    b = cb_arena_alloc(&arena, 1, sizeof *b);
    b->data = cb_arena_alloc(&arena, bytes, 1);
    b->arena = arena;
    b->key = key;
    b->next = weights->blocks;
    weights->blocks = b;
    weights->bytes += bytes;
    return b;
}

struct cb_status cb_weights_get(struct cb_weights *weights, uint64_t key, size_t bytes,
                                cb_weights_fill *fill, void *ctx, const void **out)
{
    struct block *b;
    pthread_mutex_lock(&weights->lock);
    for (b = weights->blocks; b && b->key != key; b = b->next) {}
    if (b) {
        while (!b->filled)
            pthread_cond_wait(&weights->filled, &weights->lock);
    } else if ((b = add_block(weights, key, bytes))) {
        pthread_mutex_unlock(&weights->lock);
        fill(ctx, b->data);
        pthread_mutex_lock(&weights->lock);
        b->filled = true;
        pthread_cond_broadcast(&weights->filled);
    }
    pthread_mutex_unlock(&weights->lock);
    if (!b)
        return cb_fail(CB_ERR_NOMEM, "packed weights: cannot get %zu bytes", bytes);
    *out = b->data;
    return cb_ok();
}

size_t cb_weights_bytes(struct cb_weights *weights)
{
    size_t bytes;
    pthread_mutex_lock(&weights->lock);
    bytes = weights->bytes;
    pthread_mutex_unlock(&weights->lock);
    return bytes;
}
