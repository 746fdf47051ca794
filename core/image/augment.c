#include "core/image/augment.h"

#include <math.h>
#include <string.h>

#include "core/base/rng.h"

#define ONE ((int64_t)CB_AUGMENT_ONE)
#define MAP_BITS 24 /* fraction bits of the affine map */
#define MAP_ONE ((int64_t)1 << MAP_BITS)
#define MOST_SIDE 65535
#define ERASE_LEAST (ONE / 50)
#define ERASE_MOST (ONE / 5)

const struct cb_augmentation cb_augmentation_none = { .zoom = CB_AUGMENT_ONE,
                                                      .crop = { 0, 0, CB_AUGMENT_ONE,
                                                                CB_AUGMENT_ONE },
                                                      .brightness = CB_AUGMENT_ONE,
                                                      .contrast = CB_AUGMENT_ONE,
                                                      .saturation = CB_AUGMENT_ONE };

/* --- drawing: whole numbers throughout, since compilers may fuse the steps of real ones --- */

static int64_t fixed(float strength)
{
    return (int64_t)lrintf(strength * (float)CB_AUGMENT_ONE);
}

/* 0 to ONE-1. */
static int64_t draw(struct cb_rng *rng)
{
    return (int64_t)(cb_rng_next(rng) >> 48);
}

/* -most to most. */
static int32_t draw_either_way(struct cb_rng *rng, int64_t most)
{
    const int64_t u = 2 * draw(rng) - (ONE - 1);
    return (int32_t)(u * most / (ONE - 1));
}

/* A factor of 1 / (1 + most) to 1 + most. */
static int64_t draw_factor(struct cb_rng *rng, int64_t most)
{
    const int64_t u = draw_either_way(rng, most);
    return u < 0 ? ONE * ONE / (ONE - u) : ONE + u;
}

/* Width and height of a rectangle of this area and ratio, inside a square of side 1, and where. */
static void draw_place(struct cb_rng *rng, int64_t area, int64_t ratio, int32_t place[4])
{
    const int64_t width = (int64_t)sqrt((double)(area * ratio)),
                  height = (int64_t)sqrt((double)(area * ONE / ratio * ONE));
    place[2] = (int32_t)(width < ONE ? width : ONE);
    place[3] = (int32_t)(height < ONE ? height : ONE);
    place[0] = (int32_t)(draw(rng) * (ONE - place[2]) / (ONE - 1));
    place[1] = (int32_t)(draw(rng) * (ONE - place[3]) / (ONE - 1));
}

/* Independent numbers for every seed, photo and view. */
static struct cb_rng start(uint64_t seed, uint64_t photo, uint64_t view)
{
    struct cb_rng rng = cb_rng_seed(seed);
    rng = cb_rng_seed(cb_rng_next(&rng) ^ photo);
    return cb_rng_seed(cb_rng_next(&rng) ^ view);
}

struct cb_augmentation cb_augment_draw(const struct cb_augment *augment, uint64_t seed,
                                       uint64_t photo, uint64_t view)
{
    struct cb_augmentation a = cb_augmentation_none;
    struct cb_rng rng = start(seed, photo, view);
    if (view == 0)
        return a;
    a.flip = draw(&rng) < fixed(augment->flip);
    a.rotate = draw_either_way(&rng, fixed(augment->rotate));
    a.zoom = (int32_t)draw_factor(&rng, fixed(augment->zoom));
    a.shift[0] = draw_either_way(&rng, fixed(augment->translate));
    a.shift[1] = draw_either_way(&rng, fixed(augment->translate));
    const int64_t area = ONE - draw(&rng) * fixed(augment->crop) / (ONE - 1);
    const int64_t ratio = draw_factor(&rng, fixed(augment->stretch));
    draw_place(&rng, area, ratio, a.crop);
    a.brightness = (int32_t)ONE + draw_either_way(&rng, fixed(augment->brightness));
    a.contrast = (int32_t)ONE + draw_either_way(&rng, fixed(augment->contrast));
    a.saturation = (int32_t)ONE + draw_either_way(&rng, fixed(augment->saturation));
    const bool erases = draw(&rng) < fixed(augment->erase);
    const int64_t covered = ERASE_LEAST + draw(&rng) * (ERASE_MOST - ERASE_LEAST) / ONE;
    const int64_t shape = draw_factor(&rng, ONE);
    if (erases)
        draw_place(&rng, covered, shape, a.erase);
    return a;
}

