/* core/kernels/simd/tile.h - one register tile of a product, for every height 1 .. MR and one or
 * two vectors of columns: the sums stay in registers from the first to the last step. */
#pragma once

/* Where a row goes and what is added to it (NULL: nothing); `n` floats of its last vector count. */
struct tile_row {
    float *out;
    const float *residual;
    size_t n;
    vec lo, hi;
};

static ALWAYS_INLINE void finish_row(const struct tile_row *r, const bool two, vec sum0, vec sum1)
{
    if (r->residual)
        sum0 += vec_load_part(r->residual, two ? W : r->n);
    vec_store_part(r->out, two ? W : r->n, vec_min(r->hi, vec_max(r->lo, sum0)));
    if (!two)
        return;
    if (r->residual)
        sum1 += vec_load_part(r->residual + W, r->n);
    vec_store_part(r->out + W, r->n, vec_min(r->hi, vec_max(r->lo, sum1)));
}

/* Weights come from memory in a large network: those 8 KB ahead are asked for in time. */
enum { AHEAD = 2048, MANY_ROWS = 4 };

/* `rows` rows of one or two vectors, both constants where this is inlined. */
static ALWAYS_INLINE void tile_of(const struct cb_tile *t, const int rows, const bool two)
{
    vec sum0[MR], sum1[MR];
    UNROLL
    for (int i = 0; i < rows; i++)
        sum0[i] = sum1[i] = vec_all(0);
    UNROLL
    for (int i = 0; i < rows; i++) {
        __builtin_prefetch(t->out + (size_t)i * t->out_stride, 1);
        if (two)
            __builtin_prefetch(t->out + (size_t)i * t->out_stride + W, 1);
    }
    const float *b = t->panel;
    for (size_t tap = 0; tap < t->taps; tap++) {
        const float *a[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            a[i] = t->rows[tap * MR + (size_t)i];
        for (size_t k = 0; k < t->depth; k++, b += NR) {
            const vec b0 = vec_load(b), b1 = two ? vec_load(b + W) : b0;
            if (rows >= MANY_ROWS) { /* else the tile is a stream, and needs no help */
                __builtin_prefetch(b + AHEAD, 0, 2);
                __builtin_prefetch(b + AHEAD + NR / 2, 0, 2);
            }
            UNROLL
            for (int i = 0; i < rows; i++) {
                const vec x = vec_all(a[i][k]);
                sum0[i] += x * b0;
                if (two)
                    sum1[i] += x * b1;
            }
        }
    }
    const float *bias = t->post.bias;
    struct tile_row row = {
        .out = t->out,
        .residual = t->post.residual,
        .n = t->n - (two ? W : 0),
        .lo = vec_all(t->post.lo),
        .hi = vec_all(t->post.hi),
    };
    const size_t step = t->out_stride;
    const vec bias0 = bias ? vec_load_part(bias, two ? W : row.n) : vec_all(0);
    const vec bias1 = bias && two ? vec_load_part(bias + W, row.n) : vec_all(0);
    UNROLL
    for (int i = 0; i < rows; i++) {
        finish_row(&row, two, sum0[i] + bias0, sum1[i] + bias1);
        row.out += step;
        row.residual = row.residual ? row.residual + step : NULL;
    }
}

#define TILE_OF(m)                                                                                 \
    static void tile_##m##_1(const struct cb_tile *t)                                              \
    {                                                                                              \
        tile_of(t, m, false);                                                                      \
    }                                                                                              \
    static void tile_##m##_2(const struct cb_tile *t)                                              \
    {                                                                                              \
        tile_of(t, m, true);                                                                       \
    }
TILE_HEIGHTS(TILE_OF)
#undef TILE_OF

#define TILE_ROW(m) { tile_##m##_1, tile_##m##_2 },
static void (*const tiles[MR][2])(const struct cb_tile *) = { TILE_HEIGHTS(TILE_ROW) };
#undef TILE_ROW

static void tile(const struct cb_tile *t)
{
    if (t->m > 0 && t->n > 0)
        tiles[t->m - 1][t->n > W](t);
}
