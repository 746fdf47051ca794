/* core/ops/elementwise/clamp.h - the fused activation y = clamp(v, lo, hi) of an operator, seen
 * from its backward. */
#pragma once

#include "core/ops/op.h"

/* Bytes of scratch that cb_clamp_gradient wants, rounded up to CB_ALIGN: 0 without an activation.
 */
size_t cb_clamp_bytes(const struct cb_op_call *call, float lo, float hi);

/* d loss / d v from d loss / d y: it passes where lo < y < hi. dout itself when there is no
 * activation, else `scratch`. */
const float *cb_clamp_gradient(const struct cb_op_call *call, float lo, float hi, float *scratch);
