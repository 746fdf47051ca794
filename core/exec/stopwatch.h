/* core/exec/stopwatch.h - how long one node takes with each of its algorithms. For exec/ alone.
 *
 * Measured as it will run: the real shapes, packed weights and threads, random activations. Between
 * two runs as much memory is read as the network has weights, so that a small algorithm with large
 * weights does not look fast because they stayed in the cache; the input is then read, since the
 * node before will just have written it. */
#pragma once

#include "core/exec/plan_internal.h"

struct cb_stopwatch {
    struct cb_packing packing;
    struct cb_arena arena; /* what is read between runs */
    size_t between;        /* bytes of it */
    int64_t deadline;      /* monotonic, ns: after it nothing is begun */
};

CB_MUST_USE struct cb_status cb_stopwatch_init(struct cb_stopwatch *watch, struct cb_plan *plan,
                                               int64_t deadline);
void cb_stopwatch_deinit(struct cb_stopwatch *watch);

/* A number of the size class of `between`: times of one class may be compared. */
uint64_t cb_stopwatch_class(const struct cb_stopwatch *watch);

/* order[n]: the candidates, fastest first. They run in turns; one that is much slower on its first
 * two runs is not run again; the first candidate is beaten only by what is clearly faster, and weights
 * count a little more than they took. False when the time is up (order is then undefined), or
 * without memory. `node` is the plan's; its algorithm is undefined afterwards. */
bool cb_stopwatch_rank(struct cb_stopwatch *watch, const struct cb_op_def *def,
                       struct cb_node *node, const int *candidates, int n, uint8_t *order);
