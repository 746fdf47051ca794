/* core/exec/strips.h - convolutions and pools that run one after the other strip by strip: a few
 * lines of the first, what the second can make of them, and so on.
 *
 * What lies between two of them is larger than the second-level cache: strip by strip it is read
 * before it leaves, and needs no memory but the strip's. Threads share the lines of the last
 * result, so that a chain is one parallel loop. Private to exec/. */
#pragma once

#include "core/exec/plan_internal.h"

enum { CB_STRIP_STAGES = 3 };

struct cb_strips {
    int first, count;             /* nodes; count >= 2 */
    size_t lines;                 /* of the last result at a time */
    size_t ranges;                /* of its lines, each done by one thread */
    size_t room[CB_STRIP_STAGES]; /* lines of each result but the last, at a time */
    size_t scratch;               /* bytes of one thread, for any stage */
    size_t bytes;                 /* of one thread: the rooms, then scratch */
};

/* calls[count]: those of its nodes, whole. memory: bytes for each thread. */
void cb_strips_run(const struct cb_strips *strips, const struct cb_op_call *calls, void *memory);

/* The chain that begins at node i; NULL: none does. */
const struct cb_strips *cb_strips_at(const struct cb_plan *plan, int i);
