#include "core/image/augment.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"

#define ONE CB_AUGMENT_ONE

struct world {
    struct cb_arena arena;
    struct cb_image photo;
};

static void set_up(struct world *w, int width, int height)
{
    struct cb_rng rng = cb_rng_seed(5);
    const size_t bytes = 3 * (size_t)width * (size_t)height;
    cr_assert_eq(cb_arena_init(&w->arena, 1 << 24).code, CB_OK);
    w->photo = (struct cb_image){ width, height, cb_arena_alloc(&w->arena, bytes, 1) };
    for (size_t i = 0; i < bytes; i++)
        w->photo.rgb[i] = (uint8_t)cb_rng_below(&rng, 256);
}

static void tear_down(struct world *w)
{
    cb_arena_deinit(&w->arena);
}

static struct cb_image apply(struct world *w, const struct cb_image *in,
                             const struct cb_augmentation *how)
{
    struct cb_image out;
    const struct cb_status st = cb_augment_apply(&w->arena, in, how, &out);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_assert(out.width == in->width && out.height == in->height);
    return out;
}

static bool same(const struct cb_image *a, const struct cb_image *b)
{
    return !memcmp(a->rgb, b->rgb, 3 * (size_t)a->width * (size_t)a->height);
}

static const uint8_t *at(const struct cb_image *image, int x, int y)
{
    return image->rgb + 3 * (y * image->width + x);
}

Test(augment, at_dial_0_every_view_is_the_photo)
{
    static const int sizes[][2] = { { 7, 5 }, { 1, 1 }, { 1, 13 }, { 640, 3 } };
    const struct cb_augment nothing = cb_augment_dial(0);
    cr_expect(cb_augment_is_nothing(&nothing));
    for (size_t s = 0; s < CB_COUNT_OF(sizes); s++)
        for (uint64_t view = 0; view < 4; view++) {
            struct world w;
            set_up(&w, sizes[s][0], sizes[s][1]);
            const struct cb_augmentation how = cb_augment_draw(&nothing, 3, 9, view);
            const struct cb_image out = apply(&w, &w.photo, &how);
            cr_expect(same(&w.photo, &out), "%d x %d, view %d", w.photo.width, w.photo.height,
                      (int)view);
            tear_down(&w);
        }
}

Test(augment, view_0_is_the_photo_at_any_strength)
{
    const struct cb_augment strong = cb_augment_dial(1);
    const struct cb_augmentation how = cb_augment_draw(&strong, 1, 2, 0);
    cr_expect_arr_eq(&how, &cb_augmentation_none, sizeof how);
}

Test(augment, seed_photo_and_view_decide_and_each_matters)
{
    const struct cb_augment strong = cb_augment_dial(1);
    const struct cb_augmentation a = cb_augment_draw(&strong, 1, 2, 3),
                                 b = cb_augment_draw(&strong, 1, 2, 3),
                                 seed = cb_augment_draw(&strong, 2, 2, 3),
                                 photo = cb_augment_draw(&strong, 1, 3, 3),
                                 view = cb_augment_draw(&strong, 1, 2, 4);
    cr_expect_eq(a.rotate, b.rotate);
    cr_expect(a.rotate != seed.rotate && a.rotate != photo.rotate && a.rotate != view.rotate);
}

/* Measured once and written down: other numbers would be other pictures than before. */
Test(augment, what_is_drawn_is_the_same_on_every_machine)
{
    const struct cb_augment strong = cb_augment_dial(1);
    const struct cb_augmentation a = cb_augment_draw(&strong, 1, 2, 3);
    struct world w;
    uint32_t sum = 1;
    set_up(&w, 31, 23);
    const struct cb_image out = apply(&w, &w.photo, &a);
    for (int i = 0; i < 3 * 31 * 23; i++)
        sum = sum * 31 + out.rgb[i];
    cr_expect(a.rotate == -450706 && sum == 3373434296u, "rotate %d, sum %u", a.rotate, sum);
    tear_down(&w);
}

