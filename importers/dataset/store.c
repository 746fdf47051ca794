#define _GNU_SOURCE /* syncfs */
#include "importers/dataset/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "importers/dataset/manifest.h"
#include "importers/image/decode.h"

#define OWN_BUDGET ((size_t)16 << 20)  /* labels and what lists them */
#define PHOTO_BUDGET ((size_t)1 << 30) /* address space for one decoded photo */
#define CHECK_SIDE 64 /* photos are decoded at a reduced scale where the format has one */

const struct cb_dataset_limits cb_dataset_limits_default = {
    .max_entries = 200000,
    .max_photo_bytes = (size_t)64 << 20,
    .max_total_bytes = (size_t)8 << 30,
    .max_ratio = 100,
    .max_pixels = 50000000,
};

struct cb_dataset_store {
    struct cb_arena arena;
    struct cb_dataset_limits limits;
    const char *folder;
    const char **labels; /* [CB_DATASET_MAX_CLASSES] */
    int n_labels;
    bool changed;
    struct cb_arena photo;
};

/* A folder that holds nothing. */
static struct cb_status check_empty(const char *folder)
{
    bool empty = true;
    DIR *dir = opendir(folder);
    if (!dir)
        return cb_fail(CB_ERR_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(dir);
    return empty ? cb_ok()
                 : cb_fail(CB_ERR_CONTENT, "%s: is neither empty nor a dataset of ours", folder);
}

static struct cb_status read_labels(struct cb_dataset_store *s)
{
    const char *const *labels;
    bool found;
    CB_TRY(
        cb_arena_get(&s->arena, CB_DATASET_MAX_CLASSES, sizeof *s->labels, "labels", &s->labels));
    CB_TRY(cb_manifest_read(s->folder, &s->arena, &found, &labels, &s->n_labels));
    if (!found) {
        s->changed = true;
        return check_empty(s->folder);
    }
    for (int i = 0; i < s->n_labels; i++)
        s->labels[i] = labels[i];
    return cb_ok();
}

static void destroy(struct cb_dataset_store *s)
{
    cb_arena_deinit(&s->photo);
    cb_arena_deinit(&s->arena);
}

struct cb_status cb_dataset_store_open(const char *folder, const struct cb_dataset_limits *limits,
                                       struct cb_dataset_store **out)
{
    struct cb_dataset_store *s;
    struct cb_status st;
    if (strlen(folder) > PATH_MAX - 128)
        return cb_fail(CB_ERR_IO, "%.200s...: path is too long", folder);
    CB_TRY(cb_folder_make(folder));
    CB_TRY(cb_arena_begin(OWN_BUDGET, sizeof *s, &s));
    s->limits = *limits;
    s->folder = cb_arena_text(&s->arena, folder, strlen(folder));
    st = cb_arena_init(&s->photo, PHOTO_BUDGET);
    if (st.code == CB_OK)
        st = read_labels(s);
    if (st.code)
        destroy(s);
    else
        *out = s;
    return st;
}

const struct cb_dataset_limits *cb_dataset_store_limits(const struct cb_dataset_store *store)
{
    return &store->limits;
}

/* The photo's file ending; NULL when it is rejected. */
static const char *check_photo(struct cb_dataset_store *s, const char *name, struct cb_bytes photo,
                               struct cb_rejections *rejections)
{
    static const struct {
        const char *format, *ending;
    } endings[] = { { "jpeg", "jpg" }, { "png", "png" }, { "webp", "webp" } };
    struct cb_decode_limits limits = cb_decode_defaults;
    struct cb_decoded decoded;
    struct cb_status st;
    if (photo.len > s->limits.max_photo_bytes) {
        cb_rejections_add(rejections, name, "%zu bytes are more than a photo's %zu", photo.len,
                          s->limits.max_photo_bytes);
        return NULL;
    }
    limits.max_pixels = s->limits.max_pixels;
    st = cb_image_decode(&s->photo, photo, &limits, CHECK_SIDE, &decoded);
    cb_arena_rewind(&s->photo, 0);
    if (st.code == CB_OK && decoded.truncated)
        st = cb_fail(CB_ERR_CONTENT, "the photo is cut short");
    for (size_t i = 0; st.code == CB_OK && i < CB_COUNT_OF(endings); i++)
        if (!strcmp(endings[i].format, decoded.format))
            return endings[i].ending;
    cb_rejections_add(rejections, name, "%s", st.code ? st.msg : "a format that is not kept");
    return NULL;
}

/* The number of a label's folder. A new one's is made anew, whatever a crash left there. */
static struct cb_status class_folder(struct cb_dataset_store *s, const char *label, int *number)
{
    char path[PATH_MAX];
    for (int i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i], label)) {
            *number = i;
            return cb_ok();
        }
    if (s->n_labels == CB_DATASET_MAX_CLASSES)
        return cb_fail(CB_ERR_TOO_LARGE, "a dataset has at most %d classes",
                       CB_DATASET_MAX_CLASSES);
    snprintf(path, sizeof path, "%s/" CB_CLASS_FOLDER, s->folder, s->n_labels);
    CB_TRY(cb_folder_remove(path));
    CB_TRY(cb_folder_make(path));
    if (!(s->labels[s->n_labels] = cb_arena_text(&s->arena, label, strlen(label))))
        return cb_fail(CB_ERR_NOMEM, "dataset: no room for the label '%s'", label);
    *number = s->n_labels++;
    s->changed = true;
    return cb_ok();
}

