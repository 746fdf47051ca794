/* importers/image/decode.h - bytes of a photo from outside to a cb_image.
 *
 * JPEG (gray, RGB, CMYK, YCCK, progressive), PNG (palette, alpha, 16 bit, interlaced) and WebP; the magic bytes
 * decide, never a name. EXIF orientation is applied, alpha goes over white, CMYK becomes RGB as Pillow does. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/image/image.h"

struct cb_decode_limits {
    size_t max_pixels;  /* checked from the header, before memory is taken */
    int max_side;
    int max_scans;      /* of a progressive JPEG */
};
extern const struct cb_decode_limits cb_decode_defaults; /* 100 million pixels, 30000, 500 */

/* What a decoder may save: the recipe will shrink the photo so that its shorter side becomes about this.
 * 0: decode at full size. A JPEG is then decoded at a reduced DCT scale, never below twice that side. */
struct cb_decoded {
    struct cb_image image;
    int width, height;   /* of the original photo, upright */
    bool truncated;      /* the file ended early: what is missing is gray; the caller may warn */
    const char *format;  /* "jpeg", "png", "webp" */
};

/* Errors: CB_ERR_MEDIA no picture that we read (also BMP, GIF, TIFF: named); CB_ERR_CONTENT a damaged one;
 * CB_ERR_TOO_LARGE over a limit (named); CB_ERR_NOMEM. Pixels lie in `arena`. */
CB_MUST_USE struct cb_status cb_image_decode(struct cb_arena *arena, struct cb_bytes file,
                                             const struct cb_decode_limits *limits, int wanted_short_side,
                                             struct cb_decoded *out);
