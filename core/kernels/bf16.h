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

/* The other bfloat16 beside x, of which q is the nearest. */
static inline float cb_bf16_other(float x, float q)
{
    uint32_t bits, nearest;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&nearest, &q, sizeof nearest);
    const uint32_t lower = bits & 0xffff0000;
    bits = nearest == lower ? lower + 0x10000 : lower;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Rounds `count` rows of weights so that the sum of each column, one filter, is kept: factors of one
 * sign (what leaves a ReLU) see that sum most of all. All go to the nearest bfloat16 but at most
 * one a column: the one whose other neighbour lessens (sum of errors)^2 + sum of errors^2 most,
 * which is what the product errs by where the mean of its factors is as large as their deviation.
 * carry[columns] is the sum of errors so far, from one call to the next. */
static inline void cb_bf16_keep_sums(float *rows, size_t count, size_t columns, float *carry)
{
    for (size_t j = 0; j < columns; j++) {
        float best = 0, step = 0, *at = rows + j;
        for (size_t i = 0; i < count; i++)
            carry[j] += rows[i * columns + j] -
                        cb_bfloat_to_float(cb_bfloat_of(rows[i * columns + j]));
        for (size_t i = 0; i < count; i++) {
            float *w = rows + i * columns + j;
            const float nearest = cb_bfloat_to_float(cb_bfloat_of(*w)), error = *w - nearest;
            const float by = cb_bf16_other(*w, nearest) - nearest;
            const float gain = 2 * by * (carry[j] + error - by);
            *w = nearest;
            if (gain > best) {
                best = gain;
                step = by;
                at = w;
            }
        }
        *at += step;
        carry[j] -= step;
    }
}
