/* server/datasets.h - the datasets of the data folder: rows in the database, photos in folders, and
 * who uses them now.
 *
 * A dataset that a job wants is held and cannot be removed; one that is being written to is closed
 * to other writers. Safe in any thread. */
#pragma once

#include "core/base/arena.h"
#include "importers/dataset/store.h"
#include "server/db.h"
#include "server/json.h"
#include "server/store.h"

#define CB_DATASET_ID 17 /* "d", 15 letters and digits, and a 0 */

struct cb_datasets;

/* Rows without folder go, folders without row are entered again. */
CB_MUST_USE struct cb_status cb_datasets_create(struct cb_arena *arena, struct cb_db *db,
                                                struct cb_store *store,
                                                const struct cb_dataset_limits *limits,
                                                struct cb_datasets **out);
void cb_datasets_destroy(struct cb_datasets *datasets);

/* Where photos come from: adds them to an open store. */
typedef struct cb_status cb_datasets_fill(void *ctx, struct cb_dataset_store *store,
                                          struct cb_rejections *rejections);

/* A new dataset with what `fill` adds. Errors: CB_ERR_CONTENT not one photo; what fill and the
 * store say. */
CB_MUST_USE struct cb_status cb_datasets_add(struct cb_datasets *datasets, const char *name,
                                             cb_datasets_fill *fill, void *ctx,
                                             struct cb_rejections *rejections,
                                             char id[CB_DATASET_ID]);

/* More photos. Errors: CB_ERR_NOT_FOUND; CB_ERR_CONFLICT somebody else is adding to it. */
CB_MUST_USE struct cb_status cb_datasets_extend(struct cb_datasets *datasets, const char *id,
                                                cb_datasets_fill *fill, void *ctx,
                                                struct cb_rejections *rejections);

/* Errors: CB_ERR_NOT_FOUND; CB_ERR_CONFLICT a job holds it, or somebody adds to it. */
CB_MUST_USE struct cb_status cb_datasets_remove(struct cb_datasets *datasets, const char *id);

/* Keeps a dataset from being removed until as many cb_datasets_let_go. Errors: CB_ERR_NOT_FOUND;
 * CB_ERR_BUSY. */
CB_MUST_USE struct cb_status cb_datasets_hold(struct cb_datasets *datasets, const char *id);
void cb_datasets_let_go(struct cb_datasets *datasets, const char *id);

/* The table of a dataset that is held. */
CB_MUST_USE struct cb_status cb_datasets_open(struct cb_datasets *datasets, const char *id,
                                              struct cb_arena *arena,
                                              struct cb_rejections *rejections,
                                              struct cb_dataset *out);

/* Members "id", "name", "created", "photos", "classes" of one, into an open object. Errors:
 * CB_ERR_NOT_FOUND. */
CB_MUST_USE struct cb_status cb_datasets_write(struct cb_datasets *datasets, const char *id,
                                               struct cb_json *json);

/* All of them, newest first, as objects. */
CB_MUST_USE struct cb_status cb_datasets_list(struct cb_datasets *datasets, struct cb_json *json);
