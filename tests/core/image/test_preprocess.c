#include "core/image/preprocess.h"

#include <criterion/criterion.h>
#include <string.h>

static struct cb_arena arena;

static void start(void)
{
    cr_assert_eq(cb_arena_init(&arena, (size_t)64 << 20).code, CB_OK);
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(preprocess, .init = start, .fini = stop);

/* Pixel (x, y) is (10 x, 10 y, 200). */
static struct cb_image slopes(int width, int height)
{
    struct cb_image image = { width, height,
                              cb_arena_alloc(&arena, (size_t)width * (size_t)height, 3) };
    cr_assert_not_null(image.rgb);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            memcpy(image.rgb + (y * width + x) * 3,
                   (uint8_t[]){ (uint8_t)(10 * x), (uint8_t)(10 * y), 200 }, 3);
    return image;
}

static void run(const struct cb_recipe *recipe, const struct cb_image *image, float *out)
{
    const size_t before = arena.used;
    const struct cb_status st = cb_preprocess(&arena, recipe, image, out);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_expect_eq(arena.used, before, "the scratch was not given back");
}

static const struct cb_recipe raw = { .color = CB_RGB, .range = { 0, 255 }, .std = { 1, 1, 1 } };

Test(preprocess, raw_bytes_stay_themselves)
{
    const struct cb_image image = slopes(3, 2);
    float out[18];
    run(&raw, &image, out);
    for (int i = 0; i < 18; i++)
        cr_expect_eq(out[i], image.rgb[i]);
}

Test(preprocess, range_mean_and_deviation_in_the_order_of_the_tensor)
{
    const struct cb_image image = slopes(1, 1);
    struct cb_recipe r = {
        .color = CB_BGR, .range = { -1, 1 }, .mean = { 0.5f, 0.25f, 0 }, .std = { 2, 4, 1 }
    };
    float out[3];
    run(&r, &image, out);
    cr_expect_float_eq(out[0], (200 / 127.5f - 1 - 0.5f) / 2, 1e-6);
    cr_expect_float_eq(out[1], (-1 - 0.25f) / 4, 1e-6);
    cr_expect_float_eq(out[2], -1, 1e-6);
}

Test(preprocess, gray_is_the_luma)
{
    struct cb_image image = slopes(2, 1);
    struct cb_recipe r = raw;
    float out[2];
    r.color = CB_GRAY;
    memcpy(image.rgb, (uint8_t[]){ 255, 0, 0, 0, 255, 0 }, 6);
    run(&r, &image, out);
    cr_expect_eq(out[0], 76); /* 0.299 * 255 */
    cr_expect_eq(out[1], 150);
}

/* What rests is 1, 2, 3, 4, 5 and 7: halves go to the even one, as Python's round does. */
Test(preprocess, the_crop_is_central_and_halves_go_to_even)
{
    static const int offset[] = { 0, 0, 1, 2, 2, 2, 3, 4 };
    for (int rest = 0; rest < 8; rest++) {
        const struct cb_image image = slopes(3 + rest, 4);
        struct cb_recipe r = raw;
        float out[3 * 3 * 2];
        r.crop_width = 3;
        r.crop_height = 2;
        run(&r, &image, out);
        cr_expect_eq(out[0], 10 * offset[rest], "rest %d starts at %g", rest, (double)out[0] / 10);
        cr_expect_eq(out[1], 10);
    }
}

Test(preprocess, a_crop_larger_than_the_photo_is_padded_with_black)
{
    const struct cb_image image = slopes(2, 3);
    struct cb_recipe r = raw;
    float out[2 * 5 * 3];
    r.mean[0] = 1;
    r.crop_width = 5; /* 3 more: one before, two after */
    r.crop_height = 2;
    run(&r, &image, out);
    for (int x = 0; x < 5; x++) {
        const bool inside = x == 1 || x == 2;
        cr_expect_eq(out[x * 3], (inside ? 10 * (x - 1) : 0) - 1, "column %d", x);
        cr_expect_eq(out[x * 3 + 1], 0);
        cr_expect_eq(out[x * 3 + 2], inside ? 200 : 0);
    }
}

Test(preprocess, short_side_then_crop_equals_resize_then_cut)
{
    const struct cb_image image = slopes(25, 19);
    struct cb_recipe r = raw;
    struct cb_image whole;
    float out[9 * 9 * 3];
    r.short_side = 11;
    r.interpolation = CB_BILINEAR;
    r.antialias = true;
    r.crop_width = r.crop_height = 9;
    run(&r, &image, out);
    cr_assert_eq(cb_image_resize(&arena, &image, 14, 11, CB_BILINEAR, true, &whole).code, CB_OK);
    for (int y = 0; y < 9; y++)
        for (int i = 0; i < 9 * 3; i++)
            cr_expect_eq(out[y * 27 + i], whole.rgb[((y + 1) * 14 + 2) * 3 + i]);
}

Test(preprocess, too_little_scratch_is_no_memory)
{
    struct cb_image image = slopes(40, 30);
    struct cb_recipe r = *cb_recipe_preset("torchvision");
    struct cb_arena small;
    static float out[224 * 224 * 3];
    cr_assert_eq(cb_arena_init(&small, 4096).code, CB_OK);
    cr_expect_eq(cb_preprocess(&small, &r, &image, out).code, CB_ERR_NOMEM);
    cr_expect_eq(small.used, 0);
    image.width = 0;
    cr_expect_eq(cb_preprocess(&arena, &r, &image, out).code, CB_ERR_INPUT);
    cb_arena_deinit(&small);
}
