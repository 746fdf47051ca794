/* core/image/resize.h - resampling a picture, or only a window of the result.
 *
 * With antialias the filter grows with the scale, and every pixel equals Pillow's Image.resize:
 * coefficients of 22 fraction bits, the horizontal pass first, 8 bits between the passes. Without,
 * it is plain interpolation with half-pixel centres and edges repeated, as PyTorch's
 * F.interpolate(align_corners=False): bicubic then has a = -0.75 there, and -0.5 with antialias.
 * Nearest is the same either way. */
#pragma once

#include "core/base/arena.h"
#include "core/image/image.h"
#include "core/image/recipe.h"

struct cb_resize {
    int width, height; /* of the whole result */
    enum cb_interpolation interpolation;
    bool antialias;
    bool gray;     /* every pixel becomes its luma before it is resized (not for CB_NEAREST) */
    int left, top; /* the part of it that is wanted: lies inside the result */
    int window_width, window_height;
};

/* `out` gets the window; its pixels lie in `arena`, all else taken from it is given back.
 * Errors: CB_ERR_NOMEM, CB_ERR_INPUT for a side below 1 or a window that is not inside. */
CB_MUST_USE struct cb_status cb_resize_run(struct cb_arena *arena, const struct cb_image *in,
                                           const struct cb_resize *how, struct cb_image *out);
