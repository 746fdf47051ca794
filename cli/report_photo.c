/* A photo of a report (report.h): small, as a data: address. */
#include <nettle/base64.h>

#include "cli/report.h"
#include "core/base/file.h"
#include "core/image/resize.h"
#include "importers/image/decode.h"
#include "importers/image/encode_png.h"

#define SIDE 112 /* of the longer side */
#define FILE_LIMIT ((size_t)1 << 20)

static int scaled(int side, int longest)
{
    const int n = (int)((int64_t)side * SIDE / longest);
    return longest <= SIDE ? side : n > 0 ? n : 1;
}

static struct cb_status make_small(const char *path, struct cb_arena *arena, struct cb_buf *png)
{
    struct cb_bytes file;
    struct cb_decoded photo;
    struct cb_image small;
    CB_TRY(cb_file_map(path, &file));
    const struct cb_status st = cb_image_decode(arena, file, &cb_decode_defaults, SIDE, &photo);
    cb_file_unmap(&file);
    CB_TRY(st);
    const int w = photo.image.width, h = photo.image.height, longest = w > h ? w : h;
    struct cb_resize how = { .width = scaled(w, longest),
                             .height = scaled(h, longest),
                             .interpolation = CB_BILINEAR,
                             .antialias = true };
    how.window_width = how.width;
    how.window_height = how.height;
    CB_TRY(cb_resize_run(arena, &photo.image, &how, &small));
    return cb_png_encode(&small, png);
}

static struct cb_status add_image(struct cb_buf *out, const struct cb_buf *png,
                                  struct cb_arena *arena)
{
    char *text;
    CB_TRY(cb_arena_get(arena, BASE64_ENCODE_RAW_LENGTH(png->len), 1, "photo", &text));
    base64_encode_raw(text, png->len, (const uint8_t *)png->data);
    cb_buf_printf(out, "<img alt=\"\" src=\"data:image/png;base64,");
    cb_buf_add(out, text, BASE64_ENCODE_RAW_LENGTH(png->len));
    cb_buf_printf(out, "\">");
    return cb_ok();
}

bool cb_report_photo(struct cb_buf *out, const char *path, struct cb_arena *arena)
{
    const size_t mark = arena->used;
    struct cb_buf png;
    cb_buf_init(&png, FILE_LIMIT);
    struct cb_status st = make_small(path, arena, &png);
    if (st.code == CB_OK)
        st = add_image(out, &png, arena);
    cb_buf_deinit(&png);
    cb_arena_rewind(arena, mark);
    return st.code == CB_OK;
}
