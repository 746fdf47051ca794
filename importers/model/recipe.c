/* importers/model/recipe.c - recipe.json: a table of keys, each of which reads its value and writes
 * it back. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importers/model/load.h"

#define MAX_TEXT ((size_t)64 << 10)
#define MAX_NUMBER 1e6

static const char *const interpolations[] = {
    [CB_NEAREST] = "nearest",
    [CB_BILINEAR] = "bilinear",
    [CB_BICUBIC] = "bicubic",
};
static const char *const colors[] = { [CB_RGB] = "RGB", [CB_BGR] = "BGR", [CB_GRAY] = "GRAY" };
static const char *const layouts[] = { [CB_NCHW] = "NCHW", [CB_NHWC] = "NHWC" };

/* One key: `read` checks a value and stores it; `write` gives it back, NULL where the recipe has
 * none. */
struct key {
    const char *name;
    struct cb_status (*read)(const cJSON *item, struct cb_recipe *recipe);
    cJSON *(*write)(const struct cb_recipe *recipe);
};

static struct cb_status bad(const cJSON *item, const char *wanted)
{
    char *found = cJSON_PrintUnformatted(item);
    struct cb_status st =
        cb_fail(CB_ERR_INPUT, "recipe: \"%.64s\" wants %s, has %.80s",
                item->string ? item->string : "list", wanted, found ? found : "something else");
    cJSON_free(found);
    return st;
}

/* The keys of `item` by their rows; one that no row has, or that comes twice, is refused by its
 * name. */
static struct cb_status read_keys(const cJSON *item, const struct key *keys, size_t n,
                                  struct cb_recipe *recipe)
{
    unsigned seen = 0;
    if (!cJSON_IsObject(item))
        return bad(item, "an object");
    for (const cJSON *child = item->child; child; child = child->next) {
        size_t i = 0;
        while (i < n && strcmp(keys[i].name, child->string))
            i++;
        if (i == n)
            return cb_fail(CB_ERR_INPUT, "recipe: there is no key \"%.64s\"", child->string);
        if (seen & 1u << i)
            return cb_fail(CB_ERR_INPUT, "recipe: the key \"%s\" comes twice", keys[i].name);
        seen |= 1u << i;
        CB_TRY(keys[i].read(child, recipe));
    }
    return cb_ok();
}

static cJSON *write_keys(const struct key *keys, size_t n, const struct cb_recipe *recipe)
{
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < n; i++) {
        cJSON *item = keys[i].write ? keys[i].write(recipe) : NULL;
        if (item && !cJSON_AddItemToObject(object, keys[i].name, item))
            cJSON_Delete(item);
    }
    return object;
}

static struct cb_status read_side(const cJSON *item, int *out)
{
    const double v = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(v >= 1 && v <= CB_RECIPE_MAX_SIDE) || v != floor(v))
        return bad(item, "a whole number of pixels, at most 4096");
    *out = (int)v;
    return cb_ok();
}

static struct cb_status read_bool(const cJSON *item, bool *out)
{
    if (!cJSON_IsBool(item))
        return bad(item, "true or false");
    *out = cJSON_IsTrue(item);
    return cb_ok();
}

static struct cb_status read_name(const cJSON *item, char out[CB_TENSOR_NAME_MAX])
{
    if (!cJSON_IsString(item) || !*item->valuestring ||
        strlen(item->valuestring) >= CB_TENSOR_NAME_MAX)
        return bad(item, "the name of a tensor");
    snprintf(out, CB_TENSOR_NAME_MAX, "%s", item->valuestring);
    return cb_ok();
}

static struct cb_status read_choice(const cJSON *item, const char *const *names, size_t n,
                                    const char *wanted, size_t *out)
{
    for (size_t i = 0; cJSON_IsString(item) && i < n; i++)
        if (strcmp(names[i], item->valuestring) == 0) {
            *out = i;
            return cb_ok();
        }
    return bad(item, wanted);
}

/* `n` numbers, or one that stands for all of them. */
static struct cb_status read_numbers(const cJSON *item, int n, const char *wanted, float *out)
{
    float v[3];
    int count = 0;
    if (!cJSON_IsArray(item))
        return bad(item, wanted);
    for (const cJSON *child = item->child; child; child = child->next, count++) {
        if (count == n || !cJSON_IsNumber(child) || !(fabs(child->valuedouble) <= MAX_NUMBER))
            return bad(item, wanted);
        v[count] = (float)child->valuedouble;
    }
    if (count != n && !(count == 1 && n == 3))
        return bad(item, wanted);
    for (int i = 0; i < n; i++)
        out[i] = v[count == 1 ? 0 : i];
    return cb_ok();
}

/* The shortest decimal that gives the same float back: 0.485, not 0.48500001430511475. */
static double shortest(float v)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    return strtod(text, NULL);
}

