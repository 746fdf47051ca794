/* server/db.h - the SQLite file of the data folder: jobs, datasets, and what is known of models
 * besides their files.
 *
 * The only user of sqlite3.h. Every call is one transaction; safe in any thread. */
#pragma once

#include <stdint.h>

#include "core/base/status.h"

struct cb_db;
struct cb_row;

/* Makes or opens the file and its tables. Errors: CB_ERR_IO, also for a file of a newer version. */
CB_MUST_USE struct cb_status cb_db_open(const char *path, struct cb_db **out);
void cb_db_close(struct cb_db *db);

/* Runs one statement. `types` has a letter for each ?: t const char * (NULL: null), i int64_t.
 * `on_row` (may be NULL) sees every row; what it is given is valid only then, and it must not use
 * the database. Errors: CB_ERR_IO. */
typedef void cb_row_fn(void *ctx, struct cb_row *row);
CB_MUST_USE struct cb_status cb_db_run(struct cb_db *db, const char *sql, cb_row_fn *on_row,
                                       void *ctx, const char *types, ...);

const char *cb_row_text(struct cb_row *row, int column); /* "" for null */
int64_t cb_row_int(struct cb_row *row, int column);
