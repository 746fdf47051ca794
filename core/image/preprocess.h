/* core/image/preprocess.h - a photo to the input tensor, as the recipe says.
 *
 * Resizing equals Pillow's (antialiased: the filter grows with the scale; 8-bit intermediate between the two
 * passes, fixed-point coefficients) within 1 of 255. */
#pragma once

#include "core/base/arena.h"
#include "core/image/image.h"
#include "core/image/recipe.h"

/* Any size to any size. Pixels of `out` lie in `arena`. Errors: CB_ERR_NOMEM, CB_ERR_INPUT for a side below 1. */
CB_MUST_USE struct cb_status cb_image_resize(struct cb_arena *arena, const struct cb_image *in, int width,
                                             int height, enum cb_interpolation interpolation, bool antialias,
                                             struct cb_image *out);

/* Writes one image of the batch, NHWC: out [h, w, c] with the size of cb_recipe_output_size and c 3, or 1 for
 * gray (ITU-R 601 luma, Pillow's "L"). `scratch` is rewound before return. A crop larger
 * than the resized photo is padded with black pixels, as torchvision does. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_preprocess(struct cb_arena *scratch, const struct cb_recipe *recipe,
                                           const struct cb_image *image, float *out);
