/* tests/support/archive_maker.h - archives made for the tests, good ones and bad ones. */
#pragma once

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/file.h"

enum archive_form { ARCHIVE_ZIP, ARCHIVE_TAR, ARCHIVE_TAR_GZ, ARCHIVE_FORMS };

struct archive_maker {
    struct archive *writer;
    struct cb_buf bytes;
};

/* `maker` must not move until archive_end. */
void archive_begin(struct archive_maker *maker, enum archive_form form);
void archive_add(struct archive_maker *maker, const char *name, const void *data, size_t len);
void archive_add_folder(struct archive_maker *maker, const char *name);
/* A symbolic link, or (hard) another name of `target`. */
void archive_add_link(struct archive_maker *maker, const char *name, const char *target, bool hard);
void archive_add_device(struct archive_maker *maker, const char *name);
/* The whole archive; valid until archive_drop. */
struct cb_bytes archive_end(struct archive_maker *maker);
void archive_drop(struct archive_maker *maker);

/* A small PNG of one colour that `shade` decides, appended to `out`. */
void archive_photo(int shade, struct cb_buf *out);

/* Adds such a photo. */
void archive_add_photo(struct archive_maker *maker, const char *name, int shade);
