#include "importers/image/decode.h"

#include <criterion/criterion.h>
#include <string.h>

#include "importers/image/encode_png.h"
#include "tests/support/photo_maker.h"

static struct cb_arena arena;
static struct cb_buf file, other;

static void start(void)
{
    cr_assert_eq(cb_arena_init(&arena, (size_t)256 << 20).code, CB_OK);
    cb_buf_init(&file, (size_t)16 << 20);
    cb_buf_init(&other, (size_t)16 << 20);
}

static void stop(void)
{
    cb_buf_deinit(&file);
    cb_buf_deinit(&other);
    cb_arena_deinit(&arena);
}

TestSuite(decode, .init = start, .fini = stop);
TestSuite(decode_jpeg, .init = start, .fini = stop);
TestSuite(decode_png, .init = start, .fini = stop);
TestSuite(decode_webp, .init = start, .fini = stop);

static struct cb_status decode(const struct cb_buf *bytes, struct cb_decoded *out)
{
    return cb_image_decode(&arena, photo_bytes(bytes), &cb_decode_defaults, 0, out);
}

static struct cb_decoded decoded(const struct cb_buf *bytes)
{
    struct cb_decoded out = { 0 };
    const struct cb_status st = decode(bytes, &out);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    return out;
}

static void expect_refused(const struct cb_buf *bytes, enum cb_code code, const char *part)
{
    struct cb_decoded out = { .width = -1 };
    const size_t before = arena.used;
    const struct cb_status st = decode(bytes, &out);
    cr_expect_eq(st.code, code, "%s", st.msg);
    cr_expect_not_null(strstr(st.msg, part), "'%s' does not say '%s'", st.msg, part);
    cr_expect(out.width == -1 && arena.used == before);
}

/* A smooth picture: what a lossy codec keeps. */
static struct cb_image smooth(int width, int height)
{
    struct cb_image image = { width, height,
                              cb_arena_alloc(&arena, (size_t)width * (size_t)height, 3) };
    cr_assert_not_null(image.rgb);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            memcpy(image.rgb + (y * width + x) * 3,
                   (uint8_t[]){ (uint8_t)(255 * x / width), (uint8_t)(255 * y / height),
                                (uint8_t)(200 - 100 * x / width) },
                   3);
    return image;
}

/* Up to `most` less in each value: what no codec can make small. */
static void add_noise(struct cb_image *image, int most)
{
    for (int i = 0; i < image->width * image->height * 3; i++) {
        const int noise = (int)((uint32_t)i * 2654435761u >> 13) % (most + 1);
        image->rgb[i] = (uint8_t)(image->rgb[i] > noise ? image->rgb[i] - noise : 0);
    }
}

static void expect_near(const struct cb_image *got, const struct cb_image *want, int most)
{
    cr_assert(got->width == want->width && got->height == want->height);
    for (int i = 0; i < want->width * want->height * 3; i++)
        cr_assert_leq(abs(got->rgb[i] - want->rgb[i]), most, "value %d is %d, not %d", i,
                      got->rgb[i], want->rgb[i]);
}

static void expect_pixel(const struct cb_image *image, int x, int y, int r, int g, int b)
{
    const uint8_t *p = image->rgb + (y * image->width + x) * 3;
    cr_expect(p[0] == r && p[1] == g && p[2] == b, "(%d, %d) is %d %d %d, not %d %d %d", x, y, p[0],
              p[1], p[2], r, g, b);
}

Test(decode, names_what_it_does_not_read)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {
        { "BM\0\0\0\0\0\0", 8, "a BMP file" },
        { "GIF89a\0\0", 8, "a GIF file" },
        { "II*\0\0\0\0\0", 8, "a TIFF file" },
        { "MM\0*\0\0\0\0", 8, "a TIFF file" },
        { "\0\0\0\x18"
          "ftypheic",
          12, "a HEIC file" },
        { "\0\0\0\x1c"
          "ftypavif",
          12, "a AVIF file" },
        { "version https://git-lfs.github.com/spec/v1", 42, "a git-lfs pointer file" },
        { "hello", 5, "not a picture" },
        { "", 0, "no bytes" },
        { "\xff\xd8", 2, "not a picture" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        cb_buf_deinit(&file);
        cb_buf_init(&file, 1000);
        cb_buf_add(&file, cases[i].bytes, cases[i].len);
        expect_refused(&file, CB_ERR_MEDIA, cases[i].name);
    }
}