/* --- the affine map --- */

/* A point of the photo from a point of the view, both from the middle of their picture:
 * m[axis][0] x + m[axis][1] y + shift[axis]; pixels with MAP_BITS fraction bits. */
struct map {
    int64_t m[2][2], shift[2];
};

/* Quarter turns are exact; the rest is Taylor's series on at most 45 degrees. */
static void turn(int32_t degrees, int64_t *sine, int64_t *cosine)
{
    const int64_t quarter = 90 * ONE, pi = 3373259426; /* 30 fraction bits */
    const int64_t turns = (degrees + 4 * quarter + quarter / 2) / quarter - 4;
    const int64_t x = (degrees - turns * quarter) * pi / (180 * ONE);
    const int64_t xx = (x * x) >> 30;
    int64_t s = 0, c = 0;
    for (int k = 6; k > 0; k--) { /* s = x (1 - xx/(2 3) (1 - xx/(4 5) (..))), c likewise */
        s = xx * (((int64_t)1 << 30) - s) / (((int64_t)2 * k * (2 * k + 1)) << 30);
        c = xx * (((int64_t)1 << 30) - c) / (((int64_t)2 * k * (2 * k - 1)) << 30);
    }
    s = (x * (((int64_t)1 << 30) - s)) >> (60 - MAP_BITS);
    c = (((int64_t)1 << 30) - c) >> (30 - MAP_BITS);
    const int64_t sines[4] = { s, c, -s, -c };
    *sine = sines[turns & 3];
    *cosine = sines[(turns + 1) & 3];
}

static struct map map_of(const struct cb_augmentation *how, int width, int height)
{
    const int64_t side[2] = { width, height };
    const int64_t mirror = how->flip ? -1 : 1;
    int64_t sine, cosine, scale[2], from[2];
    struct map map;
    turn(how->rotate, &sine, &cosine);
    for (int k = 0; k < 2; k++) {
        const int64_t middle = how->crop[k] + how->crop[2 + k] / 2 - ONE / 2 - how->shift[k];
        scale[k] = how->crop[2 + k] * ONE / how->zoom;
        from[k] = middle * side[k] * ONE / how->zoom;
    }
    /* rows point down: a counter-clockwise turn of the photo is a clockwise one of the question */
    const int64_t r[2][2] = { { cosine * mirror, -sine * mirror }, { sine, cosine } };
    for (int k = 0; k < 2; k++) {
        map.m[k][0] = r[k][0] * scale[0] / ONE;
        map.m[k][1] = r[k][1] * scale[1] / ONE;
        map.shift[k] = (r[k][0] * from[0] + r[k][1] * from[1]) / ONE;
    }
    return map;
}

/* i, or where it comes to lie when the line is reflected at its ends. */
static int64_t reflect(int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    i %= 2 * n;
    i += i < 0 ? 2 * n : 0;
    return i < n ? i : 2 * n - 1 - i;
}

/* One pixel from the four around (x, y), which have 8 fraction bits. */
static void sample(const struct cb_image *in, int64_t x, int64_t y, uint8_t *out)
{
    const int64_t left = reflect(x >> 8, in->width), right = reflect((x >> 8) + 1, in->width);
    const int64_t top = reflect(y >> 8, in->height), down = reflect((y >> 8) + 1, in->height);
    const uint8_t *above = in->rgb + top * in->width * 3, *below = in->rgb + down * in->width * 3;
    const int fx = (int)(x & 255), fy = (int)(y & 255);
    for (int c = 0; c < 3; c++) {
        const int a = above[3 * left + c] * (256 - fx) + above[3 * right + c] * fx;
        const int b = below[3 * left + c] * (256 - fx) + below[3 * right + c] * fx;
        out[c] = (uint8_t)((a * (256 - fy) + b * fy + (1 << 15)) >> 16);
    }
}

