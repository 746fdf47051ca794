/* tests/support/dataset_maker.h - labelled photos that a tiny network can tell apart, as files and
 * as archives. */
#pragma once

#include <stdint.h>

#include "core/base/buf.h"

/* A JPEG of one colour with seeded noise, side x side. */
void make_photo(int side, int red, int green, int blue, uint64_t seed, struct cb_buf *out);

/* A file of a tar archive (ustar); tar_end closes it. */
void tar_add(struct cb_buf *tar, const char *name, const void *data, size_t len);
void tar_end(struct cb_buf *tar);

/* A tar of "set/red/N.jpg", "set/green/N.jpg", "set/blue/N.jpg" (the first `classes` of them), n
 * photos each. */
void make_dataset(int classes, int n, struct cb_buf *out);
