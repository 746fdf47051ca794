/* core/kernels/scalar/winograd.h - entries of the scalar set that have a file of their own. */
#pragma once

#include "core/kernels/kernels.h"

void cb_scalar_winograd_input(const struct cb_winograd_input *tile);
void cb_scalar_winograd_filter(const struct cb_winograd_filter *filter);
void cb_scalar_winograd_output(const struct cb_winograd_output *tile);
void cb_scalar_winograd_taps(const struct cb_winograd_taps *taps);
