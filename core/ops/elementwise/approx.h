/* core/ops/elementwise/approx.h - exponential functions without branches or calls, so that loops
 * over them become vectors.
 *
 * Polynomials are minimax fits; each result is within 4 units in the last place of the true one
 * (tests hold them to that), except where a comment says otherwise. Infinities and NaN give what
 * libm gives. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

/* 2^n for n in -126 .. 127. */
static inline float cb_approx_power_of_2(int32_t n)
{
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* (e^r - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline float cb_approx_exp_tail(float r)
{
    return 0.49999993f +
           r * (0.16666519f + r * (0.041668407f + r * (0.0083688985f + r * 0.0013814102f)));
}

/* e^x = 2^k e^r: k is x / log 2 to the nearest whole number. 2^k is two factors, for the ends of
 * the range. */
static inline float cb_approx_exp(float x)
{
    const float magic = 0x1.8p23f, inside = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    const float shifted = inside * 1.44269504f + magic; /* its low bits are k */
    const float k = shifted - magic;
    const float r = (inside - k * 0.693359375f) + k * 2.12194440e-4f;
    const float p = 1.0f + (r + r * r * cb_approx_exp_tail(r));
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    const int32_t n = (int32_t)(bits & 0x7fffff) - 0x400000, half = n / 2;
    return p * cb_approx_power_of_2(half) * cb_approx_power_of_2(n - half);
}

/* e^x - 1, without loss near 0. */
static inline float cb_approx_expm1(float x)
{
    const float near = x + x * x * cb_approx_exp_tail(x), far = cb_approx_exp(x) - 1.0f;
    return fabsf(x) < 0.34f ? near : far;
}

static inline float cb_approx_sigmoid(float x)
{
    return 1.0f / (1.0f + cb_approx_exp(-x));
}

static inline float cb_approx_tanh(float x)
{
    const float t = fabsf(x), z = x * x;
    const float series =
        -0.33333284f +
        z * (0.13331491f + z * (-0.053743498f + z * (0.020650588f - z * 0.0057170455f)));
    const float near = x + x * z * series, far = 1.0f - 2.0f / (1.0f + cb_approx_exp(2.0f * t));
    return t < 0.625f ? near : copysignf(far, x);
}

/* Near 0 a series; else 1 - e^-p(|x|), p fitted to -log(1 - erf). From 4 on it is 1. */
static inline float cb_approx_erf(float x)
{
    const float t = fabsf(x), z = x * x, c = t > 4.0f ? 4.0f : t;
    const float near =
        x * (1.1283792f +
             z * (-0.37612627f +
                  z * (0.112836002f +
                       z * (-0.026854445f +
                            z * (0.0051895355f + z * (-8.0208423e-4f + z * 7.889123e-5f))))));
    const float p =
        2.5644671e-4f +
        c * (1.1274261f +
             c * (0.63760005f + c * (0.10356688f + c * (-0.022051994f +
                                                        c * (0.0029995397f - c * 1.9150402e-4f)))));
    return t < 1.0f ? near : copysignf(1.0f - cb_approx_exp(-p), x);
}

/* log(1 + e^x) = max(x, 0) + log(1 + u), u = e^-|x|; the latter is 2 atanh(s), s = u / (2 + u). */
static inline float cb_approx_softplus(float x)
{
    const float u = cb_approx_exp(-fabsf(x)), s = u / (2.0f + u), z = s * s;
    const float series = 0.33333207f + z * (0.2001085f + z * (0.1399957f + z * 0.1401223f));
    return (x > 0 ? x : 0.0f) + 2.0f * (s + s * z * series);
}
