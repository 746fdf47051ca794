#define _GNU_SOURCE /* memmem */
#include "server/multipart.h"

#include <string.h>
#include <strings.h>

#define BOUNDARY_MAX 200
#define HEADERS_MAX 4096

bool cb_multipart_is(const struct cb_request *req)
{
    return cb_request_is(req, "multipart/form-data");
}

/* The value of `key` in "type; key=value; key="quoted \" value"", in the arena; NULL when
 * absent. */
static const char *attribute(struct cb_arena *arena, const char *header, const char *key)
{
    const size_t key_len = strlen(key);
    const char *at = strchr(header, ';');
    while (at) {
        at += 1 + strspn(at + 1, " \t");
        const bool here = strncasecmp(at, key, key_len) == 0 && at[key_len] == '=';
        const char *value = at + strcspn(at, "=;");
        char *copy, *to;
        if (*value == '=')
            value++;
        if (*value != '"') {
            const size_t len = strcspn(value, "; \t");
            if (here)
                return cb_arena_text(arena, value, len);
            at = strchr(value, ';');
            continue;
        }
        copy = to = here ? cb_arena_text(arena, value, strlen(value)) : NULL;
        if (here && !copy)
            return NULL;
        for (value++; *value && *value != '"'; value++) {
            if (*value == '\\' && (value[1] == '"' || value[1] == '\\'))
                value++;
            if (here)
                *to++ = *value;
        }
        if (here) {
            *to = 0;
            return copy;
        }
        at = strchr(value, ';');
    }
    return NULL;
}

struct cb_status cb_multipart_open(struct cb_request *req, struct cb_multipart *out)
{
    const char *boundary = attribute(req->arena, req->content_type, "boundary");
    struct cb_multipart m = { .req = req };
    if (!boundary || !*boundary || strlen(boundary) > BOUNDARY_MAX)
        return cb_fail(CB_ERR_INPUT, "multipart: the content type names no boundary");
    if (!(m.boundary = cb_arena_printf(req->arena, "\r\n--%s", boundary)))
        return cb_fail(CB_ERR_NOMEM, "multipart: over the budget");
    m.boundary_len = strlen(m.boundary);
    /* A preamble is allowed; the first boundary may stand at the very beginning, without a line end
     * before it. */
    if (req->body.len >= m.boundary_len - 2 &&
        memcmp(req->body.data, m.boundary + 2, m.boundary_len - 2) == 0) {
        m.at = m.boundary_len - 2;
    } else {
        const uint8_t *first =
            req->body.len ? memmem(req->body.data, req->body.len, m.boundary, m.boundary_len)
                          : NULL;
        if (!first)
            return cb_fail(CB_ERR_INPUT, "multipart: the body does not hold its boundary");
        m.at = (size_t)(first - req->body.data) + m.boundary_len;
    }
    *out = m;
    return cb_ok();
}

/* Name and file name from the part's headers. */
static struct cb_status read_headers(struct cb_arena *arena, const char *text, size_t len,
                                     struct cb_part *part)
{
    char *copy = cb_arena_text(arena, text, len), *line;
    if (!copy || memchr(text, 0, len))
        return cb_fail(CB_ERR_INPUT, "multipart: bad headers of a part");
    part->name = part->filename = "";
    while ((line = strsep(&copy, "\n"))) {
        line[strcspn(line, "\r")] = 0;
        if (strncasecmp(line, "content-disposition:", 20))
            continue;
        const char *name = attribute(arena, line, "name"),
                   *filename = attribute(arena, line, "filename");
        part->name = name ? name : "";
        part->filename = filename ? filename : "";
    }
    return cb_ok();
}

struct cb_status cb_multipart_next(struct cb_multipart *m, struct cb_part *out, bool *found)
{
    const uint8_t *start = m->req->body.data + m->at, *end = m->req->body.data + m->req->body.len,
                  *head, *next;
    struct cb_part part;
    *found = false;
    if (end - start >= 2 && memcmp(start, "--", 2) == 0)
        return cb_ok();
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    if (end - start < 2 || memcmp(start, "\r\n", 2))
        return cb_fail(CB_ERR_INPUT, "multipart: the body is cut short or malformed");
    /* The headers end at an empty line; a part without headers begins with it. */
    head = memmem(start, (size_t)(end - start), "\r\n\r\n", 4);
    if (!head || head - start > HEADERS_MAX)
        return cb_fail(CB_ERR_INPUT, "multipart: a part's headers do not end");
    CB_TRY(read_headers(m->req->arena, (const char *)start, (size_t)(head - start), &part));
    /* An empty part's boundary shares the line end that closes its headers. */
    next = memmem(head + 2, (size_t)(end - head - 2), m->boundary, m->boundary_len);
    if (!next)
        return cb_fail(CB_ERR_INPUT, "multipart: part '%.60s' is cut short", part.name);
    part.data.data = head + 4;
    part.data.len = next > head + 4 ? (size_t)(next - head - 4) : 0;
    m->at = (size_t)(next - m->req->body.data) + m->boundary_len;
    *out = part;
    *found = true;
    return cb_ok();
}