Test(decode, only_a_head_is_damaged)
{
    static const char *const heads[] = { "\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n",
                                         "RIFF\0\0\0\0WEBPVP8 " };
    static const size_t len[] = { 4, 8, 16 };
    for (size_t i = 0; i < 3; i++) {
        cb_buf_deinit(&file);
        cb_buf_init(&file, 1000);
        cb_buf_add(&file, heads[i], len[i]);
        expect_refused(&file, CB_ERR_CONTENT, ":");
    }
}

Test(decode_jpeg, every_kind_is_read)
{
    const struct cb_image image = smooth(53, 37);
    static const struct photo_jpeg kinds[] = {
        { 100, 3, false, false, true, 0 }, { 100, 3, false, false, false, 0 },
        { 100, 3, false, true, false, 0 }, { 100, 4, false, false, true, 0 },
        { 100, 4, true, true, true, 0 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(kinds); i++) {
        cb_buf_deinit(&file);
        cb_buf_init(&file, 1 << 20);
        photo_jpeg(&image, &kinds[i], &file);
        const struct cb_decoded out = decoded(&file);
        expect_near(&out.image, &image, 12);
        cr_expect(out.width == 53 && out.height == 37 && !out.truncated);
        cr_expect_str_eq(out.format, "jpeg");
    }
}

Test(decode_jpeg, gray_becomes_three_equal_channels)
{
    struct cb_image image = smooth(20, 10);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 100, .channels = 1 }, &file);
    const struct cb_decoded out = decoded(&file);
    for (int i = 0; i < 200; i++) {
        const uint8_t *p = out.image.rgb + i * 3;
        cr_assert(p[0] == p[1] && p[1] == p[2] && abs(p[0] - image.rgb[i * 3]) < 4);
    }
}

/* Inks of 255 - c without black give c: (255 - (255 - c) * 255 / 255). Half black halves it. */
Test(decode_jpeg, inks_become_rgb_as_pillow_does)
{
    struct cb_image image = smooth(16, 16);
    for (int i = 0; i < 256; i++)
        memcpy(image.rgb + i * 3, (uint8_t[]){ 200, 100, 0 }, 3);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 100, .channels = 4 }, &file);
    const struct cb_decoded out = decoded(&file);
    expect_near(&out.image, &image, 1);
}

/* Where (x, y) of the picture in the file lies upright, for a file of 3 x 2; from EXIF 2.3,
 * 4.6.4. */
Test(decode, every_orientation_is_turned_upright)
{
    static const int where[9][2][3] = {
        /* [orientation][y][x]: row * 10 + column of the upright picture */
        [1] = { { 0, 1, 2 }, { 10, 11, 12 } },  [2] = { { 2, 1, 0 }, { 12, 11, 10 } },
        [3] = { { 12, 11, 10 }, { 2, 1, 0 } },  [4] = { { 10, 11, 12 }, { 0, 1, 2 } },
        [5] = { { 0, 10, 20 }, { 1, 11, 21 } }, [6] = { { 1, 11, 21 }, { 0, 10, 20 } },
        [7] = { { 21, 11, 1 }, { 20, 10, 0 } }, [8] = { { 20, 10, 0 }, { 21, 11, 1 } },
    };
    struct cb_image image = smooth(3, 2);
    uint8_t block[32];
    cr_assert_eq(cb_png_encode(&image, &file).code, CB_OK);
    for (int orientation = 1; orientation <= 8; orientation++) {
        const size_t len = photo_exif(orientation, orientation % 2, block);
        cb_buf_deinit(&other);
        cb_buf_init(&other, 10000);
        photo_png_chunk(&file, "eXIf", block, len, &other);
        const struct cb_decoded out = decoded(&other);
        cr_assert_eq(out.width, orientation > 4 ? 2 : 3);
        cr_assert(out.image.width == out.width && out.image.height == out.height);
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++) {
                const uint8_t *p = image.rgb + (y * 3 + x) * 3;
                const int to = where[orientation][y][x];
                expect_pixel(&out.image, to % 10, to / 10, p[0], p[1], p[2]);
            }
    }
}

