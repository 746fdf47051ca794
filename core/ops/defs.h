/* core/ops/defs.h - the definition of every operator, each in the file of its family. Only table.c
 * and the families themselves need this; everyone else asks cb_op_get. */
#pragma once

#include "core/ops/op.h"

#define CB_OP_EXTERN(NAME, name) extern const struct cb_op_def cb_op_##name;
CB_OPS(CB_OP_EXTERN)
#undef CB_OP_EXTERN
