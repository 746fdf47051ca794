#include "core/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Under the address sanitizer the bytes between a block's end and the next one are out of bounds.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORBID(from, len) __asan_poison_memory_region(from, len)
#define ALLOW(from, len) __asan_unpoison_memory_region(from, len)
#else
#define FORBID(from, len) ((void)(from), (void)(len))
#define ALLOW(from, len) ((void)(from), (void)(len))
#endif

/* An emulator of another processor keeps books on every page that is reserved: less is, there. */
#ifndef CB_ARENA_MOST
#define CB_ARENA_MOST SIZE_MAX
#endif

struct cb_status cb_arena_init(struct cb_arena *arena, size_t budget)
{
    void *p;
    *arena = (struct cb_arena){ 0 };
    if (budget == 0)
        return cb_ok();
    budget = budget < CB_ARENA_MOST ? budget : CB_ARENA_MOST;
    p = mmap(NULL, budget, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0);
    if (p == MAP_FAILED)
        return cb_fail(CB_ERR_NOMEM, "cannot reserve %zu bytes", budget);
    *arena = (struct cb_arena){ .base = p, .budget = budget };
    return cb_ok();
}

/* Where what is forbidden behind `used` bytes ends: at least one byte later, where there is one. */
static size_t end_of_padding(const struct cb_arena *arena, size_t used)
{
    const size_t end = (used | (CB_ALIGN - 1)) + 1;
    return end < arena->budget ? end : arena->budget;
}

void cb_arena_deinit(struct cb_arena *arena)
{
    const struct cb_arena whole = *arena;
    *arena = (struct cb_arena){ 0 };
    if (whole.base) {
        ALLOW(whole.base, end_of_padding(&whole, whole.used));
        munmap(whole.base, whole.budget);
    }
}

void *cb_arena_alloc(struct cb_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    const size_t start = cb_align_up(arena->used);
    if (!arena->base || __builtin_mul_overflow(count, size, &bytes) || start > arena->budget ||
        bytes > arena->budget - start)
        return NULL;
    arena->used = start + bytes;
    ALLOW(arena->base + start, bytes);
    FORBID(arena->base + arena->used, end_of_padding(arena, arena->used) - arena->used);
    return arena->base + start; /* mmap and rewind leave zeroes */
}

struct cb_status cb_arena_begin(size_t budget, size_t size, void *out_pointer)
{
    struct cb_arena arena;
    void *p = NULL;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, budget));
    st = cb_arena_get(&arena, 1, size, "struct", &p);
    if (st.code) {
        cb_arena_deinit(&arena);
        return st;
    }
    memcpy(p, &arena, sizeof arena);
    memcpy(out_pointer, &p, sizeof p);
    return st;
}

struct cb_status cb_arena_get(struct cb_arena *arena, size_t count, size_t size, const char *what,
                              void *out_pointer)
{
    void *p = cb_arena_alloc(arena, count, size);
    if (!p)
        return cb_fail(CB_ERR_NOMEM, "%s: %zu x %zu bytes are over the budget of %zu", what, count,
                       size, arena->budget);
    memcpy(out_pointer, &p, sizeof p);
    return cb_ok();
}

char *cb_arena_text(struct cb_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? cb_arena_alloc(arena, len + 1, 1) : NULL;
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

char *cb_arena_printf(struct cb_arena *arena, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    int n;
    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && (text = cb_arena_alloc(arena, (size_t)n + 1, 1))) {
        va_start(args, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    return text;
}

void cb_arena_rewind(struct cb_arena *arena, size_t mark)
{
    const size_t page = 4096, whole = (mark + page - 1) & ~(page - 1);
    const size_t used = arena->used;
    if (mark >= used)
        return;
    ALLOW(arena->base + mark, end_of_padding(arena, used) - mark);
    memset(arena->base + mark, 0, (whole < used ? whole : used) - mark);
    if (whole < used)
        madvise(arena->base + whole, used - whole, MADV_DONTNEED);
    arena->used = mark;
}
