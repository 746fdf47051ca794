/* importers/cache/packed.h - a file of packed weights.
 *
 *   header   one page: what it is, of which build, model and instruction set, and its own checksum
 *   table    one entry for each block: key, offset, bytes, checksum
 *   blocks   at multiples of 64 bytes, large ones at pages
 *
 * Whole numbers as this machine has them; another byte order does not match. Checked when it is
 * opened: header and table with their checksums, every size and offset against the file's length.
 * Each block is compared with its checksum before its first use (core/exec/constants.c), which
 * reads it once at the speed of memory. A checksum is no signature: whoever can write the folder
 * as this user can also write the program's weights. */
#pragma once

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/exec/weights.h"
#include "core/kernels/kernels.h"

#define CB_PACKED_MAX_BLOCKS 65536

/* The blocks of a file, pointing into it, in `arena`. Errors: CB_ERR_CONTENT for what is not whole
 * or for another model or set; CB_ERR_CONFLICT for another build's; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_packed_parse(struct cb_bytes file, const struct cb_digest *model,
                                             enum cb_isa isa, struct cb_arena *arena,
                                             struct cb_weights_entry **out, size_t *n);

/* Bytes of the file that cb_packed_write would make. */
size_t cb_packed_bytes(const struct cb_weights_entry *entries, size_t n);

/* Writes it to an open, empty file; checksums that are 0 are computed and entered. Errors:
 * CB_ERR_IO, CB_ERR_TOO_LARGE, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_packed_write(int fd, const struct cb_digest *model, enum cb_isa isa,
                                             struct cb_weights_entry *entries, size_t n);

/* A number that differs from build to build where what packs or plans does. */
uint64_t cb_packed_build(void);
