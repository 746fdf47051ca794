#include "server/datasets.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/ids.h"
#include "server/log.h"

#define IN_USE_MAX 4096
#define TABLE_MEMORY ((size_t)1 << 30) /* address space for the table of one dataset */

/* A dataset that somebody uses now. */
struct use {
    char id[CB_DATASET_ID];
    int holders;
    bool writing;
};

struct cb_datasets {
    struct cb_db *db;
    struct cb_store *store;
    struct cb_dataset_limits limits;
    pthread_mutex_t mutex; /* guards all below */
    struct use *use;
    int n_use;
};

/* ---- who uses what: with the mutex ---- */

/* The row of `id`, a new one if need be; NULL when there are too many. */
static struct use *use_of(struct cb_datasets *d, const char *id)
{
    for (int i = 0; i < d->n_use; i++)
        if (strcmp(d->use[i].id, id) == 0)
            return &d->use[i];
    if (d->n_use == IN_USE_MAX)
        return NULL;
    d->use[d->n_use] = (struct use){ .holders = 0 };
    snprintf(d->use[d->n_use].id, CB_DATASET_ID, "%s", id);
    return &d->use[d->n_use++];
}

static void drop_if_unused(struct cb_datasets *d, struct use *use)
{
    if (use->holders == 0 && !use->writing)
        *use = d->use[--d->n_use];
}

/* Holds (or, for a writer, closes) the dataset. */
static struct cb_status begin(struct cb_datasets *d, const char *id, bool write, bool alone)
{
    struct cb_status st = cb_ok();
    struct use *use;
    pthread_mutex_lock(&d->mutex);
    use = use_of(d, id);
    if (!use)
        st = cb_fail(CB_ERR_BUSY, "too many datasets are in use");
    else if (write && use->writing)
        st = cb_fail(CB_ERR_CONFLICT, "dataset %s is being changed", id);
    else if (alone && use->holders)
        st = cb_fail(CB_ERR_CONFLICT, "dataset %s is used by a job", id);
    else {
        use->writing |= write;
        use->holders += !write;
    }
    if (use)
        drop_if_unused(d, use);
    pthread_mutex_unlock(&d->mutex);
    return st;
}

static void end(struct cb_datasets *d, const char *id, bool write)
{
    struct use *use;
    pthread_mutex_lock(&d->mutex);
    if ((use = use_of(d, id))) {
        if (write)
            use->writing = false;
        else if (use->holders)
            use->holders--;
        drop_if_unused(d, use);
    }
    pthread_mutex_unlock(&d->mutex);
}

/* ---- rows ---- */

/* {"cat":12,"dog":9} */
static void print_classes(const struct cb_dataset *table, struct cb_buf *out)
{
    struct cb_json json = { .out = out };
    cb_json_open(&json, NULL, '{');
    for (int i = 0; i < table->n_classes; i++)
        cb_json_int(&json, table->classes[i], table->counts[i]);
    cb_json_close(&json, '}');
}

/* Writes the row anew from what lies in `folder`. */
static struct cb_status enter(struct cb_datasets *d, const char *id, const char *name,
                              const char *folder)
{
    struct cb_arena arena;
    struct cb_dataset table;
    struct cb_buf classes;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, TABLE_MEMORY));
    cb_buf_init(&classes, (size_t)16 << 20);
    st = cb_dataset_open(folder, &arena, NULL, &table);
    if (st.code == CB_OK && table.n_photos == 0)
        st = cb_fail(CB_ERR_CONTENT, "the dataset has not one photo that can be read");
    if (st.code == CB_OK) {
        print_classes(&table, &classes);
        st = cb_db_run(
            d->db,
            "INSERT INTO datasets(id, name, created, classes, photos) VALUES(?,?,?,?,?)"
            " ON CONFLICT(id) DO UPDATE SET classes = excluded.classes, photos = excluded.photos",
            NULL, NULL, "ttiti", id, name, cb_clock_wall_ms(), classes.data,
            (int64_t)table.n_photos);
    }
    cb_buf_deinit(&classes);
    cb_arena_deinit(&arena);
    return st;
}

static void mark_found(void *ctx, struct cb_row *row)
{
    (void)row;
    *(bool *)ctx = true;
}

