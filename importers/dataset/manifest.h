/* importers/dataset/manifest.h - the labels of a stored dataset, by the number of their folder
 * (store.h). */
#pragma once

#include "importers/dataset/dataset.h"

#define CB_MANIFEST_NAME "cambium-dataset.txt"
#define CB_CLASS_FOLDER "c%04d"

/* *found false when the folder has none. labels[n] in `arena`. Errors: CB_ERR_CONTENT, CB_ERR_IO,
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_manifest_read(const char *folder, struct cb_arena *arena,
                                              bool *found, const char *const **labels, int *n);

/* Written at once or not at all. Errors: CB_ERR_IO, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_manifest_write(const char *folder, const char *const *labels,
                                               int n);
