/* Real photos of ../shared: decoded and prepared as Pillow 9.4 does it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/image/preprocess.h"
#include "importers/image/decode.h"

#define PHOTOS "../shared/photos/"
#define MODELS "../shared/models/"

static struct cb_arena arena;

static void start(void)
{
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 30).code, CB_OK);
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(photos, .init = start, .fini = stop);

static struct cb_status read_photo(const char *name, int wanted, struct cb_decoded *out)
{
    char path[256];
    struct cb_bytes file;
    snprintf(path, sizeof path, PHOTOS "%s", name);
    if (cb_file_map(path, &file).code)
        cr_skip_test("%s is not there", path);
    struct cb_decode_limits limits = cb_decode_defaults;
    limits.reduced_side = 0;
    const struct cb_status st = cb_image_decode(&arena, file, &limits, wanted, out);
    cb_file_unmap(&file);
    return st;
}

static struct cb_decoded photo(const char *name)
{
    struct cb_decoded out = { 0 };
    const struct cb_status st = read_photo(name, 0, &out);
    cr_assert_eq(st.code, CB_OK, "%s: %s", name, st.msg);
    return out;
}

static void mean_of(const struct cb_image *image, int width, int height, double mean[3])
{
    double sum[3] = { 0 };
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                sum[c] +=
                    image->rgb[((size_t)y * (size_t)image->width + (size_t)x) * 3 + (size_t)c];
    for (int c = 0; c < 3; c++)
        mean[c] = sum[c] / width / height;
}

/* Pillow's mean of each channel, over all and over the upper left quarter: a wrong turn, wrong
 * inks, a wrong colour order or alpha changes one of them; another version of libjpeg does not by
 * more than 0.02. */
/* clang-format off */
static const struct {
    const char *name;
    int width, height;
    double all[3], quarter[3];
} known[] = {
    { "caffe_cat.jpg", 480, 360, { 125.764, 135.998, 85.657 }, { 87.880, 107.044, 55.477 } },
    { "caffe_cat_gray.jpg", 480, 360, { 125.764, 125.764, 125.764 }, { 87.879, 87.879, 87.879 } },
    { "pil_sample_cmyk.jpg", 100, 100, { 30.232, 5.444, 7.386 }, { 55.810, 6.655, 9.485 } },
    { "ljt_cmyk_icc.jpg", 227, 149, { 144.943, 90.533, 81.277 }, { 117.550, 79.355, 58.602 } },
    { "progressive_3.jpg", 650, 470, { 124.057, 129.486, 129.388 }, { 127.697, 130.264, 129.013 } },
    { "exif_landscape_3.jpg", 1800, 1200, { 98.384, 115.702, 134.123 }, { 137.941, 167.683, 202.858 } },
    { "exif_landscape_6.jpg", 1800, 1200, { 98.429, 115.742, 134.158 }, { 138.176, 167.893, 203.047 } },
    { "exif_landscape_8.jpg", 1800, 1200, { 98.445, 115.755, 134.172 }, { 138.143, 167.854, 203.020 } },
    { "exif_portrait_6.jpg", 1200, 1800, { 144.494, 155.763, 163.070 }, { 145.226, 159.305, 167.849 } },
    { "big_16mp_exif8.jpg", 3264, 4928, { 140.055, 140.124, 140.503 }, { 107.637, 107.240, 105.894 } },
    { "gradcam_both.png", 224, 224, { 136.087, 116.817, 92.636 }, { 172.044, 156.657, 129.782 } },
    { "ort_horse.png", 1600, 852, { 87.251, 117.778, 144.943 }, { 82.689, 115.463, 144.389 } },
    { "png_alpha_photo_505x487.png", 505, 487, { 59.586, 55.433, 61.176 }, { 51.638, 55.019, 71.207 } },
    { "transparent.png", 200, 150, { 210.971, 202.740, 204.113 }, { 181.153, 165.973, 208.727 } },
    { "winml_kitten_224.png", 224, 224, { 202.694, 196.661, 196.056 }, { 218.638, 214.080, 212.578 } },
    { "flower.webp", 480, 360, { 119.421, 132.082, 94.303 }, { 129.587, 142.427, 106.692 } },
    { "hopper_orientation_6.webp", 128, 128, { 89.822, 80.153, 95.657 }, { 94.311, 72.986, 80.458 } },
    { "lossy_alpha.webp", 100, 100, { 166.395, 203.173, 175.530 }, { 170.320, 205.473, 175.087 } },
};
/* clang-format on */

Test(photos, equal_pillows)
{
    for (size_t i = 0; i < CB_COUNT_OF(known); i++) {
        const struct cb_decoded d = photo(known[i].name);
        double all[3], quarter[3];
        cr_assert(d.width == known[i].width && d.height == known[i].height && !d.truncated,
                  "%s: %d x %d", known[i].name, d.width, d.height);
        mean_of(&d.image, d.width, d.height, all);
        mean_of(&d.image, d.width / 2, d.height / 2, quarter);
        for (int c = 0; c < 3; c++) {
            cr_expect_float_eq(all[c], known[i].all[c], 0.02, "%s: channel %d: %g", known[i].name,
                               c, all[c]);
            cr_expect_float_eq(quarter[c], known[i].quarter[c], 0.02,
                               "%s: channel %d of the quarter: %g", known[i].name, c, quarter[c]);
        }
        cb_arena_rewind(&arena, 0);
    }
}

