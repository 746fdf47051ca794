/* importers/dataset/feature_cache.h - features on disk, by the content of the photo.
 *
 * One file for a trunk and recipe: a header, then records of one size, only ever appended. Each
 * record has a check sum: what a crash left half is not used. Files are removed, the oldest first,
 * when the folder is over its limit. Several processes may use one folder. */
#pragma once

#include <stdbool.h>

#include "core/base/hash.h"
#include "core/base/status.h"

struct cb_feature_cache;

/* `key` says what makes the features; d is their number. The folder is made when it is not there.
 * Errors: CB_ERR_IO, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_feature_cache_open(const char *folder, const struct cb_digest *key,
                                                   int d, size_t limit,
                                                   struct cb_feature_cache **out);

/* Copies the features of a photo that was there at opening; false when it was not. Safe in any
 * thread. */
bool cb_feature_cache_find(const struct cb_feature_cache *cache, const struct cb_digest *photo,
                           float *features);

/* Keeps the features of a photo. One thread at a time. Trouble with the disk is no failure: the
 * cache stays as it is. */
void cb_feature_cache_add(struct cb_feature_cache *cache, const struct cb_digest *photo,
                          const float *features);

/* Writes what is not written, holds the folder to its limit; NULL is fine. */
void cb_feature_cache_close(struct cb_feature_cache *cache);
