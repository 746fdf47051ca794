/* importers/dataset/dataset.h - labelled photos as a table of files: what training and evaluation
 * read.
 *
 * The class of a photo is the folder right above it. Two forms of folder are opened:
 *   plain    class folders as a person lays them out; folders above the class folders are allowed,
 *            hidden files and links are passed over
 *   stored   what cb_dataset_store made of an archive or an upload (store.h): folders c0000, c0001,
 *            ... whose labels stand in its manifest, so that no name from outside is ever part of a
 *            path */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/status.h"

#define CB_LABEL_MAX 100 /* bytes of a class's label */
#define CB_DATASET_MAX_CLASSES 10000
#define CB_DATASET_MAX_PHOTOS 1000000

struct cb_dataset_photo {
    const char *path; /* where its bytes are */
    const char *name; /* "LABEL/FILE": for messages */
    int label;        /* row of classes */
};

/* Classes are sorted by label (bytes), photos by class and then by file name. A class without
 * photos is not there. */
struct cb_dataset {
    const char *const *classes;            /* [n_classes] */
    const int *counts;                     /* [n_classes] photos of each class */
    const struct cb_dataset_photo *photos; /* [n_photos] */
    int n_classes, n_photos;
};

/* A file that was passed over, and why. The text is printable UTF-8. */
struct cb_rejection {
    const char *file, *reason;
};

/* Grows in `arena` up to CB_REJECTIONS_LISTED; from there on files are only counted. */
#define CB_REJECTIONS_LISTED 1000
struct cb_rejections {
    struct cb_arena *arena;
    struct cb_rejection *list;
    int n_listed, count, cap;
};

/* Adds one. Bytes of `file` that are no printable UTF-8 become '?'. NULL rejections: nothing
 * happens. */
void cb_rejections_add(struct cb_rejections *rejections, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* True for a label that we keep: 1 to CB_LABEL_MAX bytes of UTF-8 without control characters, '/'
 * or '\', not beginning with '.', not beginning or ending with a blank. */
bool cb_label_ok(const char *label);

/* Lists a folder of either form; table and names lie in `arena`, the photos' bytes are not read.
 * Errors: CB_ERR_NOT_FOUND no such folder; CB_ERR_TOO_LARGE too many classes or photos;
 * CB_ERR_CONTENT a damaged manifest; CB_ERR_IO; CB_ERR_NOMEM. An empty folder gives an empty
 * table. */
CB_MUST_USE struct cb_status cb_dataset_open(const char *folder, struct cb_arena *arena,
                                             struct cb_rejections *rejections,
                                             struct cb_dataset *out);

/* Errors: CB_ERR_CONTENT when there are fewer than 2 classes, or a class has fewer than 2 photos
 * (names it). */
CB_MUST_USE struct cb_status cb_dataset_check_trainable(const struct cb_dataset *dataset);
