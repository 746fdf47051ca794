#include <criterion/criterion.h>
#include <string.h>

#include "importers/model/load.h"

static struct cb_arena arena;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, 1 << 20).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(recipe_json, .init = setup, .fini = teardown);

static struct cb_status parse(const char *text, struct cb_recipe *out)
{
    return cb_recipe_parse((struct cb_bytes){ (const uint8_t *)text, strlen(text) }, out);
}

Test(recipe_json, nothing_said_means_plain_pixels_from_0_to_1)
{
    struct cb_recipe r;
    cr_assert(parse("{}", &r).code == CB_OK);
    cr_expect(r.short_side == 0 && r.resize_height == 0 && r.crop_width == 0);
    cr_expect(r.interpolation == CB_BILINEAR && r.antialias && r.color == CB_RGB &&
              r.layout == CB_NCHW);
    cr_expect(r.range[0] == 0 && r.range[1] == 1 && !r.assumed);
    for (int i = 0; i < 3; i++)
        cr_expect(r.mean[i] == 0 && r.std[i] == 1);
}

Test(recipe_json, every_key_is_read)
{
    struct cb_recipe r;
    const struct cb_status st =
        parse("{\"resize\":{\"height\":30,\"width\":40,\"interpolation\":\"bicubic\",\"antialias\":"
              "false},"
              "\"crop\":{\"height\":28,\"width\":27},\"color\":\"BGR\",\"range\":[0,255],\"mean\":["
              "1,2,3],\"std\":[4,5,6],"
              "\"layout\":\"NHWC\",\"bottleneck\":\"pool\",\"cam_layer\":\"conv/out\"}",
              &r);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_expect(r.resize_height == 30 && r.resize_width == 40 && r.short_side == 0);
    cr_expect(r.interpolation == CB_BICUBIC && !r.antialias);
    cr_expect(r.crop_height == 28 && r.crop_width == 27);
    cr_expect(r.color == CB_BGR && r.layout == CB_NHWC && r.range[1] == 255);
    cr_expect(r.mean[0] == 1 && r.mean[2] == 3 && r.std[1] == 5);
    cr_expect_str_eq(r.bottleneck, "pool");
    cr_expect_str_eq(r.cam_layer, "conv/out");
}

Test(recipe_json, one_number_stands_for_all_channels)
{
    struct cb_recipe r;
    cr_assert(parse("{\"mean\":[0.5],\"std\":[0.25],\"color\":\"GRAY\"}", &r).code == CB_OK);
    cr_expect(r.mean[0] == 0.5f && r.mean[2] == 0.5f && r.std[1] == 0.25f);
}

Test(recipe_json, a_preset_is_where_the_other_keys_begin)
{
    struct cb_recipe r;
    cr_assert(
        parse("{\"std\":[2,2,2],\"preset\":\"keras-caffe\",\"resize\":{\"short_side\":300}}", &r)
            .code == CB_OK);
    cr_expect(r.color == CB_BGR && r.range[1] == 255 && r.mean[0] == 103.939f && r.std[0] == 2);
    cr_expect(r.short_side == 300 && r.crop_height == 224);
    cr_expect_str_eq(parse("{\"preset\":\"caffe9\"}", &r).msg,
                     "recipe: \"preset\" wants torchvision, keras-caffe, keras-tf, keras-torch or "
                     "inception, has "
                     "\"caffe9\"");
}