Test(decode, turning_a_large_jpeg_equals_turning_its_pixels)
{
    const struct cb_image image = smooth(101, 75);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 90, .channels = 3 }, &file);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 90, .channels = 3, .orientation = 6 },
               &other);
    const struct cb_image flat = decoded(&file).image, upright = decoded(&other).image;
    cr_assert(upright.width == 75 && upright.height == 101);
    for (int y = 0; y < 101; y++)
        for (int x = 0; x < 75; x++) {
            const uint8_t *p = flat.rgb + ((74 - x) * 101 + y) * 3;
            expect_pixel(&upright, x, y, p[0], p[1], p[2]);
        }
}

Test(decode_jpeg, cut_short_it_is_read_as_far_as_it_goes)
{
    const struct cb_image image = smooth(96, 96);
    for (int progressive = 0; progressive < 2; progressive++) {
        cb_buf_deinit(&file);
        cb_buf_init(&file, 1 << 20);
        photo_jpeg(&image,
                   &(struct photo_jpeg){ .quality = 95, .channels = 3, .progressive = progressive },
                   &file);
        const struct cb_decoded whole = decoded(&file);
        file.len = file.len * 7 / 8;
        const struct cb_decoded part = decoded(&file);
        cr_expect(part.truncated && !whole.truncated, "progressive %d", progressive);
        cr_expect_arr_eq(part.image.rgb, whole.image.rgb, progressive ? 0 : 96 * 3 * 16);
        if (!progressive)
            expect_pixel(&part.image, 95, 95, 128, 128, 128);
    }
}

Test(decode_jpeg, only_the_end_marker_missing_is_no_loss)
{
    const struct cb_image image = smooth(40, 40);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 95, .channels = 3 }, &file);
    file.len -= 2;
    cr_expect_not(decoded(&file).truncated);
}

Test(decode_jpeg, cut_before_its_first_row_it_is_refused)
{
    const struct cb_image image = smooth(96, 96);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 95, .channels = 3 }, &file);
    for (size_t i = 0; i + 1 < file.len; i++)
        if ((uint8_t)file.data[i] == 0xff && (uint8_t)file.data[i + 1] == 0xda) {
            file.len = i + 16;
            break;
        }
    expect_refused(&file, CB_ERR_CONTENT, "cut short");
}

/* The height of the frame header, which says nothing of the data. */
static void set_height(struct cb_buf *jpeg, int height)
{
    for (size_t i = 2; i + 8 < jpeg->len; i++) {
        uint8_t *p = (uint8_t *)jpeg->data + i;
        if (p[0] == 0xff && (p[1] == 0xc0 || p[1] == 0xc2)) {
            p[5] = (uint8_t)(height >> 8);
            p[6] = (uint8_t)height;
            return;
        }
    }
    cr_assert(0, "no frame header");
}

Test(decode, limits_are_held_and_named)
{
    const struct cb_image image = smooth(64, 48);
    const struct cb_decode_limits sides = { 1000000, 63, 10, 0 },
                                  pixels = { 64 * 48 - 1, 64, 10, 0 };
    struct cb_decoded out;
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 80, .channels = 3 }, &file);
    struct cb_status st = cb_image_decode(&arena, photo_bytes(&file), &sides, 0, &out);
    cr_expect_eq(st.code, CB_ERR_TOO_LARGE);
    cr_expect_str_eq(st.msg, "jpeg: 64 x 48 pixels: a side may have 63 at most");
    cr_assert_eq(cb_png_encode(&image, &other).code, CB_OK);
    st = cb_image_decode(&arena, photo_bytes(&other), &pixels, 0, &out);
    cr_expect_eq(st.code, CB_ERR_TOO_LARGE);
    cr_expect_str_eq(st.msg, "png: 64 x 48 pixels: 3071 in all are the limit");
    set_height(&file, 65000);
    expect_refused(&file, CB_ERR_TOO_LARGE, "64 x 65000");
}

