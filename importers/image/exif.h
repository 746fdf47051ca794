/* importers/image/exif.h - how a camera was held: the orientation tag of the EXIF data in a photo.
 *
 * 1 (upright) to 8, as TIFF 6.0's tag 0x0112 counts; 1 where there is none, or where it is damaged:
 * a photo is never refused for its EXIF. Each reads within the bytes given and follows no loop. */
#pragma once

#include "core/base/file.h"

int cb_exif_of_jpeg(struct cb_bytes file);
int cb_exif_of_png(struct cb_bytes file);
int cb_exif_of_webp(struct cb_bytes file);

/* The EXIF block itself: a TIFF header and its first directory, with or without "Exif\0\0" before
 * it. */
int cb_exif_orientation(struct cb_bytes block);
