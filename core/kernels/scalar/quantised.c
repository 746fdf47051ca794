/* core/kernels/scalar/quantised.c - loops on bytes as plain C: the reference for the fast sets. */
#include <math.h>

#include "core/kernels/kernels.h"

enum { MR = 2, NR = 4, GROUP = CB_QUANTISED_GROUP };

static float clamp(float v, float lo, float hi)
{
    const float high = v > lo ? v : lo; /* lo where v is NaN */
    return high < hi ? high : hi;
}

/* The byte of v, which is clamped: the zero is added after rounding, as v may lie half way. */
static uint8_t byte_of(float v, int zero)
{
    return (uint8_t)((int)rintf(v) + zero);
}

/* Element `at` of column `column`, of reals or bytes. */
static void finish(const struct cb_quantised_epilogue *post, int32_t sum, size_t column, size_t at,
                   uint8_t *bytes, float *reals)
{
    float v = (float)sum * post->scale[column] + post->shift[column];
    if (post->residual)
        v += (float)post->residual[at] * post->residual_scale;
    v = clamp(v, post->lo, post->hi);
    if (bytes)
        bytes[at] = byte_of(v, post->zero);
    else
        reals[at] = v;
}

static void tile(const struct cb_quantised_tile *t)
{
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j++) {
            uint32_t sum = (uint32_t)t->post.start[j]; /* on the way to the end it may wrap */
            const int8_t *b = t->panel + j * GROUP;
            const size_t at = i * t->out_stride + j;
            for (size_t tap = 0; tap < t->taps; tap++)
                for (size_t k = 0; k < t->groups * GROUP; k++)
                    sum += (uint32_t)(t->rows[tap * MR + i][k] *
                                      b[(tap * t->groups + k / GROUP) * NR * GROUP + k % GROUP]);
            if (t->row_sums)
                sum -= (uint32_t)t->post.w_zero[j] * (uint32_t)t->row_sums[i];
            if (t->sums)
                t->sums[at] = (int32_t)sum;
            else
                finish(&t->post, (int32_t)sum, j, at, t->bytes, t->reals);
        }
}

static void depthwise(const struct cb_quantised_depthwise *d)
{
    for (size_t i = 0; i < d->m; i++)
        for (size_t c = 0; c < d->channels; c++) {
            const size_t slot = cb_quantised_slot(d->channels, c);
            const size_t at = i * d->out_stride + c;
            uint32_t sum = (uint32_t)d->post.start[slot];
            for (size_t t = 0; t < d->taps; t++)
                sum += (uint32_t)(d->rows[t * CB_QUANTISED_PIXELS + i][c] *
                                  d->w[t / GROUP * d->w_stride + slot * GROUP + t % GROUP]);
            if (d->sums)
                d->sums[at] = (int32_t)sum;
            else
                finish(&d->post, (int32_t)sum, slot, at, d->bytes, d->reals);
        }
}

static void max_rows(size_t count, size_t c, const uint8_t *const *rows, uint8_t *y)
{
    for (size_t i = 0; i < c; i++) {
        uint8_t best = rows[0][i];
        for (size_t t = 1; t < count; t++)
            best = rows[t][i] > best ? rows[t][i] : best;
        y[i] = best;
    }
}

static void mean_rows(size_t count, size_t c, const uint8_t *const *rows,
                      const struct cb_quantised_mean *m, uint8_t *y)
{
    for (size_t i = 0; i < c; i++) {
        int32_t sum = m->start;
        for (size_t t = 0; t < count; t++)
            sum += rows[t][i];
        const float v = (float)sum * m->scale;
        y[i] = byte_of(clamp(v, (float)-m->zero, (float)(255 - m->zero)), m->zero);
    }
}

static int32_t sum_bytes(size_t n, const uint8_t *x)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static void add(size_t n, const uint8_t *a, const uint8_t *b, const struct cb_quantised_add *p,
                uint8_t *y)
{
    for (size_t i = 0; i < n; i++) {
        const float x = (float)a[i] - p->origin, z = (float)b[i] - p->origin;
        const float v = x * p->scale_a + (z * p->scale_b + p->shift);
        y[i] = byte_of(clamp(v, p->lo, p->hi), p->zero);
    }
}

static void quantise(size_t n, const float *x, struct cb_quantum q, uint8_t *y)
{
    for (size_t i = 0; i < n; i++) {
        const float v = clamp(x[i] / q.scale, (float)-q.zero, (float)(255 - q.zero));
        y[i] = byte_of(v, q.zero);
    }
}

static void dequantise(size_t n, const uint8_t *x, struct cb_quantum q, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(x[i] - q.zero) * q.scale;
}

void cb_kernels_use_scalar_quantised(struct cb_kernels *k)
{
    k->quantised = (struct cb_quantised_kernels){
        .name = "generic",
        .mr = MR,
        .nr = NR,
        .tile = tile,
        .depthwise = depthwise,
        .max_rows = max_rows,
        .mean_rows = mean_rows,
        .sum = sum_bytes,
        .add = add,
        .quantise = quantise,
        .dequantise = dequantise,
    };
}
