/* The verbs on a small model and drawn photos. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "importers/image/decode.h"
#include "importers/tensor/npy.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static char *folder;
static struct cb_arena arena;

/* FOLDER/models/tiny/model.onnx with labels and recipe; FOLDER/red.png, blue.png. */
static void setup(void)
{
    struct onnx_builder b = onnx_begin(17);
    folder = program_folder();
    cr_assert(cb_arena_init(&arena, 1 << 26).code == CB_OK);
    cr_assert(cb_folder_make(program_path(folder, "models/tiny")).code == CB_OK);
    onnx_small_classifier(&b, 16, 3, 5);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(
        cb_file_write(program_path(folder, "models/tiny/model.onnx"), file.data, file.len).code ==
        CB_OK);
    onnx_free(&b);
    program_write(program_path(folder, "models/tiny/labels.txt"), "ant, small one\nbee\nwasp\n");
    program_write(program_path(folder, "models/tiny/recipe.json"),
                  "{\"resize\":{\"short_side\":18},\"crop\":{\"height\":16,\"width\":16}}");
    program_photo(program_path(folder, "red.png"), 40, 30, 250, 10, 20);
    program_photo(program_path(folder, "blue.png"), 30, 50, 10, 20, 240);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
    program_folder_remove(folder);
}

TestSuite(predict, .init = setup, .fini = teardown);
TestSuite(explain, .init = setup, .fini = teardown);
TestSuite(features, .init = setup, .fini = teardown);
TestSuite(inspect, .init = setup, .fini = teardown);
TestSuite(bench, .init = setup, .fini = teardown);
TestSuite(models, .init = setup, .fini = teardown);

static const char *in(const char *name)
{
    return program_path(folder, name);
}

static cJSON *parse(struct program_run *run)
{
    cJSON *json = cJSON_Parse(run->out);
    cr_assert(json, "no JSON: %s", run->out);
    program_free(run);
    return json;
}

static cJSON *get(const cJSON *object, const char *key)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    cr_assert(item, "no key %s", key);
    return item;
}

static struct cb_tensor read_npy(const char *path)
{
    struct cb_bytes file;
    struct cb_tensor t;
    cr_assert(cb_file_map(path, &file).code == CB_OK);
    cr_assert(cb_npy_read(&arena, file, &t).code == CB_OK);
    cb_file_unmap(&file);
    return t;
}

Test(predict, answers_every_photo_best_class_first)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "predict", in("models/tiny"), in("red.png"), in("blue.png"), "--json");
    cJSON *json = parse(&run);
    cr_assert(cJSON_GetArraySize(json) == 2);
    for (int i = 0; i < 2; i++) {
        const cJSON *entry = cJSON_GetArrayItem(json, i), *classes = get(entry, "classes");
        double sum = 0, last = 1;
        cr_expect_str_eq(get(entry, "file")->valuestring, in(i ? "blue.png" : "red.png"));
        cr_expect(cJSON_GetArraySize(classes) == 3);
        for (const cJSON *c = classes->child; c; c = c->next) {
            const double p = get(c, "probability")->valuedouble;
            cr_expect(p <= last && get(c, "index")->valueint < 3 &&
                      cJSON_IsString(get(c, "label")));
            sum += p;
            last = p;
        }
        cr_expect(fabs(sum - 1) < 1e-5);
    }
    cJSON_Delete(json);
}

Test(predict, finds_models_by_name_and_cuts_the_list)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "predict", "tiny", in("red.png"), "--models", in("models"), "--top",
                   "1", "--json");
    cJSON *json = parse(&run);
    cr_expect(cJSON_GetArraySize(get(json->child, "classes")) == 1);
    cJSON_Delete(json);
    setenv("CAMBIUM_MODELS", in("models"), 1);
    EXPECT_PROGRAM(0, &run, "predict", "tiny", in("red.png"));
    cr_expect(strstr(run.out, "ant, small one") && strstr(run.out, " %  "), "%s", run.out);
    program_free(&run);
}

Test(predict, without_a_model_asks_seedling)
{
    EXPECT_PROGRAM(0, NULL, "predict", in("red.png"));
    EXPECT_PROGRAM(0, NULL, "predict", "seedling", in("red.png"), "--models", in("models"));
}

Test(predict, goes_on_past_a_photo_that_it_cannot_read)
{
    struct program_run run;
    program_write(in("bad.png"), "BMnothing");
    EXPECT_PROGRAM(1, &run, "predict", in("models/tiny"), in("bad.png"), in("gone.png"),
                   in("red.png"), "--json");
    cr_expect(strstr(run.err, "bad.png") && strstr(run.err, "gone.png"), "%s", run.err);
    cr_expect(strstr(run.err, "2 of 3 photos"), "%s", run.err);
    cJSON *json = parse(&run);
    cr_expect(cJSON_GetArraySize(json) == 1);
    cJSON_Delete(json);
}

