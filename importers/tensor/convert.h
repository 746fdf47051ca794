/* importers/tensor/convert.h - elements as files have them, and as we keep them
 * (core/tensor/dtype.h).
 *
 * Outer form: little-endian, dense, any alignment, cb_dtype_info.outer_size bytes each. Memory
 * form: float or int64_t, aligned. Too large for a narrow real type becomes infinite; integers are
 * wrapped; a bool is 0 or 1. */
#pragma once

#include "core/tensor/dtype.h"

void cb_convert_in(enum cb_dtype dtype, size_t n, const void *outer, void *memory);
void cb_convert_out(enum cb_dtype dtype, size_t n, const void *memory, void *outer);
