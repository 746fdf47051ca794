/* core/exec/weights.h - packed weights, made once and shared by all plans of a model and of its
 * heads.
 *
 * Kept by a key that says which constants they came from and in which form. A block is claimed: one
 * claimant makes it, the others wait for that. Blocks that an earlier process made may be lent from
 * a mapped file; what is lent counts as sound only when its checksum has been compared. Safe in any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/file.h"

struct cb_weights;
struct cb_weights_block;

CB_MUST_USE struct cb_status cb_weights_create(struct cb_weights **out);
struct cb_weights *cb_weights_acquire(struct cb_weights *weights);
void cb_weights_release(struct cb_weights *weights);

/* What a claim found. */
enum cb_claim {
    CB_CLAIM_MADE,  /* it is there, or another makes it: cb_weights_wait before reading */
    CB_CLAIM_EMPTY, /* the caller must write it and say cb_weights_finish */
    CB_CLAIM_LENT,  /* the caller must compare its checksum and say cb_weights_judge_lent */
};

/* The block of that key, or a new one of `bytes` (64-byte aligned), which lives as long as the
 * store. `durable`: the key says the same in another process, so that the block may be kept in a
 * file. Whoever has claimed blocks to make must not wait for others before they are finished.
 * Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_weights_claim(struct cb_weights *weights, uint64_t key,
                                              size_t bytes, bool durable,
                                              struct cb_weights_block **out, enum cb_claim *claim);

/* Where the block lies; writable for whom claimed it empty. */
void *cb_weights_data(const struct cb_weights_block *block);
size_t cb_weights_length(const struct cb_weights_block *block);

void cb_weights_finish(struct cb_weights *weights, struct cb_weights_block *block);
void cb_weights_wait(struct cb_weights *weights, struct cb_weights_block *block);

/* `checksum` of the block's bytes as it is now (checksum.h). CB_CLAIM_MADE: it is the one that was
 * lent, and the block is finished. CB_CLAIM_EMPTY: it is not, and the block became an empty one,
 * still to be made by the caller. */
enum cb_claim cb_weights_judge_lent(struct cb_weights *weights, struct cb_weights_block *block,
                                    uint64_t checksum);

/* All in one: claims, lets `fill(ctx, data)` write an empty block, waits. Errors: CB_ERR_NOMEM. */
typedef void cb_weights_fill(void *ctx, void *block);
CB_MUST_USE struct cb_status cb_weights_get(struct cb_weights *weights, uint64_t key, size_t bytes,
                                            bool durable, cb_weights_fill *fill, void *ctx,
                                            const void **out);

/* The finished block of that key will not be read: its memory goes, and it is in no file. */
void cb_weights_discard(struct cb_weights *weights, uint64_t key);

size_t cb_weights_bytes(struct cb_weights *weights);

/* ---- a file of blocks ---- */

struct cb_weights_entry {
    uint64_t key;
    const void *data; /* 64-byte aligned */
    size_t bytes;
    uint64_t checksum;
};

/* Blocks for the taking: `file` is mapped and holds all their data; it is the store's from now on,
 * also in failure. Once per store. Errors: CB_ERR_NOMEM, CB_ERR_CONFLICT the second time. */
CB_MUST_USE struct cb_status cb_weights_lend(struct cb_weights *weights, struct cb_bytes file,
                                             const struct cb_weights_entry *entries, size_t n);

bool cb_weights_has_file(struct cb_weights *weights);

/* How many durable blocks were made here, and are not those of the file. */
size_t cb_weights_made(struct cb_weights *weights);

/* Every durable block, finished or lent, in `arena`; a made block's checksum is 0 and still to be
 * computed. They stay where they are as long as the store. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_weights_list(struct cb_weights *weights, struct cb_arena *arena,
                                             struct cb_weights_entry **out, size_t *n);
