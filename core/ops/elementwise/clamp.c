#include "core/ops/elementwise/clamp.h"

#include <math.h>

#include "core/base/arena.h"

static bool is_identity(float lo, float hi)
{
    return isinf(lo) && lo < 0 && isinf(hi) && hi > 0;
}

size_t cb_clamp_bytes(const struct cb_op_call *call, float lo, float hi)
{
    return is_identity(lo, hi) ? 0 : cb_align_up(cb_tensor_count(call->out[0]) * sizeof(float));
}

const float *cb_clamp_gradient(const struct cb_op_call *call, float lo, float hi, float *scratch)
{
    const float *dy = call->dout[0]->f, *y = call->out[0]->f;
    if (is_identity(lo, hi))
        return dy;
    const size_t n = cb_tensor_count(call->out[0]);
    for (size_t i = 0; i < n; i++)
        scratch[i] = y[i] > lo && y[i] < hi ? dy[i] : 0;
    return scratch;
}
