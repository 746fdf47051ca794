/* core/ops/activation.c - operators of one real input, element by element: y = f(x), dx += dy * f'(x).
 *
 * A second one costs a line in UNARY_OPS. Relu and Clip are in clip.c, Cast, Not and Identity in cast.c. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/walk.h"

#define INV_SQRT2    0.70710678118654752f /* 1 / sqrt(2) */
#define INV_SQRT2PI  0.39894228040143268f /* 1 / sqrt(2 pi) */
#define SQRT_2_OVER_PI 0.79788456080286536f
#define TWO_OVER_SQRTPI 1.12837916709551257f
#define GELU_CUBIC   0.044715f

struct unary_args {
    const float *x, *y, *dy;
    float *to; /* y of forward, dx of backward */
    const union cb_attr *attr;
};

static float clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static float sign(float x)
{
    return x > 0 ? 1.0f : x < 0 ? -1.0f : x; /* NaN stays NaN */
}

/* log(1 + e^x) without overflow */
static float softplus(float x)
{
    return (x > 0 ? x : 0.0f) + log1pf(expf(-fabsf(x)));
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Gaussian error linear unit, arXiv:1606.08415: x * Phi(x), or its approximation with tanh. */
static float gelu(float x, bool approximate)
{
    if (approximate)
        return 0.5f * x * (1.0f + tanhf(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)));
    return 0.5f * x * (1.0f + erff(x * INV_SQRT2));
}

static float gelu_slope(float x, bool approximate)
{
    if (approximate) {
        const float t = tanhf(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x));
        const float inner = SQRT_2_OVER_PI * (1.0f + 3.0f * GELU_CUBIC * x * x);
        return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
    }
    return 0.5f * (1.0f + erff(x * INV_SQRT2)) + x * INV_SQRT2PI * expf(-0.5f * x * x);
}

/* arXiv:1908.08681: x * tanh(softplus(x)) */
static float mish_slope(float x)
{
    const float t = tanhf(softplus(x));
    return t + x * (1.0f - t * t) * sigmoid(x);
}

/* id, ONNX's name, f(x), f'(x); a and b are the attributes alpha and beta, y is f(x). */
#define UNARY_OPS(U)                                                                                       \
    U(leaky_relu, "LeakyRelu", x < 0 ? a * x : x, x < 0 ? a : 1.0f)                                        \
    U(sigmoid, "Sigmoid", sigmoid(x), y * (1.0f - y))                                                      \
    U(tanh, "Tanh", tanhf(x), 1.0f - y * y)                                                                \
    U(exp, "Exp", expf(x), y)                                                                              \
    U(log, "Log", logf(x), 1.0f / x)                                                                       \
    U(sqrt, "Sqrt", sqrtf(x), 0.5f / y)                                                                    \
    U(reciprocal, "Reciprocal", 1.0f / x, -y * y)                                                          \
    U(abs, "Abs", fabsf(x), sign(x))                                                                       \
    U(neg, "Neg", -x, -1.0f)                                                                               \
    U(sign, "Sign", sign(x), 0.0f)                                                                         \
    U(floor, "Floor", floorf(x), 0.0f)                                                                     \
    U(ceil, "Ceil", ceilf(x), 0.0f)                                                                        \
    U(round, "Round", rintf(x), 0.0f)                                                                      \
    U(erf, "Erf", erff(x), TWO_OVER_SQRTPI * expf(-x * x))                                                 \
    U(hard_sigmoid, "HardSigmoid", clamp(a * x + b, 0.0f, 1.0f), y > 0 && y < 1 ? a : 0.0f)                \
    U(hard_swish, "HardSwish", x *clamp(a *x + b, 0.0f, 1.0f),                                             \
      a *x + b <= 0 ? 0.0f : a * x + b >= 1 ? 1.0f : 2 * a * x + b)                                        \
    U(elu, "Elu", x < 0 ? a * expm1f(x) : x, x < 0 ? y + a : 1.0f)                                         \
    U(selu, "Selu", x > 0 ? b * x : b * a * expm1f(x), x > 0 ? b : y + b * a)                              \
    U(celu, "Celu", x < 0 ? a * expm1f(x / a) : x, x < 0 ? y / a + 1.0f : 1.0f)                            \
    U(softplus, "Softplus", softplus(x), sigmoid(x))                                                       \
    U(softsign, "Softsign", x / (1.0f + fabsf(x)), 1.0f / ((1.0f + fabsf(x)) * (1.0f + fabsf(x))))         \
    U(thresholded_relu, "ThresholdedRelu", x > a ? x : 0.0f, x > a ? 1.0f : 0.0f)                          \
    U(gelu, "Gelu", gelu(x, args->attr->unary.approximate), gelu_slope(x, args->attr->unary.approximate))  \
    U(mish, "Mish", x *tanhf(softplus(x)), mish_slope(x))                                                  \
    U(sin, "Sin", sinf(x), cosf(x))                                                                        \
    U(cos, "Cos", cosf(x), -sinf(x))

