/* core/ops/zz_pending.c - a refusal for every operator whose family is not linked yet; a family takes its rows out. */
#include "core/ops/defs.h"

static struct cb_status refuse(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    (void)in, (void)out;
    return cb_fail(CB_ERR_UNSUPPORTED, "%s: the operator is not there", node->name);
}

#define PENDING(id) \
    __attribute__((weak)) const struct cb_op_def cb_op_##id = { .name = #id, .max_in = 8, .max_out = 8, .infer = refuse };

PENDING(batch_norm)
PENDING(lrn)
PENDING(gemm)
PENDING(matmul)
