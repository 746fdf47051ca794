/* core/image/recipe.h - how a photo becomes the input tensor of a network.
 *
 * A wrong recipe silently ruins a network, so it is data of the model and always shown. Presets are
 * the forms that the field's frameworks trained with: torchvision, Keras' "caffe", "tf" and
 * "torch", Inception. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CB_RECIPE_MAX_SIDE 4096
#define CB_TENSOR_NAME_MAX 256

enum cb_interpolation { CB_NEAREST, CB_BILINEAR, CB_BICUBIC };
enum cb_color { CB_RGB, CB_BGR, CB_GRAY };
enum cb_layout { CB_NCHW, CB_NHWC };

struct cb_recipe {
    int short_side;                  /* resize so that the shorter side has this; 0: not used */
    int resize_height, resize_width; /* resize to exactly this, aspect not kept; 0: not used */
    enum cb_interpolation interpolation;
    bool antialias;
    int crop_height, crop_width; /* central crop; 0: none */
    enum cb_color color;
    float range[2];                      /* 0 and 255 of a pixel become these */
    float mean[3], std[3];               /* in the tensor's channel order, units after range */
    enum cb_layout layout;               /* of the network's input */
    char bottleneck[CB_TENSOR_NAME_MAX]; /* "" : found by walking back from the output */
    char cam_layer[CB_TENSOR_NAME_MAX];
    bool assumed; /* neither the folder nor the file had one */
};

/* "torchvision", "keras-caffe", "keras-tf", "keras-torch", "inception"; NULL when there is no such
 * name. */
const struct cb_recipe *cb_recipe_preset(const char *name);

/* Row i of the presets' names; NULL past the last. */
const char *cb_recipe_preset_name(size_t i);

/* Width and height of a photo of this size after the recipe's resize, before its crop. The short
 * side's partner is floor(short x long / short side of the photo). Sides are at least 1. */
void cb_recipe_resized_size(const struct cb_recipe *recipe, int width, int height, int *out_width,
                            int *out_height);

/* Width and height of the tensor that a recipe makes of a photo of this size. */
void cb_recipe_output_size(const struct cb_recipe *recipe, int width, int height, int *out_width,
                           int *out_height);

/* The side that a decoder may shrink a photo's short side towards (decode.h): what the recipe
 * resizes to when that smooths; 0 where the full size is needed, as for very small tensors. */
int cb_recipe_wanted_side(const struct cb_recipe *recipe);
