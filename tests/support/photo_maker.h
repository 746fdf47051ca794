/* tests/support/photo_maker.h - small photos in every form that we read, made for the tests.
 *
 * Each appends a whole file to `out`, which the caller has initialised. */
#pragma once

#include <spng.h>
#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/image/image.h"

struct photo_jpeg {
    int quality;
    int channels; /* 1 gray, 3 RGB, 4 inks: made of RGB as 255 - c with black 0, the way Adobe
                     writes them */
    bool ycck;    /* inks are stored as YCCK */
    bool progressive;
    bool whole_chroma; /* no subsampling */
    int orientation;   /* of an EXIF block before the picture; 0: none */
};

void photo_jpeg(const struct cb_image *image, const struct photo_jpeg *how, struct cb_buf *out);

/* Samples as PNG has them (16 bit in the machine's order); palette and transparent may be NULL. */
void photo_png(const struct spng_ihdr *header, const void *samples, size_t len,
               const struct spng_plte *palette, const struct spng_trns *transparent,
               struct cb_buf *out);

/* Puts a chunk before the first IDAT of a PNG. */
void photo_png_chunk(const struct cb_buf *png, const char *type, const void *data, size_t len,
                     struct cb_buf *out);

/* Lossless; pixels are RGBA. */
void photo_webp(int width, int height, const uint8_t *rgba, struct cb_buf *out);

/* An EXIF block that says only this orientation; little endian or not. Returns its length. */
size_t photo_exif(int orientation, bool little, uint8_t out[32]);

static inline struct cb_bytes photo_bytes(const struct cb_buf *buf)
{
    return (struct cb_bytes){ (const uint8_t *)buf->data, buf->len };
}
