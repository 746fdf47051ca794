/* core/explain/heatmap.c - the colours are a straight line in Oklab's cylinder (B. Ottosson, "A
 * perceptual color space for image processing", 2020): lightness rises and hue turns, both evenly,
 * at one chroma. Oklab's distance between any two neighbours is the same, so equal steps of the map
 * look equal, and brighter is more even without colours. */
#include "core/explain/heatmap.h"

#include <math.h>
#include <string.h>

#define SHADES 256

static const double first_lightness = 0.42, last_lightness = 0.90, chroma = 0.165;
static const double first_hue = 290.0,
                    last_hue = 465.0; /* degrees: violet, magenta, red, orange, yellow */

static uint8_t encode_srgb(double v) /* IEC 61966-2-1 */
{
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    v = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
    return (uint8_t)lround(v * 255);
}

static void shade(double t, uint8_t rgb[3])
{
    const double hue = (first_hue + (last_hue - first_hue) * t) * (3.14159265358979323846 / 180);
    const double lightness = first_lightness + (last_lightness - first_lightness) * t;
    const double a = chroma * cos(hue), b = chroma * sin(hue);
    const double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
    const double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
    const double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
    rgb[0] = encode_srgb(+4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = encode_srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = encode_srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* Where one axis of the photo reads the map: cells `lo` and `lo + step`, the second with weight
 * `part`. */
struct sample {
    int lo, step;
    float part;
};

/* One axis: a photo of `size` pixels is resized to `resized`, of which the middle `crop` (0: all)
 * was seen and is covered by `cells` of the map (preprocess.c places the crop). Fills the samples
 * of the seen pixels, [*from, *to). */
static void place(int size, int resized, int crop, int cells, struct sample *sample, int *from,
                  int *to)
{
    const double seen = crop > 0 ? crop : resized;
    const double begin = crop <= 0        ? 0
                         : crop > resized ? (resized - crop) / 2
                                          : rint((resized - crop) / 2.0);
    *from = size;
    *to = 0;
    for (int i = 0; i < size; i++) {
        const double at =
            ((i + 0.5) * resized / size - begin) / seen; /* 0 to 1 over what was seen */
        double cell = at * cells - 0.5;
        if (at < 0 || at > 1)
            continue;
        cell = cell < 0 ? 0 : cell > cells - 1 ? cells - 1 : cell;
        sample[i].lo = (int)cell;
        sample[i].step = sample[i].lo + 1 < cells;
        sample[i].part = (float)(cell - sample[i].lo);
        *from = i < *from ? i : *from;
        *to = i + 1;
    }
}

static float read_map(const float *map, int width, const struct sample *y, const struct sample *x)
{
    const float *top = map + (size_t)y->lo * (size_t)width + x->lo,
                *bottom = top + (size_t)y->step * (size_t)width;
    const float above = top[0] + (top[x->step] - top[0]) * x->part;
    const float below = bottom[0] + (bottom[x->step] - bottom[0]) * x->part;
    return above + (below - above) * y->part;
}

static void blend(uint8_t *pixel, const uint8_t *colour, float a)
{
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)((float)pixel[c] * (1 - a) + (float)colour[c] * a + 0.5f);
}

/* How much of the photo a colour covers: nothing where the map is 0, and soon enough to be seen. */
static float weight(float heat)
{
    return heat * (2 - heat);
}

/* The map divided by its maximum; what is no number above 0 becomes 0. */
static void scale_map(const float *map, size_t n, float *out)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(map[i]) && map[i] > most)
            most = map[i];
    for (size_t i = 0; i < n; i++)
        out[i] = isfinite(map[i]) && map[i] > 0 ? map[i] / most : 0;
}

struct cb_status cb_heatmap_overlay(struct cb_arena *arena, const struct cb_image *photo,
                                    const struct cb_recipe *recipe, const float *map, int height,
                                    int width, float alpha, struct cb_image *out)
{
    const size_t cells = (size_t)height * (size_t)width, row = (size_t)photo->width * 3;
    struct cb_image result = { photo->width, photo->height, NULL };
    uint8_t colour[SHADES][3];
    struct sample *xs, *ys;
    float *scaled;
    int resized_width, resized_height, left, right, top, bottom;
    CB_TRY(cb_arena_get(arena, (size_t)photo->height, row, "overlay", &result.rgb));
    const size_t mark = arena->used;
    CB_TRY(cb_arena_get(arena, cells, sizeof *scaled, "heat map", &scaled));
    CB_TRY(cb_arena_get(arena, (size_t)photo->width, sizeof *xs, "heat map", &xs));
    CB_TRY(cb_arena_get(arena, (size_t)photo->height, sizeof *ys, "heat map", &ys));
    for (int i = 0; i < SHADES; i++)
        shade(i / (double)(SHADES - 1), colour[i]);
    scale_map(map, cells, scaled);
    memcpy(result.rgb, photo->rgb, (size_t)photo->height * row);
    cb_recipe_resized_size(recipe, photo->width, photo->height, &resized_width, &resized_height);
    place(photo->width, resized_width, recipe->crop_width, width, xs, &left, &right);
    place(photo->height, resized_height, recipe->crop_height, height, ys, &top, &bottom);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const float heat = read_map(scaled, width, ys + y, xs + x);
            blend(result.rgb + (size_t)y * row + (size_t)x * 3,
                  colour[(int)(heat * (SHADES - 1) + 0.5f)], alpha * weight(heat));
        }
    cb_arena_rewind(arena, mark);
    *out = result;
    return cb_ok();
}