Test(predict, says_which_model_is_missing)
{
    struct program_run run;
    EXPECT_PROGRAM(1, &run, "predict", "nowhere", in("red.png"), "--models", in("models"));
    cr_expect(strstr(run.err, "nowhere") && strchr(run.err, '\n') == run.err + strlen(run.err) - 1,
              "%s", run.err);
    program_free(&run);
}

Test(predict, says_when_the_recipe_is_assumed)
{
    struct program_run run;
    cr_assert(cb_folder_remove(in("models/tiny/recipe.json")).code == CB_OK);
    EXPECT_PROGRAM(0, &run, "predict", in("models/tiny"), in("red.png"));
    cr_expect(strstr(run.err, "assumed"), "%s", run.err);
    program_free(&run);
}

Test(predict, every_instruction_set_says_the_same)
{
    static const char *const sets[] = { "generic", "avx2", "avx512", "auto" };
    double first[3] = { 0 };
    for (size_t s = 0; s < CB_COUNT_OF(sets); s++) {
        struct program_run run;
        EXPECT_PROGRAM(0, &run, "predict", in("models/tiny"), in("blue.png"), "--json", "--isa",
                       sets[s]);
        cJSON *json = parse(&run);
        int i = 0;
        for (const cJSON *c = get(json->child, "classes")->child; c; c = c->next, i++) {
            const double p = get(c, "probability")->valuedouble;
            first[i] = s ? first[i] : p;
            cr_expect(fabs(p - first[i]) < 1e-6, "%s", sets[s]);
        }
        cJSON_Delete(json);
    }
}

Test(explain, writes_a_picture_of_the_photo_s_size)
{
    struct cb_bytes file;
    struct cb_decoded picture;
    EXPECT_PROGRAM(0, NULL, "explain", in("models/tiny"), in("red.png"), "-o", in("why.png"),
                   "--class", "bee");
    cr_assert(cb_file_map(in("why.png"), &file).code == CB_OK);
    cr_assert(cb_image_decode(&arena, file, &cb_decode_defaults, 0, &picture).code == CB_OK);
    cr_expect(picture.width == 40 && picture.height == 30);
    cb_file_unmap(&file);
}

Test(explain, gives_the_raw_map_in_several_formats)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "explain", in("models/tiny"), in("red.png"), "-o", in("why.png"),
                   "--format", "json,npy,png", "--class", "2", "--json");
    cJSON *answer = parse(&run);
    cr_expect(get(get(answer, "class"), "index")->valueint == 2);
    cr_expect_str_eq(get(answer, "layer")->valuestring, "features");
    cJSON_Delete(answer);
    const struct cb_tensor map = read_npy(in("why.npy"));
    cr_assert(map.dtype == CB_FLOAT32 && map.shape.rank == 2 && map.shape.dim[0] == 16 &&
              map.shape.dim[1] == 16);
    struct cb_bytes file;
    cr_assert(cb_file_map(in("why.json"), &file).code == CB_OK);
    cJSON *json = cJSON_ParseWithLength((const char *)file.data, file.len);
    cr_assert(json);
    const cJSON *cell = get(json, "map")->child->child;
    for (int i = 0; i < 16; i++, cell = cell->next)
        cr_expect(cell->valuedouble >= 0 && fabs(cell->valuedouble - (double)map.f[i]) < 1e-6);
    cJSON_Delete(json);
    cb_file_unmap(&file);
    cr_expect(cb_file_exists(in("why.png")));
}

Test(explain, refuses_what_it_does_not_know)
{
    const char *model = in("models/tiny"), *photo = in("red.png"), *out = in("x.png");
    EXPECT_PROGRAM(1, NULL, "explain", model, photo, "-o", out, "--class", "hornet");
    EXPECT_PROGRAM(1, NULL, "explain", model, photo, "-o", out, "--class", "3");
    EXPECT_PROGRAM(1, NULL, "explain", model, photo, "-o", out, "--layer", "nowhere");
    EXPECT_PROGRAM(2, NULL, "explain", model, photo, "-o", out, "--method", "guesswork");
    EXPECT_PROGRAM(2, NULL, "explain", model, photo, "-o", out, "--format", "png,bmp");
    EXPECT_PROGRAM(2, NULL, "explain", model, photo, photo, "-o", out);
    cr_expect(!cb_file_exists(out));
}

