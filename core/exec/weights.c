#include "core/exec/weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checksum.h"

#define BUCKETS 1024

struct cb_weights_block {
    struct cb_arena arena; /* holds this struct, and the data that was made here */
    uint64_t key;
    void *data;
    size_t bytes;
    bool finished, durable, lent, discarded;
    uint64_t checksum; /* of lent data */
    struct cb_weights_block *next;
};

struct cb_weights {
    struct cb_arena arena; /* holds this struct */
    atomic_int references;
    pthread_mutex_t lock; /* guards what follows; blocks are made outside it */
    pthread_cond_t finished;
    struct cb_weights_block *bucket[BUCKETS];
    size_t bytes, made;
    struct cb_bytes file; /* what is lent lies here */
    struct cb_arena table;
    struct cb_weights_entry *entries; /* by key */
    size_t n_entries;
};

struct cb_status cb_weights_create(struct cb_weights **out)
{
    struct cb_weights *w;
    CB_TRY(cb_arena_begin(sizeof *w, sizeof *w, &w));
    atomic_init(&w->references, 1);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->finished, NULL);
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
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct cb_weights_block *b = weights->bucket[i], *next; b; b = next) {
            next = b->next;
            cb_arena_deinit(&b->arena);
        }
    cb_file_unmap(&weights->file);
    cb_arena_deinit(&weights->table);
    pthread_cond_destroy(&weights->finished);
    pthread_mutex_destroy(&weights->lock);
    cb_arena_deinit(&weights->arena);
}

static struct cb_weights_block **bucket_of(struct cb_weights *weights, uint64_t key)
{
    return &weights->bucket[(key ^ key >> 32) % BUCKETS];
}

static struct cb_weights_block *find(struct cb_weights *weights, uint64_t key)
{
    struct cb_weights_block *b = *bucket_of(weights, key);
    while (b && b->key != key)
        b = b->next;
    return b;
}

