/* core/ops/elementwise/activation.c - operators of one real input, element by element:
 * y = f(x), dx += dy * f'(x).
 *
 * A second one costs a line in UNARY_OPS; those that may also end another operator (kernels.h,
 * enum cb_activation) take their values from the kernels: a line in ACT_OPS. Relu and Clip are in
 * clip.c; Cast, Not and Identity are in cast.c. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/approx.h"
#include "core/ops/elementwise/walk.h"

#define SQRT_HALF 0.70710678118654752f
#define TWO_OVER_SQRTPI 1.12837916709551257f
#define GELU_SCALE 0.79788456080286536f /* sqrt(2 / pi) */
#define GELU_CUBIC 0.044715f

struct unary_args {
    const float *x, *y, *dy;
    float *to; /* y of forward, dx of backward */
    const union cb_attr *attr;
    const struct cb_kernels *kernels;
    enum cb_activation kind; /* of ACT_OPS */
};

static float sign(float x)
{
    return x > 0 ? 1.0f : x < 0 ? -1.0f : x; /* NaN stays NaN */
}

/* Gaussian error linear unit, arXiv:1606.08415: x * Phi(x), or its approximation with tanh. */
static float gelu_slope(float x)
{
    const float density = 0.5f * TWO_OVER_SQRTPI * SQRT_HALF * cb_approx_exp(-0.5f * x * x);
    return 0.5f * (1.0f + cb_approx_erf(x * SQRT_HALF)) + x * density;
}

