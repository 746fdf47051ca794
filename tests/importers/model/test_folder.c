#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "importers/model/folder.h"
#include "tests/support/program.h"

static char *folder;

static void setup(void)
{
    folder = program_folder();
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(model_folder, .init = setup, .fini = teardown);

static void make(const char *path)
{
    char full[4096];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    *strrchr(full, '/') = 0;
    cr_assert(cb_folder_make(full).code == CB_OK);
    program_write(program_path(folder, path), "x");
}

static struct cb_model_files find(const char *path)
{
    struct cb_model_files files;
    const struct cb_status st = cb_model_files_find(program_path(folder, path), &files);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return files;
}

Test(model_folder, a_folder_holds_model_labels_and_recipe)
{
    make("net/model.onnx");
    make("net/labels.txt");
    make("net/recipe.json");
    const struct cb_model_files files = find("net");
    cr_expect_str_eq(files.onnx, program_path(folder, "net/model.onnx"));
    cr_expect_str_eq(files.labels, program_path(folder, "net/labels.txt"));
    cr_expect_str_eq(files.recipe, program_path(folder, "net/recipe.json"));
    cr_expect_str_eq(files.name, "net");
    cr_expect(files.version == 1 && !files.is_head);
    cr_expect_str_eq(find("net/model.onnx").name, "net");
}

Test(model_folder, a_file_has_its_own_labels_before_those_of_the_folder)
{
    make("dir/a net.onnx");
    make("dir/labels.txt");
    make("dir/a net.recipe.json");
    make("dir/recipe.json");
    const struct cb_model_files files = find("dir/a net.onnx");
    cr_expect_str_eq(files.name, "a_net");
    cr_expect_str_eq(files.labels, program_path(folder, "dir/labels.txt"));
    cr_expect_str_eq(files.recipe, program_path(folder, "dir/a net.recipe.json"));
}

Test(model_folder, the_highest_version_counts)
{
    make("net/2/model.onnx");
    make("net/10/model.onnx");
    make("net/10/labels.txt");
    make("net/11/other.onnx");
    make("net/x9/model.onnx");
    const struct cb_model_files files = find("net");
    cr_expect(files.version == 10);
    cr_expect_str_eq(files.onnx, program_path(folder, "net/10/model.onnx"));
    cr_expect_str_eq(files.labels, program_path(folder, "net/10/labels.txt"));
    cr_expect_str_eq(files.name, "net");
}

Test(model_folder, a_head_stands_alone)
{
    make("head/head.onnx");
    cr_expect(find("head").is_head);
    make("head/model.onnx");
    cr_expect(!find("head").is_head);
}

Test(model_folder, nothing_there_is_said_so)
{
    struct cb_model_files files;
    make("empty/readme");
    cr_expect(cb_model_files_find(program_path(folder, "empty"), &files).code == CB_ERR_NOT_FOUND);
    cr_expect(cb_model_files_find(program_path(folder, "gone"), &files).code == CB_ERR_NOT_FOUND);
    cr_expect(cb_model_files_of(folder, "../etc", &files).code == CB_ERR_NOT_FOUND);
    cr_expect(cb_model_files_of(folder, "gone", &files).code == CB_ERR_NOT_FOUND);
}

Test(model_folder, names_are_listed_once_and_sorted)
{
    struct cb_arena arena;
    const char *const *names;
    int n;
    make("models/b.onnx");
    make("models/a/model.onnx");
    make("models/b/3/model.onnx");
    make("models/empty/readme");
    make("models/.hidden/model.onnx");
    make("models/not a name.onnx");
    cr_assert(cb_arena_init(&arena, 1 << 21).code == CB_OK);
    cr_assert(cb_model_names(program_path(folder, "models"), &arena, &names, &n).code == CB_OK);
    cr_assert(n == 2);
    cr_expect_str_eq(names[0], "a");
    cr_expect_str_eq(names[1], "b");
    cr_assert(cb_model_names(program_path(folder, "gone"), &arena, &names, &n).code == CB_OK);
    cr_expect(n == 0);
    cb_arena_deinit(&arena);
}

Test(model_folder, names_have_a_form)
{
    cr_expect(cb_model_name_ok("resnet50-v1.5_x"));
    cr_expect(!cb_model_name_ok("") && !cb_model_name_ok(".x") && !cb_model_name_ok("a/b") &&
              !cb_model_name_ok("a b"));
    cr_expect(
        !cb_model_name_ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}
