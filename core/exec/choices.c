#include "core/exec/choices.h"

#include <pthread.h>

#define SLOTS ((size_t)2 * CB_CHOICES_MAX) /* half stay empty: a search ends soon */

struct cb_choices {
    struct cb_arena arena;
    uint64_t machine;
    int64_t budget_ms;
    pthread_mutex_t lock;   /* guards what follows */
    struct cb_choice *slot; /* [SLOTS] by key, the next free one after a collision; key 0: free */
    size_t n, measured;
};

struct cb_status cb_choices_create(uint64_t machine, int64_t budget_ms, struct cb_choices **out)
{
    struct cb_choices *c;
    CB_TRY(cb_arena_begin(sizeof *c + SLOTS * sizeof *c->slot + 2 * CB_ALIGN, sizeof *c, &c));
    c->slot = cb_arena_alloc(&c->arena, SLOTS, sizeof *c->slot);
    c->machine = machine;
    c->budget_ms = budget_ms;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return cb_ok();
}

void cb_choices_destroy(struct cb_choices *choices)
{
    if (!choices)
        return;
    pthread_mutex_destroy(&choices->lock);
    cb_arena_deinit(&choices->arena);
}

uint64_t cb_choices_machine(const struct cb_choices *choices)
{
    return choices->machine;
}

int64_t cb_choices_budget_ms(const struct cb_choices *choices)
{
    return choices->budget_ms;
}

/* The slot of that key, or the free one where it would stand. */
static struct cb_choice *slot_of(struct cb_choices *c, uint64_t key)
{
    size_t i = (key ^ key >> 32) % SLOTS;
    while (c->slot[i].key && c->slot[i].key != key)
        i = (i + 1) % SLOTS;
    return &c->slot[i];
}

bool cb_choices_find(struct cb_choices *choices, uint64_t key, struct cb_choice *out)
{
    pthread_mutex_lock(&choices->lock);
    *out = *slot_of(choices, key);
    pthread_mutex_unlock(&choices->lock);
    return key && out->key == key;
}

void cb_choices_add(struct cb_choices *choices, const struct cb_choice *choice, bool measured)
{
    struct cb_choice *slot;
    pthread_mutex_lock(&choices->lock);
    slot = slot_of(choices, choice->key);
    if (choice->key && (slot->key || choices->n < CB_CHOICES_MAX)) {
        choices->n += !slot->key;
        choices->measured += measured;
        *slot = *choice;
    }
    pthread_mutex_unlock(&choices->lock);
}

size_t cb_choices_measured(struct cb_choices *choices)
{
    size_t n;
    pthread_mutex_lock(&choices->lock);
    n = choices->measured;
    pthread_mutex_unlock(&choices->lock);
    return n;
}

struct cb_status cb_choices_list(struct cb_choices *choices, struct cb_arena *arena,
                                 struct cb_choice **out, size_t *n)
{
    struct cb_status st;
    pthread_mutex_lock(&choices->lock);
    st = cb_arena_get(arena, choices->n, sizeof **out, "choices", out);
    *n = 0;
    for (size_t i = 0; i < SLOTS && !st.code; i++)
        if (choices->slot[i].key)
            (*out)[(*n)++] = choices->slot[i];
    pthread_mutex_unlock(&choices->lock);
    return st;
}
