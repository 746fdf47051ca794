/* train and eval on a small model and photos of noisy colours. */
#define _GNU_SOURCE /* memmem */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "tests/support/archive_maker.h"
#include "tests/support/dataset_maker.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static char *folder;

static const char *in(const char *name)
{
    return program_path(folder, name);
}

/* FOLDER/tiny with a model and its recipe; FOLDER/set/LABEL/N.jpg, 12 of each, and one that is no
 * photo. */
static void setup(void)
{
    static const char *const labels[] = { "red", "green", "blue" };
    struct onnx_builder b = onnx_begin(17);
    folder = program_folder();
    cr_assert(cb_folder_make(in("tiny")).code == CB_OK);
    onnx_small_classifier(&b, 9, 10, 3);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(in("tiny/model.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    program_write(in("tiny/recipe.json"),
                  "{\"resize\":{\"height\":9,\"width\":9},\"mean\":[0.4,0.4,0.4]}");
    for (int c = 0; c < 3; c++) {
        char name[32];
        snprintf(name, sizeof name, "set/%s", labels[c]);
        cr_assert(cb_folder_make(in(name)).code == CB_OK);
        for (int i = 0; i < 12; i++) {
            struct cb_buf photo;
            cb_buf_init(&photo, 1 << 20);
            make_photo(14, c == 0 ? 200 : 60, c == 1 ? 200 : 60, c == 2 ? 200 : 60,
                       (uint64_t)(100 * c + i), &photo);
            snprintf(name, sizeof name, "set/%s/%d.jpg", labels[c], i);
            cr_assert(cb_file_write(in(name), photo.data, photo.len).code == CB_OK);
            cb_buf_deinit(&photo);
        }
    }
    program_write(in("set/red/notes.txt"), "no photo");
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(train, .init = setup, .fini = teardown);
TestSuite(eval, .init = setup, .fini = teardown);

static cJSON *parse(struct program_run *run)
{
    cJSON *json = cJSON_Parse(run->out);
    cr_assert(json, "no JSON: %s", run->out);
    program_free(run);
    return json;
}

static double number(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    cr_assert(cJSON_IsNumber(item), "no number %s", key);
    return item->valuedouble;
}

static cJSON *train_json(const char *out, const char *cache)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("set"), "-o", out, "--cache", cache, "--json");
    return parse(&run);
}

Test(train, learns_and_eval_agrees)
{
    struct program_run run;
    cJSON *json = train_json(in("out.onnx"), in("cache"));
    cr_expect_eq(number(json, "photos"), 36);
    cr_expect_geq(number(json, "accuracy"), 0.8);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "rejected")), 1);
    cJSON_Delete(json);
    EXPECT_PROGRAM(0, &run, "eval", in("out.onnx"), in("set"), "--json");
    json = parse(&run);
    cr_expect_eq(number(json, "n"), 36);
    cr_expect_geq(number(json, "top1"), 0.95);
    cr_expect_eq(number(json, "top5"), 1);
    cJSON_Delete(json);
}

Test(train, the_model_it_writes_knows_its_labels_and_recipe)
{
    struct program_run run;
    cJSON_Delete(train_json(in("out.onnx"), in("cache")));
    EXPECT_PROGRAM(0, &run, "predict", in("out.onnx"), in("set/green/3.jpg"), "--json");
    cr_expect(strstr(run.out, "\"label\":\"green\""), "%s", run.out);
    cr_expect_not(strstr(run.err, "assumed"), "%s", run.err);
    program_free(&run);
}

