#include "core/image/recipe.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
/* Of a decoder's coarser scales little is left in a large tensor (probabilities within 0.006), much
 * in a small one: networks of 32 x 32 pixels were off by up to 0.12. */
#define LEAST_SCALED_SIDE 128

#define IMAGENET_MEAN { 0.485f, 0.456f, 0.406f }
#define IMAGENET_STD  { 0.229f, 0.224f, 0.225f }
#define ONES          { 1.0f, 1.0f, 1.0f }

/* What all of them share: the short side to `side`, antialiased, then a central square. */
#define SHORT_SIDE_AND_CROP(side, crop)                                    \
    .short_side = (side), .interpolation = CB_BILINEAR, .antialias = true, \
    .crop_height = (crop), .crop_width = (crop)

static const struct {
    const char *name;
    struct cb_recipe recipe;
} presets[] = {
    { "torchvision",
      { SHORT_SIDE_AND_CROP(256, 224), .color = CB_RGB, .range = { 0, 1 },
        .mean = IMAGENET_MEAN, .std = IMAGENET_STD, .layout = CB_NCHW } },
    { "keras-caffe",
      { SHORT_SIDE_AND_CROP(256, 224), .color = CB_BGR, .range = { 0, 255 },
        .mean = { 103.939f, 116.779f, 123.68f }, .std = ONES, .layout = CB_NHWC } },
    { "keras-tf",
      { SHORT_SIDE_AND_CROP(256, 224), .color = CB_RGB, .range = { -1, 1 },
        .mean = { 0 }, .std = ONES, .layout = CB_NHWC } },
    { "keras-torch",
      { SHORT_SIDE_AND_CROP(256, 224), .color = CB_RGB, .range = { 0, 1 },
        .mean = IMAGENET_MEAN, .std = IMAGENET_STD, .layout = CB_NHWC } },
    { "inception",
      { SHORT_SIDE_AND_CROP(342, 299), .color = CB_RGB, .range = { -1, 1 },
        .mean = { 0 }, .std = ONES, .layout = CB_NCHW } },
};
/* clang-format on */

const struct cb_recipe *cb_recipe_preset(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i].recipe;
    return NULL;
}

const char *cb_recipe_preset_name(size_t i)
{
    return i < sizeof presets / sizeof *presets ? presets[i].name : NULL;
}

/* The other side of a photo whose short side becomes `wanted`; a line of pixels may grow very
 * long. */
static int partner(int wanted, int short_side, int long_side)
{
    const int64_t n = (int64_t)wanted * long_side / short_side;
    return n < INT_MAX ? (int)n : INT_MAX;
}

void cb_recipe_resized_size(const struct cb_recipe *recipe, int width, int height, int *out_width,
                            int *out_height)
{
    const int side = recipe->short_side;
    *out_width = width;
    *out_height = height;
    if (recipe->resize_height > 0 && recipe->resize_width > 0) {
        *out_width = recipe->resize_width;
        *out_height = recipe->resize_height;
    } else if (side > 0) {
        *out_width = width <= height ? side : partner(side, height, width);
        *out_height = width <= height ? partner(side, width, height) : side;
    }
}

void cb_recipe_output_size(const struct cb_recipe *recipe, int width, int height, int *out_width,
                           int *out_height)
{
    cb_recipe_resized_size(recipe, width, height, out_width, out_height);
    if (recipe->crop_width > 0)
        *out_width = recipe->crop_width;
    if (recipe->crop_height > 0)
        *out_height = recipe->crop_height;
}

int cb_recipe_wanted_side(const struct cb_recipe *recipe)
{
    const int longer =
        recipe->resize_height > recipe->resize_width ? recipe->resize_height : recipe->resize_width;
    const int side = longer ? longer : recipe->short_side;
    return recipe->antialias && recipe->interpolation != CB_NEAREST && side >= LEAST_SCALED_SIDE
               ? side
               : 0;
}