Test(photos, the_one_cut_short_is_read_and_the_bmp_is_refused)
{
    struct cb_decoded d;
    cr_assert_eq(read_photo("truncated_1280x960.jpg", 0, &d).code, CB_OK);
    cr_expect(d.truncated && d.width == 1280 && d.height == 960);
    const struct cb_status st = read_photo("coral_sunflower.bmp", 0, &d);
    cr_expect_eq(st.code, CB_ERR_MEDIA);
    cr_expect_not_null(strstr(st.msg, "BMP"));
}

/* The stored inputs are these two photos, as Pillow and NumPy prepared them. */
static const char *const inputs[] = { "caffe_cat.jpg", "gradcam_both.png" };

/* clang-format off */
#define CIFAR { .resize_height = 32, .resize_width = 32, .interpolation = CB_BILINEAR, .antialias = true,   \
                .range = { 0, 1 }, .mean = { 0.485f, 0.456f, 0.406f }, .std = { 0.229f, 0.224f, 0.225f } }
static const struct {
    const char *model;
    const char *preset; /* NULL: the recipe here */
    struct cb_recipe recipe;
} models[] = {
    { "squeezenet1.1", "torchvision", { 0 } },
    { "mobilenet_v2", "keras-tf", { 0 } },
    { "resnet20-cifar10", NULL, CIFAR },
    { "mnist", NULL, { .resize_height = 28, .resize_width = 28, .interpolation = CB_BILINEAR, .antialias = true,
                       .color = CB_GRAY, .range = { 0, 255 }, .std = { 1, 1, 1 } } },
};
/* clang-format on */

/* The floats of a TensorProto: its raw_data is field 9, and the only one of just this length. */
static const uint8_t *raw_data(const struct cb_bytes *tensor, size_t bytes)
{
    uint8_t key[11] = { 9 << 3 | 2 };
    size_t n = 1;
    for (size_t left = bytes; left; left >>= 7)
        key[n++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    for (size_t i = 0; i + n + bytes <= tensor->len; i++)
        if (!memcmp(tensor->data + i, key, n))
            return tensor->data + i + n;
    return NULL;
}

static void expect_input(size_t model, int set)
{
    const struct cb_recipe *r =
        models[model].preset ? cb_recipe_preset(models[model].preset) : &models[model].recipe;
    const struct cb_decoded d = photo(inputs[set]);
    static float out[224 * 224 * 3];
    const int channels = r->color == CB_GRAY ? 1 : 3;
    char path[256];
    struct cb_bytes tensor;
    int w, h, worst = -1;
    snprintf(path, sizeof path, MODELS "%s/test_data_set_%d/input_0.pb", models[model].model, set);
    cr_assert_eq(cb_file_map(path, &tensor).code, CB_OK, "%s", path);
    cb_recipe_output_size(r, d.width, d.height, &w, &h);
    const uint8_t *want = raw_data(&tensor, (size_t)w * (size_t)h * (size_t)channels * 4);
    cr_assert_not_null(want, "%s has no data of that size", path);
    cr_assert_eq(cb_preprocess(&arena, r, &d.image, out).code, CB_OK);
    for (int i = 0; i < w * h * channels && worst < 0; i++) {
        float v;
        memcpy(&v, want + ((size_t)(i % channels) * (size_t)(w * h) + (size_t)(i / channels)) * 4,
               4);
        if (fabsf(out[i] - v) > 1e-5f * fmaxf(1, fabsf(v)))
            worst = i;
    }
    cr_expect_eq(worst, -1, "%s: value %d of %d x %d is %g", path, worst, w, h,
                 (double)out[worst < 0 ? 0 : worst]);
    cb_file_unmap(&tensor);
}

Test(photos, become_the_stored_inputs_of_the_models)
{
    for (size_t model = 0; model < CB_COUNT_OF(models); model++)
        for (int set = 0; set < 2; set++)
            expect_input(model, set);
}

/* What decode.h says of the reduced decode. */
Test(photos, reduced_decoding_stays_within_its_bound)
{
    static const char *const names[] = { "big_12mp_4032x3024.jpg",   "big_16mp_exif8.jpg",
                                         "exif_landscape_1.jpg",     "darknet_dog.jpg",
                                         "n03538406_horse_cart.jpg", "puppies.jpg" };
    for (size_t i = 0; i < CB_COUNT_OF(names); i++) {
        const struct cb_decoded full = photo(names[i]);
        const int side = full.width < full.height ? full.width : full.height;
        for (int by = 2; by <= 8; by *= 2) {
            struct cb_decoded less;
            struct cb_image a, b;
            const int short_side = side / by / CB_DECODE_SPARE;
            const int w = full.width * short_side / side, h = full.height * short_side / side;
            double sum = 0;
            int most = 0;
            cr_assert_eq(read_photo(names[i], short_side, &less).code, CB_OK);
            cr_assert_eq(less.image.width, full.width / by, "%s by %d: %d", names[i], by,
                         less.image.width);
            cr_assert_eq(cb_image_resize(&arena, &full.image, w, h, CB_BILINEAR, true, &a).code,
                         CB_OK);
            cr_assert_eq(cb_image_resize(&arena, &less.image, w, h, CB_BILINEAR, true, &b).code,
                         CB_OK);
            for (int k = 0; k < w * h * 3; k++) {
                const int d = abs(a.rgb[k] - b.rgb[k]);
                sum += d;
                most = d > most ? d : most;
            }
            cr_expect_leq(most, 4, "%s by %d: %d", names[i], by, most);
            cr_expect_leq(sum / (w * h * 3), 0.3, "%s by %d: mean %g", names[i], by,
                          sum / (w * h * 3));
        }
        cb_arena_rewind(&arena, 0);
    }
}
