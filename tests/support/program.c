#include "tests/support/program.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "importers/image/encode_png.h"

#define MAX_ARGS 64
#define MAX_OUTPUT ((size_t)16 << 20)

static char *read_all(FILE *file)
{
    struct cb_buf buf;
    char part[4096];
    cb_buf_init(&buf, MAX_OUTPUT);
    rewind(file);
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        cb_buf_add(&buf, part, n);
    cb_buf_add(&buf, "", 0);
    fclose(file);
    return buf.data;
}

static void become(const char *binary, const char *const *args, FILE *out, FILE *err)
{
    const char *argv[MAX_ARGS] = { binary };
    for (int i = 0; args[i] && i + 2 < MAX_ARGS; i++)
        argv[i + 1] = args[i];
    setenv("CAMBIUM_CACHE", "none", 0); /* a test that wants one says where */
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    execv(binary, (char *const *)(uintptr_t)argv);
    _exit(127);
}

struct program_run program_run(const char *const *args)
{
    const char *binary = getenv("CAMBIUM_BIN");
    struct program_run run = { 0 };
    FILE *out = tmpfile(), *err = tmpfile();
    int status = 0;
    if (!binary)
        cr_skip_test("CAMBIUM_BIN names no program");
    cr_assert(out && err);
    const pid_t child = fork();
    if (child == 0)
        become(binary, args, out, err);
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    run.out = read_all(out);
    run.err = read_all(err);
    return run;
}

void program_free(struct program_run *run)
{
    free(run->out);
    free(run->err);
}

void program_expect(int status, const char *const *args, struct program_run *keep)
{
    struct program_run run = program_run(args);
    cr_expect(run.status == status, "%s %s: exit %d, not %d: %s", args[0] ? args[0] : "",
              args[0] && args[1] ? args[1] : "", run.status, status, run.err);
    if (keep)
        *keep = run;
    else
        program_free(&run);
}

char *program_folder(void)
{
    char name[] = "/tmp/cambium-test-XXXXXX";
    cr_assert(mkdtemp(name));
    return strdup(name);
}

void program_folder_remove(char *folder)
{
    cr_expect(cb_folder_remove(folder).code == CB_OK);
    free(folder);
}

const char *program_path(const char *folder, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    cr_assert(snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX);
    return path;
}

void program_write(const char *path, const char *text)
{
    const struct cb_status st = cb_file_write(path, text, strlen(text));
    cr_assert(st.code == CB_OK, "%s", st.msg);
}

void program_photo(const char *path, int width, int height, int red, int green, int blue)
{
    struct cb_image image = { width, height, malloc((size_t)width * (size_t)height * 3) };
    struct cb_buf png;
    cb_buf_init(&png, MAX_OUTPUT);
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++)
        memcpy(image.rgb + 3 * i, (uint8_t[]){ (uint8_t)red, (uint8_t)green, (uint8_t)blue }, 3);
    cr_assert(cb_png_encode(&image, &png).code == CB_OK);
    cr_assert(cb_file_write(path, png.data, png.len).code == CB_OK);
    cb_buf_deinit(&png);
    free(image.rgb);
}
