/* server/store.h - the data folder: where everything lies, and how it gets there.
 *
 *   lock                    one server at a time
 *   cambium.sqlite          jobs and datasets (db.h)
 *   models/NAME/            model.onnx uploaded, or head.onnx trained here; labels.txt, recipe.json
 *   models/.trunks/SHA.onnx the trunks that trained heads stand on
 *   datasets/ID/            photos (importers/dataset/store.h)
 *   features/               cache of bottleneck features; may be deleted at any time
 *   staging/                half-made things; emptied at every start
 *
 * What is published is staged, synced and renamed: it is there whole or not at all. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "core/base/file.h"
#include "core/base/hash.h"

struct cb_store;

/* Makes what is missing, takes the lock, empties staging. Errors: CB_ERR_IO; CB_ERR_CONFLICT
 * another server has it. */
CB_MUST_USE struct cb_status cb_store_open(const char *folder, struct cb_store **out);
void cb_store_close(struct cb_store *store);

const char *cb_store_models_folder(const struct cb_store *store);
const char *cb_store_features_folder(const struct cb_store *store);
const char *cb_store_database(const struct cb_store *store);

/* Both paths lead to one folder. */
bool cb_store_same_folder(const char *a, const char *b);

/* Paths below the data folder. Names and ids are checked ones. */
void cb_store_model_path(const struct cb_store *store, const char *name, char out[PATH_MAX]);
void cb_store_dataset_path(const struct cb_store *store, const char *id, char out[PATH_MAX]);

/* The file of a trunk; false when it is not kept. */
bool cb_store_trunk(const struct cb_store *store, const struct cb_digest *digest,
                    char out[PATH_MAX]);

/* Keeps a trunk, if it is not there yet. */
CB_MUST_USE struct cb_status
cb_store_keep_trunk(struct cb_store *store, const struct cb_digest *digest, struct cb_bytes file);
void cb_store_drop_trunk(struct cb_store *store, const struct cb_digest *digest);

/* A new unlinked file in staging, open for reading and writing; -1 when there is none to have. */
int cb_store_spool(struct cb_store *store);

/* A new empty folder in staging. */
CB_MUST_USE struct cb_status cb_store_stage(struct cb_store *store, char out[PATH_MAX]);

/* Moves a staged folder, whose files are synced, to its place. Errors: CB_ERR_CONFLICT the place is
 * taken. */
CB_MUST_USE struct cb_status cb_store_publish(struct cb_store *store, const char *staged,
                                              const char *place);

/* Takes a published folder away: gone under its name at once, then removed. */
CB_MUST_USE struct cb_status cb_store_remove(struct cb_store *store, const char *place);
