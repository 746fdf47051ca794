/* server/handlers/photo_input.h - the photos of a request, in whatever form they came. */
#pragma once

#include "core/image/recipe.h"
#include "importers/image/decode.h"
#include "server/app.h"
#include "server/request.h"

struct cb_photo_input {
    struct cb_bytes *photo; /* in the body or the request's arena */
    int n;                  /* at least 1 */
};

/* Raw body; multipart/form-data with a part for each photo;
 * {"instances":[{"image":{"b64":"..."}}]}. What the body begins with decides between raw and JSON.
 * Errors: CB_ERR_INPUT malformed, or no photo; CB_ERR_TOO_LARGE too many. */
CB_MUST_USE struct cb_status cb_photo_input_read(struct cb_app *app, struct cb_request *req,
                                                 struct cb_photo_input *out);

/* Decodes within the configured limits. `recipe`: no larger than it needs; NULL: in full size. */
CB_MUST_USE struct cb_status cb_photo_input_decode(struct cb_app *app, struct cb_arena *arena,
                                                   struct cb_bytes photo,
                                                   const struct cb_recipe *recipe,
                                                   struct cb_decoded *out);

/* What an answer says about a photo that was cut short. */
extern const char cb_photo_input_warning[];
