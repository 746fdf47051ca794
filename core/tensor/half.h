/* core/tensor/half.h - 16-bit real numbers: their bits to float and back, and rounding to a
 * declared precision.
 *
 * Rounding is to nearest, ties to even; too large becomes infinite; NaN stays NaN. IEEE 754-2019
 * binary16, and bfloat16 (the upper half of a binary32). */
#pragma once

#include <stdint.h>

#include "core/tensor/dtype.h"

float cb_half_to_float(uint16_t bits);
uint16_t cb_half_from_float(float value);

float cb_half_bfloat_to_float(uint16_t bits);
uint16_t cb_half_bfloat_from_float(float value);

/* value as a tensor of the real type `dtype` can hold it. */
float cb_half_round(enum cb_dtype dtype, float value);
