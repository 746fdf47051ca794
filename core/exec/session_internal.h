/* core/exec/session_internal.h - what a session consists of; for exec/ and grad/ alone. */
#pragma once

#include "core/exec/session.h"

struct cb_session {
    struct cb_arena arena;
    const struct cb_plan *plan;
    uint8_t *activations;
    struct cb_tensor *tensors; /* [n_values] */
    struct cb_tensor
        *parts;            /* [n_values] as the nodes that run in chunks see them; NULL: none do */
    int *moving, n_moving; /* parts that lie elsewhere for each chunk */
    struct cb_op_call *calls; /* [n_nodes], wired once */
};
