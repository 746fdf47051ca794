/* importers/dataset/store.h - photos from outside into a folder of our own: uploads and archives.
 *
 *   FOLDER/cambium-dataset.txt    the manifest: a first line of its own, then one label a line;
 *                                 line k is folder k
 *   FOLDER/c0000/SHA256.jpg ...   photos by the digest of their content; twice the same in a class
 *                                 counts once
 *
 * Every photo is decoded before it is kept: what cannot be read is reported by name and reason, and
 * left out. A store is open in one place at a time; the caller sees to that. What was added is
 * durable after cb_dataset_store_close. */
#pragma once

#include <stdatomic.h>

#include "core/base/file.h"
#include "importers/dataset/dataset.h"

struct cb_dataset_limits {
    int max_entries; /* of an archive: folders, files, all */
    size_t max_photo_bytes;
    size_t max_total_bytes; /* of what an archive unpacks to */
    int max_ratio;          /* unpacked bytes to archive's bytes, from 1 MiB unpacked on */
    size_t max_pixels;      /* of a photo */
};
extern const struct cb_dataset_limits cb_dataset_limits_default;

struct cb_dataset_store;

/* Opens `folder`, made when it is not there. Errors: CB_ERR_CONTENT it holds something else;
 * CB_ERR_IO; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_dataset_store_open(const char *folder,
                                                   const struct cb_dataset_limits *limits,
                                                   struct cb_dataset_store **out);

/* Adds one photo. `name` is what its owner calls it, for messages only. A photo that we do not take
 * is a rejection and CB_OK, with *added false; so is one that the class already has, without a
 * rejection. Errors: CB_ERR_INPUT a bad label; CB_ERR_TOO_LARGE too many classes; CB_ERR_IO;
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_dataset_store_add(struct cb_dataset_store *store, const char *label,
                                                  const char *name, struct cb_bytes photo,
                                                  struct cb_rejections *rejections, bool *added);

const struct cb_dataset_limits *cb_dataset_store_limits(const struct cb_dataset_store *store);

/* An archive: .zip, .tar or .tar.gz, told by its content. */
struct cb_archive_source {
    const char *path; /* a file; NULL: `bytes` */
    struct cb_bytes bytes;
    const atomic_bool *cancel; /* NULL: never */
};

/* Adds every photo of an archive; the folder right above it is its class. A folder that holds the
 * whole archive is no class. Links, devices, absolute names and `..` are rejections; hidden files
 * and __MACOSX are passed over. Errors: CB_ERR_MEDIA no archive that we read; CB_ERR_CONTENT
 * damaged, or encrypted; CB_ERR_TOO_LARGE over a limit (named), noticed before anything is written
 * where the archive says its sizes; CB_ERR_CANCELLED; CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_dataset_store_add_archive(struct cb_dataset_store *store,
                                                          const struct cb_archive_source *source,
                                                          struct cb_rejections *rejections);

/* Writes what is not written yet and closes. The store is gone also when this fails. Errors:
 * CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_dataset_store_close(struct cb_dataset_store *store);

/* True when the file begins like an archive that we read. */
bool cb_archive_looks_like(struct cb_bytes bytes);
