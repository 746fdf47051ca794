/* tests/fuzz/fuzz.h - what every fuzz target has: its entry, and a promise that must hold. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline void require(bool condition)
{
    if (!condition)
        __builtin_trap();
}
