/* core/ops/shape/indices.h - indices that choose elements: whole numbers, negative ones count from
 * the end.
 *
 * Those that are known when the plan is made are checked; others are brought into range, so that
 * nothing outside is read or written. */
#pragma once

#include "core/ops/op.h"

/* Whole numbers, and, where they are known, index k within `dims[k % width]`. Errors:
 * CB_ERR_MODEL. */
CB_MUST_USE struct cb_status cb_indices_check(const struct cb_node *node,
                                              const struct cb_arg *indices, const int64_t dims[],
                                              size_t width);

/* index within 0 .. dim-1, for dim of 1 or more. */
static inline size_t cb_index_inside(int64_t index, int64_t dim)
{
    const int64_t from_start = index < 0 && index >= -dim ? index + dim : index;
    return (size_t)(from_start < 0 ? 0 : from_start >= dim ? dim - 1 : from_start);
}
