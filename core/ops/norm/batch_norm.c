/* core/ops/norm/batch_norm.c - BatchNormalization, channels last: x and y [N, spatial..., C],
 * y = (x - mean) / sqrt(var + epsilon) * scale + bias, clamped to [lo, hi].
 *
 * ONNX BatchNormalization-15; arXiv:1502.03167. In training mean and (biased) variance are the
 * batch's, and running_mean and running_var are old x momentum + batch x (1 - momentum); their
 * gradients are not followed. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/clamp.h"

enum { X, SCALE, BIAS, MEAN, VAR };
enum {
    PIXELS = 64,   /* of one task of forward */
    CHANNELS = 64, /* of one task that sums over pixels */
};

static size_t channels_of(const struct cb_shape *x)
{
    return x->rank < 2 ? 1 : (size_t)x->dim[x->rank - 1]; /* a vector has one channel */
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    static const char *const names[] = { "", "scale", "bias", "mean", "variance" };
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    if (in[X].shape.rank < 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,spatial...,C], has []", node->name);
    const struct cb_shape want = { 1, { (int64_t)channels_of(&in[X].shape) } };
    for (int i = X; i < node->n_in; i++) {
        CB_TRY(cb_args_want_float(node, &in[i]));
        if (i != X && !cb_shape_equal(&in[i].shape, &want))
            return cb_fail(CB_ERR_MODEL, "%s: %s wants %s, has %s", node->name, names[i],
                           cb_shape_text(&want, a), cb_shape_text(&in[i].shape, b));
    }
    if (node->n_out > 1 && !node->attr.batch_norm.training)
        return cb_fail(CB_ERR_MODEL, "%s: running statistics are outputs of training alone",
                       node->name);
    for (int i = 1; i < node->n_out; i++)
        CB_TRY(cb_args_out(node, &out[i], in[MEAN].dtype, &want));
    return cb_args_out(node, &out[0], in[X].dtype, &in[X].shape);
}

/* What scratch holds: per channel the slope and offset of y = slope * x + offset and the statistics
 * behind them, then two sums that backward needs, then the masked gradient. */
struct norm {
    const struct cb_op_call *call;
    size_t pixels, c, x_stride, y_stride;
    double *mean, *inverse, *sum_g, *sum_gx; /* [c]; inverse is 1 / sqrt(var + epsilon) */
    float *slope, *offset;                   /* [c] */
    float *masked;                           /* [pixels, c] */
    const float *g;                          /* d loss / d (y before the clamp) */
};

static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const size_t c = channels_of(&call->in[X]->shape);
    const union cb_attr *attr = &call->node->attr;
    const size_t masked =
        backward ? cb_clamp_bytes(call, attr->batch_norm.lo, attr->batch_norm.hi) : 0;
    return c * (4 * sizeof(double) + 2 * sizeof(float)) + masked;
}

static struct norm norm_of(const struct cb_op_call *call)
{
    struct norm s = { .call = call, .c = channels_of(&call->in[X]->shape) };
    s.pixels = s.c ? cb_tensor_count(call->in[X]) / s.c : 0;
    s.x_stride = call->in[X]->pixel_stride ? call->in[X]->pixel_stride : s.c;
    s.y_stride = call->out[0]->pixel_stride ? call->out[0]->pixel_stride : s.c;
    s.mean = call->scratch;
    s.inverse = s.mean + s.c;
    s.sum_g = s.inverse + s.c;
    s.sum_gx = s.sum_g + s.c;
    s.slope = (float *)(s.sum_gx + s.c);
    s.offset = s.slope + s.c;
    s.masked = s.offset + s.c;
    return s;
}

/* The channels [first, end) of a task. */
static size_t first_channel(const struct norm *s, size_t task)
{
    return task * CHANNELS < s->c ? task * CHANNELS : s->c;
}

/* Mean and variance over the batch, in two passes so that nothing cancels. */
static void measure_channels(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct norm *s = ctx;
    const float *x = s->call->in[X]->f;
    const size_t first = first_channel(s, task), end = first_channel(s, task + 1);
    double *variance = s->inverse;
    for (size_t c = first; c < end; c++)
        s->mean[c] = variance[c] = 0;
    for (size_t p = 0; p < s->pixels; p++)
        for (size_t c = first; c < end; c++)
            s->mean[c] += (double)x[p * s->c + c];
    for (size_t c = first; c < end; c++)
        s->mean[c] /= (double)s->pixels;
    for (size_t p = 0; p < s->pixels; p++)
        for (size_t c = first; c < end; c++) {
            const double d = (double)x[p * s->c + c] - s->mean[c];
            variance[c] += d * d;
        }
    for (size_t c = first; c < end; c++)
        variance[c] /= (double)s->pixels;
}

static void for_channels(const struct norm *s, cb_threads_fn *fn)
{
    cb_threads_for(s->call->threads, (s->c + CHANNELS - 1) / CHANNELS, fn, (void *)(uintptr_t)s);
}