Test(recipe_json, refusals_name_the_key)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "{\"crop_pct\":0.9}", "recipe: there is no key \"crop_pct\"" },
        { "{\"resize\":{\"side\":9}}", "recipe: there is no key \"side\"" },
        { "{\"std\":[1,1,1],\"std\":[1,1,1]}", "recipe: the key \"std\" comes twice" },
        { "{\"std\":[1,0,1]}", "recipe: \"std\" wants numbers above 0, has [1,0,1]" },
        { "{\"std\":[1,1]}", "recipe: \"std\" wants one number for every channel, has [1,1]" },
        { "{\"mean\":[1,1,1,1]}",
          "recipe: \"mean\" wants one number for every channel, has [1,1,1,1]" },
        { "{\"mean\":[1e300,0,0]}",
          "recipe: \"mean\" wants one number for every channel, has [1e+300,0,0]" },
        { "{\"mean\":{}}", "recipe: \"mean\" wants one number for every channel, has {}" },
        { "{\"range\":[1,1]}", "recipe: \"range\" wants two numbers that differ, has [1,1]" },
        { "{\"range\":[1]}", "recipe: \"range\" wants [lowest, highest], has [1]" },
        { "{\"crop\":{\"height\":224}}",
          "recipe: \"crop\" wants \"height\" and \"width\", has {\"height\":224}" },
        { "{\"crop\":{\"height\":0,\"width\":1}}",
          "recipe: \"height\" wants a whole number of pixels, at most 4096, has 0" },
        { "{\"resize\":{\"short_side\":4097}}",
          "recipe: \"short_side\" wants a whole number of pixels, at most 4096, has 4097" },
        { "{\"resize\":{\"short_side\":2.5}}",
          "recipe: \"short_side\" wants a whole number of pixels, at most 4096, has 2.5" },
        { "{\"resize\":{\"short_side\":9,\"height\":9,\"width\":9}}",
          "recipe: \"resize\" wants \"short_side\", or \"height\" and \"width\", has "
          "{\"short_side\":9,\"height\":9,\"width\":9}" },
        { "{\"color\":\"rgb\"}", "recipe: \"color\" wants RGB, BGR or GRAY, has \"rgb\"" },
        { "{\"layout\":3}", "recipe: \"layout\" wants NCHW or NHWC, has 3" },
        { "{\"bottleneck\":\"\"}", "recipe: \"bottleneck\" wants the name of a tensor, has \"\"" },
        { "[]", "recipe: \"list\" wants an object, has []" },
        { "", "recipe: wants 1 to 65536 bytes, has 0" },
        { "{\"crop\":", "recipe: no JSON from byte 7 on" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct cb_recipe r;
        const struct cb_status st = parse(cases[i].text, &r);
        cr_expect(st.code == CB_ERR_INPUT, "%s", cases[i].text);
        cr_expect_str_eq(st.msg, cases[i].message);
    }
}

Test(recipe_json, a_tensor_name_that_is_too_long_is_refused)
{
    char text[CB_TENSOR_NAME_MAX + 40] = "{\"cam_layer\":\"";
    struct cb_recipe r;
    memset(text + strlen(text), 'x', CB_TENSOR_NAME_MAX);
    strcat(text, "\"}");
    cr_expect(parse(text, &r).code == CB_ERR_INPUT);
}

Test(recipe_json, what_is_printed_reads_back_the_same)
{
    for (size_t i = 0; cb_recipe_preset_name(i); i++) {
        const struct cb_recipe *preset = cb_recipe_preset(cb_recipe_preset_name(i));
        struct cb_recipe back;
        char *text;
        cr_assert(cb_recipe_print(preset, &arena, &text).code == CB_OK);
        cr_assert(parse(text, &back).code == CB_OK, "%s", text);
        cr_expect(memcmp(&back, preset, sizeof back) == 0, "%s", text);
    }
}

Test(recipe_json, numbers_are_printed_as_people_write_them)
{
    char *text;
    cr_assert(cb_recipe_print(cb_recipe_preset("torchvision"), &arena, &text).code == CB_OK);
    cr_expect_str_eq(
        text, "{\"resize\":{\"short_side\":256,\"interpolation\":\"bilinear\",\"antialias\":true},"
              "\"crop\":{\"height\":224,\"width\":224},\"color\":\"RGB\",\"range\":[0,1],"
              "\"mean\":[0.485,0.456,0.406],\"std\":[0.229,0.224,0.225],\"layout\":\"NCHW\"}");
}
