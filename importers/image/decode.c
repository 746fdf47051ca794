#include "importers/image/decode.h"

#include <string.h>

#include "importers/image/codec.h"
#include "importers/image/exif.h"

const struct cb_decode_limits cb_decode_defaults = {
    .max_pixels = 100000000, .max_side = 30000, .max_scans = 500, .reduced_side = 2048
};

typedef struct cb_status codec_read(struct cb_canvas *canvas, struct cb_bytes file,
                                    int wanted_short_side, bool *truncated);

/* clang-format off */
/* The first bytes of the formats that we read, and of those that people send instead. */
static const struct format {
    const char *name;
    size_t at, len;
    const char *magic;
    codec_read *read; /* NULL: only named in the refusal */
    int (*orientation)(struct cb_bytes file);
} formats[] = {
    { "jpeg",      0, 3,  "\xff\xd8\xff",       cb_jpeg_read, cb_exif_of_jpeg },
    { "png",       0, 8,  "\x89PNG\r\n\x1a\n",  cb_png_read,  cb_exif_of_png },
    { "webp",      8, 4,  "WEBP",               cb_webp_read, cb_exif_of_webp },
    { "BMP",       0, 2,  "BM",                 NULL,         NULL },
    { "GIF",       0, 4,  "GIF8",               NULL,         NULL },
    { "TIFF",      0, 4,  "II*\0",              NULL,         NULL },
    { "TIFF",      0, 4,  "MM\0*",              NULL,         NULL },
    { "BigTIFF",   0, 4,  "II+\0",              NULL,         NULL },
    { "HEIC",      4, 8,  "ftypheic",           NULL,         NULL },
    { "HEIC",      4, 8,  "ftypheix",           NULL,         NULL },
    { "HEIF",      4, 8,  "ftypmif1",           NULL,         NULL },
    { "AVIF",      4, 8,  "ftypavif",           NULL,         NULL },
    { "video",     4, 4,  "ftyp",               NULL,         NULL },
    { "JPEG 2000", 0, 12, "\0\0\0\x0cjP  \r\n\x87\n", NULL,   NULL },
    { "JPEG 2000", 0, 4,  "\xff\x4f\xff\x51",   NULL,         NULL },
    { "JPEG XL",   0, 2,  "\xff\x0a",           NULL,         NULL },
    { "JPEG XL",   0, 12, "\0\0\0\x0cJXL \r\n\x87\n", NULL,   NULL },
    { "Photoshop", 0, 4,  "8BPS",               NULL,         NULL },
    { "icon",      0, 4,  "\0\0\1\0",           NULL,         NULL },
    { "PDF",       0, 4,  "%PDF",               NULL,         NULL },
    { "SVG",       0, 4,  "<svg",               NULL,         NULL },
    { "XML",       0, 5,  "<?xml",              NULL,         NULL },
    { "git-lfs pointer", 0, 23, "version https://git-lfs", NULL, NULL },
};
/* clang-format on */

static const struct format *format_of(struct cb_bytes file)
{
    for (size_t i = 0; i < CB_COUNT_OF(formats); i++) {
        const struct format *f = &formats[i];
        if (file.len >= f->at + f->len && !memcmp(file.data + f->at, f->magic, f->len))
            return f;
    }
    return NULL;
}

static struct cb_status refuse(const struct format *format, size_t len)
{
    if (format)
        return cb_fail(CB_ERR_MEDIA, "a %s file: only JPEG, PNG and WebP are read", format->name);
    if (len == 0)
        return cb_fail(CB_ERR_MEDIA, "no bytes: only JPEG, PNG and WebP are read");
    return cb_fail(CB_ERR_MEDIA, "not a picture: only JPEG, PNG and WebP are read");
}

struct cb_status cb_image_decode(struct cb_arena *arena, struct cb_bytes file,
                                 const struct cb_decode_limits *limits, int wanted_short_side,
                                 struct cb_decoded *out)
{
    const struct format *format = format_of(file);
    const size_t mark = arena->used;
    bool truncated = false;
    if (!format || !format->read)
        return refuse(format, file.len);

    struct cb_canvas canvas = { .arena = arena,
                                .limits = limits,
                                .format = format->name,
                                .orientation = format->orientation(file) };
    struct cb_status st = format->read(&canvas, file, wanted_short_side, &truncated);
    if (st.code) {
        cb_arena_rewind(arena, mark);
        return st;
    }
    cb_canvas_finish(&canvas);
    const bool swapped = canvas.orientation > 4;
    *out = (struct cb_decoded){
        .image = canvas.image,
        .width = swapped ? canvas.full_height : canvas.full_width,
        .height = swapped ? canvas.full_width : canvas.full_height,
        .truncated = truncated,
        .format = format->name,
    };
    return cb_ok();
}
