/* tests/support/gradcheck.h - backward against finite differences, for any operator.
 *
 * With random u and v, L(x) = <u, f(x)>: from backward <dL/dx, v> must equal (L(x + hv) - L(x -
 * hv)) / 2h. Sums are in double. Inputs must keep away from kinks by more than h (OP_DISTINCT). */
#pragma once

#include "tests/support/op_case.h"

/* Expects, for every float input whose gradient is wanted and every instruction set: the relative
 * error within `tolerance` (1e-3 is usual); that backward adds to what din held; and that each
 * gradient is the same when it is the only one wanted. The case has its inputs and attributes, and
 * may or may not have been run. */
void gradcheck(struct op_case *c, double tolerance);

/* The same with another step than 1e-2. */
void gradcheck_step(struct op_case *c, double step, double tolerance);
