/* core/ops/norm/layer_norm.c - LayerNorm over the last axes:
 * y = (x - mean) / sqrt(variance + epsilon) * scale + bias; without `centered` the mean is taken as
 * 0, and the mean square stands for the variance.
 *
 * arXiv:1607.06450, arXiv:1910.07467; ONNX LayerNormalization-17, RMSNormalization-23. scale and
 * bias have a number for each place along those axes. Passes make it of the chain of operators that
 * files spell out or the importer writes. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

enum { X, SCALE, BIAS };

static const char *const names[] = { "x", "scale", "bias" };

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[X].shape;
    const int axes = node->attr.layer_norm.axes;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    if (axes < 1 || axes > x->rank)
        return cb_fail(CB_ERR_MODEL, "%s: wants 1 to %d axes, has %d", node->name, x->rank, axes);
    for (int i = SCALE; i < node->n_in; i++) {
        if (!cb_args_given(node, in, i))
            continue;
        CB_TRY(cb_args_want_float(node, &in[i]));
        if (cb_shape_count(&in[i].shape) != cb_shape_span(x, x->rank - axes, x->rank))
            return cb_fail(CB_ERR_MODEL,
                           "%s: %s wants a number for each place of the last %d axes "
                           "of %s, has %s",
                           node->name, names[i], axes, cb_shape_text(x, a),
                           cb_shape_text(&in[i].shape, b));
    }
    return cb_args_out(node, &out[0], in[X].dtype, x);
}

struct rows {
    const struct cb_op_call *call;
    size_t n, count; /* of a row; rows */
};

static struct rows rows_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[X]->shape;
    const int first = x->rank - call->node->attr.layer_norm.axes;
    return (struct rows){ call, cb_shape_span(x, first, x->rank), cb_shape_span(x, 0, first) };
}

static const float *input(const struct cb_op_call *call, int i)
{
    return i < call->node->n_in && call->in[i] ? call->in[i]->f : NULL;
}

static float *gradient(const struct cb_op_call *call, int i)
{
    return i < call->node->n_in && call->din[i] ? call->din[i]->f : NULL;
}

static void normalize_rows(void *ctx, size_t begin, size_t end)
{
    const struct rows *r = ctx;
    const union cb_attr *attr = &r->call->node->attr;
    for (size_t i = begin; i < end; i++)
        r->call->kernels->normalize(r->n, r->call->in[X]->f + i * r->n, attr->layer_norm.epsilon,
                                    attr->layer_norm.centered, input(r->call, SCALE),
                                    input(r->call, BIAS), r->call->out[0]->f + i * r->n);
}

static size_t grain(const struct rows *r)
{
    return CB_WALK_GRAIN / (r->n + 1) + 1;
}

static void forward(const struct cb_op_call *call)
{
    struct rows r = rows_of(call);
    cb_walk_range(call->threads, r.n ? r.count : 0, grain(&r), normalize_rows, &r);
}

/* Mean and 1 / deviation of a row. */
struct moments {
    double mean, inverse;
};

static struct moments moments_of(const struct rows *r, const float *x)
{
    struct moments m = { 0 };
    double squares = 0;
    for (size_t i = 0; r->call->node->attr.layer_norm.centered && i < r->n; i++)
        m.mean += (double)x[i];
    m.mean /= (double)r->n;
    for (size_t i = 0; i < r->n; i++)
        squares += ((double)x[i] - m.mean) * ((double)x[i] - m.mean);
    m.inverse = 1 / sqrt(squares / (double)r->n + (double)r->call->node->attr.layer_norm.epsilon);
    return m;
}

/* With h = (x - mean) * inverse and g = dy * scale:
 * dx += inverse * (g - mean(g) - h * mean(g * h)); without a mean, the first is 0. */
static void slope_rows(void *ctx, size_t begin, size_t end)
{
    const struct rows *r = ctx;
    const struct cb_op_call *call = r->call;
    const float *scale = input(call, SCALE);
    const bool is_centered = call->node->attr.layer_norm.centered;
    for (size_t row = begin; row < end; row++) {
        const float *x = call->in[X]->f + row * r->n, *dy = call->dout[0]->f + row * r->n;
        float *dx = call->din[X]->f + row * r->n;
        const struct moments m = moments_of(r, x);
        double sum = 0, product = 0;
        for (size_t i = 0; i < r->n; i++) {
            const double g = (double)dy[i] * (double)(scale ? scale[i] : 1);
            sum += is_centered ? g : 0;
            product += g * ((double)x[i] - m.mean) * m.inverse;
        }
        for (size_t i = 0; i < r->n; i++) {
            const double g = (double)dy[i] * (double)(scale ? scale[i] : 1);
            const double h = ((double)x[i] - m.mean) * m.inverse;
            dx[i] += (float)(m.inverse * (g - (sum + h * product) / (double)r->n));
        }
    }
}

static void backward(const struct cb_op_call *call)
{
    struct rows r = rows_of(call);
    float *dscale = gradient(call, SCALE), *dbias = gradient(call, BIAS);
    if (!call->dout[0] || r.n == 0)
        return;
    if (call->din[X])
        cb_walk_range(call->threads, r.count, grain(&r), slope_rows, &r);
    for (size_t row = 0; row < r.count && (dscale || dbias); row++) {
        const float *x = call->in[X]->f + row * r.n, *dy = call->dout[0]->f + row * r.n;
        const struct moments m = moments_of(&r, x);
        for (size_t i = 0; dscale && i < r.n; i++)
            dscale[i] += dy[i] * (float)(((double)x[i] - m.mean) * m.inverse);
        for (size_t i = 0; dbias && i < r.n; i++)
            dbias[i] += dy[i];
    }
}

const struct cb_op_def cb_op_layer_norm = {
    .name = "LayerNormalization",
    .min_in = 1,
    .max_in = 3,
    .max_out = 1,
    .in_place = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
