/* tests/support/program.h - runs the program under test ($CAMBIUM_BIN), and folders to run it
 * in. */
#pragma once

#include "core/base/status.h"

/* What a run left behind. Free it. */
struct program_run {
    int status; /* of its exit; 128 + signal when one ended it */
    char *out, *err;
};

/* CAMBIUM_BIN with these arguments, the last NULL. Skips the test where CAMBIUM_BIN is not set. */
struct program_run program_run(const char *const *args);
#define PROGRAM(...) program_run((const char *const[]){ __VA_ARGS__, NULL })
void program_free(struct program_run *run);

/* Runs and expects this exit status; the run is freed unless `keep` is given. */
void program_expect(int status, const char *const *args, struct program_run *keep);
#define EXPECT_PROGRAM(status, keep, ...)                                                          \
    program_expect(status, (const char *const[]){ __VA_ARGS__, NULL }, keep)

/* A new folder; its files are removed with it by program_folder_remove. */
char *program_folder(void);
void program_folder_remove(char *folder);

/* "FOLDER/NAME" in one of a few static buffers. */
const char *program_path(const char *folder, const char *name);

void program_write(const char *path, const char *text);

/* A PNG of one colour, width x height. */
void program_photo(const char *path, int width, int height, int red, int green, int blue);
