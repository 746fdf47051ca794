#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cb_buf_init(struct cb_buf *buf, size_t limit)
{
    *buf = (struct cb_buf){ .limit = limit };
}

void cb_buf_deinit(struct cb_buf *buf)
{
    free(buf->data);
    *buf = (struct cb_buf){ 0 };
}

/* Room for `more` bytes and the 0 after them. */
static bool grow(struct cb_buf *buf, size_t more)
{
    size_t cap = buf->cap ? buf->cap : 256;
    char *p;
    if (buf->failed || more > buf->limit - buf->len) {
        buf->failed = true;
        return false;
    }
    while (cap - 1 < buf->len + more)
        cap *= 2;
    if (cap == buf->cap)
        return true;
    if (!(p = realloc(buf->data, cap))) {
        buf->failed = true;
        return false;
    }
    buf->data = p;
    buf->cap = cap;
    return true;
}

void cb_buf_add(struct cb_buf *buf, const void *bytes, size_t len)
{
    if (!grow(buf, len))
        return;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = 0;
}

void cb_buf_printf(struct cb_buf *buf, const char *fmt, ...)
{
    va_list args;
    int n;
    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !grow(buf, (size_t)n))
        return;
    va_start(args, fmt);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
}