Test(decode_jpeg, a_progressive_one_may_have_so_many_scans)
{
    const struct cb_image image = smooth(64, 48);
    struct cb_decode_limits limits = cb_decode_defaults;
    struct cb_decoded out;
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 80, .channels = 3, .progressive = true },
               &file);
    limits.max_scans = 10; /* what jpeg_simple_progression makes of three channels */
    cr_expect_eq(cb_image_decode(&arena, photo_bytes(&file), &limits, 0, &out).code, CB_OK);
    limits.max_scans = 9;
    const struct cb_status st = cb_image_decode(&arena, photo_bytes(&file), &limits, 0, &out);
    cr_expect_eq(st.code, CB_ERR_TOO_LARGE);
    cr_expect_str_eq(st.msg, "jpeg: more than 9 scans of 64 x 48 pixels");
}

Test(decode_jpeg, a_wanted_side_saves_pixels_only_while_enough_remain)
{
    static const struct {
        int wanted, width;
    } cases[] = {
        { 0, 320 }, { 16, 320 }, { 15, 160 }, { 8, 160 }, { 7, 80 }, { 4, 80 }, { 3, 40 },
    };
    const struct cb_image image = smooth(320, 240);
    struct cb_decode_limits limits = cb_decode_defaults;
    struct cb_decoded out;
    limits.reduced_side = 30;
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 95, .channels = 3 }, &file);
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        const struct cb_status st =
            cb_image_decode(&arena, photo_bytes(&file), &limits, cases[i].wanted, &out);
        cr_assert_eq(st.code, CB_OK);
        cr_expect_eq(out.image.width, cases[i].width, "wanted %d: %d", cases[i].wanted,
                     out.image.width);
        cr_expect(out.width == 320 && out.height == 240);
    }
    limits.reduced_side = 31;
    cr_assert_eq(cb_image_decode(&arena, photo_bytes(&file), &limits, 3, &out).code, CB_OK);
    cr_expect_eq(out.image.width, 80);
}

Test(decode_jpeg, a_side_that_does_not_divide_is_decoded_whole)
{
    const struct cb_image image = smooth(321, 240);
    struct cb_decode_limits limits = cb_decode_defaults;
    struct cb_decoded out;
    limits.reduced_side = 0;
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 95, .channels = 3 }, &file);
    cr_assert_eq(cb_image_decode(&arena, photo_bytes(&file), &limits, 5, &out).code, CB_OK);
    cr_expect_eq(out.image.width, 321);
}

Test(decode_png, what_we_encode_comes_back_to_the_bit)
{
    for (int width = 1; width < 40; width += 6) {
        const struct cb_image image = smooth(width, 41 - width);
        cb_buf_deinit(&file);
        cb_buf_init(&file, 1 << 20);
        cr_assert_eq(cb_png_encode(&image, &file).code, CB_OK);
        const struct cb_decoded out = decoded(&file);
        expect_near(&out.image, &image, 0);
        cr_expect_str_eq(out.format, "png");
    }
}

Test(decode_png, alpha_goes_over_white)
{
    static const uint8_t rgba[] = { 10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 200, 128 };
    photo_png(&(struct spng_ihdr){ 3, 1, 8, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 0, 0, 0 }, rgba,
              sizeof rgba, NULL, NULL, &file);
    const struct cb_decoded out = decoded(&file);
    expect_pixel(&out.image, 0, 0, 255, 255, 255);
    expect_pixel(&out.image, 1, 0, 10, 20, 30);
    expect_pixel(&out.image, 2, 0, 127, 177, 227); /* 255 - (255 - c) * 128 / 255 */
}

Test(decode_png, gray_with_alpha_and_sixteen_bits_use_the_high_byte)
{
    static const uint16_t samples[] = { 0x80ff, 0xffff, 0x1234, 0x0000 };
    photo_png(&(struct spng_ihdr){ 2, 1, 16, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 0, 0, 0 }, samples,
              sizeof samples, NULL, NULL, &file);
    struct cb_decoded out = decoded(&file);
    expect_pixel(&out.image, 0, 0, 0x80, 0x80, 0x80);
    expect_pixel(&out.image, 1, 0, 255, 255, 255);
    photo_png(&(struct spng_ihdr){ 4, 1, 16, SPNG_COLOR_TYPE_GRAYSCALE, 0, 0, 0 }, samples,
              sizeof samples, NULL, NULL, &other);
    out = decoded(&other);
    expect_pixel(&out.image, 2, 0, 0x12, 0x12, 0x12);
}