Test(augment, one_strength_does_not_change_what_another_draws)
{
    struct cb_augment few = { .rotate = 20, .brightness = 0.3f }, more = few;
    more.flip = more.crop = more.erase = 0.9f;
    more.zoom = more.saturation = 0.5f;
    const struct cb_augmentation a = cb_augment_draw(&few, 1, 2, 3),
                                 b = cb_augment_draw(&more, 1, 2, 3);
    cr_expect(a.rotate == b.rotate && a.brightness == b.brightness && a.zoom == ONE);
}

Test(augment, nothing_leaves_its_range)
{
    const struct cb_augment most = { 1, 0.95f, 1, 0.5f, 180, 1, 1, 1, 1, 1 };
    struct world w;
    set_up(&w, 11, 6);
    for (uint64_t i = 1; i <= 3000; i++) {
        const struct cb_augmentation a = cb_augment_draw(&most, 1, i, 1);
        cr_assert(a.flip && abs(a.rotate) <= 180 * ONE && a.zoom >= ONE / 2 && a.zoom <= 2 * ONE);
        cr_assert(abs(a.shift[0]) <= ONE / 2 && abs(a.shift[1]) <= ONE / 2);
        cr_assert(a.brightness >= 0 && a.brightness <= 2 * ONE && a.contrast >= 0 &&
                  a.contrast <= 2 * ONE && a.saturation >= 0 && a.saturation <= 2 * ONE);
        for (int k = 0; k < 2; k++) {
            cr_assert(a.crop[k] >= 0 && a.crop[2 + k] > 0 && a.crop[k] + a.crop[2 + k] <= ONE);
            cr_assert(a.erase[k] >= 0 && a.erase[2 + k] > 0 && a.erase[k] + a.erase[2 + k] <= ONE);
        }
        const double area = (double)a.erase[2] * a.erase[3] / ONE / ONE;
        cr_assert(area > 0.0199 && area < 0.2, "%g", area);
        cr_assert((double)a.crop[2] * a.crop[3] / ONE / ONE > 0.0499);
        (void)apply(&w, &w.photo, &a);
        w.arena.used = 4096; /* the photo stays */
    }
    tear_down(&w);
}

Test(augment, flipped_twice_is_the_photo_and_once_is_its_mirror)
{
    struct cb_augmentation flip = cb_augmentation_none;
    struct world w;
    flip.flip = true;
    set_up(&w, 7, 4);
    const struct cb_image once = apply(&w, &w.photo, &flip), twice = apply(&w, &once, &flip);
    cr_expect(same(&w.photo, &twice) && !same(&w.photo, &once));
    cr_expect_arr_eq(at(&once, 0, 2), at(&w.photo, 6, 2), 3);
    tear_down(&w);
}

Test(augment, half_a_turn_twice_is_the_photo)
{
    struct cb_augmentation half = cb_augmentation_none;
    struct world w;
    set_up(&w, 7, 4);
    for (int sign = -1; sign <= 1; sign += 2) {
        half.rotate = sign * 180 * ONE;
        const struct cb_image once = apply(&w, &w.photo, &half), twice = apply(&w, &once, &half);
        cr_expect(same(&w.photo, &twice));
        cr_expect_arr_eq(at(&once, 0, 0), at(&w.photo, 6, 3), 3);
    }
    tear_down(&w);
}

Test(augment, a_quarter_turn_is_counter_clockwise)
{
    struct cb_augmentation quarter = cb_augmentation_none;
    struct world w;
    quarter.rotate = 90 * ONE;
    set_up(&w, 5, 5);
    const struct cb_image out = apply(&w, &w.photo, &quarter);
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 5; x++)
            cr_expect_arr_eq(at(&out, x, y), at(&w.photo, 4 - y, x), 3);
    tear_down(&w);
}

