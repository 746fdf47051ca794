/* core/explain/heatmap.h - a map over the photo: scaled to it, coloured, blended. */
#pragma once

#include "core/base/arena.h"
#include "core/image/image.h"
#include "core/image/recipe.h"

/* The overlay in the photo's own size. `map` [height, width] >= 0 covers the part of the photo that
 * the recipe's crop let the network see; what lies outside the crop is shown unchanged. The map is
 * divided by its maximum, enlarged bilinearly, coloured with a perceptually uniform scale, and
 * blended: photo x (1 - a) + colour x a with a = alpha (0 to 1) x h (2 - h), h the scaled map.
 * `out` lies in `arena`. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_heatmap_overlay(struct cb_arena *arena,
                                                const struct cb_image *photo,
                                                const struct cb_recipe *recipe, const float *map,
                                                int height, int width, float alpha,
                                                struct cb_image *out);