Test(train, features_are_made_once_and_the_file_is_the_same)
{
    struct cb_bytes a, b;
    cJSON *first = train_json(in("a.onnx"), in("cache")),
          *second = train_json(in("b.onnx"), in("cache"));
    cr_expect_eq(number(first, "cached"), 0);
    cr_expect_eq(number(second, "cached"), 36);
    cr_assert(cb_file_map(in("a.onnx"), &a).code == CB_OK &&
              cb_file_map(in("b.onnx"), &b).code == CB_OK);
    cr_expect(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    cb_file_unmap(&a);
    cb_file_unmap(&b);
    cJSON_Delete(first);
    cJSON_Delete(second);
}

Test(train, folds_and_curve_are_told_and_drawn)
{
    struct program_run run;
    struct cb_bytes page;
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("set"), "-o", in("out.onnx"), "--no-cache",
                   "--folds", "3", "--curve", "--report", in("report.html"), "--json");
    cJSON *json = parse(&run);
    const cJSON *cross = cJSON_GetObjectItem(json, "cross_validation");
    const cJSON *curve = cJSON_GetObjectItem(json, "curve");
    cr_expect_eq(number(cross, "n"), 36);
    cr_expect_geq(number(cross, "top1"), 0.9);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(cross, "top1_interval")), 2);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(curve, "points")), 4, "1, 2, 5 and 10");
    cr_expect_gt(number(cJSON_GetObjectItem(json, "temperature"), "value"), 0);
    cJSON_Delete(json);
    cr_assert(cb_file_map(in("report.html"), &page).code == CB_OK);
    cr_expect(memmem(page.data, page.len, "Learning curve", 14));
    cb_file_unmap(&page);
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("set"), "-o", in("out.onnx"), "--no-cache",
                   "--folds", "3", "--curve");
    cr_expect(strstr(run.out, "3-fold cross-validation: top-1") && strstr(run.out, "of 3 draws"),
              "%s", run.out);
    program_free(&run);
}

static cJSON *train_views(const char *out, const char *seed)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("set"), "-o", out, "--cache", in("cache"),
                   "--augment", "0.5,rotate=30", "--views", "3", "--seed", seed, "--json");
    return parse(&run);
}

Test(train, views_are_made_once_and_the_file_is_the_same)
{
    struct cb_bytes a, b;
    cJSON *first = train_views(in("a.onnx"), "1"), *second = train_views(in("b.onnx"), "1"),
          *other = train_views(in("c.onnx"), "2");
    cr_expect(number(first, "cached") == 0 && number(second, "cached") == 36 &&
              number(other, "cached") == 0);
    cr_expect(number(first, "views") == 3 && number(first, "photos") == 36);
    cr_assert(cb_file_map(in("a.onnx"), &a).code == CB_OK &&
              cb_file_map(in("b.onnx"), &b).code == CB_OK);
    cr_expect(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    cb_file_unmap(&a);
    cb_file_unmap(&b);
    cJSON_Delete(first);
    cJSON_Delete(second);
    cJSON_Delete(other);
}

Test(train, a_preview_is_a_picture_and_needs_no_training)
{
    struct program_run run;
    EXPECT_PROGRAM(0, NULL, "train", in("set"), "--augment", "1", "--preview", in("sheet.png"));
    EXPECT_PROGRAM(0, &run, "predict", in("tiny"), in("sheet.png"));
    program_free(&run);
    EXPECT_PROGRAM(2, &run, "train", in("set"), "--preview", in("none.png"));
    cr_expect(strstr(run.err, "--preview wants --augment"), "%s", run.err);
    program_free(&run);
    cr_expect_not(cb_file_exists(in("none.png")));
}

Test(train, an_archive_is_as_good_as_a_folder)
{
    struct archive_maker maker;
    struct program_run run;
    archive_begin(&maker, ARCHIVE_TAR_GZ);
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "pets/%s/%d.png", i % 2 ? "cat" : "dog", i);
        archive_add_photo(&maker, name, i);
    }
    const struct cb_bytes bytes = archive_end(&maker);
    cr_assert(cb_file_write(in("pets.tgz"), bytes.data, bytes.len).code == CB_OK);
    archive_drop(&maker);
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("pets.tgz"), "-o", in("out.onnx"), "--no-cache",
                   "--hidden", "4");
    cr_expect(strstr(run.out, "6 photos of 2 classes"), "%s", run.out);
    program_free(&run);
}