/* A picture that is its own height: a turn by an eighth shows sine and cosine. */
Test(augment, a_turn_has_its_angle)
{
    struct cb_augmentation a = cb_augmentation_none;
    struct world w;
    set_up(&w, 101, 101);
    for (int y = 0; y < 101; y++)
        for (int x = 0; x < 101; x++)
            memset(w.photo.rgb + 3 * (y * 101 + x), 2 * y, 3);
    a.rotate = 30 * ONE;
    const struct cb_image out = apply(&w, &w.photo, &a);
    cr_expect_eq(*at(&out, 50, 50), 100);
    cr_expect_leq(abs(*at(&out, 90, 50) - (100 + 40)), 1); /* 2 x 40 sin 30 */
    cr_expect_leq(abs(*at(&out, 50, 10) - (100 - 69)), 1); /* 2 x 40 cos 30 */
    cr_expect_leq(abs(*at(&out, 20, 70) - (100 + 4)), 1);  /* 2 (20 cos 30 - 30 sin 30) */
    tear_down(&w);
}

Test(augment, a_shift_brings_in_the_reflected_edge)
{
    struct cb_augmentation right = cb_augmentation_none;
    struct world w;
    set_up(&w, 8, 2);
    right.shift[0] = ONE / 4;
    const struct cb_image out = apply(&w, &w.photo, &right);
    static const int from[] = { 1, 0, 0, 1, 2, 3, 4, 5 };
    for (int x = 0; x < 8; x++)
        cr_expect_arr_eq(at(&out, x, 1), at(&w.photo, from[x], 1), 3, "%d", x);
    tear_down(&w);
}

Test(augment, a_crop_fills_the_picture_and_so_does_a_zoom)
{
    struct cb_augmentation crop = cb_augmentation_none, zoom = cb_augmentation_none;
    struct world w;
    set_up(&w, 16, 8);
    crop.crop[0] = crop.crop[1] = ONE / 4;
    crop.crop[2] = crop.crop[3] = ONE / 2;
    zoom.zoom = 2 * ONE;
    const struct cb_image a = apply(&w, &w.photo, &crop), b = apply(&w, &w.photo, &zoom);
    cr_expect(same(&a, &b));
    for (int c = 0; c < 3; c++) { /* 1/4 of a pixel inside that of the quarter's corner */
        const int near = at(&w.photo, 4, 2)[c], x = at(&w.photo, 3, 2)[c],
                  y = at(&w.photo, 4, 1)[c], xy = at(&w.photo, 3, 1)[c];
        cr_expect_leq(abs(at(&a, 0, 0)[c] - (9 * near + 3 * x + 3 * y + xy + 8) / 16), 1);
    }
    tear_down(&w);
}

Test(augment, colours_are_those_of_the_formulas)
{
    struct cb_augmentation a = cb_augmentation_none;
    struct world w;
    set_up(&w, 9, 7);
    a.saturation = 0;
    const struct cb_image gray = apply(&w, &w.photo, &a);
    cr_expect_eq(at(&gray, 3, 3)[1], cb_luma(at(&w.photo, 3, 3)));
    a = cb_augmentation_none;
    a.brightness = ONE / 2;
    const struct cb_image dark = apply(&w, &w.photo, &a);
    cr_expect_eq(at(&dark, 3, 3)[2], (at(&w.photo, 3, 3)[2] + 1) / 2);
    a.brightness = 2 * ONE;
    const struct cb_image light = apply(&w, &w.photo, &a);
    for (int i = 0; i < 3 * 63; i++)
        cr_assert_eq(light.rgb[i], w.photo.rgb[i] > 127 ? 255 : 2 * w.photo.rgb[i]);
    a = cb_augmentation_none;
    a.contrast = 0;
    const struct cb_image flat = apply(&w, &w.photo, &a);
    for (int i = 1; i < 3 * 63; i++)
        cr_assert_eq(flat.rgb[i], flat.rgb[0]);
    tear_down(&w);
}

