/* importers/onnx/refusals.h - all that a model has and we do not, for one message. */
#pragma once

#include "core/base/arena.h"

#define CB_ONNX_MAX_REFUSALS 64

struct cb_onnx_refusals {
    struct cb_arena *arena;
    int n, beyond; /* kinds kept; of what came when there was no more room */
    struct {
        const char *what, *where; /* "Resize (opset 11)", the first node's name */
        int count;
    } entry[CB_ONNX_MAX_REFUSALS];
};

/* One more; equal `what` are counted together. `where` is borrowed. */
void cb_onnx_refusals_add(struct cb_onnx_refusals *refusals, const char *where, const char *fmt,
                          ...) __attribute__((format(printf, 3, 4)));

/* CB_OK when there are none, else CB_ERR_UNSUPPORTED with as many as the message holds, and how
 * many more. */
CB_MUST_USE struct cb_status cb_onnx_refusals_status(const struct cb_onnx_refusals *refusals);
