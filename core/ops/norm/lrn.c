/* core/ops/norm/lrn.c - local response normalisation over channels, channels last:
 * x and y [N, spatial..., C], y = x / s^beta,
 * s = bias + alpha / size * (sum of x^2 over `size` channels around this one).
 *
 * ONNX LRN-13. An even size looks one channel further up than down. */
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"

#define PIXELS 16 /* of one task */

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    if (in[0].shape.rank < 2)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,spatial...,C], has %s", node->name,
                       cb_shape_text(&in[0].shape, text));
    if (node->attr.lrn.size < 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants a size of at least 1, has %lld", node->name,
                       (long long)node->attr.lrn.size);
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

struct lrn {
    const struct cb_op_call *call;
    size_t pixels, c;
    size_t below, above; /* how many channels the window reaches down and up, below c */
    float alpha, beta, bias;
};

static size_t worker_bytes(size_t c)
{
    return cb_align_up(2 * c * sizeof(float));
}

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct cb_shape *x = &call->in[0]->shape;
    (void)backward;
    return worker_bytes((size_t)x->dim[x->rank - 1]) * cb_threads_count(call->threads);
}

static void for_pixels(const struct cb_op_call *call, cb_threads_fn *fn)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const union cb_attr *attr = &call->node->attr;
    struct lrn s = { .call = call,
                     .c = (size_t)x->dim[x->rank - 1],
                     .beta = attr->lrn.beta,
                     .bias = attr->lrn.bias };
    const size_t reach = (size_t)attr->lrn.size - 1;
    s.pixels = cb_shape_span(x, 0, x->rank - 1);
    s.below = reach / 2 < s.c ? reach / 2 : s.c - 1;
    s.above = reach - reach / 2 < s.c ? reach - reach / 2 : s.c - 1;
    s.alpha = (float)((double)attr->lrn.alpha / (double)attr->lrn.size);
    if (s.c)
        cb_threads_for(call->threads, (s.pixels + PIXELS - 1) / PIXELS, fn, &s);
}

/* sums[c] = sum of v from channel c - below to c + above: v is added to it once for every step
 * between the two. */
static void sum_windows(const struct lrn *s, size_t below, size_t above, const float *v,
                        float *sums)
{
    memset(sums, 0, s->c * sizeof *sums);
    for (size_t step = below; step > 0; step--)
        s->call->kernels->axpy(s->c - step, 1, v, sums + step);
    for (size_t step = 0; step <= above; step++)
        s->call->kernels->axpy(s->c - step, 1, v + step, sums);
}

/* s^-beta; networks have a beta of 3/4. */
static float inverse_power(float s, float beta)
{
    return beta == 0.75f ? 1 / (sqrtf(s) * sqrtf(sqrtf(s))) : powf(s, -beta);
}

/* The s of every channel of one pixel. `squares` is room for as many floats. */
static void find_sums(const struct lrn *s, const float *x, float *squares, float *sums)
{
    s->call->kernels->mul(s->c, x, x, squares);
    sum_windows(s, s->below, s->above, squares, sums);
    for (size_t c = 0; c < s->c; c++)
        sums[c] = s->bias + s->alpha * sums[c];
}

static void forward_pixels(void *ctx, size_t task, size_t worker)
{
    const struct lrn *s = ctx;
    const size_t first = task * PIXELS,
                 end = s->pixels - first < PIXELS ? s->pixels : first + PIXELS;
    float *squares = (float *)(void *)((char *)s->call->scratch + worker * worker_bytes(s->c));
    float *sums = squares + s->c;
    for (size_t p = first; p < end; p++) {
        const float *x = s->call->in[0]->f + p * s->c;
        float *y = s->call->out[0]->f + p * s->c;
        find_sums(s, x, squares, sums);
        for (size_t c = 0; c < s->c; c++)
            y[c] = x[c] * inverse_power(sums[c], s->beta);
    }
}

/* dx[i] = g[i] s[i]^-beta - 2 alpha beta / size * x[i] * (sum of g x s^(-beta-1) over the channels
 * that look at i). */
static void backward_pixels(void *ctx, size_t task, size_t worker)
{
    const struct lrn *s = ctx;
    const size_t first = task * PIXELS,
                 end = s->pixels - first < PIXELS ? s->pixels : first + PIXELS;
    float *parts = (float *)(void *)((char *)s->call->scratch + worker * worker_bytes(s->c));
    float *sums = parts + s->c;
    for (size_t p = first; p < end; p++) {
        const float *x = s->call->in[0]->f + p * s->c, *g = s->call->dout[0]->f + p * s->c;
        float *dx = s->call->din[0]->f + p * s->c;
        find_sums(s, x, parts, sums);
        for (size_t c = 0; c < s->c; c++) {
            const float power = inverse_power(sums[c], s->beta);
            dx[c] += g[c] * power;
            parts[c] = g[c] * x[c] * power / sums[c];
        }
        sum_windows(s, s->above, s->below, parts, sums);
        for (size_t c = 0; c < s->c; c++)
            dx[c] -= 2 * s->alpha * s->beta * x[c] * sums[c];
    }
}

static void forward(const struct cb_op_call *call)
{
    for_pixels(call, forward_pixels);
}

static void backward(const struct cb_op_call *call)
{
    if (call->dout[0] && call->din[0])
        for_pixels(call, backward_pixels);
}

const struct cb_op_def cb_op_lrn = {
    .name = "LRN",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .in_place = true,
    .infer = infer,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
};