Test(train, without_a_terminal_progress_is_plain_lines)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "train", in("tiny"), in("set"), "-o", in("out.onnx"), "--no-cache");
    cr_expect(strstr(run.err, "features: 37/37"), "%s", run.err);
    cr_expect_not(strchr(run.err, '\r'));
    cr_expect(strstr(run.err, "red/notes.txt is passed over"), "%s", run.err);
    program_free(&run);
}

Test(train, refusals_say_why)
{
    struct program_run run;
    EXPECT_PROGRAM(2, NULL, "train", in("tiny"), in("set"));
    EXPECT_PROGRAM(2, NULL, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--dropout", "2");
    EXPECT_PROGRAM(2, NULL, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--folds", "1");
    EXPECT_PROGRAM(1, NULL, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--mode", "full");
    EXPECT_PROGRAM(2, NULL, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--views", "3");
    EXPECT_PROGRAM(2, NULL, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--augment", "1");
    EXPECT_PROGRAM(2, &run, "train", in("tiny"), in("set"), "-o", in("x.onnx"), "--views", "3",
                   "--augment", "flip=2");
    cr_expect(strstr(run.err, "flip is a number from 0 to 1"), "%s", run.err);
    program_free(&run);
    EXPECT_PROGRAM(1, NULL, "train", in("tiny"), in("nowhere"), "-o", in("x.onnx"));
    EXPECT_PROGRAM(1, &run, "train", in("tiny"), in("set/red"), "-o", in("x.onnx"));
    cr_expect(strstr(run.err, "at least 2 classes"), "%s", run.err);
    program_free(&run);
    cr_expect_not(cb_file_exists(in("x.onnx")));
}

Test(eval, a_class_that_the_model_does_not_know_is_named)
{
    struct program_run run;
    EXPECT_PROGRAM(1, &run, "eval", in("tiny"), in("set"));
    cr_expect(strstr(run.err, "blue"), "%s", run.err);
    program_free(&run);
}

/* A red photo among the blue ones. */
Test(eval, says_how_sure_its_figures_are_and_what_is_mistaken)
{
    struct program_run run;
    struct cb_bytes page;
    cJSON_Delete(train_json(in("out.onnx"), in("cache")));
    cr_assert_eq(rename(in("set/red/0.jpg"), in("set/blue/stray.jpg")), 0);
    EXPECT_PROGRAM(0, &run, "eval", in("out.onnx"), in("set"), "--json", "--report", in("e.html"));
    cJSON *json = parse(&run);
    const cJSON *mistakes = cJSON_GetObjectItem(json, "mistakes");
    const cJSON *at = cJSON_GetObjectItem(json, "top1_interval");
    cr_assert(cJSON_GetArraySize(mistakes) >= 1 && cJSON_GetArraySize(at) == 2);
    cr_expect_str_eq(cJSON_GetObjectItem(cJSON_GetArrayItem(mistakes, 0), "file")->valuestring,
                     "blue/stray.jpg");
    cr_expect(cJSON_GetArrayItem(at, 0)->valuedouble < number(json, "top1") &&
              number(json, "top1") < cJSON_GetArrayItem(at, 1)->valuedouble);
    cr_expect(cJSON_IsArray(cJSON_GetObjectItem(json, "suspicious_labels")));
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "reliability")), 15);
    cr_expect_gt(number(cJSON_GetObjectItem(json, "macro"), "auc"), 0.9);
    cr_expect(number(json, "ece") >= 0 && number(json, "brier") >= 0);
    cJSON_Delete(json);
    cr_assert(cb_file_map(in("e.html"), &page).code == CB_OK);
    cr_expect(memmem(page.data, page.len, "blue/stray.jpg", 14) &&
              memmem(page.data, page.len, "data:image/png;base64,", 22));
    cb_file_unmap(&page);
}
