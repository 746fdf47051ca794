/* core/kernels/simd/tile.h - one register tile of a product, for every height 1 .. MR and one or
 * two vectors of columns, or half a vector less where a set has halves that cost half: the sums
 * stay in registers from the first to the last step. */
#pragma once

/* How a number of A meets a vector of the panel; another meaning may be given before. */
#ifndef TILE_ADD
#define TILE_BROADCAST(p) vec_all(*(p))
#define TILE_ADD(sum, x, b) sum += (x) * (b)
#define TILE_ADD_HALF(sum, x, b) sum += half_of(x) * (b)
#endif

/* Sets without halves never come to use these. */
#ifndef TILE_HALVES
enum { HALF = 0 };
typedef vec vec_half;
#define half_of(v) (v)
#define half_load_part vec_load_part
#define half_store_part vec_store_part
#define half_max vec_max
#define half_min vec_min
#endif

/* Weights come from memory in a large network: those 8 KB ahead are asked for in time. */
enum { AHEAD = 2048, MANY_ROWS = 4 };

/* Bias, residual and clamp of all sums; of the last vector, those that count are stored. */
static ALWAYS_INLINE void finish(const struct cb_tile *t, const int rows, const int whole,
                                 const bool half, vec sum[2][MR], const vec_half *tail)
{
    const float *bias = t->post.bias, *residual = t->post.residual;
    const vec lo = vec_all(t->post.lo), hi = vec_all(t->post.hi);
    const size_t last = t->n - (size_t)((whole + half - 1) * W);
    const size_t n[] = { whole + half > 1 ? W : last, half ? W : last };
    vec add[2];
    UNROLL
    for (int v = 0; v < whole; v++)
        add[v] = bias ? vec_load_part(bias + v * W, n[v]) : vec_all(0);
    const vec_half add_half =
        bias && half ? half_load_part(bias + whole * W, last) : half_of(vec_all(0));
    float *out = t->out;
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < whole; v++) {
            vec y = sum[v][i] + add[v];
            if (residual)
                y += vec_load_part(residual + v * W, n[v]);
            vec_store_part(out + v * W, n[v], vec_min(hi, vec_max(lo, y)));
        }
        if (half) {
            vec_half y = tail[i] + add_half;
            if (residual)
                y += half_load_part(residual + whole * W, last);
            half_store_part(out + whole * W, last, half_min(half_of(hi), half_max(half_of(lo), y)));
        }
        out += t->out_stride;
        residual = residual ? residual + t->out_stride : NULL;
    }
}

/* `rows` rows of so many whole vectors and maybe a half one; constants where this is inlined. */
static ALWAYS_INLINE void tile_of(const struct cb_tile *t, const int rows, const int whole,
                                  const bool half)
{
    vec sum[2][MR];
    vec_half tail[MR];
    UNROLL
    for (int i = 0; i < rows; i++) {
        sum[0][i] = sum[1][i] = vec_all(0);
        tail[i] = half_of(vec_all(0));
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        __builtin_prefetch(t->out + (size_t)i * t->out_stride, 1);
        if (whole + half == 2)
            __builtin_prefetch(t->out + (size_t)i * t->out_stride + W, 1);
    }
    const float *panel = t->panel;
    for (size_t tap = 0; tap < t->taps; tap++) {
        const float *a[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            a[i] = t->rows[tap * MR + (size_t)i];
        for (size_t k = 0; k < t->depth; k++, panel += NR) {
            const vec b0 = vec_load(panel), b1 = whole == 2 ? vec_load(panel + W) : b0;
            const vec_half last = half ? half_load_part(panel + whole * W, HALF) : half_of(b0);
            if (rows >= MANY_ROWS) { /* else the tile is a stream, and needs no help */
                __builtin_prefetch(panel + AHEAD, 0, 2);
                __builtin_prefetch(panel + AHEAD + NR / 2, 0, 2);
            }
            UNROLL
            for (int i = 0; i < rows; i++) {
                const vec x = TILE_BROADCAST(a[i] + k);
                if (whole > 0)
                    TILE_ADD(sum[0][i], x, b0);
                if (whole > 1)
                    TILE_ADD(sum[1][i], x, b1);
                if (half)
                    TILE_ADD_HALF(tail[i], x, last);
            }
        }
    }
    finish(t, rows, whole, half, sum, tail);
}

#define TILE_OF(m)                                                                                 \
    static void tile_##m##_1(const struct cb_tile *t)                                              \
    {                                                                                              \
        tile_of(t, m, 1, false);                                                                   \
    }                                                                                              \
    static void tile_##m##_2(const struct cb_tile *t)                                              \
    {                                                                                              \
        tile_of(t, m, 2, false);                                                                   \
    }
TILE_HEIGHTS(TILE_OF)
#undef TILE_OF

#ifdef TILE_HALVES
#define TILE_OF(m)                                                                                 \
    static void tile_##m##_0_half(const struct cb_tile *t)                                         \
    {                                                                                              \
        tile_of(t, m, 0, true);                                                                    \
    }                                                                                              \
    static void tile_##m##_1_half(const struct cb_tile *t)                                         \
    {                                                                                              \
        tile_of(t, m, 1, true);                                                                    \
    }
TILE_HEIGHTS(TILE_OF)
#undef TILE_OF
#define TILE_ROW(m) { tile_##m##_0_half, tile_##m##_1, tile_##m##_1_half, tile_##m##_2 },
enum { TILE_STEP = HALF };
#else
#define TILE_ROW(m) { tile_##m##_1, tile_##m##_2 },
enum { TILE_STEP = W };
#endif

static void (*const tiles[MR][NR / TILE_STEP])(const struct cb_tile *) = { TILE_HEIGHTS(TILE_ROW) };
#undef TILE_ROW

static void tile(const struct cb_tile *t)
{
    if (t->m > 0 && t->n > 0)
        tiles[t->m - 1][(t->n - 1) / TILE_STEP](t);
}