static struct cb_status has_row(struct cb_datasets *d, const char *id, bool *out)
{
    *out = false;
    return cb_db_run(d->db, "SELECT 1 FROM datasets WHERE id = ?", mark_found, out, "t", id);
}

static struct cb_status must_exist(struct cb_datasets *d, const char *id)
{
    bool there;
    CB_TRY(has_row(d, id, &there));
    return there ? cb_ok() : cb_fail(CB_ERR_NOT_FOUND, "there is no dataset '%.40s'", id);
}

/* ---- what a crash left ---- */

struct lost {
    struct cb_datasets *datasets;
    char id[CB_DATASET_ID];
};

static void find_row_without_folder(void *ctx, struct cb_row *row)
{
    struct lost *lost = ctx;
    char path[PATH_MAX];
    cb_store_dataset_path(lost->datasets->store, cb_row_text(row, 0), path);
    if (!cb_file_exists(path))
        snprintf(lost->id, sizeof lost->id, "%s", cb_row_text(row, 0));
}

static struct cb_status repair_rows(struct cb_datasets *d)
{
    struct lost lost = { .datasets = d };
    for (;;) {
        lost.id[0] = 0;
        CB_TRY(cb_db_run(d->db, "SELECT id FROM datasets", find_row_without_folder, &lost, ""));
        if (!*lost.id)
            return cb_ok();
        cb_log(CB_WARN, "event=dataset_lost dataset=%s reason=\"its folder is gone\"", lost.id);
        CB_TRY(cb_db_run(d->db, "DELETE FROM datasets WHERE id = ?", NULL, NULL, "t", lost.id));
    }
}

static struct cb_status repair_folders(struct cb_datasets *d)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct cb_status st = cb_ok();
    struct dirent *entry;
    DIR *dir;
    cb_store_dataset_path(d->store, ".", root);
    if (!(dir = opendir(root)))
        return cb_ok();
    while (st.code == CB_OK && (entry = readdir(dir))) {
        bool there;
        if (entry->d_name[0] == '.' || strlen(entry->d_name) != CB_DATASET_ID - 1)
            continue;
        st = has_row(d, entry->d_name, &there);
        if (st.code || there)
            continue;
        cb_store_dataset_path(d->store, entry->d_name, path);
        const struct cb_status entered = enter(d, entry->d_name, "", path);
        cb_log(CB_WARN, "event=dataset_found dataset=%s%s%s", entry->d_name,
               entered.code ? " reason=" : "", entered.msg);
    }
    closedir(dir);
    return st;
}

struct cb_status cb_datasets_create(struct cb_arena *arena, struct cb_db *db,
                                    struct cb_store *store, const struct cb_dataset_limits *limits,
                                    struct cb_datasets **out)
{
    struct cb_datasets *d;
    CB_TRY(cb_arena_get(arena, 1, sizeof *d, "datasets", &d));
    CB_TRY(cb_arena_get(arena, IN_USE_MAX, sizeof *d->use, "datasets", &d->use));
    d->db = db;
    d->store = store;
    d->limits = *limits;
    pthread_mutex_init(&d->mutex, NULL);
    *out = d;
    CB_TRY(repair_rows(d));
    return repair_folders(d);
}

void cb_datasets_destroy(struct cb_datasets *d)
{
    if (d)
        pthread_mutex_destroy(&d->mutex);
}

/* ---- changes ---- */

static struct cb_status fill_folder(struct cb_datasets *d, const char *folder,
                                    cb_datasets_fill *fill, void *ctx,
                                    struct cb_rejections *rejections)
{
    struct cb_dataset_store *store;
    struct cb_status st, closed;
    CB_TRY(cb_dataset_store_open(folder, &d->limits, &store));
    st = fill(ctx, store, rejections);
    closed = cb_dataset_store_close(store);
    return st.code ? st : closed;
}

/* A failure that says why nothing could be read, where we know. */
static struct cb_status explain_empty(struct cb_status st, const struct cb_rejections *rejections)
{
    if (st.code != CB_ERR_CONTENT || !rejections || rejections->n_listed == 0)
        return st;
    return cb_fail(st.code, "%.200s (%.100s: %.100s)", st.msg, rejections->list[0].file,
                   rejections->list[0].reason);
}

