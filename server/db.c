#include "server/db.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>

#include "core/base/arena.h"

#define VERSION 1

struct cb_db {
    struct cb_arena arena;
    pthread_mutex_t mutex; /* guards file */
    sqlite3 *file;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS jobs(id TEXT PRIMARY KEY, base TEXT, dataset TEXT, name TEXT,"
    " config TEXT, state TEXT, created INTEGER, started INTEGER, finished INTEGER, error TEXT,"
    " metrics TEXT, events TEXT);"
    "CREATE TABLE IF NOT EXISTS datasets(id TEXT PRIMARY KEY, name TEXT, created INTEGER,"
    " classes TEXT, photos INTEGER);"
    "CREATE TABLE IF NOT EXISTS models(name TEXT PRIMARY KEY, created INTEGER, base TEXT, job TEXT,"
    " metrics TEXT);"
    "PRAGMA user_version = 1;";

static struct cb_status fail(sqlite3 *file, const char *what)
{
    return cb_fail(CB_ERR_IO, "database: %s: %s", what,
                   file ? sqlite3_errmsg(file) : "out of memory");
}

static struct cb_status prepare_file(sqlite3 *file, const char *path)
{
    sqlite3_stmt *stmt;
    int version = 0;
    sqlite3_busy_timeout(file, 5000);
    if (sqlite3_exec(file, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", NULL, NULL,
                     NULL) ||
        sqlite3_prepare_v2(file, "PRAGMA user_version", -1, &stmt, NULL))
        return fail(file, path);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    if (version > VERSION)
        return cb_fail(CB_ERR_IO, "%s: made by a newer cambium (version %d, this one knows %d)",
                       path, version, VERSION);
    if (sqlite3_exec(file, schema, NULL, NULL, NULL))
        return fail(file, path);
    return cb_ok();
}

struct cb_status cb_db_open(const char *path, struct cb_db **out)
{
    struct cb_db *db;
    struct cb_status st;
    CB_TRY(cb_arena_begin(1 << 16, sizeof *db, &db));
    pthread_mutex_init(&db->mutex, NULL);
    if (sqlite3_open_v2(path, &db->file,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        st = fail(db->file, path);
    else
        st = prepare_file(db->file, path);
    if (st.code)
        cb_db_close(db);
    else
        *out = db;
    return st;
}

void cb_db_close(struct cb_db *db)
{
    if (!db)
        return;
    sqlite3_close(db->file);
    pthread_mutex_destroy(&db->mutex);
    cb_arena_deinit(&db->arena);
}

static void bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
    for (int i = 0; types[i]; i++)
        if (types[i] == 'i')
            sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        else
            sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
}

struct cb_status cb_db_run(struct cb_db *db, const char *sql, cb_row_fn *on_row, void *ctx,
                           const char *types, ...)
{
    struct cb_status st = cb_ok();
    sqlite3_stmt *stmt = NULL;
    va_list args;
    int step = SQLITE_ERROR;
    pthread_mutex_lock(&db->mutex);
    if (sqlite3_prepare_v2(db->file, sql, -1, &stmt, NULL) == SQLITE_OK) {
        va_start(args, types);
        bind(stmt, types, args);
        va_end(args);
        while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
            if (on_row)
                on_row(ctx, (struct cb_row *)stmt);
    }
    if (step != SQLITE_DONE)
        st = fail(db->file, "statement");
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&db->mutex);
    return st;
}

const char *cb_row_text(struct cb_row *row, int column)
{
    const char *text = (const char *)sqlite3_column_text((sqlite3_stmt *)row, column);
    return text ? text : "";
}

int64_t cb_row_int(struct cb_row *row, int column)
{
    return sqlite3_column_int64((sqlite3_stmt *)row, column);
}
