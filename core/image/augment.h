/* core/image/augment.h - photos that a training may see in place of a photo: mirrored, cropped,
 * moved, turned, zoomed, in another light, with a part covered.
 *
 * All that moves pixels is one affine map, sampled once: bilinear, what lies outside is the photo
 * reflected at its edge. What changes colours is one pass. The picture keeps the photo's size; the
 * recipe follows as for any photo. Everything is counted in whole numbers, so that the same seed,
 * photo and view give the same picture on every machine.
 *
 * Crops of random size and shape: arXiv:1409.4842; erasing: arXiv:1708.04896. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/image/image.h"

/* How far a view may be from its photo; each is 0 when it does nothing. Amounts are uniform within
 * what is said, probabilities are for each view. */
struct cb_augment {
    float flip;       /* probability of left for right; 0 to 1 */
    float crop;       /* a part of 1 - crop to 1 of the area is cut out; 0 to 0.95 */
    float stretch;    /* of the cut, width : height changes by up to 1 + stretch; 0 to 1 */
    float translate;  /* moved by up to this part of width and height; 0 to 0.5 */
    float rotate;     /* degrees either way, about the centre; 0 to 180 */
    float zoom;       /* factor of 1 / (1 + zoom) to 1 + zoom, about the centre; 0 to 1 */
    float brightness; /* factor of 1 - brightness to 1 + brightness; 0 to 1 */
    float contrast;   /* factor of the distance from the mean luma, likewise; 0 to 1 */
    float saturation; /* factor of the distance from the pixel's luma, likewise; 0 to 1 */
    float erase;      /* probability that a rectangle becomes the photo's mean colour: 2 to 20 % of
                         the area, sides 1 : 2 to 2 : 1; 0 to 1 */
};

/* One dial for all: 0 is nothing at all, 1 the strongest that is sensible for most photos. */
struct cb_augment cb_augment_dial(float dial);

/* Reads "S", "NAME=VALUE,NAME=VALUE..." or "S,NAME=VALUE...": S sets the dial (0 to 1), names are
 * those of the struct and replace what the dial says; without S they start from 0. Errors:
 * CB_ERR_INPUT names the strength and its range. */
CB_MUST_USE struct cb_status cb_augment_parse(const char *text, struct cb_augment *out);

/* The text that cb_augment_parse reads as the same strengths: "0", or those that are not 0. */
#define CB_AUGMENT_TEXT 300
void cb_augment_print(const struct cb_augment *augment, char text[CB_AUGMENT_TEXT]);

/* True when every view is the photo itself. */
bool cb_augment_is_nothing(const struct cb_augment *augment);

/* What happens to one view. Numbers have 16 fraction bits (CB_AUGMENT_ONE is 1). In this order:
 * flip, rotate, zoom, shift, crop; brightness, contrast, saturation; erase. */
#define CB_AUGMENT_ONE 65536
struct cb_augmentation {
    bool flip;
    int32_t rotate;                           /* degrees, counter-clockwise; -180 to 180 */
    int32_t zoom;                             /* factor, 1/2 to 2 */
    int32_t shift[2];                         /* right, down; parts of width and height */
    int32_t crop[4];                          /* left, top, width, height; parts of the photo */
    int32_t brightness, contrast, saturation; /* factors, 0 to 2 */
    int32_t erase[4];                         /* as crop; width 0: nothing */
};

/* Leaves a photo as it is. */
extern const struct cb_augmentation cb_augmentation_none;

/* View `view` of photo number `photo`. View 0 is the photo itself. What one strength draws does not
 * depend on the other strengths. */
struct cb_augmentation cb_augment_draw(const struct cb_augment *augment, uint64_t seed,
                                       uint64_t photo, uint64_t view);

/* Pixels of `out` lie in `arena`. Errors: CB_ERR_NOMEM; CB_ERR_INPUT for a photo with a side below
 * 1 or above 65535. */
CB_MUST_USE struct cb_status cb_augment_apply(struct cb_arena *arena, const struct cb_image *in,
                                              const struct cb_augmentation *how,
                                              struct cb_image *out);
