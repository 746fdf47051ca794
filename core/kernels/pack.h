/* core/kernels/pack.h - the inner loop of packing. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <string.h>

#include "core/kernels/conv_parts.h"

/* Rows packed at once: column by column, as a column's numbers often lie together in one line of
 * the cache. */
enum { CB_PACK_ROWS = 16 };

typedef float cb_pack_four __attribute__((vector_size(16)));

/* Four numbers of each of four columns, turned. */
static inline void cb_pack_4x4(const char *from, size_t column_bytes, size_t nr, float *out)
{
    cb_pack_four a, b, c, d;
    memcpy(&a, from, sizeof a);
    memcpy(&b, from + column_bytes, sizeof b);
    memcpy(&c, from + 2 * column_bytes, sizeof c);
    memcpy(&d, from + 3 * column_bytes, sizeof d);
    const cb_pack_four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const cb_pack_four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const cb_pack_four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const cb_pack_four cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    a = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    b = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    c = __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5);
    d = __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7);
    memcpy(out, &a, sizeof a);
    memcpy(out + nr, &b, sizeof b);
    memcpy(out + 2 * nr, &c, sizeof c);
    memcpy(out + 3 * nr, &d, sizeof d);
}

/* out[row * nr + column] = from[row * row_stride + column * column_stride], with zeros after the
 * last column; `from` may be unaligned. */
static inline void cb_pack_rows(const char *from, size_t rows, size_t columns, size_t row_stride,
                                size_t column_stride, size_t nr, float *out)
{
    const size_t column_bytes = column_stride * sizeof(float);
    size_t j = 0;
    /* So many columns are too many streams for the CPU to see: the next calls' rows are asked for.
     */
    for (; row_stride == 1 && rows % 4 == 0 && j + 4 <= columns; j += 4) {
        const char *at = from + j * column_bytes;
        for (size_t k = 0; k < 4; k++)
            __builtin_prefetch(at + k * column_bytes + 4 * rows * sizeof(float));
        for (size_t i = 0; i < rows; i += 4)
            cb_pack_4x4(at + i * sizeof(float), column_bytes, nr, out + i * nr + j);
    }
    for (; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            memcpy(out + i * nr + j, from + (i * row_stride + j * column_stride) * sizeof(float),
                   sizeof(float));
    for (size_t i = 0; i < rows && columns < nr; i++)
        memset(out + i * nr + columns, 0, (nr - columns) * sizeof(float));
}

/* The weights of a convolution in one group, [cout, cin, taps], maybe unaligned. */
struct cb_filters {
    const char *w;
    const float *scale; /* of each filter; NULL: 1 */
    size_t cin, cout, taps, nr;
};

static inline struct cb_filters cb_filters_of(const struct cb_kernels *kernels,
                                              const struct cb_conv_shape *s, const void *w,
                                              const float *scale)
{
    return (struct cb_filters){ w, scale, s->cin, s->cout, cb_conv_taps(s), kernels->nr };
}

/* out[t][nr] = taps first .. first + count of input channel c of the filters in a panel; count is
 * at most CB_PACK_ROWS or all there are. */
static inline void cb_pack_taps(const struct cb_filters *f, size_t panel, size_t c, size_t first,
                                size_t count, float *out)
{
    const size_t filter = panel * f->nr, size = f->cin * f->taps;
    const size_t columns = cb_size_min(f->cout - filter, f->nr);
    cb_pack_rows(f->w + (filter * size + c * f->taps + first) * sizeof(float), count, columns, 1,
                 size, f->nr, out);
    for (size_t t = 0; f->scale && t < count; t++)
        for (size_t j = 0; j < columns; j++)
            out[t * f->nr + j] *= f->scale[filter + j];
}
