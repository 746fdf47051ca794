/* core/base/arena.h - one lifetime, one reservation, one release.
 *
 * The budget is address space: a page costs nothing until it is touched. Blocks lie one after the
 * other and are never freed alone; everything goes with cb_arena_deinit. One thread at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define CB_ALIGN 64

/* `bytes` rounded up to CB_ALIGN. */
static inline size_t cb_align_up(size_t bytes)
{
    return (bytes + CB_ALIGN - 1) & ~(size_t)(CB_ALIGN - 1);
}

struct cb_arena {
    uint8_t *base;
    size_t used, budget;
};

/* Reserves `budget` bytes of address space. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_arena_init(struct cb_arena *arena, size_t budget);

/* A zeroed struct of `size` bytes in an arena of its own, which is its first member: what lives as
 * long as the struct lies there too, and the deinit of that member ends both. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_arena_begin(size_t budget, size_t size, void *out_pointer);

/* Gives everything back, an arena that lies in itself too; twice is harmless elsewhere. */
void cb_arena_deinit(struct cb_arena *arena);

/* count*size zeroed bytes, 64-byte aligned; NULL when that is over the budget. */
void *cb_arena_alloc(struct cb_arena *arena, size_t count, size_t size);

/* The same with a status that names `what`. Zero bytes give a valid pointer. */
CB_MUST_USE struct cb_status cb_arena_get(struct cb_arena *arena, size_t count, size_t size,
                                          const char *what, void *out_pointer);

/* A copy of len bytes and a 0 after them; NULL when over the budget. */
char *cb_arena_text(struct cb_arena *arena, const char *text, size_t len);

/* printf into the arena; NULL when over the budget. */
char *cb_arena_printf(struct cb_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Gives back everything allocated since `used` was `mark`; its pages go to the system. */
void cb_arena_rewind(struct cb_arena *arena, size_t mark);
