/* cambium quantize on a small model and drawn photos. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <string.h>

#include "core/base/file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static char *folder;

static const char *in(const char *name)
{
    return program_path(folder, name);
}

static void write_model(struct onnx_builder *b, const char *name)
{
    const struct cb_bytes file = onnx_end(b);
    cr_assert(cb_file_write(in(name), file.data, file.len).code == CB_OK);
    onnx_free(b);
}

/* Old operators: BatchNormalization, Clip with attributes, Dropout, Squeeze with axes; and a
 * residual sum. */
static void old_network(void)
{
    struct onnx_builder b = onnx_begin(9);
    onnx_input(&b, "image", ONNX_FLOAT, ONNX_DIMS(-1, 3, 16, 16));
    onnx_random(&b, "w1", ONNX_DIMS(8, 3, 3, 3), 1);
    onnx_random(&b, "w2", ONNX_DIMS(8, 8, 1, 1), 2);
    onnx_random(&b, "w3", ONNX_DIMS(3, 8), 3);
    onnx_random(&b, "shift", ONNX_DIMS(8), 4);
    onnx_floats(&b, "one", ONNX_DIMS(8), (float[]){ 1, 2, 1, 0.5f, 1, 1, 3, 1 });
    onnx_node(&b, "Conv", "image w1", "c1");
    onnx_attr_ints(&b, "pads", ONNX_DIMS(1, 1, 1, 1));
    onnx_node(&b, "BatchNormalization", "c1 one shift shift one", "bn");
    onnx_node(&b, "Clip", "bn", "r1");
    onnx_attr_float(&b, "min", 0);
    onnx_attr_float(&b, "max", 6);
    onnx_node(&b, "Conv", "r1 w2", "c2");
    onnx_node(&b, "Add", "c2 r1", "sum");
    onnx_node(&b, "Dropout", "sum", "kept");
    onnx_node(&b, "GlobalAveragePool", "kept", "pooled");
    onnx_node(&b, "Squeeze", "pooled", "flat");
    onnx_attr_ints(&b, "axes", ONNX_DIMS(2, 3));
    onnx_node(&b, "Gemm", "flat w3 bias", "logits");
    onnx_attr_int(&b, "transB", 1);
    onnx_floats(&b, "bias", ONNX_DIMS(3), (float[]){ 0.1f, 0.2f, -0.3f });
    onnx_output(&b, "logits", ONNX_FLOAT);
    write_model(&b, "old.onnx");
}

static void setup(void)
{
    struct onnx_builder b = onnx_begin(17);
    folder = program_folder();
    cr_assert(cb_folder_make(in("photos")).code == CB_OK);
    cr_assert(cb_folder_make(in("set/ant")).code == CB_OK);
    cr_assert(cb_folder_make(in("set/bee")).code == CB_OK);
    onnx_small_classifier(&b, 16, 3, 5);
    onnx_property(&b, "cambium.labels", "ant\nbee\nwasp\n");
    onnx_property(&b, "maker", "a test");
    write_model(&b, "tiny.onnx");
    old_network();
    program_photo(in("photos/red.png"), 40, 30, 250, 10, 20);
    program_photo(in("photos/blue.png"), 30, 50, 10, 20, 240);
    program_photo(in("set/ant/1.png"), 30, 50, 10, 20, 240);
    program_photo(in("set/bee/1.png"), 30, 50, 10, 220, 40);
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(quantize, .init = setup, .fini = teardown);

static double number(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(json, key);
    cr_assert(cJSON_IsNumber(item), "no %s", key);
    return item->valuedouble;
}

Test(quantize, writes_a_network_that_answers_alike_and_says_what_it_costs)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "quantize", in("tiny.onnx"), in("photos"), "-o", in("small.onnx"),
                   "--json");
    cJSON *json = cJSON_Parse(run.out);
    cr_assert(json, "no JSON: %s", run.out);
    cr_expect_eq(number(json, "photos"), 2);
    cr_expect_eq(number(json, "agreement"), 1);
    cr_expect_gt(number(json, "ms"), 0);
    cr_expect_null(cJSON_GetObjectItem(json, "accuracy"), "there are no labels");
    cJSON_Delete(json);
    program_free(&run);
    EXPECT_PROGRAM(0, &run, "predict", in("small.onnx"), in("photos/red.png"));
    cr_expect(strstr(run.out, "wasp"), "labels are kept: %s", run.out);
    program_free(&run);
    EXPECT_PROGRAM(0, NULL, "explain", in("small.onnx"), in("photos/red.png"), "-o", in("cam.png"));
}

