#include "core/tensor/half.h"

#include <string.h>

#include "core/base/bfloat.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float cb_half_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 0x3ff;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) {
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

/* value >> shift, rounded to nearest, ties to even; 1 <= shift <= 31. */
static uint32_t shift_round(uint32_t value, unsigned shift)
{
    const uint32_t half = (uint32_t)1 << (shift - 1), rest = value & (2 * half - 1);
    const uint32_t q = value >> shift;
    return q + (rest > half || (rest == half && (q & 1)));
}

uint16_t cb_half_from_float(float value)
{
    const uint32_t bits = to_bits(value), magnitude = bits & 0x7fffffff;
    const uint32_t sign = (bits >> 16) & 0x8000;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x47800000) /* 65536 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >=
        0x38800000) /* 2^-14: a normal number; a carry moves into the exponent, up to infinity */
        return (uint16_t)(sign | shift_round(magnitude - 0x38000000, 13));
    if (magnitude < 0x33000000) /* below 2^-25: nothing is left */
        return (uint16_t)sign;
    return (uint16_t)(sign |
                      shift_round((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23)));
}

float cb_half_bfloat_to_float(uint16_t bits)
{
    return cb_bfloat_to_float(bits);
}

uint16_t cb_half_bfloat_from_float(float value)
{
    return cb_bfloat_of(value);
}

float cb_half_round(enum cb_dtype dtype, float value)
{
    switch (dtype) {
    case CB_FLOAT16: return cb_half_to_float(cb_half_from_float(value));
    case CB_BFLOAT16: return cb_half_bfloat_to_float(cb_half_bfloat_from_float(value));
    default: return value;
    }
}