static struct cb_status unary_infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const bool whole = node->op == CB_OP_ABS || node->op == CB_OP_NEG || node->op == CB_OP_SIGN;
    CB_TRY(cb_args_check(node, in));
    if (!whole || in[0].dtype == CB_BOOL)
        CB_TRY(cb_args_want_float(node, &in[0]));
    return cb_args_out(node, &out[0], in[0].dtype, &in[0].shape);
}

/* Abs, Neg and Sign of whole numbers, unsigned 64-bit ones too. */
static void unary_wholes(const struct cb_op_call *call)
{
    const struct cb_tensor *x = call->in[0];
    const size_t n = cb_tensor_count(x);
    for (size_t i = 0; i < n; i++) {
        const int64_t v = x->i[i], minus = (int64_t)(0 - (uint64_t)v);
        const bool below = v < 0 && x->dtype != CB_UINT64;
        const int64_t y = call->node->op == CB_OP_NEG   ? minus
                          : call->node->op == CB_OP_ABS ? (below ? minus : v)
                                                        : (below ? -1 : v != 0);
        call->out[0]->i[i] = cb_dtype_wrap(x->dtype, y);
    }
}

static void unary_forward(const struct cb_op_call *call, cb_range_fn *fn)
{
    struct unary_args args = { .x = call->in[0]->f, .to = call->out[0]->f, .attr = &call->node->attr };
    if (cb_dtype_get(call->in[0]->dtype)->is_float)
        cb_walk_range(call->threads, cb_tensor_count(call->in[0]), CB_WALK_GRAIN, fn, &args);
    else
        unary_wholes(call);
}

static void unary_backward(const struct cb_op_call *call, cb_range_fn *fn)
{
    struct unary_args args = { .x = call->in[0]->f, .y = call->out[0]->f, .attr = &call->node->attr };
    if (!call->din[0] || !call->dout[0])
        return;
    args.dy = call->dout[0]->f;
    args.to = call->din[0]->f;
    cb_walk_range(call->threads, cb_tensor_count(call->in[0]), CB_WALK_GRAIN, fn, &args);
}

#define UNARY_DEF(id, onnx_name, value, slope)                                                             \
    static void id##_values(void *ctx, size_t begin, size_t end)                                           \
    {                                                                                                      \
        const struct unary_args *args = ctx;                                                               \
        const float a = args->attr->unary.alpha, b = args->attr->unary.beta;                               \
        (void)a, (void)b;                                                                                  \
        for (size_t i = begin; i < end; i++) {                                                             \
            const float x = args->x[i];                                                                    \
            args->to[i] = value;                                                                           \
        }                                                                                                  \
    }                                                                                                      \
    static void id##_slopes(void *ctx, size_t begin, size_t end)                                           \
    {                                                                                                      \
        const struct unary_args *args = ctx;                                                               \
        const float a = args->attr->unary.alpha, b = args->attr->unary.beta;                               \
        (void)a, (void)b;                                                                                  \
        for (size_t i = begin; i < end; i++) {                                                             \
            const float x = args->x[i], y = args->y[i];                                                    \
            (void)x, (void)y;                                                                              \
            args->to[i] += args->dy[i] * (slope);                                                          \
        }                                                                                                  \
    }                                                                                                      \
    static void id##_forward(const struct cb_op_call *call) { unary_forward(call, id##_values); }          \
    static void id##_backward(const struct cb_op_call *call) { unary_backward(call, id##_slopes); }        \
    const struct cb_op_def cb_op_##id = {                                                                  \
        .name = onnx_name, .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,                       \
        .infer = unary_infer, .forward = id##_forward, .backward = id##_backward,                          \
    };

UNARY_OPS(UNARY_DEF)