/* Complete under its own name, or not there. It is durable only after the store's syncfs. */
static struct cb_status write_photo(const char *path, const char *temporary, struct cb_bytes photo)
{
    struct cb_status st = cb_ok();
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return cb_fail(CB_ERR_IO, "%s: %s", temporary, strerror(errno));
    for (size_t done = 0; done < photo.len && st.code == CB_OK;) {
        const ssize_t n = write(fd, photo.data + done, photo.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            st = cb_fail(CB_ERR_IO, "%s: %s", temporary, strerror(errno));
    }
    if (close(fd) && st.code == CB_OK)
        st = cb_fail(CB_ERR_IO, "%s: %s", temporary, strerror(errno));
    if (st.code == CB_OK && rename(temporary, path))
        st = cb_fail(CB_ERR_IO, "%s: %s", path, strerror(errno));
    if (st.code)
        unlink(temporary);
    return st;
}

struct cb_status cb_dataset_store_add(struct cb_dataset_store *store, const char *label,
                                      const char *name, struct cb_bytes photo,
                                      struct cb_rejections *rejections, bool *added)
{
    char path[PATH_MAX], temporary[PATH_MAX], hex[CB_DIGEST_TEXT];
    const char *ending;
    int number = 0;
    *added = false;
    if (!cb_label_ok(label))
        return cb_fail(
            CB_ERR_INPUT,
            "a label has 1 to %d bytes of readable text, no slash, and no dot or blank first",
            CB_LABEL_MAX);
    if (!(ending = check_photo(store, name, photo, rejections)))
        return cb_ok();
    CB_TRY(class_folder(store, label, &number));
    const struct cb_digest digest = cb_digest_of(photo.data, photo.len);
    cb_digest_text(&digest, hex);
    snprintf(path, sizeof path, "%s/" CB_CLASS_FOLDER "/%s.%s", store->folder, number, hex, ending);
    snprintf(temporary, sizeof temporary, "%s/" CB_CLASS_FOLDER "/.new", store->folder, number);
    if (cb_file_exists(path))
        return cb_ok();
    CB_TRY(write_photo(path, temporary, photo));
    store->changed = *added = true;
    return cb_ok();
}

static struct cb_status sync_photos(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd)) {
        const struct cb_status st = cb_fail(CB_ERR_IO, "%s: %s", folder, strerror(errno));
        if (fd >= 0)
            close(fd);
        return st;
    }
    close(fd);
    return cb_ok();
}

struct cb_status cb_dataset_store_close(struct cb_dataset_store *store)
{
    struct cb_status st = cb_ok();
    if (store->changed) {
        st = sync_photos(store->folder);
        if (st.code == CB_OK)
            st = cb_manifest_write(store->folder, store->labels, store->n_labels);
    }
    destroy(store);
    return st;
}
