/* core/kernels/scalar/scalar.c - every inner loop in plain C: the reference, and the port to any
 * CPU. */
#include <math.h>
#include <string.h>

#include "core/kernels/bf16.h"
#include "core/kernels/kernels.h"
#include "core/kernels/scalar/winograd.h"

enum { MR = 4, NR = 16 };

static float clamp_one(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x; /* both comparisons fail for NaN */
}

static float finish_one(float sum, const struct cb_epilogue *post, size_t column, size_t at)
{
    if (post->bias)
        sum += post->bias[column];
    if (post->residual)
        sum += post->residual[at];
    return clamp_one(sum, post->lo, post->hi);
}

static void split_pair(const float *pair, float out[2])
{
    uint16_t halves[2];
    memcpy(halves, pair, sizeof halves);
    out[0] = cb_bfloat_to_float(halves[0]);
    out[1] = cb_bfloat_to_float(halves[1]);
}

static void tile(const struct cb_tile *t)
{
    for (size_t i = 0; i < t->m; i++) {
        float acc[NR] = { 0 };
        const float *b = t->panel;
        for (size_t tap = 0; tap < t->taps; tap++) {
            const float *a = t->rows[tap * MR + i];
            for (size_t k = 0; k < t->depth; k++, b += NR)
                for (size_t j = 0; j < NR; j++)
                    acc[j] += a[k] * b[j];
        }
        for (size_t j = 0; j < t->n; j++) {
            const size_t at = i * t->out_stride + j;
            t->out[at] = finish_one(acc[j], &t->post, j, at);
        }
    }
}

/* Each product is exact; the sum of two is rounded before it is added. */
static void tile_pairs(const struct cb_tile *t)
{
    float row[2], panel[2];
    for (size_t i = 0; i < t->m; i++) {
        float acc[NR] = { 0 };
        const float *b = t->panel;
        for (size_t tap = 0; tap < t->taps; tap++) {
            const float *a = t->rows[tap * MR + i];
            for (size_t k = 0; k < t->depth; k++, b += NR) {
                split_pair(a + k, row);
                for (size_t j = 0; j < NR; j++) {
                    split_pair(b + j, panel);
                    acc[j] += row[0] * panel[0] + row[1] * panel[1];
                }
            }
        }
        for (size_t j = 0; j < t->n; j++) {
            const size_t at = i * t->out_stride + j;
            t->out[at] = finish_one(acc[j], &t->post, j, at);
        }
    }
}

static void depthwise(const struct cb_depthwise *d)
{
    for (size_t i = 0; i < d->m; i++)
        for (size_t c = 0; c < d->channels; c++) {
            const size_t at = i * d->out_stride + c;
            float sum = 0;
            for (size_t t = 0; t < d->taps; t++)
                sum += d->rows[t * CB_DEPTHWISE_PIXELS + i][c] * d->w[t * d->w_stride + c];
            d->out[at] = finish_one(sum, &d->post, c, at);
        }
}

static void depthwise_line(const struct cb_depthwise_line *d)
{
    for (size_t i = 0; i < d->m; i++)
        for (size_t c = 0; c < d->channels; c++) {
            const size_t at = i * d->out_stride + c;
            float sum = 0;
            for (size_t l = 0; l < d->lines; l++)
                for (size_t t = 0; t < d->taps; t++) {
                    const size_t column = i * d->stride + t * d->dilation - d->pad;
                    if (column < d->width)
                        sum += d->rows[l][column * d->pixel + c] * d->w[l][t * d->w_stride + c];
                }
            d->out[at] = finish_one(sum, &d->post, c, at);
        }
}

static void max_rows(size_t count, size_t c, const float *const *rows, float *y)
{
    for (size_t i = 0; i < c; i++) {
        float best = rows[0][i];
        for (size_t t = 1; t < count; t++)
            best = rows[t][i] > best ? rows[t][i] : best;
        y[i] = best;
    }
}

