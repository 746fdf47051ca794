#include <criterion/criterion.h>
#include "core/base/arena.h"
Test(arena, zero_budget_gives_nothing) { struct cb_arena a; cr_assert(cb_arena_init(&a, 0).code == CB_OK); cr_assert(!cb_arena_alloc(&a, 1, 1)); }
