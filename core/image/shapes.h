/* core/image/shapes.h - drawn pictures of ten classes of shapes and textures, for a network that
 * needs no photos.
 *
 * The embedded model, seedling, is trained on them; tests and the server's hints use them as
 * pictures whose content is known. Place, size, turn, colours and background are random; the same
 * state of `rng` gives the same picture. */
#pragma once

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/image/image.h"

#define CB_SHAPE_CLASSES 10

/* "circle", "ring", "square", "triangle", "star", "cross", "heart", "stripes", "checkerboard",
 * "dots". */
const char *cb_shapes_label(int class_index);

/* Where the shape lies, in pixels: what an explanation should mark. */
struct cb_shape_place {
    float x, y, radius;
};

/* One picture of a class, side x side pixels (at least 16), in `arena`. `place` may be NULL.
 * Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_shapes_draw(struct cb_arena *arena, struct cb_rng *rng,
                                            int class_index, int side, struct cb_image *out,
                                            struct cb_shape_place *place);
