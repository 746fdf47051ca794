/* core/image/preprocess.h - a photo to the input tensor, as the recipe says.
 *
 * Resizing with antialias equals Pillow's to the bit; core/image/resize.h says how. */
#pragma once

#include "core/base/arena.h"
#include "core/image/image.h"
#include "core/image/recipe.h"

/* Any size to any size. Pixels of `out` lie in `arena`. Errors: CB_ERR_NOMEM, CB_ERR_INPUT for a
 * side below 1. */
CB_MUST_USE struct cb_status cb_image_resize(struct cb_arena *arena, const struct cb_image *in,
                                             int width, int height,
                                             enum cb_interpolation interpolation, bool antialias,
                                             struct cb_image *out);

/* Writes one image of the batch, NHWC: out [h, w, c] with the size of cb_recipe_output_size and c
 * 3, or 1 for gray (ITU-R 601 luma, Pillow's "L", taken before the resize). Only the crop's part of
 * the resized photo is computed. A crop larger than that is padded with black pixels, as
 * torchvision does. `scratch` is rewound before return. Errors: CB_ERR_NOMEM; CB_ERR_INPUT for a
 * photo with a side below 1. */
CB_MUST_USE struct cb_status cb_preprocess(struct cb_arena *scratch, const struct cb_recipe *recipe,
                                           const struct cb_image *image, float *out);
