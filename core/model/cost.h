/* core/model/cost.h - what a node costs: multiply-accumulates and parameters, from a graph whose
 * shapes are known. */
#pragma once

#include "core/graph/graph.h"

/* Of convolutions and matrix products; 0 for all others. */
uint64_t cb_cost_macs(const struct cb_graph *graph, const struct cb_node *node);

/* Elements of the real constants that the node reads. */
uint64_t cb_cost_parameters(const struct cb_graph *graph, const struct cb_node *node);
