#include "importers/onnx/refusals.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cb_onnx_refusals_add(struct cb_onnx_refusals *refusals, const char *where, const char *fmt,
                          ...)
{
    char what[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    for (int i = 0; i < refusals->n; i++)
        if (strcmp(refusals->entry[i].what, what) == 0) {
            refusals->entry[i].count++;
            return;
        }
    const char *copy = refusals->n < CB_ONNX_MAX_REFUSALS
                           ? cb_arena_text(refusals->arena, what, strlen(what))
                           : NULL;
    if (!copy) {
        refusals->beyond++;
        return;
    }
    refusals->entry[refusals->n].what = copy;
    refusals->entry[refusals->n].where = where;
    refusals->entry[refusals->n++].count = 1;
}

struct cb_status cb_onnx_refusals_status(const struct cb_onnx_refusals *refusals)
{
    struct cb_status st = cb_fail(CB_ERR_UNSUPPORTED, "not supported: ");
    size_t len = strlen(st.msg);
    if (refusals->n == 0)
        return cb_ok();
    for (int i = 0; i < refusals->n; i++) {
        char item[260], more[32] = "";
        const int left = refusals->n - i - 1 + refusals->beyond;
        if (refusals->entry[i].count > 1)
            snprintf(more, sizeof more, " and %d more", refusals->entry[i].count - 1);
        const int n = snprintf(item, sizeof item, "%s%s at %.60s%s", i ? "; " : "",
                               refusals->entry[i].what, refusals->entry[i].where, more);
        if (len + (size_t)n + 24 > sizeof st.msg) { /* 24: for the next line's text */
            snprintf(st.msg + len, sizeof st.msg - len, "; and %d more", left + 1);
            return st;
        }
        memcpy(st.msg + len, item, (size_t)n + 1);
        len += (size_t)n;
    }
    if (refusals->beyond)
        snprintf(st.msg + len, sizeof st.msg - len, "; and %d more", refusals->beyond);
    return st;
}
