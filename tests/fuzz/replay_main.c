/* tests/fuzz/replay_main.c - runs any fuzz target over files, without libFuzzer: every compiler can
 * build it.
 *
 * usage: replay FILE-or-FOLDER...   (folders are walked)
 * Each file is copied to a block of just its size, so that a sanitizer sees a read past the end. A
 * line tells which file is running when it crashes; one that takes longer than SLOW_MS is named,
 * and the exit status is then 1. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "tests/fuzz/fuzz.h"

#define SLOW_MS 10000.0

/* nftw passes no context: what it counts must be here. */
static struct {
    size_t files, slow;
    double slowest_ms;
    char current[4096], slowest[4096];
} run;

static void on_crash(int signal_number)
{
    static const char text[] = "crashed on: ";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0 ||
        write(STDERR_FILENO, run.current, strlen(run.current)) < 0 ||
        write(STDERR_FILENO, "\n", 1) < 0)
        _exit(3);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void replay(const struct cb_bytes *file)
{
    uint8_t *copy = malloc(file->len ? file->len : 1);
    if (!copy)
        exit(2);
    if (file->len)
        memcpy(copy, file->data, file->len);
    const double start = cb_clock_ms();
    LLVMFuzzerTestOneInput(copy, file->len);
    const double ms = cb_clock_ms() - start;
    free(copy);
    run.files++;
    if (ms > run.slowest_ms) {
        run.slowest_ms = ms;
        memcpy(run.slowest, run.current, sizeof run.slowest);
    }
    if (ms > SLOW_MS) {
        run.slow++;
        fprintf(stderr, "slow: %s: %.0f ms\n", run.current, ms);
    }
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    struct cb_bytes file;
    (void)info;
    (void)where;
    if (type != FTW_F)
        return 0;
    snprintf(run.current, sizeof run.current, "%s", path);
    const struct cb_status st = cb_file_map(path, &file);
    if (st.code) {
        fprintf(stderr, "%s\n", st.msg);
        return 1;
    }
    replay(&file);
    cb_file_unmap(&file);
    return 0;
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE };
    for (size_t i = 0; i < CB_COUNT_OF(signals); i++)
        signal(signals[i], on_crash);
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], visit, 16, FTW_PHYS)) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 2;
        }
    printf("%zu files, %zu slow; the slowest took %.0f ms: %s\n", run.files, run.slow,
           run.slowest_ms, run.slowest);
    return run.slow ? 1 : 0;
}
