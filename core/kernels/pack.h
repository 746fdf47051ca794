/* core/kernels/pack.h - the inner loop of packing. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <string.h>

/* Rows packed at once: column by column, as a column's numbers often lie together in one line of
 * the cache. */
enum { CB_PACK_ROWS = 16 };

/* out[row * nr + column] = from[row * row_stride + column * column_stride], with zeros after the
 * last column; `from` may be unaligned. */
static inline void cb_pack_rows(const char *from, size_t rows, size_t columns, size_t row_stride,
                                size_t column_stride, size_t nr, float *out)
{
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            memcpy(out + i * nr + j, from + (i * row_stride + j * column_stride) * sizeof(float),
                   sizeof(float));
    for (size_t i = 0; i < rows && columns < nr; i++)
        memset(out + i * nr + columns, 0, (nr - columns) * sizeof(float));
}
