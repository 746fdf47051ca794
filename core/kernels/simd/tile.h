/* core/kernels/simd/tile.h - one register tile of a product, for every height 1 .. MR and every count of
 * vectors: the sums stay in registers from the first to the last step. Included once by each set. */
#pragma once

/* Stores one row: full vectors, then `part` floats of the last one (W: all of it). */
static ALWAYS_INLINE void finish_row(const struct cb_tile *t, size_t row, const vec *sums, const vec *bias,
                                     int vectors, size_t part)
{
    const size_t at = row * t->out_stride;
    UNROLL
    for (int j = 0; j < vectors; j++) {
        const size_t column = (size_t)j * W, n = j < vectors - 1 ? W : part;
        vec v = sums[j] + bias[j];
        if (t->post.residual)
            v += vec_load_part(t->post.residual + at + column, n);
        vec_store_part(t->out + at + column, n, vec_clamp(v, t->post.lo, t->post.hi));
    }
}

static ALWAYS_INLINE void tile_of(const struct cb_tile *t, const int rows, const int vectors)
{
    vec sums[MR][NV];
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int j = 0; j < vectors; j++)
            sums[i][j] = vec_all(0);
    const float *b = t->panel;
    for (size_t tap = 0; tap < t->taps; tap++) {
        const float *a[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            a[i] = t->rows[tap * MR + (size_t)i];
        for (size_t k = 0; k < t->depth; k++, b += NV * W) {
            vec column[NV];
            UNROLL
            for (int j = 0; j < vectors; j++)
                column[j] = vec_load(b + j * W);
            UNROLL
            for (int i = 0; i < rows; i++) {
                const vec x = vec_all(a[i][k]);
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sums[i][j] += x * column[j];
            }
        }
    }
    const size_t part = t->n - (size_t)(vectors - 1) * W;
    vec bias[NV];
    UNROLL
    for (int j = 0; j < vectors; j++)
        bias[j] = t->post.bias ? vec_load_part(t->post.bias + j * W, j < vectors - 1 ? W : part) : vec_all(0);
    UNROLL
    for (int i = 0; i < rows; i++)
        finish_row(t, (size_t)i, sums[i], bias, vectors, part);
}

#define TILE_OF(m)                              \
    static void tile_##m##_1(const struct cb_tile *t) \
    {                                           \
        tile_of(t, m, 1);                       \
    }                                           \
    static void tile_##m##_2(const struct cb_tile *t) \
    {                                           \
        tile_of(t, m, 2);                       \
    }
TILE_HEIGHTS(TILE_OF)
#undef TILE_OF

#define TILE_ROW(m) { tile_##m##_1, tile_##m##_2 },
static void (*const tiles[MR][NV])(const struct cb_tile *) = { TILE_HEIGHTS(TILE_ROW) };
#undef TILE_ROW

static void tile(const struct cb_tile *t)
{
    if (t->m > 0 && t->n > 0)
        tiles[t->m - 1][(t->n - 1) / W](t);
}