static float gelu_tanh_slope(float x)
{
    const float t = cb_approx_tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
    const float inner = GELU_SCALE * (1.0f + 3.0f * GELU_CUBIC * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

/* tanh(softplus(x)), with e = e^x: e (e + 2) / (e (e + 2) + 2). Above 20 it is 1. */
static float mish_gate(float x)
{
    const float e = cb_approx_exp(x > 20.0f ? 20.0f : x), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

/* arXiv:1908.08681: y = x * gate(x) */
static float mish_slope(float x)
{
    const float gate = mish_gate(x);
    return gate + x * (1.0f - gate * gate) * cb_approx_sigmoid(x);
}

/* A slope that is lo below, mid within and hi above the range in which 0 < v < 1. */
static float slope_within(float v, float lo, float mid, float hi)
{
    return v <= 0 ? lo : v >= 1 ? hi : mid;
}

static float silu_slope(float x)
{
    const float gate = cb_approx_sigmoid(x);
    return gate + x * gate * (1.0f - gate);
}

static float soft_slope(float x)
{
    const float t = 1.0f + fabsf(x);
    return 1.0f / (t * t);
}

/* clang-format off */
/* id, ONNX's name, f(x), f'(x); a and b are the attributes alpha and beta, y is f(x). */
#define UNARY_OPS(U)                                                                              \
    U(leaky_relu, "LeakyRelu", x < 0 ? a * x : x, x < 0 ? a : 1.0f)                               \
    U(exp, "Exp", cb_approx_exp(x), y)                                                            \
    U(log, "Log", logf(x), 1.0f / x)                                                              \
    U(sqrt, "Sqrt", sqrtf(x), 0.5f / y)                                                           \
    U(reciprocal, "Reciprocal", 1.0f / x, -y * y)                                                 \
    U(abs, "Abs", fabsf(x), sign(x))                                                              \
    U(neg, "Neg", -x, -1.0f)                                                                      \
    U(sign, "Sign", sign(x), 0.0f)                                                                \
    U(floor, "Floor", floorf(x), 0.0f)                                                            \
    U(ceil, "Ceil", ceilf(x), 0.0f)                                                               \
    U(round, "Round", rintf(x), 0.0f)                                                             \
    U(erf, "Erf", cb_approx_erf(x), TWO_OVER_SQRTPI * cb_approx_exp(-x * x))                      \
    U(elu, "Elu", x < 0 ? a * cb_approx_expm1(x) : x, x < 0 ? y + a : 1.0f)                       \
    U(selu, "Selu", x > 0 ? b * x : b * a * cb_approx_expm1(x), x > 0 ? b : y + b * a)            \
    U(celu, "Celu", x < 0 ? a * cb_approx_expm1(x / a) : x, x < 0 ? y / a + 1.0f : 1.0f)          \
    U(softplus, "Softplus", cb_approx_softplus(x), cb_approx_sigmoid(x))                          \
    U(softsign, "Softsign", x / (1.0f + fabsf(x)), soft_slope(x))                                 \
    U(thresholded_relu, "ThresholdedRelu", x > a ? x : 0.0f, x > a ? 1.0f : 0.0f)                 \
    U(mish, "Mish", x * mish_gate(x), mish_slope(x))                                              \
    U(sin, "Sin", sinf(x), cosf(x))                                                               \
    U(cos, "Cos", cosf(x), -sinf(x))                                                              \
    U(tan, "Tan", tanf(x), 1.0f + y * y)                                                          \
    U(asin, "Asin", asinf(x), 1.0f / sqrtf(1.0f - x * x))                                         \
    U(acos, "Acos", acosf(x), -1.0f / sqrtf(1.0f - x * x))                                        \
    U(atan, "Atan", atanf(x), 1.0f / (1.0f + x * x))                                              \
    U(sinh, "Sinh", sinhf(x), coshf(x))                                                           \
    U(cosh, "Cosh", coshf(x), sinhf(x))                                                           \
    U(asinh, "Asinh", asinhf(x), 1.0f / sqrtf(x * x + 1.0f))                                      \
    U(acosh, "Acosh", acoshf(x), 1.0f / sqrtf(x * x - 1.0f))                                      \
    U(atanh, "Atanh", atanhf(x), 1.0f / (1.0f - x * x))                                           \
    U(shrink, "Shrink", x < -a ? x + b : x > a ? x - b : 0.0f, x < -a || x > a ? 1.0f : 0.0f)

/* id, ONNX's name (Silu is arXiv:1702.03118, of our own passes), the kernel, f'(x). */
#define ACT_OPS(U)                                                                                \
    U(sigmoid, "Sigmoid", CB_ACT_SIGMOID, y * (1.0f - y))                                         \
    U(silu, "Silu", CB_ACT_SILU, silu_slope(x))                                                   \
    U(tanh, "Tanh", CB_ACT_TANH, 1.0f - y * y)                                                    \
    U(hard_sigmoid, "HardSigmoid", CB_ACT_HARD_SIGMOID, slope_within(a * x + b, 0, a, 0))         \
    U(hard_swish, "HardSwish", CB_ACT_HARD_SWISH, slope_within(a * x + b, 0, 2 * a * x + b, 1))
/* clang-format on */

static struct cb_status unary_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
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

static void act_values(void *ctx, size_t begin, size_t end)
{
    const struct unary_args *args = ctx;
    const struct cb_act act = { args->kind, args->attr->unary.alpha, args->attr->unary.beta };
    args->kernels->activate[args->kind](act, 1, end - begin, 0, args->x + begin, args->to + begin);
}

static void act_forward(const struct cb_op_call *call, enum cb_activation kind)
{
    struct unary_args args = { .x = call->in[0]->f,
                               .to = call->out[0]->f,
                               .attr = &call->node->attr,
                               .kernels = call->kernels,
                               .kind = kind };
    cb_walk_range(call->threads, cb_tensor_count(call->in[0]), CB_WALK_GRAIN, act_values, &args);
}

static void unary_forward(const struct cb_op_call *call, cb_range_fn *fn)
{
    struct unary_args args = { .x = call->in[0]->f,
                               .to = call->out[0]->f,
                               .attr = &call->node->attr };
    if (cb_dtype_get(call->in[0]->dtype)->is_float)
        cb_walk_range(call->threads, cb_tensor_count(call->in[0]), CB_WALK_GRAIN, fn, &args);
    else
        unary_wholes(call);
}

static void unary_backward(const struct cb_op_call *call, cb_range_fn *fn)
{
    struct unary_args args = { .x = call->in[0]->f,
                               .y = call->out[0]->f,
                               .attr = &call->node->attr };
    if (!call->din[0] || !call->dout[0])
        return;
    args.dy = call->dout[0]->f;
    args.to = call->din[0]->f;
    cb_walk_range(call->threads, cb_tensor_count(call->in[0]), CB_WALK_GRAIN, fn, &args);
}

/* clang-format off */
#define UNARY_VALUES(id, value)                                                                   \
    static void id##_values(void *ctx, size_t begin, size_t end)                                  \
    {                                                                                             \
        const struct unary_args *args = ctx;                                                      \
        const float a = args->attr->unary.alpha, b = args->attr->unary.beta;                      \
        (void)a, (void)b;                                                                         \
        for (size_t i = begin; i < end; i++) {                                                    \
            const float x = args->x[i];                                                           \
            args->to[i] = value;                                                                  \
        }                                                                                         \
    }

#define UNARY_SLOPES(id, slope)                                                                   \
    static void id##_slopes(void *ctx, size_t begin, size_t end)                                  \
    {                                                                                             \
        const struct unary_args *args = ctx;                                                      \
        const float a = args->attr->unary.alpha, b = args->attr->unary.beta;                      \
        (void)a, (void)b;                                                                         \
        for (size_t i = begin; i < end; i++) {                                                    \
            const float x = args->x[i], y = args->y[i];                                           \
            (void)x, (void)y;                                                                     \
            args->to[i] += args->dy[i] * (slope);                                                 \
        }                                                                                         \
    }

/* forward and backward_loop may ask the call what to take. */
#define UNARY_ENTRY(id, onnx_name, forward_call, backward_loop)                                   \
    static void id##_forward(const struct cb_op_call *call)                                       \
    {                                                                                             \
        forward_call;                                                                             \
    }                                                                                             \
    static void id##_backward(const struct cb_op_call *call)                                      \
    {                                                                                             \
        unary_backward(call, backward_loop);                                                      \
    }                                                                                             \
    const struct cb_op_def cb_op_##id = {                                                         \
        .name = onnx_name, .min_in = 1, .max_in = 1, .max_out = 1, .in_place = true,              \
        .infer = unary_infer, .forward = id##_forward, .backward = id##_backward,                 \
    };

#define UNARY_DEF(id, onnx_name, value, slope)                                                    \
    UNARY_VALUES(id, value)                                                                       \
    UNARY_SLOPES(id, slope)                                                                       \
    UNARY_ENTRY(id, onnx_name, unary_forward(call, id##_values), id##_slopes)

#define ACT_DEF(id, onnx_name, kind, slope)                                                       \
    UNARY_SLOPES(id, slope)                                                                       \
    UNARY_ENTRY(id, onnx_name, act_forward(call, kind), id##_slopes)

UNARY_OPS(UNARY_DEF)
ACT_OPS(ACT_DEF)

UNARY_SLOPES(gelu_erf, gelu_slope(x))
UNARY_SLOPES(gelu_tanh, gelu_tanh_slope(x))
UNARY_ENTRY(gelu, "Gelu",
            act_forward(call, call->node->attr.unary.approximate ? CB_ACT_GELU_TANH : CB_ACT_GELU),
            call->node->attr.unary.approximate ? gelu_tanh_slopes : gelu_erf_slopes)
