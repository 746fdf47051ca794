/* importers/onnx/order.h - an order of a graph's nodes in which each comes after those that make
 * its inputs. */
#pragma once

#include "core/base/arena.h"

/* Who needs whom: node i reads what node from[j] makes, for j in [first[i], first[i + 1]). */
struct cb_onnx_needs {
    int n_nodes;
    const int *first, *from;
};

/* order[n_nodes] in `arena`; the file's own where that will do. *stuck: a node on or behind a
 * cycle, and order is NULL; or -1. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_onnx_order(const struct cb_onnx_needs *needs,
                                           struct cb_arena *arena, int **order, int *stuck);
