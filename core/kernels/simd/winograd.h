/* core/kernels/simd/winograd.h - the transforms of Winograd's convolution, a vector of channels at
 * a time. The matrices are those of winograd.c, with what a point and its negative share computed
 * once. Counts are constants where these are inlined. */
#pragma once

enum { POINTS = 8 };
#define ROOT_2 1.41421356f
#define ROOT_HALF 0.70710678f

/* The positive point of a pair. */
static ALWAYS_INLINE float point_of(const int n, const int pair)
{
    if (n == 4)
        return 1;
    if (n == 6)
        return pair ? ROOT_2 : ROOT_HALF;
    return pair == 0 ? 1 : pair == 1 ? 2 : 0.5f;
}

/* What divides the filter's transform there. */
static ALWAYS_INLINE float norm_of(const int n, const int pair)
{
    if (n == 4)
        return 2;
    if (n == 6)
        return pair ? 6 : -1.5f;
    return pair == 0 ? -4.5f : pair == 1 ? 90 : 1.40625f;
}

/* o = B^T d */
static ALWAYS_INLINE void input_points(const int n, const vec *d, vec *o)
{
    if (n == 1) {
        o[0] = d[0];
    } else if (n == 4) {
        o[0] = d[0] - d[2];
        o[1] = d[2] + d[1];
        o[2] = d[2] - d[1];
        o[3] = d[3] - d[1];
    } else if (n == 5) {
        o[0] = d[0] - d[2];
        o[1] = d[2];
        o[2] = d[4] - d[2];
        o[3] = d[1];
        o[4] = d[3];
    } else if (n == 6) {
        const vec even1 = d[4] - 2 * d[2], odd1 = ROOT_HALF * (d[3] - 2 * d[1]);
        const vec even2 = d[4] - 0.5f * d[2], odd2 = ROOT_2 * (d[3] - 0.5f * d[1]);
        o[0] = d[0] - 2.5f * d[2] + d[4];
        o[1] = even1 + odd1;
        o[2] = even1 - odd1;
        o[3] = even2 + odd2;
        o[4] = even2 - odd2;
        o[5] = d[1] - 2.5f * d[3] + d[5];
    } else {
        const vec even1 = d[2] + d[6] - 4.25f * d[4], odd1 = d[1] + d[5] - 4.25f * d[3];
        const vec even2 = d[6] + 0.25f * d[2] - 1.25f * d[4];
        const vec odd2 = 0.5f * d[1] - 2.5f * d[3] + 2 * d[5];
        const vec even3 = d[6] + 4 * d[2] - 5 * d[4];
        const vec odd3 = 2 * d[1] - 2.5f * d[3] + 0.5f * d[5];
        o[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
        o[1] = even1 + odd1;
        o[2] = even1 - odd1;
        o[3] = even2 + odd2;
        o[4] = even2 - odd2;
        o[5] = even3 + odd3;
        o[6] = even3 - odd3;
        o[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
    }
}

/* y = A^T s: the powers 0 .. m - 1 of each point, and infinity at the last. */
static ALWAYS_INLINE void output_points(const int n, const int m, const vec *s, vec *y)
{
    if (n == 1) {
        y[0] = s[0];
        return;
    }
    if (n == 5) {
        y[0] = s[0] + s[1] + s[3];
        y[1] = s[1] + s[2] + s[4];
        return;
    }
    UNROLL
    for (int i = 0; i < m; i++)
        y[i] = vec_all(0);
    UNROLL
    for (int pair = 0; pair < n / 2 - 1; pair++) {
        const vec even = s[1 + 2 * pair] + s[2 + 2 * pair], odd = s[1 + 2 * pair] - s[2 + 2 * pair];
        float power = 1;
        UNROLL
        for (int i = 0; i < m; i++, power *= point_of(n, pair))
            y[i] += power * (i % 2 ? odd : even);
    }
    y[0] += s[0];
    y[m - 1] += s[n - 1];
}

static ALWAYS_INLINE void input_channels(const struct cb_winograd_input *t, const int n0,
                                         const int n1, size_t c, size_t part)
{
    vec middle[POINTS * POINTS], d[POINTS], o[POINTS];
    for (int x = 0; x < n1; x++) {
        UNROLL
        for (int y = 0; y < n0; y++)
            d[y] = vec_load_part(t->rows[y * n1 + x] + c, part);
        input_points(n0, d, o);
        UNROLL
        for (int y = 0; y < n0; y++)
            middle[y * n1 + x] = o[y];
    }
    float *out = t->out + c;
    for (int y = 0; y < n0; y++, out += (size_t)n1 * t->plane) {
        input_points(n1, middle + y * n1, o);
        UNROLL
        for (int x = 0; x < n1; x++)
            vec_store_part(out + (size_t)x * t->plane, W, o[x]);
    }
}

static ALWAYS_INLINE void input_of(const struct cb_winograd_input *t, const int n0, const int n1)
{
#define BODY(i, part) input_channels(t, n0, n1, i, part)
    EACH_VECTOR(t->channels, BODY);
#undef BODY
}

/* Outputs of one vector of channels, of which `part` count. */
static ALWAYS_INLINE void output_channels(const struct cb_winograd_output *t, const int n0,
                                          const int m0, const int n1, const int m1, size_t c,
                                          size_t part)
{
    vec middle[POINTS * POINTS], s[POINTS], y[POINTS];
    const float *in = t->in + c;
    for (int x = 0; x < n1; x++, in += NR) {
        UNROLL
        for (int i = 0; i < n0; i++)
            s[i] = vec_load(in + (size_t)(i * n1) * NR);
        output_points(n0, m0, s, y);
        UNROLL
        for (int i = 0; i < m0; i++)
            middle[i * n1 + x] = y[i];
    }
    const vec bias = t->post.bias ? vec_load_part(t->post.bias + c, part) : vec_all(0);
    for (size_t i = 0; i < t->inside[0]; i++) {
        output_points(n1, m1, middle + i * (size_t)n1, y);
        UNROLL
        for (int x = 0; x < m1; x++) {
            const size_t at = i * t->line + (size_t)x * t->pixel + c;
            if ((size_t)x >= t->inside[1])
                break;
            vec v = y[x] + bias;
            if (t->post.residual)
                v += vec_load_part(t->post.residual + at, part);
            vec_store_part(t->out + at, part, vec_clamp(v, t->post.lo, t->post.hi));
        }
    }
}

static ALWAYS_INLINE void output_of(const struct cb_winograd_output *t, const int n0, const int m0,
                                    const int n1, const int m1)
{
#define BODY(i, part) output_channels(t, n0, m0, n1, m1, i, part)
    EACH_VECTOR(t->channels, BODY);
#undef BODY
}

/* Both axes, or one of them: X(n0, m0, n1, m1) for n points and the m of 3, 5 and 7 taps; lines of
 * 2 and 4 taps. */
#define FORM(X, n, m) X(n, m, n, m) X(1, 1, n, m) X(n, m, 1, 1)
#define FORMS(X)                                                                                   \
    X(5, 2, 5, 2)                                                                                  \
    X(1, 1, 6, 5) X(1, 1, 6, 3) X(1, 1, 8, 7) X(1, 1, 8, 5) FORM(X, 4, 2) FORM(X, 6, 4)            \
        FORM(X, 6, 2) FORM(X, 8, 6) FORM(X, 8, 4) FORM(X, 8, 2)

static void winograd_input(const struct cb_winograd_input *t)
{
    const size_t n0 = t->points[0], n1 = t->points[1];
#define INPUT(p0, p1)                                                                              \
    if (n0 == p0 && n1 == p1)                                                                      \
        input_of(t, p0, p1);
    INPUT(4, 4)
    INPUT(5, 5)
    INPUT(6, 6)
    INPUT(8, 8)
    INPUT(1, 4)
    INPUT(1, 6)
    INPUT(1, 8)
    INPUT(4, 1)
    INPUT(6, 1)
    INPUT(8, 1)
#undef INPUT
}

static void winograd_output(const struct cb_winograd_output *t)
{
    const size_t n0 = t->points[0], m0 = t->size[0], n1 = t->points[1], m1 = t->size[1];
#define OUTPUT(p0, q0, p1, q1)                                                                     \
    if (n0 == p0 && m0 == q0 && n1 == p1 && m1 == q1)                                              \
        output_of(t, p0, q0, p1, q1);
    FORMS(OUTPUT)
#undef OUTPUT
}

/* G's rows for a point and its negative. */
static ALWAYS_INLINE void filter_pair(const int n, const int k, const int pair, const vec *g,
                                      vec *o)
{
    const float scale = 1 / norm_of(n, pair), p = point_of(n, pair);
    vec sums[2] = { scale * g[0], scale * p * g[1] };
    float power = scale * p * p;
    UNROLL
    for (int j = 2; j < k; j++, power *= p)
        sums[j % 2] += power * g[j];
    o[0] = sums[0] + sums[1];
    o[1] = sums[0] - sums[1];
}

/* o = G g */
static ALWAYS_INLINE void filter_points(const int n, const int k, const vec *g, vec *o)
{
    o[0] = g[0];
    if (n == 1)
        return;
    if (n == 5) {
        o[1] = g[0] + g[2];
        o[2] = g[2];
        o[3] = g[1];
        return;
    }
    UNROLL
    for (int pair = 0; pair < n / 2 - 1; pair++)
        filter_pair(n, k, pair, g, o + 1 + 2 * pair);
    o[n - 1] = g[k - 1];
}

static ALWAYS_INLINE void filter_of(const struct cb_winograd_filter *f, const int n0, const int m0,
                                    const int n1, const int m1)
{
    const int k0 = n0 == 5 ? 3 : n0 - m0 + 1, k1 = n1 == 5 ? 3 : n1 - m1 + 1;
    const int r0 = n0 == 5 ? 4 : n0, r1 = n1 == 5 ? 4 : n1;
    for (size_t c = 0; c < NR; c += W) {
        vec half[POINTS * POINTS], g[POINTS], o[POINTS];
        for (int x = 0; x < k1; x++) {
            UNROLL
            for (int y = 0; y < k0; y++)
                g[y] = vec_load(f->w + (size_t)(y * k1 + x) * NR + c);
            filter_points(n0, k0, g, o);
            UNROLL
            for (int i = 0; i < r0; i++)
                half[i * k1 + x] = o[i];
        }
        float *out = f->out + c;
        for (int i = 0; i < r0; i++, out += (size_t)r1 * f->plane) {
            filter_points(n1, k1, half + i * k1, o);
            UNROLL
            for (int j = 0; j < r1; j++)
                vec_store_part(out + (size_t)j * f->plane, W, o[j]);
        }
    }
}

static void winograd_filter(const struct cb_winograd_filter *f)
{
    const size_t n0 = f->points[0], k0 = f->taps[0], n1 = f->points[1], k1 = f->taps[1];
#define FILTER(p0, q0, p1, q1)                                                                     \
    if (n0 == p0 && n1 == p1 && (p0 == 5 || (k0 == p0 - q0 + 1 && k1 == p1 - q1 + 1)))             \
        filter_of(f, p0, q0, p1, q1);
    FORMS(FILTER)
#undef FILTER
}
