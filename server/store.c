#define _GNU_SOURCE /* O_TMPFILE, renameat2 */
#include "server/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "server/ids.h"

#define FOLDER_MAX (PATH_MAX - 256) /* leaves room for what comes below it */

struct cb_store {
    struct cb_arena arena; /* holds this struct */
    int lock;
    char folder[PATH_MAX], models[PATH_MAX], datasets[PATH_MAX], features[PATH_MAX],
        staging[PATH_MAX];
    char trunks[PATH_MAX], database[PATH_MAX];
};

static struct cb_status take_lock(struct cb_store *s)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/lock", FOLDER_MAX, s->folder);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock < 0)
        return cb_fail(CB_ERR_IO, "%s: %s", path, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB))
        return cb_fail(CB_ERR_CONFLICT, "%s: another server uses this data folder", s->folder);
    return cb_ok();
}

static struct cb_status open_folders(struct cb_store *s)
{
    const struct {
        char *path;
        const char *name;
    } part[] = {
        { s->models, "models" },     { s->trunks, "models/.trunks" },
        { s->datasets, "datasets" }, { s->features, "features" },
        { s->staging, "staging" },   { s->database, "cambium.sqlite" },
    };
    CB_TRY(cb_folder_make(s->folder));
    CB_TRY(take_lock(s));
    for (size_t i = 0; i < CB_COUNT_OF(part); i++)
        snprintf(part[i].path, PATH_MAX, "%.*s/%s", FOLDER_MAX, s->folder, part[i].name);
    CB_TRY(cb_folder_remove(s->staging));
    for (size_t i = 0; i + 1 < CB_COUNT_OF(part); i++)
        CB_TRY(cb_folder_make(part[i].path));
    return cb_ok();
}

struct cb_status cb_store_open(const char *folder, struct cb_store **out)
{
    struct cb_store *s;
    struct cb_status st;
    if (strlen(folder) >= FOLDER_MAX)
        return cb_fail(CB_ERR_INPUT, "the data folder's name is too long");
    CB_TRY(cb_arena_begin(sizeof *s + 4096, sizeof *s, &s));
    s->lock = -1;
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    st = open_folders(s);
    if (st.code)
        cb_store_close(s);
    else
        *out = s;
    return st;
}

void cb_store_close(struct cb_store *s)
{
    if (!s)
        return;
    if (s->lock >= 0)
        close(s->lock);
    cb_arena_deinit(&s->arena);
}

const char *cb_store_models_folder(const struct cb_store *s)
{
    return s->models;
}

const char *cb_store_features_folder(const struct cb_store *s)
{
    return s->features;
}

const char *cb_store_database(const struct cb_store *s)
{
    return s->database;
}

bool cb_store_same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void cb_store_model_path(const struct cb_store *s, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s/%.64s", PATH_MAX - 80, s->models, name);
}

void cb_store_dataset_path(const struct cb_store *s, const char *id, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s/%.64s", PATH_MAX - 80, s->datasets, id);
}

static void trunk_path(const struct cb_store *s, const struct cb_digest *digest, char out[PATH_MAX])
{
    char text[CB_DIGEST_TEXT];
    cb_digest_text(digest, text);
    snprintf(out, PATH_MAX, "%.*s/%s.onnx", PATH_MAX - 80, s->trunks, text);
}

bool cb_store_trunk(const struct cb_store *s, const struct cb_digest *digest, char out[PATH_MAX])
{
    trunk_path(s, digest, out);
    return cb_file_exists(out);
}

struct cb_status cb_store_keep_trunk(struct cb_store *s, const struct cb_digest *digest,
                                     struct cb_bytes file)
{
    char path[PATH_MAX];
    if (cb_store_trunk(s, digest, path))
        return cb_ok();
    return cb_file_write(path, file.data, file.len);
}

void cb_store_drop_trunk(struct cb_store *s, const struct cb_digest *digest)
{
    char path[PATH_MAX];
    trunk_path(s, digest, path);
    unlink(path);
}

int cb_store_spool(struct cb_store *s)
{
    char path[PATH_MAX];
    int fd = open(s->staging, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    snprintf(path, sizeof path, "%.*s/body.XXXXXX", PATH_MAX - 20, s->staging);
    if ((fd = mkstemp(path)) >= 0)
        unlink(path);
    return fd;
}

struct cb_status cb_store_stage(struct cb_store *s, char out[PATH_MAX])
{
    char id[20];
    cb_id_make('s', id, sizeof id);
    snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 40, s->staging, id);
    return cb_folder_make(out);
}

static void sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static void sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    sync_folder(parent);
}

struct cb_status cb_store_publish(struct cb_store *s, const char *staged, const char *place)
{
    (void)s;
    sync_folder(staged);
    if (cb_file_exists(place))
        return cb_fail(CB_ERR_CONFLICT, "%s: is there already", strrchr(place, '/') + 1);
    if (rename(staged, place))
        return cb_fail(CB_ERR_IO, "%s: %s", place, strerror(errno));
    sync_parent(place);
    return cb_ok();
}

struct cb_status cb_store_remove(struct cb_store *s, const char *place)
{
    char away[PATH_MAX];
    CB_TRY(cb_store_stage(s, away));
    if (rename(place, away)) { /* a folder may take the place of an empty one */
        if (errno == ENOENT)
            return cb_ok();
        return cb_fail(CB_ERR_IO, "%s: %s", place, strerror(errno));
    }
    sync_parent(place);
    return cb_folder_remove(away);
}
