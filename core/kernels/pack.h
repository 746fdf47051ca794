/* core/kernels/pack.h - the inner loop of packing. Private to core/kernels. */
#pragma once

#include <stddef.h>
#include <string.h>

#include "core/kernels/conv_parts.h"

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
