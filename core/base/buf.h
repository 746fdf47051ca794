/* core/base/buf.h - growable bytes or text with a hard limit given at init (replies, dumps, files).
 *
 * Appending past the limit, or without memory, sets `failed` and drops the rest: check once, at the
 * end. The bytes are always followed by a 0 that `len` does not count. The caller owns the struct.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cb_buf {
    char *data; /* NULL until the first byte */
    size_t len, cap, limit;
    bool failed;
};

void cb_buf_init(struct cb_buf *buf, size_t limit);
void cb_buf_deinit(struct cb_buf *buf);
void cb_buf_add(struct cb_buf *buf, const void *bytes, size_t len);
void cb_buf_printf(struct cb_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
