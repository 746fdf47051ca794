/* importers/cache/cache.h - what is kept on disk between runs, so that a model is ready at once:
 *
 *   digests          SHA-256 of model files by their identity (core/base/file.h): trusts that the
 *                    system notes every change of a file
 *   choices          the fastest algorithm of each kind of call (core/exec/choices.h)
 *   DIGEST.ISA.packed  a model's packed weights, mapped by every process that uses it (packed.h)
 *
 * Everything may be deleted at any time. The folder must belong to this user and be writable for
 * nobody else; what is damaged, of another build or for another model is passed over and written
 * again. Files appear by rename; no file changes once it is there. The oldest go when the folder is
 * over its limit, and none is written when the disk is nearly full. Safe in any thread and for
 * several processes at once. */
#pragma once

#include "core/base/hash.h"
#include "core/exec/choices.h"
#include "core/exec/weights.h"

#define CB_CACHE_LIMIT ((size_t)8 << 30) /* bytes of the folder, unless said otherwise */
#define CB_CACHE_TUNING_MS 3000          /* what a plan may spend on measuring */

struct cb_cache;

struct cb_cache_options {
    const char *folder; /* made when it is not there */
    size_t limit;       /* 0: CB_CACHE_LIMIT */
    enum cb_isa isa;    /* what the weights are packed for */
    /* What was passed over or could not be kept, in a sentence. NULL: nobody asks. Any thread. */
    void (*warn)(void *ctx, const char *text);
    void *ctx;
};

/* Errors: CB_ERR_IO for a folder that cannot be used, CB_ERR_INPUT for one that others may write,
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_cache_open(const struct cb_cache_options *options,
                                           struct cb_cache **out);

/* Saves what is not saved, and frees; NULL is fine. No model that joined may live on. */
void cb_cache_close(struct cb_cache *cache);

/* Saves what is new now and then, in a thread of its own: for programs that run long. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_cache_start(struct cb_cache *cache);

/* For an engine: with what was kept. Lives as long as the cache. */
struct cb_choices *cb_cache_choices(struct cb_cache *cache);

/* The digest of the file that had this identity; false when it is not known. */
bool cb_cache_digest(struct cb_cache *cache, const struct cb_file_identity *file,
                     struct cb_digest *out);

/* Remembers it, unless the file changed only now. */
void cb_cache_remember(struct cb_cache *cache, const struct cb_file_identity *file,
                       const struct cb_digest *digest);

/* A model takes part: its weights get what is kept for the file at `path` with this identity, when
 * its digest is known, and what is packed later will be saved. cb_cache_leave before it goes. */
void cb_cache_join(struct cb_cache *cache, const char *path, const struct cb_file_identity *file,
                   struct cb_weights *weights);
void cb_cache_leave(struct cb_cache *cache, struct cb_weights *weights);
