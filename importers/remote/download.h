/* importers/remote/download.h - a file from an address or a path, whole and verified, or not at
 * all.
 *
 * What came so far stays in the unfinished file; the next call goes on where it ended when the
 * server still has the same file (If-Range, RFC 9110, 13.1.5), or when a digest will tell. */
#pragma once

#include "core/base/hash.h"
#include "importers/remote/remote.h"

struct cb_download {
    const char *address; /* https://.., http://.. (when allowed), or a path */
    const char *part;    /* the unfinished file; ".from" is added for what is known of it */
    bool http;
    int stall_s;
    int64_t bytes;                                            /* exactly; 0: not known */
    int64_t limit;                                            /* never more than this */
    const struct cb_digest *digest;                           /* NULL: not known */
    void (*progress)(void *ctx, int64_t done, int64_t total); /* NULL: none; total 0: not known */
    void *ctx;
};

struct cb_download_result {
    int64_t bytes, resumed; /* resumed: of these, there before */
    struct cb_digest digest;
};

/* When it is done, `part` is the whole file, on the disk. What has the wrong length or digest is
 * removed. Errors: cb_remote_get's, CB_ERR_CONTENT for other bytes than wanted, CB_ERR_TOO_LARGE,
 * CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_download_run(const struct cb_download *download,
                                             struct cb_download_result *out);

/* Removes an unfinished file and what is known of it. */
void cb_download_forget(const char *part);