Test(features, are_one_row_a_photo)
{
    EXPECT_PROGRAM(0, NULL, "features", in("models/tiny"), in("red.png"), in("blue.png"),
                   in("red.png"), "-o", in("f.npy"));
    const struct cb_tensor f = read_npy(in("f.npy"));
    cr_assert(f.dtype == CB_FLOAT32 && f.shape.rank == 2 && f.shape.dim[0] == 3 &&
              f.shape.dim[1] == 4);
    cr_expect(memcmp(f.f, f.f + 8, 4 * sizeof *f.f) == 0, "the same photo has the same features");
    cr_expect(memcmp(f.f, f.f + 4, 4 * sizeof *f.f) != 0);
    EXPECT_PROGRAM(1, NULL, "features", in("models/tiny"), in("red.png"), in("gone.png"), "-o",
                   in("g.npy"));
    cr_expect(!cb_file_exists(in("g.npy")));
}

Test(inspect, shows_layers_recipe_and_anatomy)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "inspect", in("models/tiny"), "--json");
    cJSON *json = parse(&run);
    cr_expect(get(json, "parameters")->valueint == 4 * 3 * 9 + 4 + 3 * 4 + 3);
    cr_expect(get(json, "macs")->valueint == 16 * 16 * 4 * 27 + 3 * 4);
    cr_expect(get(json, "classes")->valueint == 3 && get(json, "opset")->valueint == 17);
    cr_expect(cJSON_IsFalse(get(json, "recipe_assumed")));
    cr_expect(get(get(get(json, "recipe"), "resize"), "short_side")->valueint == 18);
    cr_expect_str_eq(get(get(json, "bottleneck"), "name")->valuestring, "flat");
    cr_expect_str_eq(get(get(json, "cam_layer"), "name")->valuestring, "features");
    const cJSON *layers = get(json, "layers"), *conv = cJSON_GetArrayItem(layers, 0);
    cr_expect(cJSON_GetArraySize(layers) == 5);
    cr_expect_str_eq(get(conv, "op")->valuestring, "Conv");
    cr_expect_str_eq(get(conv, "output")->valuestring, "conv");
    cr_expect(cJSON_GetArrayItem(get(conv, "shape"), 1)->valueint == 4);
    cr_expect(get(conv, "activation_bytes")->valueint == 4 * 16 * 16 * 4);
    cr_expect(get(json, "activation_bytes_at_once")->valueint == 2 * 4 * 16 * 16 * 4);
    const cJSON *field = get(conv, "receptive_field");
    cr_expect(cJSON_GetArrayItem(get(field, "size"), 1)->valueint == 3 &&
              cJSON_GetArrayItem(get(field, "offset"), 0)->valueint == -1 &&
              cJSON_GetArrayItem(get(field, "stride"), 0)->valueint == 1 &&
              cJSON_IsFalse(get(field, "whole")));
    field = get(cJSON_GetArrayItem(layers, 4), "receptive_field");
    cr_expect(cJSON_IsTrue(get(field, "whole")) &&
              cJSON_IsNull(cJSON_GetArrayItem(get(field, "size"), 0)));
    cJSON_Delete(json);
    EXPECT_PROGRAM(0, &run, "inspect", in("models/tiny"));
    cr_expect(strstr(run.out, "CAM layer    'features'") && !strstr(run.out, "assumed"), "%s",
              run.out);
    program_free(&run);
}

static const char *text_of(struct cb_bytes file)
{
    static char text[1 << 16];
    snprintf(text, sizeof text, "%.*s", (int)file.len, (const char *)file.data);
    return text;
}

Test(inspect, draws_the_graph)
{
    struct cb_bytes file;
    EXPECT_PROGRAM(0, NULL, "inspect", in("models/tiny"), "--svg", in("tiny.svg"), "--dot",
                   in("tiny.dot"));
    cr_assert(cb_file_map(in("tiny.svg"), &file).code == CB_OK);
    const char *svg = text_of(file);
    cr_expect(strncmp(svg, "<svg ", 5) == 0 && strstr(svg, "Conv 3x3 + Relu<") &&
              strstr(svg, "[1,4,16,16], sees 3 /1<") &&
              strstr(svg, "GlobalAveragePool + Flatten<"));
    cb_file_unmap(&file);
    cr_assert(cb_file_map(in("tiny.dot"), &file).code == CB_OK);
    const char *dot = text_of(file);
    cr_expect(strncmp(dot, "digraph ", 8) == 0 && strstr(dot, "b0 -> b1;") &&
              strstr(dot, "b2 -> b3;") && !strstr(dot, "b4"));
    cb_file_unmap(&file);
    EXPECT_PROGRAM(1, NULL, "inspect", in("models/tiny"), "--svg", in("no/such/folder.svg"));
}