Test(decode_png, a_palette_may_be_transparent)
{
    static const uint8_t index[] = { 0, 1, 2 };
    const struct spng_plte palette = { 3, { { 1, 2, 3, 0 }, { 4, 5, 6, 0 }, { 0, 255, 0, 0 } } };
    const struct spng_trns transparent = { .n_type3_entries = 2, .type3_alpha = { 0, 255 } };
    photo_png(&(struct spng_ihdr){ 3, 1, 8, SPNG_COLOR_TYPE_INDEXED, 0, 0, 0 }, index, sizeof index,
              &palette, &transparent, &file);
    const struct cb_decoded out = decoded(&file);
    expect_pixel(&out.image, 0, 0, 255, 255, 255);
    expect_pixel(&out.image, 1, 0, 4, 5, 6);
    expect_pixel(&out.image, 2, 0, 0, 255, 0);
}

Test(decode_png, one_colour_may_be_the_transparent_one)
{
    static const uint8_t rgb[] = { 7, 8, 9, 7, 8, 10 };
    const struct spng_trns transparent = { .red = 7, .green = 8, .blue = 9 };
    photo_png(&(struct spng_ihdr){ 2, 1, 8, SPNG_COLOR_TYPE_TRUECOLOR, 0, 0, 0 }, rgb, sizeof rgb,
              NULL, &transparent, &file);
    const struct cb_decoded out = decoded(&file);
    expect_pixel(&out.image, 0, 0, 255, 255, 255);
    expect_pixel(&out.image, 1, 0, 7, 8, 10);
}

Test(decode_png, interlaced_equals_plain)
{
    const struct cb_image image = smooth(29, 23);
    uint8_t rgba[29 * 23 * 4];
    for (int i = 0; i < 29 * 23; i++) {
        memcpy(rgba + i * 4, image.rgb + i * 3, 3);
        rgba[i * 4 + 3] = (uint8_t)(i % 256);
    }
    for (int alpha = 0; alpha < 2; alpha++) {
        struct spng_ihdr header = {
            29, 23, 8, alpha ? SPNG_COLOR_TYPE_TRUECOLOR_ALPHA : SPNG_COLOR_TYPE_TRUECOLOR, 0, 0, 0
        };
        cb_buf_deinit(&file);
        cb_buf_deinit(&other);
        cb_buf_init(&file, 1 << 20);
        cb_buf_init(&other, 1 << 20);
        const void *samples = alpha ? rgba : image.rgb;
        photo_png(&header, samples, 29 * 23 * (alpha ? 4 : 3), NULL, NULL, &file);
        header.interlace_method = 1;
        photo_png(&header, samples, 29 * 23 * (alpha ? 4 : 3), NULL, NULL, &other);
        const struct cb_decoded plain = decoded(&file), interlaced = decoded(&other);
        expect_near(&interlaced.image, &plain.image, 0);
    }
}

Test(decode_png, cut_short_the_rest_is_gray)
{
    struct cb_image image = smooth(128, 128);
    add_noise(&image, 255);
    cr_assert_eq(cb_png_encode(&image, &file).code, CB_OK);
    file.len = file.len * 3 / 4; /* the library reads 8 KiB at a time: the last of it is lost */
    const struct cb_decoded out = decoded(&file);
    cr_expect(out.truncated);
    cr_expect_arr_eq(out.image.rgb, image.rgb, 128 * 3 * 64);
    expect_pixel(&out.image, 127, 127, 128, 128, 128);
    file.len = 60;
    expect_refused(&file, CB_ERR_CONTENT, "png: ");
}

Test(decode_png, interlaced_and_cut_short_it_is_coarse)
{
    struct cb_image image = smooth(256, 256);
    add_noise(&image, 15);
    photo_png(&(struct spng_ihdr){ 256, 256, 8, SPNG_COLOR_TYPE_TRUECOLOR, 0, 0, 1 }, image.rgb,
              256 * 256 * 3, NULL, NULL, &file);
    file.len = file.len * 6 / 10;
    const struct cb_decoded out = decoded(&file);
    cr_expect(out.truncated);
    expect_near(&out.image, &image,
                25); /* a pixel from at most a few away, on a slope of one a pixel */
}

Test(decode_png, a_damaged_pixel_chunk_is_refused)
{
    const struct cb_image image = smooth(16, 16);
    cr_assert_eq(cb_png_encode(&image, &file).code, CB_OK);
    file.data[60] ^= 1;
    expect_refused(&file, CB_ERR_CONTENT, "png: ");
}

