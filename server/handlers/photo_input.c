#include "server/handlers/photo_input.h"

#include <nettle/base64.h>
#include <string.h>

#include "server/config.h"
#include "server/json.h"
#include "server/multipart.h"

const char cb_photo_input_warning[] = "the photo is cut short: the missing part was taken as gray";

static struct cb_status add(struct cb_app *app, struct cb_photo_input *input, struct cb_bytes photo)
{
    if (input->n == app->config->images)
        return cb_fail(CB_ERR_TOO_LARGE, "more than %lld photos in one request (images)",
                       (long long)app->config->images);
    if (photo.len == 0)
        return cb_fail(CB_ERR_INPUT, "photo %d is empty", input->n + 1);
    input->photo[input->n++] = photo;
    return cb_ok();
}

static struct cb_status read_multipart(struct cb_app *app, struct cb_request *req,
                                       struct cb_photo_input *input)
{
    struct cb_multipart multipart;
    struct cb_part part;
    bool found;
    CB_TRY(cb_multipart_open(req, &multipart));
    for (;;) {
        CB_TRY(cb_multipart_next(&multipart, &part, &found));
        if (!found)
            return cb_ok();
        if (strcmp(part.name, "image") == 0 || *part.filename)
            CB_TRY(add(app, input, part.data));
    }
}

static struct cb_status decode_base64(struct cb_arena *arena, const char *text,
                                      struct cb_bytes *out)
{
    struct base64_decode_ctx ctx;
    const size_t len = strlen(text);
    size_t got = BASE64_DECODE_LENGTH(len);
    uint8_t *bytes;
    CB_TRY(cb_arena_get(arena, got + 1, 1, "photo", &bytes));
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &got, bytes, len, text) || !base64_decode_final(&ctx))
        return cb_fail(CB_ERR_INPUT, "\"b64\" is not base64");
    *out = (struct cb_bytes){ bytes, got };
    return cb_ok();
}

/* {"image":{"b64":"..."}}, {"b64":"..."}, or {"image":"..."}. */
static const char *base64_of(const cJSON *instance)
{
    const cJSON *image = cJSON_GetObjectItemCaseSensitive(instance, "image");
    const cJSON *at = cJSON_IsObject(image) ? image : instance;
    const cJSON *text = cJSON_IsString(image) ? image : cJSON_GetObjectItemCaseSensitive(at, "b64");
    return cJSON_IsString(text) ? text->valuestring : NULL;
}

static struct cb_status read_instances(struct cb_app *app, struct cb_request *req,
                                       const cJSON *json, struct cb_photo_input *input)
{
    const cJSON *instances = cJSON_GetObjectItemCaseSensitive(json, "instances"), *instance;
    if (!cJSON_IsArray(instances))
        return cb_fail(CB_ERR_INPUT, "\"instances\" wants a list");
    cJSON_ArrayForEach(instance, instances)
    {
        const char *text = base64_of(instance);
        struct cb_bytes photo;
        if (!text)
            return cb_fail(CB_ERR_INPUT, "instance %d wants {\"image\":{\"b64\":\"...\"}}",
                           input->n + 1);
        CB_TRY(cb_context(decode_base64(req->arena, text, &photo), "instance %d", input->n + 1));
        CB_TRY(add(app, input, photo));
    }
    return cb_ok();
}

/* No picture begins with a brace. */
static bool looks_like_json(struct cb_bytes body)
{
    size_t i = 0;
    while (i < body.len && memchr(" \t\r\n", body.data[i], 4))
        i++;
    return i < body.len && body.data[i] == '{';
}

struct cb_status cb_photo_input_read(struct cb_app *app, struct cb_request *req,
                                     struct cb_photo_input *out)
{
    struct cb_photo_input input = { .n = 0 };
    struct cb_status st;
    cJSON *json;
    CB_TRY(cb_arena_get(req->arena, (size_t)app->config->images, sizeof *input.photo, "photos",
                        &input.photo));
    if (cb_multipart_is(req))
        st = read_multipart(app, req, &input);
    else if (cb_request_is(req, "application/json") || looks_like_json(req->body)) {
        CB_TRY(cb_json_parse(req->body, &json));
        st = read_instances(app, req, json, &input);
        cJSON_Delete(json);
    } else
        st = req->body.len ? add(app, &input, req->body) : cb_ok();
    if (st.code == CB_OK && input.n == 0)
        st =
            cb_fail(CB_ERR_INPUT,
                    "the body holds no photo: send its bytes, a form part \"image\", or instances");
    if (st.code == CB_OK)
        *out = input;
    return st;
}

struct cb_status cb_photo_input_decode(struct cb_app *app, struct cb_arena *arena,
                                       struct cb_bytes photo, const struct cb_recipe *recipe,
                                       struct cb_decoded *out)
{
    struct cb_decode_limits limits = cb_decode_defaults;
    limits.max_pixels = (size_t)app->config->pixels;
    return cb_image_decode(arena, photo, &limits, recipe ? cb_recipe_wanted_side(recipe) : 0, out);
}
