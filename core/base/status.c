#include "core/base/status.h"

#include <stdarg.h>
#include <stdio.h>

struct cb_status cb_ok(void)
{
    struct cb_status st;
    st.code = CB_OK;
    st.msg[0] = 0;
    return st;
}

struct cb_status cb_fail(enum cb_code code, const char *fmt, ...)
{
    struct cb_status st;
    va_list args;
    st.code = code;
    va_start(args, fmt);
    vsnprintf(st.msg, sizeof st.msg, fmt, args);
    va_end(args);
    return st;
}

struct cb_status cb_context(struct cb_status st, const char *fmt, ...)
{
    struct cb_status with = st;
    va_list args;
    int n;
    if (st.code == CB_OK)
        return st;
    va_start(args, fmt);
    n = vsnprintf(with.msg, sizeof with.msg, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof with.msg)
        snprintf(with.msg + n, sizeof with.msg - (size_t)n, ": %.*s",
                 (int)(sizeof with.msg - (size_t)n - 3), st.msg);
    return with;
}