static int by_key(const void *a, const void *b)
{
    const struct cb_weights_entry *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* What is lent under that key; NULL: nothing of that size. */
static const struct cb_weights_entry *find_lent(const struct cb_weights *weights, uint64_t key,
                                                size_t bytes)
{
    const struct cb_weights_entry wanted = { .key = key };
    const struct cb_weights_entry *e = NULL;
    if (weights->n_entries)
        e = bsearch(&wanted, weights->entries, weights->n_entries, sizeof wanted, by_key);
    return e && e->bytes == bytes ? e : NULL;
}

/* A new block in its list; NULL without memory. Its data are those of `lent`, or memory of its own.
 * Called with the lock held. */
static struct cb_weights_block *add_block(struct cb_weights *weights, uint64_t key, size_t bytes,
                                          const struct cb_weights_entry *lent)
{
    struct cb_weights_block *b, **bucket = bucket_of(weights, key);
    size_t budget;
    if (__builtin_add_overflow(bytes, sizeof *b + 2 * CB_ALIGN, &budget) ||
        cb_arena_begin(budget, sizeof *b, &b).code)
        return NULL;
    b->key = key;
    b->bytes = bytes;
    b->lent = lent;
    b->next = *bucket;
    b->data = lent ? (void *)(uintptr_t)lent->data : cb_arena_alloc(&b->arena, bytes, 1);
    b->checksum = lent ? lent->checksum : 0;
    *bucket = b;
    weights->bytes += bytes;
    return b;
}

struct cb_status cb_weights_claim(struct cb_weights *weights, uint64_t key, size_t bytes,
                                  bool durable, struct cb_weights_block **out, enum cb_claim *claim)
{
    struct cb_weights_block *b;
    pthread_mutex_lock(&weights->lock);
    *claim = CB_CLAIM_MADE;
    if (!(b = find(weights, key))) {
        const struct cb_weights_entry *lent = durable ? find_lent(weights, key, bytes) : NULL;
        b = add_block(weights, key, bytes, lent);
        *claim = lent ? CB_CLAIM_LENT : CB_CLAIM_EMPTY;
    }
    if (b)
        b->durable = durable;
    pthread_mutex_unlock(&weights->lock);
    *out = b;
    return b ? cb_ok() : cb_fail(CB_ERR_NOMEM, "packed weights: cannot get %zu bytes", bytes);
}

void *cb_weights_data(const struct cb_weights_block *block)
{
    return block->data;
}

size_t cb_weights_length(const struct cb_weights_block *block)
{
    return block->bytes;
}

void cb_weights_finish(struct cb_weights *weights, struct cb_weights_block *block)
{
    pthread_mutex_lock(&weights->lock);
    block->finished = true;
    weights->made += block->durable && !block->lent;
    pthread_cond_broadcast(&weights->finished);
    pthread_mutex_unlock(&weights->lock);
}

void cb_weights_wait(struct cb_weights *weights, struct cb_weights_block *block)
{
    pthread_mutex_lock(&weights->lock);
    while (!block->finished)
        pthread_cond_wait(&weights->finished, &weights->lock);
    pthread_mutex_unlock(&weights->lock);
}

enum cb_claim cb_weights_judge_lent(struct cb_weights *weights, struct cb_weights_block *block,
                                    uint64_t checksum)
{
    if (checksum == block->checksum) {
        cb_weights_finish(weights, block);
        return CB_CLAIM_MADE;
    }
    pthread_mutex_lock(&weights->lock);
    block->data = cb_arena_alloc(&block->arena, block->bytes, 1); /* add_block reserved for it */
    block->lent = false;
    pthread_mutex_unlock(&weights->lock);
    return CB_CLAIM_EMPTY;
}

struct cb_status cb_weights_get(struct cb_weights *weights, uint64_t key, size_t bytes,
                                bool durable, cb_weights_fill *fill, void *ctx, const void **out)
{
    struct cb_weights_block *b;
    enum cb_claim claim;
    CB_TRY(cb_weights_claim(weights, key, bytes, durable, &b, &claim));
    if (claim == CB_CLAIM_LENT)
        claim = cb_weights_judge_lent(weights, b, cb_checksum(b->data, b->bytes));
    if (claim == CB_CLAIM_EMPTY) {
        fill(ctx, b->data);
        cb_weights_finish(weights, b);
    } else {
        cb_weights_wait(weights, b);
    }
    *out = b->data;
    return cb_ok();
}

void cb_weights_discard(struct cb_weights *weights, uint64_t key)
{
    struct cb_weights_block *b;
    pthread_mutex_lock(&weights->lock);
    if ((b = find(weights, key)) && b->finished && !b->discarded) {
        b->discarded = true;
        weights->bytes -= b->bytes;
        weights->made -= b->durable && !b->lent;
        if (!b->lent)
            cb_file_let_go(b->data, b->bytes);
    }
    pthread_mutex_unlock(&weights->lock);
}

size_t cb_weights_bytes(struct cb_weights *weights)
{
    size_t bytes;
    pthread_mutex_lock(&weights->lock);
    bytes = weights->bytes;
    pthread_mutex_unlock(&weights->lock);
    return bytes;
}

struct cb_status cb_weights_lend(struct cb_weights *weights, struct cb_bytes file,
                                 const struct cb_weights_entry *entries, size_t n)
{
    struct cb_arena arena;
    struct cb_weights_entry *copy;
    struct cb_status st = cb_arena_init(&arena, n * sizeof *entries + CB_ALIGN);
    if (!st.code)
        st = cb_arena_get(&arena, n, sizeof *copy, "packed weights", &copy);
    pthread_mutex_lock(&weights->lock);
    if (!st.code && weights->file.data)
        st = cb_fail(CB_ERR_CONFLICT, "packed weights: a file is lent already");
    if (!st.code) {
        if (n)
            memcpy(copy, entries, n * sizeof *copy);
        qsort(copy, n, sizeof *copy, by_key);
        weights->file = file;
        weights->table = arena;
        weights->entries = copy;
        weights->n_entries = n;
    }
    pthread_mutex_unlock(&weights->lock);
    if (st.code) {
        cb_arena_deinit(&arena);
        cb_file_unmap(&file);
    }
    return st;
}

bool cb_weights_has_file(struct cb_weights *weights)
{
    bool has;
    pthread_mutex_lock(&weights->lock);
    has = weights->file.data != NULL;
    pthread_mutex_unlock(&weights->lock);
    return has;
}

size_t cb_weights_made(struct cb_weights *weights)
{
    size_t made;
    pthread_mutex_lock(&weights->lock);
    made = weights->made;
    pthread_mutex_unlock(&weights->lock);
    return made;
}

/* Lent blocks that were found damaged are made blocks now, and those in use are still lent: what is
 * lent is listed from the table, so that each key comes once. */
struct cb_status cb_weights_list(struct cb_weights *weights, struct cb_arena *arena,
                                 struct cb_weights_entry **out, size_t *n)
{
    size_t count = 0;
    struct cb_status st;
    pthread_mutex_lock(&weights->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct cb_weights_block *b = weights->bucket[i]; b; b = b->next)
            count++;
    st = cb_arena_get(arena, count + weights->n_entries, sizeof **out, "packed weights", out);
    *n = 0;
    for (size_t i = 0; i < BUCKETS && !st.code; i++)
        for (const struct cb_weights_block *b = weights->bucket[i]; b; b = b->next)
            if (b->finished && b->durable && !b->lent && !b->discarded)
                (*out)[(*n)++] =
                    (struct cb_weights_entry){ .key = b->key, .data = b->data, .bytes = b->bytes };
    for (size_t i = 0; i < weights->n_entries && !st.code; i++) {
        const struct cb_weights_block *b = find(weights, weights->entries[i].key);
        if (!b || (b->lent && !b->discarded))
            (*out)[(*n)++] = weights->entries[i];
    }
    pthread_mutex_unlock(&weights->lock);
    return st;
}
