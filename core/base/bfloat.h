/* core/base/bfloat.h - bfloat16, the upper half of a binary32: its bits to float and back. */
#pragma once

#include <stdint.h>
#include <string.h>

/* Nearest, ties to even; too large becomes infinite; NaN stays NaN. */
static inline uint16_t cb_bfloat_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float cb_bfloat_to_float(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
