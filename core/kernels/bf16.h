/* core/kernels/bf16.h - pairs of bfloat16 (the upper half of a float) in the place of floats.
 *
 * A pair is two neighbours along the sum of a product, the first one in the lower half. Sums are
 * floats, so that everything after a product stays as it is. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Nearest, ties to even; NaN stays NaN. */
static inline uint16_t cb_bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float cb_bf16_to_float(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float cb_bf16_pair(float first, float second)
{
    const uint32_t bits = cb_bf16_of(first) | (uint32_t)cb_bf16_of(second) << 16;
    float pair;
    memcpy(&pair, &bits, sizeof pair);
    return pair;
}

/* pairs[i][j] = rows 2i and 2i + 1 of column j, `columns` floats a row; a missing last row is 0. */
static inline void cb_bf16_pair_rows(const float *rows, size_t count, size_t columns, float *pairs)
{
    for (size_t i = 0; i < count; i += 2)
        for (size_t j = 0; j < columns; j++) {
            const float *row = rows + i * columns;
            const float pair = cb_bf16_pair(row[j], i + 1 < count ? row[columns + j] : 0);
            memcpy(pairs + i / 2 * columns + j, &pair, sizeof pair);
        }
}
