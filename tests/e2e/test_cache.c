/* The server saves packed weights while it runs, and a later one starts with them. */
#include <dirent.h>
#include <time.h>

#include "tests/e2e/e2e.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static struct server_process server;
static struct cb_buf photo;
static char *folder;

/* FOLDER/net.onnx with more weights than are not worth keeping. */
static void start(void)
{
    struct onnx_builder b = onnx_begin(17);
    folder = program_folder();
    onnx_input(&b, "image", ONNX_FLOAT, ONNX_DIMS(-1, 3, 24, 24));
    onnx_random(&b, "w", ONNX_DIMS(160, 3, 3, 3), 1);
    onnx_node(&b, "Conv", "image w", "c");
    onnx_random(&b, "v", ONNX_DIMS(160, 160, 3, 3), 2);
    onnx_node(&b, "Conv", "c v", "d");
    onnx_node(&b, "GlobalAveragePool", "d", "p");
    onnx_node(&b, "Flatten", "p", "f");
    onnx_random(&b, "u", ONNX_DIMS(160, 7), 3);
    onnx_node(&b, "Gemm", "f u", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(program_path(folder, "net.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    nanosleep(&(struct timespec){ .tv_nsec = 150000000 }, NULL); /* fresh files are not cached */
    cb_buf_init(&photo, 1 << 20);
    make_photo(40, 200, 40, 40, 7, &photo);
}

static void stop(void)
{
    e2e_clean(&server);
    cb_buf_deinit(&photo);
    program_folder_remove(folder);
}

TestSuite(e2e_cache, .init = start, .fini = stop);

static bool has_packed(void)
{
    DIR *dir = opendir(program_path(folder, "cache"));
    bool found = false;
    for (struct dirent *e; dir && (e = readdir(dir));)
        found |= cb_path_ending(e->d_name, ".packed") != NULL;
    if (dir)
        closedir(dir);
    return found;
}

/* The answer but for its timing, and its id. */
static void predict(char *text, size_t size)
{
    struct http_reply r = http_call(server.port, "POST", "/predict", "", photo.data, photo.len);
    cr_assert(eq(int, r.code, 200));
    const char *from = strstr(r.body, "\"predictions\":");
    cr_assert_not_null(from, "%s", r.body);
    snprintf(text, size, "%.300s", strstr(from, "\"probability\":"));
    http_free(&r);
}

static void start_server(void)
{
    char options[300];
    snprintf(options, sizeof options, "--model net=%s/net.onnx --cache %s/cache", folder, folder);
    server = server_start("", options);
}

Test(e2e_cache, packed_weights_are_saved_while_it_runs_and_used_by_the_next)
{
    char first[400], second[400];
    start_server();
    predict(first, sizeof first);
    for (int i = 0; i < 200 && !has_packed(); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    cr_expect(has_packed());
    cr_expect(server_logged(&server, "warning") == false);
    e2e_end(&server);
    server_clean(&server);
    start_server();
    predict(second, sizeof second);
    second[sizeof second - 1] = 0;
    const char *end = strchr(first, ']');
    cr_expect(end && strncmp(first, second, (size_t)(end - first)) == 0, "%s\n%s", first, second);
    e2e_end(&server);
}
