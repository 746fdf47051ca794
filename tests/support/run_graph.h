/* tests/support/run_graph.h - one forward run of a graph on one input, by the plan and session that
 * everything uses. */
#pragma once

#include "core/graph/graph.h"

/* Runs `graph` on x; `value` (-1: the first output) is copied into out[capacity]. Returns its
 * element count. Fails the test when it cannot. `passes`: with the plan's rewrites or without. */
size_t run_graph(const struct cb_graph *graph, const struct cb_tensor *x, int value, bool passes,
                 size_t capacity, float *out);
