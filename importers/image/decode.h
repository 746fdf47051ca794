/* importers/image/decode.h - bytes of a photo from outside to a cb_image.
 *
 * JPEG (gray, RGB, CMYK, YCCK, progressive), PNG (palette, alpha, 16 bit, interlaced) and WebP; the
 * magic bytes decide, never a name. EXIF orientation is applied, alpha goes over white, CMYK
 * becomes RGB as Pillow does. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/image/image.h"

/* Checked from the header, before memory is taken for pixels. `arena` holds 3 bytes a pixel, twice
 * that while a photo is turned; what libjpeg keeps of a progressive one besides, 3 to 6 bytes a
 * pixel, may be no more than what the arena then has left. */
struct cb_decode_limits {
    size_t max_pixels;
    int max_side;
    int max_scans; /* of a progressive JPEG; fewer where scans x pixels would pass 2,000 million */
    int reduced_side; /* what a reduced decode leaves of the short side at least; see below */
};
extern const struct cb_decode_limits cb_decode_defaults; /* 100 million pixels, 30000, 500, 2048 */

struct cb_decoded {
    struct cb_image image;
    int width, height;  /* of the whole photo, upright; image's own may be smaller: see below */
    bool truncated;     /* the data ended early: what is missing is gray (the caller may warn) */
    const char *format; /* "jpeg", "png", "webp" */
};

/* Decodes a photo; its pixels lie in `arena`. Of an animated WebP: the first frame. A photo cut
 * short is read as far as it goes, if that is at least its first row (of blocks, for a JPEG).
 *
 * wanted_short_side 0 decodes at full size. A number allows a JPEG to be decoded at 1/2, 1/4 or 1/8
 * by a smaller inverse DCT, which takes less time and memory, for a caller that will shrink it with
 * antialias so that its short side becomes this: at least CB_DECODE_SPARE times that side must
 * remain, and limits->reduced_side. After that resize every value was within 4 of 255 of the full
 * decode's and the mean difference at most 0.3 (31 photos); probabilities of three ImageNet
 * networks within 0.006 at 6 times already. Networks for 32 pixels amplify more, 0.01 with 1500
 * pixels left and 0.04 with 600: hence the second condition.
 *
 * Errors: CB_ERR_MEDIA no picture that we read (BMP, GIF, TIFF and others: named); CB_ERR_CONTENT a
 * damaged one; CB_ERR_TOO_LARGE over a limit (named); CB_ERR_NOMEM. */
#define CB_DECODE_SPARE 8
CB_MUST_USE struct cb_status cb_image_decode(struct cb_arena *arena, struct cb_bytes file,
                                             const struct cb_decode_limits *limits,
                                             int wanted_short_side, struct cb_decoded *out);
