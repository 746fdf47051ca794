/* core/exec/engine.h - what all computation shares: kernels, threads, limits. main makes the one
 * there is. */
#pragma once

#include "core/base/threads.h"
#include "core/kernels/kernels.h"

struct cb_choices;

struct cb_engine {
    struct cb_kernels kernels;
    struct cb_threads *threads;
    size_t plan_budget;         /* bytes that one plan's activations may take */
    size_t cache_bytes;         /* activations that stay near (chunks.c); 0: the usual L2 cache */
    struct cb_choices *choices; /* plans measure which algorithm is fastest; NULL: by rule */
};
