/* --cache, as a user sees it. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static char *folder;

static void setup(void)
{
    struct onnx_builder b = onnx_begin(17);
    folder = program_folder();
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(1, 3, 24, 24));
    onnx_random(&b, "w", ONNX_DIMS(160, 3, 3, 3), 1);
    onnx_node(&b, "Conv", "x w", "c");
    onnx_random(&b, "v", ONNX_DIMS(160, 160, 3, 3), 2);
    onnx_node(&b, "Conv", "c v", "d");
    onnx_random(&b, "u", ONNX_DIMS(160, 160, 1, 1), 3);
    onnx_node(&b, "Conv", "d u", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(program_path(folder, "net.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    nanosleep(&(struct timespec){ .tv_nsec = 150000000 }, NULL); /* fresh files are not cached */
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(cli_cache, .init = setup, .fini = teardown);

static int count_packed(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += cb_path_ending(e->d_name, ".packed") != NULL;
    if (dir)
        closedir(dir);
    return n;
}

Test(cli_cache, keeps_packed_weights_where_it_is_told)
{
    const char *cache = program_path(folder, "cache"), *net = program_path(folder, "net.onnx");
    struct program_run run;
    for (int i = 0; i < 2; i++) {
        EXPECT_PROGRAM(0, &run, "bench", net, "--seconds", "0.01", "--cache", cache);
        cr_expect_str_empty(run.err);
        program_free(&run);
        cr_expect_eq(count_packed(cache), 1);
    }
}

Test(cli_cache, none_keeps_nothing)
{
    setenv("CAMBIUM_CACHE", program_path(folder, "cache"), 1);
    EXPECT_PROGRAM(0, NULL, "bench", program_path(folder, "net.onnx"), "--seconds", "0.01",
                   "--cache", "none");
    cr_expect(!cb_file_exists(program_path(folder, "cache")));
}

Test(cli_cache, verify_works_without_one_unless_it_is_given)
{
    const char *cache = program_path(folder, "cache");
    setenv("CAMBIUM_CACHE", cache, 1);
    EXPECT_PROGRAM(1, NULL, "verify", folder);
    cr_expect(!cb_file_exists(cache));
}

Test(cli_cache, a_folder_that_cannot_be_used_is_no_failure)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "bench", program_path(folder, "net.onnx"), "--seconds", "0.01",
                   "--cache", program_path(folder, "net.onnx"));
    cr_expect(strstr(run.err, "no cache"), "%s", run.err);
    program_free(&run);
}

/* Twice the same numbers, whichever algorithms were measured to be the fastest. */
Test(cli_cache, a_second_start_gives_the_same_bits)
{
    const char *cache = program_path(folder, "cache"), *net = program_path(folder, "net.onnx");
    const char *x = program_path(folder, "x.pb");
    float *input = calloc(3 * 24 * 24, sizeof *input);
    struct cb_bytes first, second;
    char out[2][4096];
    for (int i = 0; i < 3 * 24 * 24; i++)
        input[i] = (float)(i % 23) / 23;
    onnx_tensor_file(x, ONNX_FLOAT, ONNX_DIMS(1, 3, 24, 24), input, 3 * 24 * 24 * sizeof *input);
    for (int i = 0; i < 2; i++) {
        snprintf(out[i], sizeof out[i], "%s/%d/output_0.npy", folder, i);
        EXPECT_PROGRAM(0, NULL, "run", net, "--input", x, "--output-dir",
                       program_path(folder, i ? "1" : "0"), "--cache", cache);
    }
    cr_assert(cb_file_map(out[0], &first).code == CB_OK &&
              cb_file_map(out[1], &second).code == CB_OK);
    cr_expect(first.len == second.len && first.len > 0 &&
              memcmp(first.data, second.data, first.len) == 0);
    cb_file_unmap(&first);
    cb_file_unmap(&second);
    free(input);
}