struct cb_status cb_datasets_add(struct cb_datasets *d, const char *name, cb_datasets_fill *fill,
                                 void *ctx, struct cb_rejections *rejections,
                                 char id[CB_DATASET_ID])
{
    char staged[PATH_MAX], place[PATH_MAX];
    struct cb_status st;
    cb_id_make('d', id, CB_DATASET_ID);
    cb_store_dataset_path(d->store, id, place);
    CB_TRY(cb_store_stage(d->store, staged));
    st = fill_folder(d, staged, fill, ctx, rejections);
    if (st.code == CB_OK)
        st = explain_empty(enter(d, id, name, staged), rejections);
    if (st.code == CB_OK)
        st = cb_store_publish(d->store, staged, place);
    if (st.code) {
        const struct cb_status removed = cb_folder_remove(staged);
        if (removed.code)
            cb_log(CB_WARN, "event=staging_left reason=\"%s\"", removed.msg);
        CB_TRY(cb_db_run(d->db, "DELETE FROM datasets WHERE id = ?", NULL, NULL, "t", id));
    }
    return st;
}

struct cb_status cb_datasets_extend(struct cb_datasets *d, const char *id, cb_datasets_fill *fill,
                                    void *ctx, struct cb_rejections *rejections)
{
    char place[PATH_MAX];
    struct cb_status st;
    CB_TRY(must_exist(d, id));
    CB_TRY(begin(d, id, true, false));
    cb_store_dataset_path(d->store, id, place);
    st = fill_folder(d, place, fill, ctx, rejections);
    if (st.code == CB_OK)
        st = enter(d, id, "", place);
    end(d, id, true);
    return st;
}

struct cb_status cb_datasets_remove(struct cb_datasets *d, const char *id)
{
    char place[PATH_MAX];
    struct cb_status st;
    CB_TRY(must_exist(d, id));
    CB_TRY(begin(d, id, true, true));
    cb_store_dataset_path(d->store, id, place);
    st = cb_store_remove(d->store, place);
    if (st.code == CB_OK)
        st = cb_db_run(d->db, "DELETE FROM datasets WHERE id = ?", NULL, NULL, "t", id);
    end(d, id, true);
    return st;
}

struct cb_status cb_datasets_hold(struct cb_datasets *d, const char *id)
{
    struct cb_status st;
    CB_TRY(must_exist(d, id));
    CB_TRY(begin(d, id, false, false));
    st = must_exist(d, id); /* again: from here on it cannot go */
    if (st.code)
        end(d, id, false);
    return st;
}

void cb_datasets_let_go(struct cb_datasets *d, const char *id)
{
    end(d, id, false);
}

struct cb_status cb_datasets_open(struct cb_datasets *d, const char *id, struct cb_arena *arena,
                                  struct cb_rejections *rejections, struct cb_dataset *out)
{
    char place[PATH_MAX];
    CB_TRY(must_exist(d, id));
    cb_store_dataset_path(d->store, id, place);
    return cb_dataset_open(place, arena, rejections, out);
}

/* ---- answers ---- */

struct rows {
    struct cb_json *json;
    bool objects;
    int n;
};

static void write_row(void *ctx, struct cb_row *row)
{
    struct rows *rows = ctx;
    if (rows->objects)
        cb_json_open(rows->json, NULL, '{');
    cb_json_text(rows->json, "id", cb_row_text(row, 0));
    cb_json_text(rows->json, "name", cb_row_text(row, 1));
    cb_json_time(rows->json, "created", cb_row_int(row, 2));
    cb_json_raw(rows->json, "classes", cb_row_text(row, 3));
    cb_json_int(rows->json, "photos", cb_row_int(row, 4));
    if (rows->objects)
        cb_json_close(rows->json, '}');
    rows->n++;
}

struct cb_status cb_datasets_write(struct cb_datasets *d, const char *id, struct cb_json *json)
{
    struct rows rows = { .json = json };
    CB_TRY(cb_db_run(d->db, "SELECT id, name, created, classes, photos FROM datasets WHERE id = ?",
                     write_row, &rows, "t", id));
    return rows.n ? cb_ok() : cb_fail(CB_ERR_NOT_FOUND, "there is no dataset '%.40s'", id);
}

struct cb_status cb_datasets_list(struct cb_datasets *d, struct cb_json *json)
{
    struct rows rows = { .json = json, .objects = true };
    return cb_db_run(
        d->db, "SELECT id, name, created, classes, photos FROM datasets ORDER BY created DESC",
        write_row, &rows, "");
}
