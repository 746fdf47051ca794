/* importers/cache/folder.h - the cache's folder: only what is ours is read, files appear by rename.
 * For importers/cache alone. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"

struct cb_cache_folder {
    char path[PATH_MAX];
    size_t limit; /* bytes of all files together */
};

/* Makes it where it is not. Errors: CB_ERR_IO; CB_ERR_INPUT when it is another user's, or others
 * may write it. */
CB_MUST_USE struct cb_status cb_cache_folder_open(const char *path, size_t limit,
                                                  struct cb_cache_folder *out);

/* A file of the folder, mapped: its pages are those of every other process that maps it. Errors:
 * CB_ERR_NOT_FOUND; CB_ERR_CONTENT for a link, another user's file, or one that others may write.
 */
CB_MUST_USE struct cb_status cb_cache_folder_map(const struct cb_cache_folder *folder,
                                                 const char *name, struct cb_bytes *out);

/* A file of `bytes` that `write(ctx, fd)` fills. Nothing is written when it would fill the disk;
 * the oldest files go when the folder is over its limit. No fsync: what a power failure leaves half
 * must not pass the reader's checks. Errors: CB_ERR_TOO_LARGE, CB_ERR_IO, those of `write`. */
typedef struct cb_status cb_cache_write_fn(void *ctx, int fd);
CB_MUST_USE struct cb_status cb_cache_folder_write(const struct cb_cache_folder *folder,
                                                   const char *name, size_t bytes,
                                                   cb_cache_write_fn *write, void *ctx);

/* Held by one process at a time, for changing a file by reading and writing it; -1: not now. */
int cb_cache_folder_lock(const struct cb_cache_folder *folder);
void cb_cache_folder_unlock(int lock);

/* A small file of equal records: a header with their number and checksum, then they. */
struct cb_records {
    const char *name;  /* of the file, and in its header; below 16 letters */
    uint64_t build;    /* another one's file is passed over */
    size_t size, most; /* of a record; how many */
};

/* In `arena`; none when there is no file. Errors: CB_ERR_CONTENT for a strange or damaged file. */
CB_MUST_USE struct cb_status cb_records_read(const struct cb_cache_folder *folder,
                                             const struct cb_records *kind, struct cb_arena *arena,
                                             void *records_pointer, size_t *n);

/* The same of a file's bytes, which may be anything. */
CB_MUST_USE struct cb_status cb_records_parse(struct cb_bytes file, const struct cb_records *kind,
                                              struct cb_arena *arena, void *records_pointer,
                                              size_t *n);

/* With fsync. Errors: CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_records_write(const struct cb_cache_folder *folder,
                                              const struct cb_records *kind, const void *records,
                                              size_t n);
