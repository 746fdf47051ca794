#include "core/image/preprocess.h"

#include "core/image/resize.h"

/* Where the crop lies on one axis of the resized photo: [from, from + n) of it goes to `at` in the
 * tensor; before and after that is padding. */
struct span {
    int from, n, at;
};

/* torchvision's center_crop: floor of half the padding before; else round(half the rest), ties to
 * even. */
static struct span central(int size, int crop)
{
    const int rest = size - crop;
    if (crop <= 0)
        return (struct span){ 0, size, 0 };
    if (rest < 0)
        return (struct span){ 0, size, -rest / 2 };
    return (struct span){ (rest + ((rest >> 1) & 1)) >> 1, crop, 0 };
}

/* What each byte of each channel becomes. */
static void fill_table(const struct cb_recipe *recipe, float table[3][256])
{
    const double low = recipe->range[0], width = recipe->range[1] - low;
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = (float)((low + width * v / 255.0 - recipe->mean[c]) / recipe->std[c]);
}

static void write_gray(float table[3][256], size_t n, const uint8_t *rgb, float *out)
{
    for (size_t i = 0; i < n; i++, rgb += 3)
        out[i] = table[0][cb_luma(rgb)];
}

static void write_rgb(float table[3][256], size_t n, const uint8_t *rgb, float *out)
{
    for (size_t i = 0; i < n; i++, rgb += 3, out += 3)
        for (int c = 0; c < 3; c++)
            out[c] = table[c][rgb[c]];
}

static void write_bgr(float table[3][256], size_t n, const uint8_t *rgb, float *out)
{
    for (size_t i = 0; i < n; i++, rgb += 3, out += 3)
        for (int c = 0; c < 3; c++)
            out[c] = table[c][rgb[2 - c]];
}

static const struct {
    size_t channels;
    void (*write)(float table[3][256], size_t n, const uint8_t *rgb, float *out);
} writers[] = {
    [CB_RGB] = { 3, write_rgb }, [CB_BGR] = { 3, write_bgr }, [CB_GRAY] = { 1, write_gray }
};

static void fill_black(const struct cb_recipe *recipe, float table[3][256], size_t pixels,
                       float *out)
{
    const size_t channels = writers[recipe->color].channels;
    for (size_t i = 0; i < pixels * channels; i++)
        out[i] = table[i % channels][0];
}

struct cb_status cb_preprocess(struct cb_arena *scratch, const struct cb_recipe *recipe,
                               const struct cb_image *image, float *out)
{
    const size_t mark = scratch->used, channels = writers[recipe->color].channels;
    float table[3][256];
    struct cb_image part;
    int width, height, out_width, out_height;
    if (image->width < 1 || image->height < 1)
        return cb_fail(CB_ERR_INPUT, "a photo of %d x %d pixels", image->width, image->height);
    cb_recipe_resized_size(recipe, image->width, image->height, &width, &height);
    cb_recipe_output_size(recipe, image->width, image->height, &out_width, &out_height);
    const struct span x = central(width, recipe->crop_width),
                      y = central(height, recipe->crop_height);
    CB_TRY(
        cb_resize_run(scratch, image,
                      &(struct cb_resize){ width, height, recipe->interpolation, recipe->antialias,
                                           recipe->color == CB_GRAY, x.from, y.from, x.n, y.n },
                      &part));
    fill_table(recipe, table);
    if (x.n < out_width || y.n < out_height)
        fill_black(recipe, table, (size_t)out_width * (size_t)out_height, out);
    for (int row = 0; row < y.n; row++) {
        const size_t at = (size_t)(y.at + row) * (size_t)out_width + (size_t)x.at;
        writers[recipe->color].write(table, (size_t)x.n, part.rgb + (size_t)row * (size_t)x.n * 3,
                                     out + at * channels);
    }
    cb_arena_rewind(scratch, mark);
    return cb_ok();
}