Test(decode_webp, lossless_comes_back_and_alpha_goes_over_white)
{
    uint8_t rgba[5 * 4 * 4];
    for (int i = 0; i < 20; i++)
        memcpy(rgba + i * 4,
               (uint8_t[]){ (uint8_t)(i * 10), 50, (uint8_t)(255 - i), i == 7 ? 0 : 255 }, 4);
    photo_webp(5, 4, rgba, &file);
    const struct cb_decoded out = decoded(&file);
    cr_expect(out.width == 5 && out.height == 4 && !out.truncated);
    cr_expect_str_eq(out.format, "webp");
    expect_pixel(&out.image, 1, 1, 60, 50, 249);
    expect_pixel(&out.image, 2, 1, 255, 255, 255);
}

Test(decode_webp, cut_short_it_is_read_as_far_as_it_goes)
{
    static uint8_t rgba[200 * 200 * 4];
    for (int i = 0; i < 200 * 200; i++) {
        const uint32_t noise = (uint32_t)i * 2654435761u;
        memcpy(rgba + i * 4, (uint8_t[]){ (uint8_t)(noise >> 8), (uint8_t)(noise >> 16), 9, 255 },
               4);
    }
    photo_webp(200, 200, rgba, &file);
    file.len = file.len * 3 / 4;
    const struct cb_decoded out = decoded(&file);
    cr_expect(out.truncated);
    expect_pixel(&out.image, 5, 5, rgba[(5 * 200 + 5) * 4], rgba[(5 * 200 + 5) * 4 + 1], 9);
    expect_pixel(&out.image, 199, 199, 128, 128, 128);
    file.len = 40;
    expect_refused(&file, CB_ERR_CONTENT, "webp: ");
}

/* A file cut at any byte is read or refused, never more; so is any arena. */
Test(decode, cut_anywhere_and_with_any_budget_it_ends_well)
{
    const struct cb_image image = smooth(24, 17);
    static uint8_t rgba[24 * 17 * 4];
    struct cb_buf kinds[4];
    for (int i = 0; i < 4; i++)
        cb_buf_init(&kinds[i], 1 << 20);
    for (int i = 0; i < 24 * 17; i++)
        memcpy(rgba + i * 4, image.rgb + i * 3, 3);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 80, .channels = 3, .orientation = 7 },
               &kinds[0]);
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 80, .channels = 3, .progressive = true },
               &kinds[1]);
    cr_assert_eq(cb_png_encode(&image, &kinds[2]).code, CB_OK);
    photo_webp(24, 17, rgba, &kinds[3]);
    for (int k = 0; k < 4; k++) {
        for (size_t len = 0; len < kinds[k].len; len++) {
            struct cb_decoded out;
            struct cb_bytes part = { (const uint8_t *)kinds[k].data, len };
            const struct cb_status st = cb_image_decode(&arena, part, &cb_decode_defaults, 0, &out);
            cr_assert(st.code == CB_OK || st.code == CB_ERR_CONTENT || st.code == CB_ERR_MEDIA,
                      "kind %d cut at %zu: %s", k, len, st.msg);
            cb_arena_rewind(&arena, 0);
        }
        for (size_t budget = 0; budget < 8192; budget += 128) {
            struct cb_arena small;
            struct cb_decoded out;
            cr_assert_eq(cb_arena_init(&small, budget).code, CB_OK);
            const struct cb_status st =
                cb_image_decode(&small, photo_bytes(&kinds[k]), &cb_decode_defaults, 0, &out);
            cr_assert(st.code == CB_OK || st.code == CB_ERR_NOMEM, "kind %d, budget %zu: %s", k,
                      budget, st.msg);
            cb_arena_deinit(&small);
        }
        cb_buf_deinit(&kinds[k]);
    }
}

Test(decode, encoding_over_the_limit_of_the_buffer_is_no_memory)
{
    const struct cb_image image = smooth(64, 64);
    struct cb_buf small;
    cb_buf_init(&small, 100);
    const struct cb_status st = cb_png_encode(&image, &small);
    cr_expect_eq(st.code, CB_ERR_NOMEM);
    cr_expect_not_null(strstr(st.msg, "64 x 64"));
    cb_buf_deinit(&small);
}