/* mean and inverse of every channel; `running`: the outputs of training too. */
static void find_statistics(const struct norm *s, bool running)
{
    const struct cb_op_call *call = s->call;
    const union cb_attr *attr = &call->node->attr;
    const double momentum = (double)attr->batch_norm.momentum;
    if (attr->batch_norm.training)
        for_channels(s, measure_channels);
    for (size_t c = 0; c < s->c; c++) {
        const double mean = attr->batch_norm.training ? s->mean[c] : (double)call->in[MEAN]->f[c];
        const double variance =
            attr->batch_norm.training ? s->inverse[c] : (double)call->in[VAR]->f[c];
        for (int i = 1; running && i < call->node->n_out; i++)
            if (call->out[i])
                call->out[i]->f[c] =
                    (float)(momentum * (double)call->in[i == 1 ? MEAN : VAR]->f[c] +
                            (1 - momentum) * (i == 1 ? mean : variance));
        s->mean[c] = mean;
        s->inverse[c] = 1 / sqrt(variance + (double)attr->batch_norm.epsilon);
    }
}

static void scale_pixels(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct norm *s = ctx;
    const struct cb_op_call *call = s->call;
    const size_t first = task * PIXELS,
                 end = s->pixels - first < PIXELS ? s->pixels : first + PIXELS;
    for (size_t p = first; p < end; p++)
        call->kernels->affine(s->c, call->in[X]->f + p * s->x_stride, s->slope, s->offset,
                              call->node->attr.batch_norm.lo, call->node->attr.batch_norm.hi,
                              call->out[0]->f + p * s->y_stride);
}

static void forward(const struct cb_op_call *call)
{
    struct norm s = norm_of(call);
    find_statistics(&s, true);
    for (size_t c = 0; c < s.c; c++) {
        const double slope = s.inverse[c] * (double)call->in[SCALE]->f[c];
        s.slope[c] = (float)slope;
        s.offset[c] = (float)((double)call->in[BIAS]->f[c] - slope * s.mean[c]);
    }
    cb_threads_for(call->threads, (s.pixels + PIXELS - 1) / PIXELS, scale_pixels, &s);
}

static bool takes_stride(const struct cb_op_call *call, int input)
{
    return input <= X && call->in[X]->shape.rank > 1 && !call->node->attr.batch_norm.training;
}

/* sum_g = sum of g, sum_gx = sum of g * normalised x, over all pixels. */
static void sum_channels(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct norm *s = ctx;
    const float *x = s->call->in[X]->f;
    const size_t first = first_channel(s, task), end = first_channel(s, task + 1);
    for (size_t c = first; c < end; c++)
        s->sum_g[c] = s->sum_gx[c] = 0;
    for (size_t p = 0; p < s->pixels; p++)
        for (size_t c = first; c < end; c++) {
            const double g = (double)s->g[p * s->c + c];
            s->sum_g[c] += g;
            s->sum_gx[c] += g * ((double)x[p * s->c + c] - s->mean[c]);
        }
    for (size_t c = first; c < end; c++)
        s->sum_gx[c] *= s->inverse[c];
}

/* dx = scale * inverse * g; in training also less what x moves mean and variance by:
 * dx = scale * inverse * (g - sum_g / m - normalised x * sum_gx / m), m pixels. */
static void gradient_of_pixels(void *ctx, size_t task, size_t worker)
{
    (void)worker;
    const struct norm *s = ctx;
    const struct cb_op_call *call = s->call;
    const double share = call->node->attr.batch_norm.training ? 1 / (double)s->pixels : 0;
    const size_t first = task * PIXELS,
                 end = s->pixels - first < PIXELS ? s->pixels : first + PIXELS;
    for (size_t p = first; p < end; p++)
        for (size_t c = 0, i = p * s->c; c < s->c; c++, i++) {
            const double normalised = ((double)call->in[X]->f[i] - s->mean[c]) * s->inverse[c];
            const double g = (double)s->g[i] - share * (s->sum_g[c] + normalised * s->sum_gx[c]);
            call->din[X]->f[i] += (float)((double)call->in[SCALE]->f[c] * s->inverse[c] * g);
        }
}

static void gradient_of_parameters(const struct norm *s)
{
    const struct cb_op_call *call = s->call;
    const bool training =
        call->node->attr.batch_norm.training; /* y then knows nothing of the old statistics */
    for (size_t c = 0; c < s->c; c++) {
        const double scale = (double)call->in[SCALE]->f[c], inverse = s->inverse[c];
        if (call->din[SCALE])
            call->din[SCALE]->f[c] += (float)s->sum_gx[c];
        if (call->din[BIAS])
            call->din[BIAS]->f[c] += (float)s->sum_g[c];
        if (call->din[MEAN] && !training)
            call->din[MEAN]->f[c] -= (float)(s->sum_g[c] * scale * inverse);
        if (call->din[VAR] && !training)
            call->din[VAR]->f[c] -= (float)(0.5 * s->sum_gx[c] * scale * inverse * inverse);
    }
}

static void backward(const struct cb_op_call *call)
{
    struct norm s = norm_of(call);
    if (!call->dout[0])
        return;
    s.g = cb_clamp_gradient(call, call->node->attr.batch_norm.lo, call->node->attr.batch_norm.hi,
                            s.masked);
    find_statistics(&s, false);
    for_channels(&s, sum_channels);
    if (call->din[X])
        cb_threads_for(call->threads, (s.pixels + PIXELS - 1) / PIXELS, gradient_of_pixels, &s);
    gradient_of_parameters(&s);
}

const struct cb_op_def cb_op_batch_norm = {
    .name = "BatchNormalization",
    .min_in = 5,
    .max_in = 5,
    .max_out = 3,
    .in_place = true,
    .infer = infer,
    .scratch = scratch,
    .takes_stride = takes_stride,
    .forward = forward,
    .backward = backward,
};
