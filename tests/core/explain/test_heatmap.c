#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/explain/heatmap.h"

#define W 12
#define H 8

static struct cb_arena arena;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, 1 << 20).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(heatmap, .init = setup, .fini = teardown);

static struct cb_image gray_photo(int width, int height)
{
    struct cb_image photo = { width, height,
                              cb_arena_alloc(&arena, (size_t)width * (size_t)height, 3) };
    memset(photo.rgb, 100, (size_t)width * (size_t)height * 3);
    return photo;
}

static const uint8_t *pixel(const struct cb_image *image, int x, int y)
{
    return image->rgb + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

static bool is_gray(const uint8_t *p)
{
    return p[0] == 100 && p[1] == 100 && p[2] == 100;
}

static struct cb_image overlay(const struct cb_image *photo, const struct cb_recipe *recipe,
                               const float *map, int height, int width, float alpha)
{
    struct cb_image out;
    const struct cb_status st =
        cb_heatmap_overlay(&arena, photo, recipe, map, height, width, alpha, &out);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return out;
}

Test(heatmap, leaves_a_photo_alone_where_the_map_is_zero_or_alpha_is)
{
    const struct cb_image photo = gray_photo(W, H);
    const float zero[4] = { 0 }, one[4] = { 1, 1, 1, 1 };
    const struct cb_recipe recipe = { 0 };
    const struct cb_image a = overlay(&photo, &recipe, zero, 2, 2, 1),
                          b = overlay(&photo, &recipe, one, 2, 2, 0);
    cr_expect(memcmp(a.rgb, photo.rgb, W * H * 3) == 0);
    cr_expect(memcmp(b.rgb, photo.rgb, W * H * 3) == 0);
    cr_expect(a.width == W && a.height == H);
}

Test(heatmap, colours_the_side_that_the_map_names)
{
    const struct cb_image photo = gray_photo(W, H);
    const float map[2] = { 5, 0 };
    const struct cb_image out = overlay(&photo, &(struct cb_recipe){ 0 }, map, 1, 2, 1);
    cr_expect(!is_gray(pixel(&out, 0, 0)) && !is_gray(pixel(&out, 2, H - 1)));
    cr_expect(is_gray(pixel(&out, W - 1, 0)) && is_gray(pixel(&out, W - 3, H - 1)));
}

Test(heatmap, covers_only_what_the_crop_let_the_network_see)
{
    const struct cb_image photo =
        gray_photo(W, H); /* short side 4: resized to 6 x 4, the crop is its middle */
    const struct cb_recipe recipe = { .short_side = 4, .crop_width = 2, .crop_height = 2 };
    const float map[1] = { 3 };
    const struct cb_image out = overlay(&photo, &recipe, map, 1, 1, 1);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            cr_expect(is_gray(pixel(&out, x, y)) != (x >= 4 && x < 8 && y >= 2 && y < 6),
                      "pixel %d, %d", x, y);
}

Test(heatmap, a_crop_that_is_larger_than_the_photo_leaves_the_middle_of_the_map)
{
    const struct cb_image photo = gray_photo(4, 4); /* the crop sees 2 black pixels on each side */
    const struct cb_recipe recipe = { .crop_width = 8, .crop_height = 8 };
    const float edge[4 * 4] = { 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1 };
    const struct cb_image out = overlay(&photo, &recipe, edge, 4, 4, 1);
    cr_expect(is_gray(pixel(&out, 1, 1)) && is_gray(pixel(&out, 2, 2)));
}

Test(heatmap, odd_numbers_in_a_map_do_no_harm)
{
    const struct cb_image photo = gray_photo(W, H);
    const float map[4] = { NAN, INFINITY, -1, 1e-30f };
    const struct cb_image out = overlay(&photo, &(struct cb_recipe){ 0 }, map, 2, 2, 1);
    cr_expect(is_gray(pixel(&out, 0, 0)) && is_gray(pixel(&out, W - 1, 0)) &&
              is_gray(pixel(&out, 0, H - 1)));
    cr_expect(!is_gray(pixel(&out, W - 1, H - 1)));
}

Test(heatmap, brighter_means_more)
{
    const struct cb_image photo = gray_photo(256, 1);
    float map[256];
    int last = 0;
    memset(photo.rgb, 0, 256 * 3);
    for (int i = 0; i < 256; i++)
        map[i] = (float)i / 255;
    const struct cb_image out = overlay(&photo, &(struct cb_recipe){ 0 }, map, 1, 256, 1);
    for (int i = 0; i < 256; i++) {
        const uint8_t *p = pixel(&out, i, 0);
        const int luma = 299 * p[0] + 587 * p[1] + 114 * p[2];
        cr_expect(luma + 1000 >= last, "shade %d", i);
        last = luma;
    }
    cr_expect(last > 180000, "the last shade is bright");
}

Test(heatmap, gives_up_cleanly_at_every_budget)
{
    uint8_t rgb[5 * 3 * 3] = { 0 };
    const struct cb_image photo = { 5, 3, rgb };
    const float map[1] = { 1 };
    bool done = false;
    for (size_t budget = 0; budget < 4096; budget += 32) {
        struct cb_arena small = { arena.base, 0, budget };
        struct cb_image out;
        const struct cb_status st =
            cb_heatmap_overlay(&small, &photo, &(struct cb_recipe){ 0 }, map, 1, 1, 1, &out);
        cr_expect(st.code == CB_OK || (st.code == CB_ERR_NOMEM && !done), "budget %zu", budget);
        done = st.code == CB_OK;
    }
    cr_expect(done);
}
