/* server/photos.h - the photos of recent requests, as they were sent, so that they can be
 * explained.
 *
 * Bounded in bytes, number and time: the oldest go. Ids are random, nobody guesses another's. Safe
 * in any thread. */
#pragma once

#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/file.h"

#define CB_PHOTO_ID 27 /* "p", 25 letters and digits, and a 0 */

struct cb_photos;

CB_MUST_USE struct cb_status cb_photos_create(struct cb_arena *arena, size_t max_bytes,
                                              size_t max_count, int64_t max_seconds,
                                              struct cb_photos **out);
void cb_photos_destroy(struct cb_photos *photos);

/* Keeps a copy. A photo that is larger than the whole store gets an id too, but is not kept. */
void cb_photos_add(struct cb_photos *photos, struct cb_bytes photo, char id[CB_PHOTO_ID]);

/* A copy in `arena`. Errors: CB_ERR_NOT_FOUND unknown, or gone by now; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_photos_get(struct cb_photos *photos, const char *id,
                                           struct cb_arena *arena, struct cb_bytes *out);
