/* Lists the photos of a folder: a plain one by its class folders, a stored one by its manifest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importers/dataset/dataset.h"
#include "importers/dataset/manifest.h"

#define MAX_DEPTH 8 /* folders above a photo */

/* A photo as it was found; `class_name` is the name of its folder, or its label. */
struct found {
    const char *class_name, *file, *path;
};

struct listing {
    struct cb_arena *arena;
    struct cb_rejections *rejections;
    struct found *found;
    size_t n, cap;
};

static struct cb_status add(struct listing *l, const char *class_name, const char *file,
                            const char *path)
{
    struct found *bigger, *f;
    if (l->n == CB_DATASET_MAX_PHOTOS)
        return cb_fail(CB_ERR_TOO_LARGE, "the dataset has more than %d photos",
                       CB_DATASET_MAX_PHOTOS);
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        CB_TRY(cb_arena_get(l->arena, l->cap, sizeof *bigger, "dataset", &bigger));
        if (l->n)
            memcpy(bigger, l->found, l->n * sizeof *bigger);
        l->found = bigger;
    }
    f = &l->found[l->n];
    f->class_name = class_name;
    f->file = cb_arena_text(l->arena, file, strlen(file));
    f->path = cb_arena_text(l->arena, path, strlen(path));
    if (!f->file || !f->path)
        return cb_fail(CB_ERR_NOMEM, "dataset: no room for the list of photos");
    l->n++;
    return cb_ok();
}

/* A folder that is being listed. */
struct place {
    int fd; /* walk closes it */
    const char *path;
    const char *class_name; /* NULL: the dataset's own folder */
    int depth;              /* folders that may still lie below */
};

static struct cb_status walk(struct listing *l, const struct place *place);

static struct cb_status enter(struct listing *l, const struct place *place, const char *name,
                              const char *full)
{
    struct place inner = { .path = full, .depth = place->depth - 1 };
    if (place->depth == 0) {
        cb_rejections_add(l->rejections, full, "a folder does not belong here");
        return cb_ok();
    }
    if (!cb_label_ok(name)) {
        cb_rejections_add(l->rejections, full, "its name cannot be a label");
        return cb_ok();
    }
    if (!(inner.class_name = cb_arena_text(l->arena, name, strlen(name))))
        return cb_fail(CB_ERR_NOMEM, "dataset: no room for the list of classes");
    inner.fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner.fd >= 0)
        return walk(l, &inner);
    cb_rejections_add(l->rejections, full, "%s", strerror(errno));
    return cb_ok();
}

/* One entry of a folder: a photo, a folder, or something passed over. */
static struct cb_status visit(struct listing *l, const struct place *place, const char *name)
{
    char full[PATH_MAX];
    struct stat info;
    if (name[0] == '.' || strcmp(name, "__MACOSX") == 0)
        return cb_ok();
    if (snprintf(full, sizeof full, "%s/%s", place->path, name) >= (int)sizeof full)
        cb_rejections_add(l->rejections, name, "its path is too long");
    else if (fstatat(place->fd, name, &info, AT_SYMLINK_NOFOLLOW))
        cb_rejections_add(l->rejections, full, "%s", strerror(errno));
    else if (S_ISDIR(info.st_mode))
        return enter(l, place, name, full);
    else if (!S_ISREG(info.st_mode))
        cb_rejections_add(l->rejections, full,
                          S_ISLNK(info.st_mode) ? "it is a link" : "it is no file");
    else if (!place->class_name)
        cb_rejections_add(l->rejections, full, "it is in no class folder");
    else
        return add(l, place->class_name, name, full);
    return cb_ok();
}

static struct cb_status walk(struct listing *l, const struct place *place)
{
    struct cb_status st = cb_ok();
    DIR *dir = fdopendir(place->fd);
    if (!dir) {
        close(place->fd);
        return cb_fail(CB_ERR_IO, "%s: %s", place->path, strerror(errno));
    }
    for (struct dirent *entry; st.code == CB_OK && (entry = readdir(dir));)
        st = visit(l, place, entry->d_name);
    closedir(dir);
    return st;
}

static struct cb_status open_folder(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd >= 0)
        return cb_ok();
    return cb_fail(errno == ENOENT || errno == ENOTDIR ? CB_ERR_NOT_FOUND : CB_ERR_IO, "%s: %s",
                   path, strerror(errno));
}

/* A stored dataset: the photos of each folder of ours, under its label. */
static struct cb_status list_stored(struct listing *l, const char *folder,
                                    const char *const *labels, int n)
{
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        int fd;
        if (snprintf(path, sizeof path, "%s/" CB_CLASS_FOLDER, folder, i) >= (int)sizeof path)
            return cb_fail(CB_ERR_IO, "%s: path is too long", folder);
        const struct cb_status st = open_folder(path, &fd);
        if (st.code == CB_ERR_NOT_FOUND)
            continue;
        CB_TRY(st);
        CB_TRY(walk(l, &(struct place){ .fd = fd, .path = path, .class_name = labels[i] }));
    }
    return cb_ok();
}

static int by_class_and_file(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int order = strcmp(x->class_name, y->class_name);
    if (order == 0)
        order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->path, y->path);
}

/* From the sorted list to the table. */
static struct cb_status tabulate(struct listing *l, struct cb_dataset *out)
{
    struct cb_dataset_photo *photos;
    const char **classes;
    int *counts, n_classes = 0;
    if (l->n)
        qsort(l->found, l->n, sizeof *l->found, by_class_and_file);
    for (size_t i = 0; i < l->n; i++)
        n_classes += i == 0 || strcmp(l->found[i].class_name, l->found[i - 1].class_name) != 0;
    if (n_classes > CB_DATASET_MAX_CLASSES)
        return cb_fail(CB_ERR_TOO_LARGE, "the dataset has %d classes, at most %d are taken",
                       n_classes, CB_DATASET_MAX_CLASSES);
    CB_TRY(cb_arena_get(l->arena, l->n, sizeof *photos, "dataset", &photos));
    CB_TRY(cb_arena_get(l->arena, (size_t)n_classes, sizeof *classes, "dataset", &classes));
    CB_TRY(cb_arena_get(l->arena, (size_t)n_classes, sizeof *counts, "dataset", &counts));
    n_classes = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct found *f = &l->found[i];
        if (i == 0 || strcmp(f->class_name, f[-1].class_name) != 0)
            classes[n_classes++] = f->class_name;
        counts[n_classes - 1]++;
        photos[i] = (struct cb_dataset_photo){ .path = f->path, .label = n_classes - 1 };
        photos[i].name = cb_arena_printf(l->arena, "%s/%s", f->class_name, f->file);
        if (!photos[i].name)
            return cb_fail(CB_ERR_NOMEM, "dataset: no room for the list of photos");
    }
    *out = (struct cb_dataset){ classes, counts, photos, n_classes, (int)l->n };
    return cb_ok();
}

struct cb_status cb_dataset_open(const char *folder, struct cb_arena *arena,
                                 struct cb_rejections *rejections, struct cb_dataset *out)
{
    struct listing l = { .arena = arena, .rejections = rejections };
    const char *const *labels;
    bool stored;
    int n, fd;
    CB_TRY(open_folder(folder, &fd));
    struct cb_status st = cb_manifest_read(folder, arena, &stored, &labels, &n);
    if (st.code || stored)
        close(fd);
    CB_TRY(st);
    if (stored)
        CB_TRY(list_stored(&l, folder, labels, n));
    else
        CB_TRY(walk(&l, &(struct place){ .fd = fd, .path = folder, .depth = MAX_DEPTH }));
    return tabulate(&l, out);
}
