/* core/kernels/sizes.h - arithmetic on sizes. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"

static inline size_t cb_size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t cb_size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* a / b, rounded up. */
static inline size_t cb_size_divide(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* count * size, rounded up to CB_ALIGN; SIZE_MAX, which no arena has, when it overflows. */
static inline size_t cb_size_bytes(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - CB_ALIGN)
        return SIZE_MAX;
    return cb_align_up(bytes);
}

/* a + b; SIZE_MAX when it overflows. */
static inline size_t cb_size_add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}
