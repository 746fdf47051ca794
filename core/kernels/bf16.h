/* core/kernels/bf16.h - pairs of bfloat16 (the upper half of a float) in the place of floats.
 *
 * A pair is two neighbours along the sum of a product, the first one in the lower half. Sums are
 * floats, so that everything after a product stays as it is. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/bfloat.h"

static inline float cb_bf16_pair(float first, float second)
{
    const uint32_t bits = cb_bfloat_of(first) | (uint32_t)cb_bfloat_of(second) << 16;
    float pair;
    memcpy(&pair, &bits, sizeof pair);
    return pair;
}

/* n numbers as pairs; an odd last one with 0. */
static inline void cb_bf16_pairs(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += 2) {
        const float pair = cb_bf16_pair(x[i], i + 1 < n ? x[i + 1] : 0);
        memcpy(y + i / 2, &pair, sizeof pair);
    }
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
