#define _GNU_SOURCE /* strcasestr */
#include "server/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* len bytes of text, decoded, into the arena. */
static struct cb_status decode(struct cb_arena *arena, const char *text, size_t len, bool plus,
                               const char **out)
{
    char *copy = cb_arena_text(arena, text, len), *to = copy;
    if (!copy)
        return cb_fail(CB_ERR_NOMEM, "request line is over the budget");
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            const int hi = i + 2 < len ? hex(text[i + 1]) : -1,
                      lo = i + 2 < len ? hex(text[i + 2]) : -1;
            if (hi < 0 || lo < 0 || hi + lo == 0)
                return cb_fail(CB_ERR_INPUT, "request line: bad percent escape in '%.*s'",
                               (int)(len < 80 ? len : 80), text);
            c = 16 * hi + lo;
            i += 2;
        } else if (plus && c == '+')
            c = ' ';
        *to++ = (char)c;
    }
    *to = 0;
    *out = copy;
    return cb_ok();
}

static struct cb_status add_parameter(struct cb_request *req, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    const size_t name_len = equals ? (size_t)(equals - text) : len;
    struct cb_parameter *p = &req->query[req->n_query];
    if (len == 0)
        return cb_ok();
    if (req->n_query == CB_QUERY_MAX)
        return cb_fail(CB_ERR_INPUT, "more than %d parameters", CB_QUERY_MAX);
    CB_TRY(decode(req->arena, text, name_len, true, &p->name));
    p->value = "";
    if (equals)
        CB_TRY(decode(req->arena, equals + 1, len - name_len - 1, true, &p->value));
    req->n_query++;
    return cb_ok();
}

struct cb_status cb_request_target(struct cb_request *req, const char *target)
{
    const size_t path_len = strcspn(target, "?#");
    const char *at = target + path_len;
    CB_TRY(decode(req->arena, target, path_len, false, &req->path));
    if (req->path[0] != '/')
        return cb_fail(CB_ERR_INPUT, "request line: the path must begin with /");
    while (*at && *at != '#') {
        const size_t len = strcspn(++at, "&#");
        CB_TRY(add_parameter(req, at, len));
        at += len;
    }
    return cb_ok();
}

const char *cb_request_text(const struct cb_request *req, const char *name)
{
    for (int i = 0; i < req->n_query; i++)
        if (strcmp(req->query[i].name, name) == 0)
            return *req->query[i].value ? req->query[i].value : NULL;
    return NULL;
}

struct cb_status cb_request_int(const struct cb_request *req, const char *name, int fallback,
                                int lo, int hi, int *out)
{
    const char *text = cb_request_text(req, name);
    char *end;
    long v;
    if (!text) {
        *out = fallback;
        return cb_ok();
    }
    errno = 0;
    v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < lo || v > hi)
        return cb_fail(CB_ERR_INPUT,
                       "parameter '%s' wants a whole number from %d to %d, got '%.40s'", name, lo,
                       hi, text);
    *out = (int)v;
    return cb_ok();
}

struct cb_status cb_request_real(const struct cb_request *req, const char *name, double fallback,
                                 double lo, double hi, double *out)
{
    const char *text = cb_request_text(req, name);
    char *end;
    double v;
    if (!text) {
        *out = fallback;
        return cb_ok();
    }
    v = strtod(text, &end);
    if (end == text || *end || !(v >= lo && v <= hi))
        return cb_fail(CB_ERR_INPUT, "parameter '%s' wants a number from %g to %g, got '%.40s'",
                       name, lo, hi, text);
    *out = v;
    return cb_ok();
}

bool cb_request_is(const struct cb_request *req, const char *type)
{
    const size_t len = strlen(type);
    return strncasecmp(req->content_type, type, len) == 0 &&
           strchr("; \t", req->content_type[len]) != NULL;
}

bool cb_request_wants_json(const struct cb_request *req)
{
    return strcasestr(req->accept, "application/json") && !strcasestr(req->accept, "image/png");
}
