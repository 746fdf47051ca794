/* core/kernels/simd/activation.h - functions of one number, without branches: minimax fits of our
 * own, within some units in the last place of the true function where that is a normal number (of
 * gelu: of x). NaN and infinities give what the scalar set gives. */
#pragma once

/* The bits of a vector as whole numbers: a cast from vec reads them, a cast to vec writes them. */
typedef uint32_t vec_bits __attribute__((vector_size(sizeof(vec))));

/* e^x = 2^k 2^f: k is x / log 2 to the nearest whole number. Its last digits suffer a little as x
 * grows: 2e-8 |x|. Below -87 it is e^-87, above 88.4 infinite. */
static ALWAYS_INLINE vec vec_exp(vec x)
{
    const vec inside = vec_clamp(x, -87.0f, 89.0f);
    const vec shifted = inside * 1.44269504f + 0x1.8p23f; /* its low bits are k */
    const vec f = inside * 1.44269504f - (shifted - 0x1.8p23f);
    const vec p =
        1.0f +
        f * (0.693147004f +
             f * (0.240222424f + f * (0.0555073358f + f * (0.00967151299f + f * 0.00132647273f))));
    return p * (vec)(((vec_bits)shifted << 23) + 0x3f800000u);
}

/* Beyond 4 it is 1. */
static ALWAYS_INLINE vec vec_erf(vec x)
{
    const vec c = vec_clamp(x, -4.0f, 4.0f), z = c * c;
    const vec above =
        1.12837911f +
        z * (0.192429066f + z * (0.0529877655f + z * (0.00384336733f + z * (0.000285137299f +
                                                                            z * 2.01637226e-06f))));
    const vec below =
        1.0f +
        z * (0.503868461f +
             z * (0.114919037f + z * (0.0151276505f + z * (0.00117848488f + z * 3.77514043e-05f))));
    return vec_clamp(c * above / below, -1.0f, 1.0f);
}

/* Beyond 9 it is 1. */
static ALWAYS_INLINE vec vec_tanh(vec x)
{
    const vec c = vec_clamp(x, -9.0f, 9.0f), z = c * c;
    const vec above =
        1.0f + z * (0.135958716f +
                    z * (0.00376263307f +
                         z * (2.58470882e-05f + z * (2.52425156e-08f - z * 8.05058971e-12f))));
    const vec below = 1.0f + z * (0.469292015f +
                                  z * (0.0268600248f + z * (0.000375136093f + z * 1.1346317e-06f)));
    return vec_clamp(c * above / below, -1.0f, 1.0f);
}

/* clang-format off */
/* y = value for each x; a and b are the attributes. The body is written for whole vectors, and once
 * more for the rest of a row. */
#define ACTIVATION(id, value)                                                                      \
    static void act_##id(struct cb_act act, size_t rows, size_t n, size_t stride,                  \
                         const float *from, float *to)                                             \
    {                                                                                              \
        const vec a = vec_all(act.alpha), b = vec_all(act.beta);                                   \
        (void)a, (void)b;                                                                          \
        for (size_t row = 0; row < rows; row++, from += stride, to += stride) {                    \
            size_t i = 0;                                                                          \
            for (; i + 2 * W <= n; i += 2 * W) {                                                   \
                UNROLL                                                                             \
                for (int j = 0; j < 2 * W; j += W) {                                               \
                    const vec x = vec_load(from + i + j);                                          \
                    vec_store_part(to + i + j, W, value);                                          \
                }                                                                                  \
            }                                                                                      \
            for (; i + W <= n; i += W) {                                                           \
                const vec x = vec_load(from + i);                                                  \
                vec_store_part(to + i, W, value);                                                  \
            }                                                                                      \
            if (i < n) {                                                                           \
                const vec x = vec_load_part(from + i, n - i);                                      \
                vec_store_part(to + i, n - i, value);                                              \
            }                                                                                      \
        }                                                                                          \
    }

ACTIVATION(sigmoid, 1.0f / (1.0f + vec_exp(-x)))
ACTIVATION(silu, x / (1.0f + vec_exp(-x)))
ACTIVATION(hard_sigmoid, vec_clamp(a * x + b, 0.0f, 1.0f))
ACTIVATION(hard_swish, x * vec_clamp(a * x + b, 0.0f, 1.0f))
ACTIVATION(gelu, 0.5f * x * (1.0f + vec_erf(x * 0.70710678f)))
/* 1 + tanh(u) is twice the sigmoid of 2 u. */
ACTIVATION(gelu_tanh, x / (1.0f + vec_exp(x * (-1.59576912f - 0.0713548163f * x * x))))
ACTIVATION(tanh, vec_tanh(x))
/* clang-format on */
