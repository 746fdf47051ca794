#include "core/exec/weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

struct block {
    uint64_t key;
    size_t bytes;
    void *data;
    bool filled;
    struct block *next;
};

struct cb_weights {
    atomic_int references;
    pthread_mutex_t lock; /* guards the list; filling happens outside it */
    pthread_cond_t filled;
    struct block *blocks;
    size_t bytes;
};

struct cb_status cb_weights_create(struct cb_weights **out)
{
    struct cb_weights *w = calloc(1, sizeof *w);
    if (!w)
        return cb_fail(CB_ERR_NOMEM, "packed weights: out of memory");
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
    if (!weights || atomic_fetch_sub(&weights->references, 1) != 1)
        return;
    for (struct block *b = weights->blocks, *next; b; b = next) {
        next = b->next;
        munmap(b->data, b->bytes);
        free(b);
    }
    pthread_cond_destroy(&weights->filled);
    pthread_mutex_destroy(&weights->lock);
    free(weights);
}

/* A new, empty block at the head of the list; NULL without memory. Called with the lock held. */
static struct block *add_block(struct cb_weights *weights, uint64_t key, size_t bytes)
{
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->bytes = bytes ? bytes : 1;
    b->data = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->data == MAP_FAILED) {
        free(b);
        return NULL;
    }
    b->key = key;
    b->next = weights->blocks;
    weights->blocks = b;
    weights->bytes += bytes;
    return b;
}

struct cb_status cb_weights_get(struct cb_weights *weights, uint64_t key, size_t bytes, cb_weights_fill *fill,
                                void *ctx, const void **out)
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
