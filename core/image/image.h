/* core/image/image.h - a decoded photo: 8-bit RGB, rows top to bottom, no padding.
 *
 * Upright: EXIF orientation is applied. Opaque: alpha has been blended over white. */
#pragma once

#include <stdint.h>

struct cb_image {
    int width, height;
    uint8_t *rgb; /* [height, width, 3]; borrowed from an arena */
};