Test(augment, erasing_covers_its_rectangle_and_nothing_else)
{
    struct cb_augmentation a = cb_augmentation_none;
    struct world w;
    set_up(&w, 16, 8);
    a.erase[0] = ONE / 8, a.erase[1] = ONE / 2, a.erase[2] = ONE / 4, a.erase[3] = ONE / 2;
    const struct cb_image out = apply(&w, &w.photo, &a);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 16; x++) {
            const bool inside = x >= 2 && x < 6 && y >= 4;
            const uint8_t *want = inside ? at(&out, 2, 4) : at(&w.photo, x, y);
            cr_assert_arr_eq(at(&out, x, y), want, 3, "%d %d", x, y);
        }
    cr_expect(memcmp(at(&out, 2, 4), at(&w.photo, 2, 4), 3));
    tear_down(&w);
}

Test(augment, a_photo_without_pixels_is_refused)
{
    struct cb_image none = { 0, 4, NULL }, out;
    struct cb_arena arena;
    cr_assert_eq(cb_arena_init(&arena, 1 << 12).code, CB_OK);
    cr_expect_eq(cb_augment_apply(&arena, &none, &cb_augmentation_none, &out).code, CB_ERR_INPUT);
    none = (struct cb_image){ 65536, 1, NULL };
    cr_expect_eq(cb_augment_apply(&arena, &none, &cb_augmentation_none, &out).code, CB_ERR_INPUT);
    none = (struct cb_image){ 60000, 60000, NULL };
    cr_expect_eq(cb_augment_apply(&arena, &none, &cb_augmentation_none, &out).code, CB_ERR_NOMEM);
    cb_arena_deinit(&arena);
}

Test(augment_settings, a_number_is_the_dial_and_names_replace_what_it_says)
{
    struct cb_augment a, dial = cb_augment_dial(0.5f);
    cr_assert_eq(cb_augment_parse("0.5", &a).code, CB_OK);
    cr_expect_arr_eq(&a, &dial, sizeof a);
    cr_assert_eq(cb_augment_parse("0.5,rotate=90,flip=0", &a).code, CB_OK);
    dial.rotate = 90;
    dial.flip = 0;
    cr_expect_arr_eq(&a, &dial, sizeof a);
    cr_assert_eq(cb_augment_parse("zoom=0.25", &a).code, CB_OK);
    cr_expect(a.zoom == 0.25f && a.rotate == 0 && a.flip == 0);
}

Test(augment_settings, what_is_printed_is_read_as_the_same)
{
    static const char *const texts[] = { "0", "1", "0.3,erase=0.1", "flip=1",
                                         "rotate=0.1,crop=0.7" };
    for (size_t i = 0; i < CB_COUNT_OF(texts); i++) {
        struct cb_augment a, b;
        char text[CB_AUGMENT_TEXT];
        cr_assert_eq(cb_augment_parse(texts[i], &a).code, CB_OK);
        cb_augment_print(&a, text);
        cr_assert_eq(cb_augment_parse(text, &b).code, CB_OK, "%s", text);
        cr_expect_arr_eq(&a, &b, sizeof a, "%s", text);
    }
}

Test(augment_settings, refusals_name_the_strength_and_its_range)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "", "''" },
        { "1.1", "0 to 1" },
        { "-0.1", "0 to 1" },
        { "nan", "'nan'" },
        { "flip=0.5,0.3", "'0.3'" },
        { "0.5,", "''" },
        { "rotate=181", "rotate is a number from 0 to 180, not '181'" },
        { "rotate=,flip=1", "not ''" },
        { "crop=1", "0.95" },
        { "flip=0.5x", "'0.5x'" },
        { "turn=3", "'turn' is none of flip" },
        { "=3", "'' is none of" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++) {
        struct cb_augment a;
        const struct cb_status st = cb_augment_parse(bad[i].text, &a);
        cr_expect(st.code == CB_ERR_INPUT && strstr(st.msg, bad[i].says), "'%s': %s", bad[i].text,
                  st.msg);
    }
}