Test(inspect, describes_a_network_that_takes_no_photo)
{
    struct onnx_builder b = onnx_begin(17);
    struct program_run run;
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 5));
    onnx_node(&b, "Relu", "x", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(in("relu.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    EXPECT_PROGRAM(0, &run, "inspect", in("relu.onnx"), "--json");
    cJSON *json = parse(&run);
    cr_expect(cJSON_IsFalse(get(json, "picture")) && cJSON_GetArraySize(get(json, "layers")) == 1);
    cJSON_Delete(json);
}

Test(inspect, names_what_is_unsupported)
{
    struct onnx_builder b = onnx_begin(17);
    struct program_run run;
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(1, 3, 8, 8));
    onnx_node(&b, "NoSuchOperator", "x", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(in("odd.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    EXPECT_PROGRAM(0, &run, "inspect", in("odd.onnx"));
    cr_expect(strstr(run.out, "NoSuchOperator"), "%s", run.out);
    program_free(&run);
    EXPECT_PROGRAM(1, &run, "bench", in("odd.onnx"));
    cr_expect(strstr(run.err, "NoSuchOperator"), "%s", run.err);
    program_free(&run);
}

Test(bench, gives_the_figures_that_scripts_read)
{
    static const char *const keys[] = { "median_ms", "min_ms",  "images_per_second",
                                        "batch",     "threads", "peak_rss_mb",
                                        "load_ms",   "runs",    "first_result_ms" };
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "bench", in("models/tiny"), "--seconds", "0.01", "--batch", "2",
                   "--threads", "1", "--json");
    cJSON *json = parse(&run);
    for (size_t i = 0; i < CB_COUNT_OF(keys); i++)
        cr_expect(get(json, keys[i])->valuedouble > 0, "%s", keys[i]);
    cr_expect(get(json, "batch")->valueint == 2 && get(json, "threads")->valueint == 1);
    cr_expect_str_eq(get(json, "precision")->valuestring, "fp32");
    cr_expect(cJSON_IsString(get(json, "isa")));
    cJSON_Delete(json);
}

Test(bench, a_profile_shares_the_time_among_nodes_operators_and_algorithms)
{
    static const char *const tables[] = { "nodes", "operators" };
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "bench", in("models/tiny"), "--seconds", "0.01", "--threads", "1",
                   "--profile", "--json");
    cJSON *json = parse(&run);
    const cJSON *profile = get(json, "profile");
    for (size_t i = 0; i < CB_COUNT_OF(tables); i++) {
        double shares = 0, ms = 0;
        for (const cJSON *row = get(profile, tables[i])->child; row; row = row->next) {
            shares += get(row, "share")->valuedouble;
            ms += get(row, "ms")->valuedouble;
        }
        cr_expect(fabs(shares - 1) < 1e-6, "%s: %g", tables[i], shares);
        cr_expect(fabs(ms - get(profile, "ms")->valuedouble) < 1e-6 * ms, "%s: %g", tables[i], ms);
    }
    cr_expect(get(profile, "peak_gflops")->valuedouble > 0);
    cr_expect(get(profile, "activation_bytes")->valueint > 16 * 16 * 3 * 4);
    cr_expect(get(profile, "packed_bytes")->valueint >= 4 * 27 * 4);
    const cJSON *conv = get(profile, "algorithms")->child;
    cr_expect_str_eq(get(conv, "op")->valuestring, "Conv");
    cr_expect(cJSON_IsString(get(conv, "algorithm")) && get(conv, "nodes")->valueint == 1);
    cr_expect(fabs(get(conv, "gflops")->valuedouble * get(conv, "ms")->valuedouble * 1e6 -
                   2.0 * 16 * 16 * 4 * 27) < 1);
    cJSON_Delete(json);
    EXPECT_PROGRAM(0, &run, "bench", in("models/tiny"), "--seconds", "0.01", "--profile");
    cr_expect(strstr(run.out, "of peak") && strstr(run.out, "packed weights"), "%s", run.out);
    program_free(&run);
}

Test(bench, an_open_network_takes_any_size)
{
    struct onnx_builder b = onnx_begin(17);
    onnx_small_classifier(&b, 0, 3, 5);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(in("open.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    EXPECT_PROGRAM(0, NULL, "bench", in("open.onnx"), "--seconds", "0.01", "--size", "9x13");
    EXPECT_PROGRAM(2, NULL, "bench", in("open.onnx"), "--size", "0x13");
}

Test(models, are_listed_with_seedling)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "models", "--models", in("models"), "--json");
    cJSON *json = parse(&run);
    cr_assert(cJSON_GetArraySize(json) == 2);
    cr_expect_str_eq(get(cJSON_GetArrayItem(json, 0), "name")->valuestring, "seedling");
    cr_expect_str_eq(get(cJSON_GetArrayItem(json, 1), "name")->valuestring, "tiny");
    cr_expect(get(cJSON_GetArrayItem(json, 1), "bytes")->valuedouble > 400);
    cJSON_Delete(json);
    EXPECT_PROGRAM(0, NULL, "models", "--models", in("gone"));
}
