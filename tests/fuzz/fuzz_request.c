/* tests/fuzz/fuzz_request.c - what a client writes: the request target, a form, JSON. The first
 * byte says which. Texts that come out end within the arena, parts of a form lie within its body,
 * and are read in order. */
#include <string.h>

#include "server/json.h"
#include "server/multipart.h"
#include "server/request.h"
#include "tests/fuzz/fuzz.h"

static void read_target(struct cb_arena *arena, struct cb_bytes input)
{
    struct cb_request req = { .arena = arena, .content_type = "", .accept = "" };
    char *target = cb_arena_text(arena, (const char *)input.data, input.len);
    double v;
    if (!target || cb_request_target(&req, target).code)
        return;
    require(req.path[0] == '/' && strlen(req.path) <= strlen(target) &&
            req.n_query <= CB_QUERY_MAX);
    for (int i = 0; i < req.n_query; i++)
        if (cb_request_real(&req, req.query[i].name, 0, -1, 1, &v).code == CB_OK)
            require(v >= -1 && v <= 1);
}

/* Up to the first line end the content type, then the body. */
static void read_form(struct cb_arena *arena, struct cb_bytes input)
{
    const uint8_t *line = input.len ? memchr(input.data, '\n', input.len) : NULL;
    struct cb_request req = { .arena = arena };
    struct cb_multipart multipart;
    struct cb_part part;
    const uint8_t *end;
    bool found = true;
    if (!line)
        return;
    req.content_type = cb_arena_text(arena, (const char *)input.data, (size_t)(line - input.data));
    req.body = (struct cb_bytes){ line + 1, input.len - (size_t)(line + 1 - input.data) };
    end = req.body.data;
    if (!req.content_type || cb_multipart_open(&req, &multipart).code)
        return;
    while (cb_multipart_next(&multipart, &part, &found).code == CB_OK && found) {
        require(part.data.data >= end);
        end = part.data.data + part.data.len;
        require(end <= req.body.data + req.body.len &&
                strlen(part.name) + strlen(part.filename) < arena->used);
    }
}

static void read_json(struct cb_arena *arena, struct cb_bytes input)
{
    const char *text;
    cJSON *json;
    (void)arena;
    if (cb_json_parse(input, &json).code)
        return;
    require(cJSON_IsObject(json));
    if (cb_json_get_text(json, "b", "", &text).code == CB_OK) {
        struct cb_buf out;
        struct cb_json writer = { .out = &out };
        cb_buf_init(&out, 1 << 20);
        cb_json_text(&writer, NULL, text);
        require(out.failed || (out.len >= 2 && out.data[out.len - 1] == '"'));
        cb_buf_deinit(&out);
    }
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const read[])(struct cb_arena *, struct cb_bytes) = { read_target, read_form,
                                                                        read_json };
    struct cb_arena arena;
    if (len == 0 || cb_arena_init(&arena, (size_t)4 << 20).code)
        return 0;
    read[data[0] % CB_COUNT_OF(read)](&arena, (struct cb_bytes){ data + 1, len - 1 });
    cb_arena_deinit(&arena);
    return 0;
}
