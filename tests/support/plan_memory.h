/* tests/support/plan_memory.h - a run of a plan on what elements are, not on their numbers. */
#pragma once

#include "core/exec/plan_internal.h"

/* Expects of every node that all elements of its inputs are still where it reads them (slices,
 * views, results written over inputs, chunks of a batch), and of every output at the end. */
void plan_memory_check(const struct cb_plan *plan, const char *what);
