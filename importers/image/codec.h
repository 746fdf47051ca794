/* importers/image/codec.h - what decode.c and the codecs share; nobody else includes it.
 *
 * A codec reads the header, tells the canvas both sizes, writes its rows there as they lie in the
 * file, and knows nothing of orientation: the canvas turns the whole at the end. */
#pragma once

#include "importers/image/decode.h"

struct cb_canvas {
    struct cb_arena *arena;
    const struct cb_decode_limits *limits;
    const char *format;
    int orientation;             /* EXIF: 1 to 8 */
    int full_width, full_height; /* of the photo, as it lies in the file */
    int width, height;           /* of what is decoded of it */
    uint8_t *rgb;                /* [height, width, 3]: where the codec writes */
    struct cb_image image;       /* the upright result */
};

/* Holds a photo's sides against the limits: before any memory is taken. Errors: CB_ERR_TOO_LARGE,
 * CB_ERR_CONTENT for a side below 1. */
CB_MUST_USE struct cb_status cb_canvas_check(struct cb_canvas *canvas, int64_t full_width,
                                             int64_t full_height);

/* Takes the memory for a picture of this size, black. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_canvas_begin(struct cb_canvas *canvas, int width, int height);

/* Makes the rows from `row` on middle gray: what a file cut short does not have. */
void cb_canvas_gray(struct cb_canvas *canvas, int row);

/* Turns the picture upright and gives back what was taken for that. */
void cb_canvas_finish(struct cb_canvas *canvas);

/* n pixels of RGBA over white. */
void cb_canvas_over_white(size_t n, const uint8_t *rgba, uint8_t *rgb);

/* The codecs. `truncated` is set when the file ended early and at least one row was there. */
CB_MUST_USE struct cb_status cb_jpeg_read(struct cb_canvas *canvas, struct cb_bytes file,
                                          int wanted_short_side, bool *truncated);
CB_MUST_USE struct cb_status cb_png_read(struct cb_canvas *canvas, struct cb_bytes file,
                                         int wanted_short_side, bool *truncated);
CB_MUST_USE struct cb_status cb_webp_read(struct cb_canvas *canvas, struct cb_bytes file,
                                          int wanted_short_side, bool *truncated);
