/* core/base/status.h - how a function says that it failed.
 *
 * A status is a value: nothing to free, no globals, safe in any thread. CB_OK is 0.
 * `msg` is for people: name the thing, what was wanted, what was found. */
#pragma once

enum cb_code {
    CB_OK,
    CB_ERR_INPUT,       /* the client's data is wrong: parameter, JSON, request */
    CB_ERR_MEDIA,       /* bytes that are no picture, archive or tensor that we read */
    CB_ERR_CONTENT,     /* readable but unusable: a damaged photo, a dataset with one class */
    CB_ERR_MODEL,       /* the model file is malformed or contradicts itself */
    CB_ERR_UNSUPPORTED, /* valid, but not implemented here */
    CB_ERR_TOO_LARGE,   /* over a limit on size: body, pixels, entries */
    CB_ERR_NOMEM,       /* over a budget, or the system has none left */
    CB_ERR_BUSY,        /* queue full, loading or draining: try again */
    CB_ERR_NOT_FOUND,
    CB_ERR_CONFLICT,    /* the thing's state forbids it: name taken, job running */
    CB_ERR_CANCELLED,
    CB_ERR_IO,
    CB_CODE_COUNT
};

/* Long enough for a list of unsupported operators. */
struct cb_status {
    enum cb_code code;
    char msg[480];
};

#define CB_MUST_USE __attribute__((warn_unused_result))

CB_MUST_USE struct cb_status cb_ok(void);
CB_MUST_USE struct cb_status cb_fail(enum cb_code code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* `st` with "context: " put before its message; CB_OK passes unchanged. */
CB_MUST_USE struct cb_status cb_context(struct cb_status st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Hand a failure to our caller. Only where there is nothing to release. */
#define CB_TRY(expr)                  \
    do {                              \
        struct cb_status s_ = (expr); \
        if (s_.code) return s_;       \
    } while (0)

#define CB_COUNT_OF(array) (sizeof(array) / sizeof *(array))