static cJSON *write_numbers(const float *v, int n)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < n; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(shortest(v[i])));
    return list;
}

static cJSON *write_side(int side)
{
    return side ? cJSON_CreateNumber(side) : NULL;
}

static struct cb_status read_short_side(const cJSON *item, struct cb_recipe *r)
{
    return read_side(item, &r->short_side);
}
static cJSON *write_short_side(const struct cb_recipe *r)
{
    return write_side(r->short_side);
}

static struct cb_status read_resize_height(const cJSON *item, struct cb_recipe *r)
{
    return read_side(item, &r->resize_height);
}
static cJSON *write_resize_height(const struct cb_recipe *r)
{
    return write_side(r->resize_height);
}

static struct cb_status read_resize_width(const cJSON *item, struct cb_recipe *r)
{
    return read_side(item, &r->resize_width);
}
static cJSON *write_resize_width(const struct cb_recipe *r)
{
    return write_side(r->resize_width);
}

static struct cb_status read_interpolation(const cJSON *item, struct cb_recipe *r)
{
    size_t i = 0;
    CB_TRY(read_choice(item, interpolations, CB_COUNT_OF(interpolations),
                       "nearest, bilinear or bicubic", &i));
    r->interpolation = (enum cb_interpolation)i;
    return cb_ok();
}
static cJSON *write_interpolation(const struct cb_recipe *r)
{
    return cJSON_CreateString(interpolations[r->interpolation]);
}

static struct cb_status read_antialias(const cJSON *item, struct cb_recipe *r)
{
    return read_bool(item, &r->antialias);
}
static cJSON *write_antialias(const struct cb_recipe *r)
{
    return cJSON_CreateBool(r->antialias);
}

static const struct key resize_keys[] = {
    { "short_side", read_short_side, write_short_side },
    { "height", read_resize_height, write_resize_height },
    { "width", read_resize_width, write_resize_width },
    { "interpolation", read_interpolation, write_interpolation },
    { "antialias", read_antialias, write_antialias },
};

static struct cb_status read_resize(const cJSON *item, struct cb_recipe *r)
{
    const struct cb_recipe before = *r;
    r->short_side = r->resize_height = r->resize_width = 0;
    CB_TRY(read_keys(item, resize_keys, CB_COUNT_OF(resize_keys), r));
    if ((r->resize_height != 0) != (r->resize_width != 0) || (r->short_side && r->resize_height))
        return bad(item, "\"short_side\", or \"height\" and \"width\"");
    if (!r->short_side && !r->resize_height) {
        r->short_side = before.short_side;
        r->resize_height = before.resize_height;
        r->resize_width = before.resize_width;
    }
    return cb_ok();
}
static cJSON *write_resize(const struct cb_recipe *r)
{
    return write_keys(resize_keys, CB_COUNT_OF(resize_keys), r);
}

static struct cb_status read_crop_height(const cJSON *item, struct cb_recipe *r)
{
    return read_side(item, &r->crop_height);
}
static cJSON *write_crop_height(const struct cb_recipe *r)
{
    return write_side(r->crop_height);
}

static struct cb_status read_crop_width(const cJSON *item, struct cb_recipe *r)
{
    return read_side(item, &r->crop_width);
}
static cJSON *write_crop_width(const struct cb_recipe *r)
{
    return write_side(r->crop_width);
}

static const struct key crop_keys[] = {
    { "height", read_crop_height, write_crop_height },
    { "width", read_crop_width, write_crop_width },
};

static struct cb_status read_crop(const cJSON *item, struct cb_recipe *r)
{
    r->crop_height = r->crop_width = 0;
    CB_TRY(read_keys(item, crop_keys, CB_COUNT_OF(crop_keys), r));
    return r->crop_height && r->crop_width ? cb_ok() : bad(item, "\"height\" and \"width\"");
}
static cJSON *write_crop(const struct cb_recipe *r)
{
    return r->crop_height ? write_keys(crop_keys, CB_COUNT_OF(crop_keys), r) : NULL;
}

static struct cb_status read_color(const cJSON *item, struct cb_recipe *r)
{
    size_t i = 0;
    CB_TRY(read_choice(item, colors, CB_COUNT_OF(colors), "RGB, BGR or GRAY", &i));
    r->color = (enum cb_color)i;
    return cb_ok();
}
static cJSON *write_color(const struct cb_recipe *r)
{
    return cJSON_CreateString(colors[r->color]);
}

static struct cb_status read_range(const cJSON *item, struct cb_recipe *r)
{
    CB_TRY(read_numbers(item, 2, "[lowest, highest]", r->range));
    return r->range[0] != r->range[1] ? cb_ok() : bad(item, "two numbers that differ");
}
static cJSON *write_range(const struct cb_recipe *r)
{
    return write_numbers(r->range, 2);
}

