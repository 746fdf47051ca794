#include "server/reply.h"

#include <unistd.h>

void cb_reply_init(struct cb_reply *rep, size_t limit)
{
    *rep = (struct cb_reply){ .code = 200, .type = "application/json", .fd = -1 };
    cb_buf_init(&rep->body, limit);
}

void cb_reply_deinit(struct cb_reply *rep)
{
    cb_buf_deinit(&rep->body);
    if (rep->fd >= 0)
        close(rep->fd);
    rep->fd = -1;
}

void cb_reply_header(struct cb_reply *rep, const char *name, const char *value)
{
    if (value && rep->n_headers < CB_REPLY_HEADERS)
        rep->header[rep->n_headers++] = (struct cb_parameter){ name, value };
}

struct cb_json cb_reply_json(struct cb_reply *rep, int code)
{
    rep->code = code;
    rep->type = "application/json";
    return (struct cb_json){ .out = &rep->body };
}

const char *cb_reply_reason(int code)
{
    static const struct {
        int code;
        const char *reason;
    } row[] = {
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 422, "Unprocessable Content" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(row); i++)
        if (row[i].code == code)
            return row[i].reason;
    return "Error";
}

void cb_reply_error(struct cb_reply *rep, int code, const char *detail)
{
    struct cb_json json;
    const size_t limit = rep->body.limit;
    cb_reply_deinit(rep);
    rep->next = NULL;
    cb_buf_init(&rep->body, limit);
    json = cb_reply_json(rep, code);
    rep->type = "application/problem+json";
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "type", "about:blank");
    cb_json_text(&json, "title", cb_reply_reason(code));
    cb_json_int(&json, "status", code);
    cb_json_text(&json, "detail", detail);
    cb_json_text(&json, "error", detail);
    cb_json_close(&json, '}');
}
