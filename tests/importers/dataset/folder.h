/* tests/importers/dataset/folder.h - a temporary folder for a test, and photos in it. */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "importers/dataset/store.h"
#include "tests/support/archive_maker.h"

struct folder {
    char path[64];
    struct cb_arena arena;
    struct cb_rejections rejections;
};

static inline void folder_begin(struct folder *f)
{
    snprintf(f->path, sizeof f->path, "/tmp/cambium-test-XXXXXX");
    cr_assert_not_null(mkdtemp(f->path));
    cr_assert_eq(cb_arena_init(&f->arena, (size_t)64 << 20).code, CB_OK);
    f->rejections = (struct cb_rejections){ .arena = &f->arena };
}

static inline void folder_end(struct folder *f)
{
    cr_expect_eq(cb_folder_remove(f->path).code, CB_OK);
    cb_arena_deinit(&f->arena);
}

/* Writes FOLDER/name, making what lies above it. */
static inline void folder_put(struct folder *f, const char *name, const void *data, size_t len)
{
    char path[256], *slash;
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    slash = strrchr(path, '/');
    *slash = 0;
    cr_assert_eq(cb_folder_make(path).code, CB_OK);
    *slash = '/';
    cr_assert_eq(cb_file_write(path, data, len).code, CB_OK);
}

static inline void folder_put_photo(struct folder *f, const char *name, int shade)
{
    struct cb_buf photo;
    cb_buf_init(&photo, 1 << 20);
    archive_photo(shade, &photo);
    folder_put(f, name, photo.data, photo.len);
    cb_buf_deinit(&photo);
}

/* Whether some rejection's file and reason have these in them. */
static inline bool folder_rejected(const struct folder *f, const char *file, const char *reason)
{
    for (int i = 0; i < f->rejections.n_listed; i++)
        if (strstr(f->rejections.list[i].file, file) &&
            strstr(f->rejections.list[i].reason, reason))
            return true;
    return false;
}

static inline struct cb_dataset folder_open(struct folder *f, const char *path)
{
    struct cb_dataset dataset;
    const struct cb_status st = cb_dataset_open(path, &f->arena, &f->rejections, &dataset);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    return dataset;
}