Test(quantize, measures_accuracy_where_folders_are_labels)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "quantize", in("tiny.onnx"), in("set"), "-o", in("small.onnx"),
                   "--json", "--ranges", "percentile", "--photos", "1");
    cJSON *json = cJSON_Parse(run.out);
    cr_assert(json);
    cr_expect_float_eq(number(json, "accuracy"), number(json, "accuracy_fp32"), 1e-9);
    cJSON_Delete(json);
    program_free(&run);
}

Test(quantize, brings_an_old_network_to_opset_13)
{
    EXPECT_PROGRAM(0, NULL, "quantize", in("old.onnx"), in("photos"), "-o", in("new.onnx"));
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "inspect", in("new.onnx"));
    cr_expect(strstr(run.out, "13"), "%s", run.out);
    program_free(&run);
}

/* Pixels in -1 .. 1: 0 lies half way between two steps. Greys next to it would all be rounded by
 * half a step, which a filter for contrasts makes large. */
Test(quantize, keeps_pixels_exact_where_zero_lies_between_two)
{
    struct onnx_builder b = onnx_begin(17);
    struct program_run run;
    onnx_input(&b, "image", ONNX_FLOAT, ONNX_DIMS(-1, 3, 5, 7));
    onnx_floats(&b, "w", ONNX_DIMS(3, 3, 1, 1), (float[]){ 64, -64, 0, 0, 64, -64, -64, 0, 64 });
    onnx_node(&b, "Conv", "image w", "contrasts");
    onnx_node(&b, "GlobalAveragePool", "contrasts", "pooled");
    onnx_node(&b, "Flatten", "pooled", "logits");
    onnx_output(&b, "logits", ONNX_FLOAT);
    onnx_property(&b, "cambium.recipe",
                  "{\"crop\":{\"height\":5,\"width\":7},\"color\":\"RGB\",\"range\":[-1,1],"
                  "\"layout\":\"NCHW\"}");
    write_model(&b, "contrast.onnx");
    cr_assert(cb_folder_make(in("greys")).code == CB_OK);
    program_photo(in("greys/black.png"), 7, 5, 0, 0, 0);
    program_photo(in("greys/white.png"), 7, 5, 255, 255, 255);
    program_photo(in("greys/grey.png"), 7, 5, 129, 128, 126);
    EXPECT_PROGRAM(0, &run, "quantize", in("contrast.onnx"), in("greys"), "-o", in("small.onnx"),
                   "--json");
    cJSON *json = cJSON_Parse(run.out);
    cr_assert(json, "no JSON: %s", run.out);
    cr_expect_eq(number(json, "photos"), 3);
    cr_expect_lt(number(json, "probability_error"), 1e-4);
    cJSON_Delete(json);
    program_free(&run);
}

Test(quantize, refuses_what_is_quantised_already)
{
    struct program_run run;
    EXPECT_PROGRAM(0, NULL, "quantize", in("tiny.onnx"), in("photos"), "-o", in("small.onnx"));
    EXPECT_PROGRAM(1, &run, "quantize", in("small.onnx"), in("photos"), "-o", in("again.onnx"));
    cr_expect(strstr(run.err, "quantised already"), "%s", run.err);
    program_free(&run);
    EXPECT_PROGRAM(2, NULL, "quantize", in("tiny.onnx"), in("photos"));
}

Test(quantize, bench_runs_int8_of_a_float_network_and_of_a_quantised_one)
{
    struct program_run run;
    EXPECT_PROGRAM(0, NULL, "quantize", in("tiny.onnx"), in("photos"), "-o", in("small.onnx"));
    for (int i = 0; i < 2; i++) {
        EXPECT_PROGRAM(0, &run, "bench", in(i ? "small.onnx" : "tiny.onnx"), "--precision", "int8",
                       "--seconds", "0.01", "--json");
        cr_expect(strstr(run.out, "\"precision\":\"int8\""), "%s", run.out);
        program_free(&run);
    }
    EXPECT_PROGRAM(2, NULL, "bench", in("tiny.onnx"), "--precision", "int7");
}
