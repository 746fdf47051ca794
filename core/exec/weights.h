/* core/exec/weights.h - packed weights, made once and shared by all plans of a model and of its
 * heads.
 *
 * Kept by a key that says which constants they came from and in which form. Safe in any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct cb_weights;

CB_MUST_USE struct cb_status cb_weights_create(struct cb_weights **out);
struct cb_weights *cb_weights_acquire(struct cb_weights *weights);
void cb_weights_release(struct cb_weights *weights);

/* The block of that key, or a new one of `bytes` (64-byte aligned) that `fill(ctx, block)` writes;
 * a second caller waits for the first. Lives as long as the store. Errors: CB_ERR_NOMEM. */
typedef void cb_weights_fill(void *ctx, void *block);
CB_MUST_USE struct cb_status cb_weights_get(struct cb_weights *weights, uint64_t key, size_t bytes,
                                            cb_weights_fill *fill, void *ctx, const void **out);

size_t cb_weights_bytes(struct cb_weights *weights);