static void move(const struct cb_image *in, const struct map *map, uint8_t *out)
{
    const int width = in->width, height = in->height;
    /* middles of pixels lie at half numbers: all is doubled */
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, out += 3) {
            const int64_t dx = 2 * (int64_t)x + 1 - width, dy = 2 * (int64_t)y + 1 - height;
            const int64_t u =
                map->m[0][0] * dx + map->m[0][1] * dy + 2 * map->shift[0] + (width - 1) * MAP_ONE;
            const int64_t v =
                map->m[1][0] * dx + map->m[1][1] * dy + 2 * map->shift[1] + (height - 1) * MAP_ONE;
            sample(in, u >> (MAP_BITS + 1 - 8), v >> (MAP_BITS + 1 - 8), out);
        }
}

/* --- colours --- */

/* A channel becomes own x channel + luma x the pixel's luma + plus; 16 fraction bits. */
struct tint {
    int64_t own, luma, plus;
};

static struct tint tint_of(const struct cb_augmentation *how, int mean_luma)
{
    const int64_t light = (int64_t)how->brightness * how->contrast / ONE;
    return (struct tint){ .own = light * how->saturation / ONE,
                          .luma = light * (ONE - how->saturation) / ONE,
                          .plus = (ONE - how->contrast) * how->brightness / ONE * mean_luma };
}

static void tint_pixel(const struct tint *t, uint8_t *rgb)
{
    const int64_t rest = t->luma * cb_luma(rgb) + t->plus + ONE / 2;
    for (int c = 0; c < 3; c++) {
        const int64_t v = (t->own * rgb[c] + rest) >> 16;
        rgb[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void mean_colour(const struct cb_image *image, uint8_t mean[3])
{
    const size_t n = (size_t)image->width * (size_t)image->height;
    uint64_t sum[3] = { 0 };
    for (size_t i = 0; i < 3 * n; i += 3)
        for (size_t c = 0; c < 3; c++)
            sum[c] += image->rgb[i + c];
    for (size_t c = 0; c < 3; c++)
        mean[c] = (uint8_t)((sum[c] + n / 2) / n);
}

/* A rectangle in the mean colour, which is `colour`. */
static void cover(struct cb_image *image, const int32_t part[4], const uint8_t colour[3])
{
    const int left = (int)(part[0] * (int64_t)image->width / ONE),
              top = (int)(part[1] * (int64_t)image->height / ONE),
              width = (int)(part[2] * (int64_t)image->width / ONE),
              height = (int)(part[3] * (int64_t)image->height / ONE);
    for (int y = top; y < top + height; y++)
        for (int x = left; x < left + width; x++)
            memcpy(image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x), colour, 3);
}

static void colour(struct cb_image *image, const struct cb_augmentation *how)
{
    const size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
    uint8_t mean[3];
    mean_colour(image, mean);
    const struct tint tint = tint_of(how, cb_luma(mean));
    if (tint.own != ONE || tint.luma || tint.plus)
        for (size_t i = 0; i < bytes; i += 3)
            tint_pixel(&tint, image->rgb + i);
    tint_pixel(&tint, mean);
    cover(image, how->erase, mean);
}

struct cb_status cb_augment_apply(struct cb_arena *arena, const struct cb_image *in,
                                  const struct cb_augmentation *how, struct cb_image *out)
{
    struct cb_image made = { .width = in->width, .height = in->height };
    if (in->width < 1 || in->height < 1 || in->width > MOST_SIDE || in->height > MOST_SIDE)
        return cb_fail(CB_ERR_INPUT,
                       "augmentation wants a photo with sides of 1 to %d, this one has %d x %d",
                       MOST_SIDE, in->width, in->height);
    CB_TRY(cb_arena_get(arena, (size_t)in->width * (size_t)in->height, 3, "augmented photo",
                        &made.rgb));
    const struct map map = map_of(how, in->width, in->height);
    move(in, &map, made.rgb);
    colour(&made, how);
    *out = made;
    return cb_ok();
}