static struct cb_status read_mean(const cJSON *item, struct cb_recipe *r)
{
    return read_numbers(item, 3, "one number for every channel", r->mean);
}
static cJSON *write_mean(const struct cb_recipe *r)
{
    return write_numbers(r->mean, r->color == CB_GRAY ? 1 : 3);
}

static struct cb_status read_std(const cJSON *item, struct cb_recipe *r)
{
    CB_TRY(read_numbers(item, 3, "one number for every channel", r->std));
    for (int i = 0; i < 3; i++)
        if (!(r->std[i] >= 1e-6f))
            return bad(item, "numbers above 0");
    return cb_ok();
}
static cJSON *write_std(const struct cb_recipe *r)
{
    return write_numbers(r->std, r->color == CB_GRAY ? 1 : 3);
}

static struct cb_status read_layout(const cJSON *item, struct cb_recipe *r)
{
    size_t i = 0;
    CB_TRY(read_choice(item, layouts, CB_COUNT_OF(layouts), "NCHW or NHWC", &i));
    r->layout = (enum cb_layout)i;
    return cb_ok();
}
static cJSON *write_layout(const struct cb_recipe *r)
{
    return cJSON_CreateString(layouts[r->layout]);
}

static struct cb_status read_bottleneck(const cJSON *item, struct cb_recipe *r)
{
    return read_name(item, r->bottleneck);
}
static cJSON *write_bottleneck(const struct cb_recipe *r)
{
    return *r->bottleneck ? cJSON_CreateString(r->bottleneck) : NULL;
}

static struct cb_status read_cam_layer(const cJSON *item, struct cb_recipe *r)
{
    return read_name(item, r->cam_layer);
}
static cJSON *write_cam_layer(const struct cb_recipe *r)
{
    return *r->cam_layer ? cJSON_CreateString(r->cam_layer) : NULL;
}

/* "preset" was read before all others. */
static struct cb_status pass_over(const cJSON *item, struct cb_recipe *r)
{
    (void)item, (void)r;
    return cb_ok();
}

static const struct key keys[] = {
    { "preset", pass_over, NULL },
    { "resize", read_resize, write_resize },
    { "crop", read_crop, write_crop },
    { "color", read_color, write_color },
    { "range", read_range, write_range },
    { "mean", read_mean, write_mean },
    { "std", read_std, write_std },
    { "layout", read_layout, write_layout },
    { "bottleneck", read_bottleneck, write_bottleneck },
    { "cam_layer", read_cam_layer, write_cam_layer },
};

static const struct cb_recipe plain = {
    .interpolation = CB_BILINEAR,
    .antialias = true,
    .range = { 0, 1 },
    .std = { 1, 1, 1 },
};

static struct cb_status read_preset(const cJSON *root, struct cb_recipe *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "preset");
    const struct cb_recipe *preset;
    if (!item)
        return cb_ok();
    if (!cJSON_IsString(item) || !(preset = cb_recipe_preset(item->valuestring)))
        return bad(item, "torchvision, keras-caffe, keras-tf, keras-torch or inception");
    *out = *preset;
    return cb_ok();
}

struct cb_status cb_recipe_parse(struct cb_bytes json, struct cb_recipe *out)
{
    struct cb_recipe recipe = plain;
    struct cb_status st;
    const char *text = (const char *)json.data, *end = NULL;
    cJSON *root;
    if (json.len == 0 || json.len > MAX_TEXT)
        return cb_fail(CB_ERR_INPUT, "recipe: wants 1 to %zu bytes, has %zu", MAX_TEXT, json.len);
    if (!(root = cJSON_ParseWithLengthOpts(text, json.len, &end, 0)))
        return cb_fail(CB_ERR_INPUT, "recipe: no JSON from byte %td on",
                       end ? end - text : (ptrdiff_t)0);
    st = read_preset(root, &recipe);
    if (st.code == CB_OK)
        st = read_keys(root, keys, CB_COUNT_OF(keys), &recipe);
    cJSON_Delete(root);
    if (st.code == CB_OK)
        *out = recipe;
    return st;
}

struct cb_status cb_recipe_print(const struct cb_recipe *recipe, struct cb_arena *arena,
                                 char **json)
{
    cJSON *root = write_keys(keys, CB_COUNT_OF(keys), recipe);
    char *text = root ? cJSON_PrintUnformatted(root) : NULL;
    *json = text ? cb_arena_text(arena, text, strlen(text)) : NULL;
    cJSON_free(text);
    cJSON_Delete(root);
    return *json ? cb_ok() : cb_fail(CB_ERR_NOMEM, "recipe: no memory to print it");
}
