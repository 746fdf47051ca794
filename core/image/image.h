/* core/image/image.h - a decoded photo: 8-bit RGB, rows top to bottom, no padding.
 *
 * Upright: EXIF orientation is applied. Opaque: alpha has been blended over white. */
#pragma once

#include <stdint.h>

struct cb_image {
    int width, height;
    uint8_t *rgb; /* [height, width, 3]; borrowed from an arena */
};

/* ITU-R 601 luma of a pixel, in 16-bit fixed point: Pillow's "L". Of a gray pixel, that gray. */
static inline uint8_t cb_luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}