static void sum_rows(size_t count, size_t c, const float *const *rows, float scale, float *y)
{
    for (size_t i = 0; i < c; i++) {
        float sum = rows[0][i];
        for (size_t t = 1; t < count; t++)
            sum += rows[t][i];
        y[i] = scale * sum;
    }
}

static void clamp(size_t n, const float *x, float lo, float hi, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = clamp_one(x[i], lo, hi);
}

static void add(size_t n, const float *a, const float *b, float lo, float hi, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = clamp_one(a[i] + b[i], lo, hi);
}

static void mul(size_t n, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void affine(size_t n, const float *x, const float *scale, const float *shift, float lo,
                   float hi, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = clamp_one(x[i] * scale[i] + shift[i], lo, hi);
}

static void axpy(size_t n, float a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static float dot(size_t n, const float *a, const float *b)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void normalize(size_t n, const float *x, float epsilon, bool centered, const float *scale,
                      const float *bias, float *y)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; centered && i < n; i++)
        sum += (double)x[i];
    const double mean = n ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double inverse = 1 / sqrt(squares / (double)(n ? n : 1) + (double)epsilon);
    for (size_t i = 0; i < n; i++) {
        const float normal = (float)(((double)x[i] - mean) * inverse);
        y[i] = normal * (scale ? scale[i] : 1) + (bias ? bias[i] : 0);
    }
}

/* clang-format off */
#define ACTIVATION(id, value)                                                                      \
    static void id(struct cb_act act, size_t rows, size_t n, size_t stride, const float *from,     \
                   float *to)                                                                      \
    {                                                                                              \
        (void)act;                                                                                 \
        for (size_t row = 0; row < rows; row++, from += stride, to += stride)                      \
            for (size_t i = 0; i < n; i++) {                                                       \
                const float x = from[i];                                                           \
                to[i] = value;                                                                     \
            }                                                                                      \
    }
/* clang-format on */
ACTIVATION(act_none, x)
ACTIVATION(act_sigmoid, 1 / (1 + expf(-x)))
ACTIVATION(act_silu, x / (1 + expf(-x)))
ACTIVATION(act_hard_sigmoid, clamp_one(act.alpha *x + act.beta, 0, 1))
ACTIVATION(act_hard_swish, x *clamp_one(act.alpha *x + act.beta, 0, 1))
ACTIVATION(act_gelu, 0.5f * x * (1 + erff(x * 0.70710678f)))
ACTIVATION(act_gelu_tanh, 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x))))
ACTIVATION(act_tanh, tanhf(x))

void cb_kernels_use_scalar(struct cb_kernels *k)
{
    *k = (struct cb_kernels){
        .vector = 1,
        .mr = MR,
        .nr = NR,
        .tile = tile,
        .tile_pairs = tile_pairs,
        .to_pairs = cb_bf16_pairs,
        .depthwise = depthwise,
        .depthwise_line = depthwise_line,
        .winograd_input = cb_scalar_winograd_input,
        .winograd_filter = cb_scalar_winograd_filter,
        .winograd_output = cb_scalar_winograd_output,
        .winograd_taps = cb_scalar_winograd_taps,
        .max_rows = max_rows,
        .sum_rows = sum_rows,
        .clamp = clamp,
        .add = add,
        .mul = mul,
        .affine = affine,
        .axpy = axpy,
        .dot = dot,
        .normalize = normalize,
        .activate = {
            [CB_ACT_NONE] = act_none,
            [CB_ACT_SIGMOID] = act_sigmoid,
            [CB_ACT_SILU] = act_silu,
            [CB_ACT_HARD_SIGMOID] = act_hard_sigmoid,
            [CB_ACT_HARD_SWISH] = act_hard_swish,
            [CB_ACT_GELU] = act_gelu,
            [CB_ACT_GELU_TANH] = act_gelu_tanh,
            [CB_ACT_TANH] = act_tanh,
        },
    };
}
