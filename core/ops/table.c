/* core/ops/table.c - which definition belongs to which operator. */
#include "core/ops/defs.h"

#define CB_OP_ROW(NAME, name) [CB_OP_##NAME] = &cb_op_##name,

static const struct cb_op_def *const defs[] = { CB_OPS(CB_OP_ROW) };

const struct cb_op_def *cb_op_get(enum cb_op op)
{
    return defs[op];
}
