/* core/base/file.h - whole files in, whole files out.
 *
 * What is written appears at once or not at all: a temporary file beside it, fsync, rename, fsync
 * of the folder. Errors: CB_ERR_NOT_FOUND for a file that is not there, CB_ERR_IO,
 * CB_ERR_TOO_LARGE. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/status.h"

struct cb_bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct cb_bytes cb_bytes_of_text(const char *text)
{
    return (struct cb_bytes){ (const uint8_t *)text, strlen(text) };
}

/* What tells a version of a file from all others, as far as the system knows. A change of the
 * contents changes `changed_ns`, which no program can set; only what is written within one tick of
 * the clock may have the same time. */
struct cb_file_identity {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};
bool cb_file_identify(int fd, struct cb_file_identity *out);
bool cb_file_same(const struct cb_file_identity *a, const struct cb_file_identity *b);

/* Whether its last change is so recent that another one might not show. */
bool cb_file_is_fresh(const struct cb_file_identity *identity);

/* A file mapped read-only (private); unmapped by cb_file_unmap. An empty file gives len 0. */
CB_MUST_USE struct cb_status cb_file_map(const char *path, struct cb_bytes *out);
void cb_file_unmap(struct cb_bytes *bytes);

/* The same of a file that is open, and stays so; messages call it `name`. */
CB_MUST_USE struct cb_status cb_file_map_open(int fd, const char *name, struct cb_bytes *out);

/* cb_file_map with what the file was when it was mapped. */
CB_MUST_USE struct cb_status cb_file_map_known(const char *path, struct cb_bytes *out,
                                               struct cb_file_identity *identity);

/* The same for a path from outside, below `folder`. Errors: CB_ERR_INPUT for an absolute path, one
 * with "..", or with a link anywhere on the way. */
CB_MUST_USE struct cb_status cb_file_map_inside(const char *folder, const char *relative,
                                                struct cb_bytes *out);

/* A mapped range will be read soon: the system may begin to fetch it. */
void cb_file_will_read(const void *data, size_t len);

/* The pages of a mapped range may go: they come back from the file when read again. */
void cb_file_let_go(const void *data, size_t len);

CB_MUST_USE struct cb_status cb_file_write(const char *path, const void *data, size_t len);

/* The same for data in several pieces. */
CB_MUST_USE struct cb_status cb_file_write_parts(const char *path, const struct cb_bytes *parts,
                                                 size_t count);

/* All of it to an open file; false when the disk is full or fails (errno). */
bool cb_file_add(int fd, const void *data, size_t len);

/* Something is there; a regular file is; a folder is. Links are followed. */
bool cb_file_exists(const char *path);
bool cb_file_is_regular(const char *path);
bool cb_file_is_folder(const char *path);

/* printf into a path; false when it is too long. */
bool cb_path_print(char out[PATH_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Where the ending of a path begins, when something stands before it; NULL when it ends otherwise.
 */
const char *cb_path_ending(const char *path, const char *ending);

/* mkdir -p. */
CB_MUST_USE struct cb_status cb_folder_make(const char *path);

/* rm -r; links are removed, never followed. A folder that is not there is fine. */
CB_MUST_USE struct cb_status cb_folder_remove(const char *path);
