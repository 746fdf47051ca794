/* Resampling against hand-worked numbers and against what Pillow 9.4 and PyTorch 1.13 make of the
 * same picture. */
#include "core/image/resize.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/image/preprocess.h"
#include "core/image/resize_rows.h"

static struct cb_arena arena;

static void start(void)
{
    cr_assert_eq(cb_arena_init(&arena, (size_t)256 << 20).code, CB_OK);
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(resize, .init = start, .fini = stop);
TestSuite(resize_rows, .init = start, .fini = stop);

static struct cb_image picture(int width, int height)
{
    struct cb_image image = { width, height, NULL };
    image.rgb = cb_arena_alloc(&arena, (size_t)width * (size_t)height, 3);
    cr_assert_not_null(image.rgb);
    return image;
}

/* A picture that any language makes in one line. */
static struct cb_image pattern(int width, int height)
{
    struct cb_image image = picture(width, height);
    uint8_t *p = image.rgb;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                *p++ = (uint8_t)((x * 37 + y * 91 + c * 53) * (x + 2 * y + 1));
    return image;
}

static struct cb_image random_picture(struct cb_rng *rng, int width, int height)
{
    struct cb_image image = picture(width, height);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
        image.rgb[i] = (uint8_t)cb_rng_below(rng, 256);
    return image;
}

static struct cb_image resized(const struct cb_image *in, int width, int height,
                               enum cb_interpolation how, bool antialias)
{
    struct cb_image out = { 0 };
    const struct cb_status st = cb_image_resize(&arena, in, width, height, how, antialias, &out);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_assert(out.width == width && out.height == height);
    return out;
}

static void expect_within(int most, const struct cb_image *got, const uint8_t *want,
                          const char *what)
{
    for (size_t i = 0; i < (size_t)got->width * (size_t)got->height * 3; i++)
        if (abs(got->rgb[i] - want[i]) > most) {
            cr_expect(0, "%s: value %zu is %d, not %d", what, i, got->rgb[i], want[i]);
            return;
        }
}

/* Pillow 9.4: Image.fromarray(pattern).resize((w, h), ...) */
static const uint8_t pillow_nearest_3x4[] = {
    74,  180, 30, 188, 144, 100, 86,  148, 210, 0,   212, 168, 188, 250, 56, 160, 72,  240,
    176, 88,  0,  0,   18,  36,  120, 244, 112, 170, 188, 206, 68,  192, 60, 6,   236, 210,
};
static const uint8_t pillow_bilinear_3x4[] = {
    64,  134, 72,  178, 172, 113, 94, 163, 222, 38,  148, 140, 102, 176, 111, 100, 149, 177,
    102, 123, 122, 45,  94,  126, 83, 170, 141, 176, 141, 139, 75,  127, 100, 42,  184, 154,
};
static const uint8_t pillow_bicubic_3x4[] = {
    58,  129, 60,  201, 176, 109, 88, 165, 234, 27,  149, 147, 107, 184, 105, 104, 149, 181,
    107, 122, 119, 34,  76,  134, 85, 176, 134, 189, 143, 138, 74,  121, 95,  34,  192, 155,
};
static const uint8_t pillow_bilinear_11x3[] = {
    7,   106, 94,  23,  146, 92,  52,  185, 86,  122, 125, 59,  165, 132, 60,  188, 189,
    81,  189, 224, 149, 169, 209, 197, 124, 127, 219, 59,  146, 222, 11,  171, 222, 109,
    175, 127, 86,  150, 126, 55,  117, 132, 33,  93,  177, 39,  116, 157, 64,  175, 87,
    101, 154, 100, 118, 139, 118, 111, 129, 143, 82,  160, 176, 59,  187, 201, 168, 197,
    116, 170, 174, 117, 170, 134, 121, 150, 55,  146, 104, 56,  118, 39,  117, 50,  21,
    132, 99,  22,  168, 138, 50,  231, 164, 60,  194, 151, 64,  155, 137,
};
static const uint8_t pillow_bicubic_11x3[] = {
    4,   95,  94,  12,  147, 97,  45,  195, 90,  125, 120, 51,  176, 123, 48,  194, 195,
    82,  201, 237, 152, 179, 219, 205, 126, 117, 225, 51,  139, 227, 7,   175, 224, 112,
    185, 127, 88,  156, 121, 49,  111, 129, 16,  81,  196, 21,  111, 171, 60,  174, 86,
    103, 152, 91,  125, 131, 113, 118, 122, 138, 82,  163, 178, 57,  198, 204, 171, 202,
    118, 176, 181, 114, 177, 133, 118, 160, 40,  158, 106, 40,  123, 34,  113, 49,  7,
    126, 95,  17,  166, 143, 49,  242, 165, 62,  197, 150, 67,  147, 133,
};

Test(resize, equals_pillow_to_the_bit)
{
    const struct cb_image in = pattern(7, 5);
    struct cb_image got = resized(&in, 3, 4, CB_NEAREST, true);
    expect_within(0, &got, pillow_nearest_3x4, "nearest 3x4");
    got = resized(&in, 3, 4, CB_BILINEAR, true);
    expect_within(0, &got, pillow_bilinear_3x4, "bilinear 3x4");
    got = resized(&in, 3, 4, CB_BICUBIC, true);
    expect_within(0, &got, pillow_bicubic_3x4, "bicubic 3x4");
    got = resized(&in, 11, 3, CB_BILINEAR, true);
    expect_within(0, &got, pillow_bilinear_11x3, "bilinear 11x3");
    got = resized(&in, 11, 3, CB_BICUBIC, true);
    expect_within(0, &got, pillow_bicubic_11x3, "bicubic 11x3");
}

/* PyTorch 1.13: F.interpolate(pattern, (4, 3), mode, align_corners=False), rounded and clamped. */
static const uint8_t torch_bilinear_3x4[] = {
    44,  145, 66, 188, 157, 94, 69, 140, 223, 30,  168, 146, 132, 234, 80, 100, 123, 199,
    124, 128, 79, 15,  89,  68, 90, 192, 134, 178, 176, 163, 60,  170, 57, 40,  200, 178,
};
static const uint8_t torch_bicubic_3x4[] = {
    30,  155, 64, 190, 156, 95, 56,  130, 221, 15,  185, 171, 137, 255, 80, 106, 95,  216,
    140, 118, 35, 0,   65,  68, 101, 210, 116, 177, 194, 174, 60,  172, 57, 40,  210, 191,
};

Test(resize, without_antialias_equals_pytorch_within_1)
{
    const struct cb_image in = pattern(7, 5);
    struct cb_image got = resized(&in, 3, 4, CB_BILINEAR, false);
    expect_within(1, &got, torch_bilinear_3x4, "bilinear");
    got = resized(&in, 3, 4, CB_BICUBIC, false);
    expect_within(2, &got, torch_bicubic_3x4,
                  "bicubic"); /* overshoot is cut off between the passes */
}

/* 4 to 2 with a triangle of half-width 2: weights 3 3 1 (of 7) for the left one, 1 more being
 * outside. */
Test(resize, halving_four_pixels_by_hand)
{
    struct cb_image in = picture(4, 1);
    const uint8_t row[] = { 0, 70, 140, 210 };
    for (int x = 0; x < 4; x++)
        memset(in.rgb + x * 3, row[x], 3);
    const struct cb_image got = resized(&in, 2, 1, CB_BILINEAR, true);
    cr_expect_eq(got.rgb[0], 50); /* (3*0 + 3*70 + 1*140) / 7 */
    cr_expect_eq(got.rgb[3], 160);
}

Test(resize, doubling_two_pixels_by_hand)
{
    struct cb_image in = picture(2, 1);
    memset(in.rgb + 3, 100, 3);
    for (int antialias = 0; antialias < 2; antialias++) {
        const struct cb_image got = resized(&in, 4, 1, CB_BILINEAR, antialias);
        cr_expect_eq(got.rgb[0], 0);
        cr_expect_eq(got.rgb[3], 25);
        cr_expect_eq(got.rgb[6], 75);
        cr_expect_eq(got.rgb[9], 100);
    }
}

Test(resize, to_its_own_size_changes_nothing)
{
    const struct cb_image in = pattern(13, 7);
    for (int how = CB_NEAREST; how <= CB_BICUBIC; how++)
        for (int antialias = 0; antialias < 2; antialias++) {
            const struct cb_image got = resized(&in, 13, 7, how, antialias);
            expect_within(0, &got, in.rgb, "own size");
        }
}

Test(resize, one_colour_stays_that_colour)
{
    struct cb_image in = picture(31, 17);
    memset(in.rgb, 201, 31 * 17 * 3);
    for (int how = CB_NEAREST; how <= CB_BICUBIC; how++)
        for (int side = 1; side < 80; side += 7) {
            const struct cb_image got = resized(&in, side, 80 - side, how, side % 2);
            for (int i = 0; i < side * (80 - side) * 3; i++)
                cr_assert_eq(got.rgb[i], 201, "interpolation %d, side %d", how, side);
        }
}

Test(resize, a_window_is_that_part_of_the_whole)
{
    struct cb_rng rng = cb_rng_seed(4);
    for (int seed = 0; seed < 200; seed++) {
        const int w = 1 + (int)cb_rng_below(&rng, 60), h = 1 + (int)cb_rng_below(&rng, 60);
        const struct cb_image in =
            random_picture(&rng, 1 + (int)cb_rng_below(&rng, 70), 1 + (int)cb_rng_below(&rng, 70));
        struct cb_resize how = { w,
                                 h,
                                 (enum cb_interpolation)cb_rng_below(&rng, 3),
                                 seed % 2,
                                 false,
                                 (int)cb_rng_below(&rng, (uint64_t)w),
                                 (int)cb_rng_below(&rng, (uint64_t)h),
                                 0,
                                 0 };
        how.window_width = 1 + (int)cb_rng_below(&rng, (uint64_t)(w - how.left));
        how.window_height = 1 + (int)cb_rng_below(&rng, (uint64_t)(h - how.top));
        const struct cb_image whole = resized(&in, w, h, how.interpolation, how.antialias);
        struct cb_image part;
        cr_assert_eq(cb_resize_run(&arena, &in, &how, &part).code, CB_OK);
        for (int y = 0; y < part.height; y++)
            cr_assert_arr_eq(part.rgb + y * part.width * 3,
                             whole.rgb + ((how.top + y) * w + how.left) * 3, (size_t)part.width * 3,
                             "case %d, row %d", seed, y);
        cb_arena_rewind(&arena, 0);
    }
}

Test(resize, gray_is_taken_before_the_filter)
{
    const struct cb_image in = pattern(7, 5);
    struct cb_image gray = picture(7, 5), part;
    for (int i = 0; i < 7 * 5; i++)
        memset(gray.rgb + i * 3, cb_luma(in.rgb + i * 3), 3);
    const struct cb_image want = resized(&gray, 4, 3, CB_BILINEAR, true);
    cr_assert_eq(cb_resize_run(&arena, &in,
                               &(struct cb_resize){ 4, 3, CB_BILINEAR, true, true, 0, 0, 4, 3 },
                               &part)
                     .code,
                 CB_OK);
    expect_within(0, &part, want.rgb, "gray");
}

Test(resize, only_the_window_of_a_very_long_picture_is_made)
{
    const struct cb_image in = pattern(1, 3000);
    struct cb_image part;
    const struct cb_resize how = { 256, 768000, CB_BILINEAR, true, false, 16, 383888, 224, 224 };
    const struct cb_status st = cb_resize_run(&arena, &in, &how, &part);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_expect(part.width == 224 && part.height == 224);
}

Test(resize, gives_back_all_but_the_picture)
{
    const struct cb_image in = pattern(100, 80);
    const size_t before = arena.used;
    struct cb_image out;
    cr_assert_eq(cb_image_resize(&arena, &in, 10, 8, CB_BILINEAR, true, &out).code, CB_OK);
    cr_expect_leq(arena.used, before + 10 * 8 * 3 + CB_ALIGN);
}

Test(resize, refuses_a_side_below_one_and_a_window_outside)
{
    const struct cb_image in = pattern(3, 2), none = { 0, 2, in.rgb };
    struct cb_image out = { -1, -1, NULL };
    struct cb_status st = cb_image_resize(&arena, &in, 0, 4, CB_BILINEAR, true, &out);
    cr_expect_eq(st.code, CB_ERR_INPUT);
    cr_expect_str_eq(st.msg, "resize: from 3 x 2 to 0 x 4: a side is below 1");
    cr_expect_eq(cb_image_resize(&arena, &none, 1, 4, CB_NEAREST, true, &out).code, CB_ERR_INPUT);
    st = cb_resize_run(
        &arena, &in,
        &(struct cb_resize){
            .width = 5, .height = 5, .left = 2, .window_width = 4, .window_height = 5 },
        &out);
    cr_expect_eq(st.code, CB_ERR_INPUT);
    cr_expect_str_eq(st.msg, "resize: 4 x 5 at 2, 0 is not inside 5 x 5");
    cr_expect_eq(out.width, -1);
}

Test(resize, any_budget_gives_a_picture_or_no_memory)
{
    const struct cb_image in = pattern(33, 21);
    bool done = false;
    for (size_t budget = 0; budget < 40000; budget += 64) {
        struct cb_arena small;
        struct cb_image out;
        if (cb_arena_init(&small, budget).code)
            continue;
        const struct cb_status st = cb_image_resize(&small, &in, 17, 19, CB_BICUBIC, true, &out);
        cr_assert(st.code == CB_OK || st.code == CB_ERR_NOMEM, "budget %zu: %s", budget, st.msg);
        cr_assert(st.code == CB_OK || small.used == 0);
        cr_assert(st.code == CB_OK || !done, "budget %zu fails, a smaller one did not", budget);
        done = st.code == CB_OK;
        cb_arena_deinit(&small);
    }
    cr_expect(done);
}

/* Random taps over a random row, as fast and as plain code. */
static struct cb_resize_taps random_taps(struct cb_rng *rng, int n, int in)
{
    struct cb_resize_taps taps = { .n = n, .stride = (in + 1) & ~1 };
    const size_t coefficients = (size_t)n * (size_t)taps.stride;
    taps.first = cb_arena_alloc(&arena, (size_t)n, sizeof *taps.first);
    taps.count = cb_arena_alloc(&arena, (size_t)n, sizeof *taps.count);
    taps.hi = cb_arena_alloc(&arena, coefficients, sizeof *taps.hi);
    taps.lo = cb_arena_alloc(&arena, coefficients, sizeof *taps.lo);
    for (int i = 0; i < n; i++) {
        taps.first[i] = (int)cb_rng_below(rng, (uint64_t)in);
        taps.count[i] = 1 + (int)cb_rng_below(rng, (uint64_t)(in - taps.first[i]));
        for (int j = 0; j < taps.count[i]; j++) {
            taps.hi[i * taps.stride + j] =
                (int16_t)((int)cb_rng_below(rng, 40000 / (uint64_t)in) - 9000 / in);
            taps.lo[i * taps.stride + j] = (int16_t)cb_rng_below(rng, 256);
        }
    }
    return taps;
}

Test(resize_rows, across_is_equal_in_every_form)
{
    struct cb_rng rng = cb_rng_seed(2);
    for (int width = 1; width < 90; width++) {
        const struct cb_resize_taps taps = random_taps(&rng, 23, width);
        const struct cb_image row = random_picture(&rng, width, 1);
        uint8_t got[23 * 3 + 1], want[23 * 3];
        got[23 * 3] = 77;
        cb_resize_row_across_plain(&taps, width, row.rgb, want);
        cb_resize_row_across(&taps, width, row.rgb, got);
        cr_expect_arr_eq(got, want, sizeof want, "width %d", width);
        cr_expect_eq(got[23 * 3], 77);
    }
}

Test(resize_rows, down_is_equal_in_every_form)
{
    struct cb_rng rng = cb_rng_seed(3);
    for (int width = 1; width < 40; width++) {
        const int rows = 1 + width % 13;
        const size_t len = (size_t)width * 3;
        const struct cb_resize_taps taps = random_taps(&rng, 5, rows);
        const struct cb_image in = random_picture(&rng, width, rows);
        uint8_t got[40 * 3 + 1], want[40 * 3 + 1];
        for (int i = 0; i < taps.n; i++) {
            got[len] = want[len] = 77;
            cb_resize_row_down_plain(&taps, i, len, in.rgb, len, want);
            cb_resize_row_down(&taps, i, len, in.rgb, len, got);
            cr_expect_arr_eq(got, want, len + 1, "width %d, tap set %d", width, i);
        }
    }
}
