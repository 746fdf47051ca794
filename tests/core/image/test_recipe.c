#include "core/image/recipe.h"

#include <criterion/criterion.h>
#include <limits.h>

Test(recipe, presets_are_found_by_name_and_nothing_else_is)
{
    size_t n = 0;
    for (const char *name; (name = cb_recipe_preset_name(n)); n++)
        cr_expect_not_null(cb_recipe_preset(name), "%s", name);
    cr_expect_eq(n, 5);
    cr_expect_null(cb_recipe_preset("caffe2"));
    cr_expect_null(cb_recipe_preset(""));
}

Test(recipe, torchvision_is_the_form_of_its_imagenet_weights)
{
    const struct cb_recipe *r = cb_recipe_preset("torchvision");
    cr_expect(r->short_side == 256 && r->crop_height == 224 && r->crop_width == 224);
    cr_expect(r->interpolation == CB_BILINEAR && r->antialias && r->color == CB_RGB);
    cr_expect(r->range[0] == 0 && r->range[1] == 1 && r->mean[0] == 0.485f && r->std[2] == 0.225f);
    cr_expect(r->layout == CB_NCHW && !r->assumed && !r->bottleneck[0]);
}

Test(recipe, caffe_is_bgr_bytes_less_the_mean)
{
    const struct cb_recipe *r = cb_recipe_preset("keras-caffe");
    cr_expect(r->color == CB_BGR && r->range[1] == 255 && r->mean[0] == 103.939f && r->std[0] == 1);
}

Test(recipe, no_preset_divides_by_zero)
{
    for (size_t i = 0; cb_recipe_preset_name(i); i++)
        for (int c = 0; c < 3; c++)
            cr_expect_gt(cb_recipe_preset(cb_recipe_preset_name(i))->std[c], 0, "%s",
                         cb_recipe_preset_name(i));
}

static void expect_size(const struct cb_recipe *r, int width, int height, int want_width,
                        int want_height)
{
    int w, h;
    cb_recipe_output_size(r, width, height, &w, &h);
    cr_expect(w == want_width && h == want_height, "%d x %d gives %d x %d", width, height, w, h);
}

Test(recipe, the_long_side_is_rounded_down)
{
    const struct cb_recipe r = { .short_side = 256 };
    expect_size(&r, 640, 480, 341, 256); /* 341.33 */
    expect_size(&r, 500, 375, 341, 256);
    expect_size(&r, 481, 641, 256, 341); /* 341.16 */
    expect_size(&r, 30, 59, 256, 503);   /* 503.47 */
    expect_size(&r, 100, 100, 256, 256);
    expect_size(&r, 1, 30000, 256, 7680000);
}

Test(recipe, a_line_of_pixels_does_not_overflow)
{
    expect_size(&(struct cb_recipe){ .short_side = 4096 }, 1, INT_MAX, 4096, INT_MAX);
}

Test(recipe, exact_size_and_crop_decide_the_output)
{
    expect_size(&(struct cb_recipe){ .resize_width = 28, .resize_height = 32 }, 640, 480, 28, 32);
    expect_size(cb_recipe_preset("torchvision"), 640, 480, 224, 224);
    expect_size(cb_recipe_preset("inception"), 10, 5000, 299, 299);
    expect_size(&(struct cb_recipe){ 0 }, 640, 480, 640, 480);
}

Test(recipe, resized_size_leaves_the_crop_out)
{
    int w, h;
    cb_recipe_resized_size(cb_recipe_preset("torchvision"), 640, 480, &w, &h);
    cr_expect(w == 341 && h == 256);
}
