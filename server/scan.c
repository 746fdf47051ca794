#include "server/scan.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "server/log.h"
#include "server/registry.h"

#define MODELS_MAX 65536

static bool has(const char *folder, const char *file)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, file) < (int)sizeof path && cb_file_exists(path);
}

static bool has_version(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool found = false;
    while (dir && !found && (entry = readdir(dir))) {
        char file[300];
        const size_t len = strlen(entry->d_name);
        if (len == 0 || strspn(entry->d_name, "0123456789") != len)
            continue;
        snprintf(file, sizeof file, "%s/model.onnx", entry->d_name);
        found = has(folder, file);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* Whether path is a model, and of what kind; fills all but the name. */
static bool look(struct cb_arena *arena, const char *path, struct cb_found_model *out)
{
    struct stat info;
    if (stat(path, &info))
        return false;
    const bool folder = S_ISDIR(info.st_mode), head = folder && has(path, "head.onnx");
    if (folder ? !head && !has(path, "model.onnx") && !has_version(path) : !S_ISREG(info.st_mode))
        return false;
    *out = (struct cb_found_model){ .path = cb_arena_text(arena, path, strlen(path)), .trained = head };
    return out->path != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cb_found_model *)a)->name, ((const struct cb_found_model *)b)->name);
}

/* One entry of the folder; *n grows when it is a model. */
static void add_entry(const char *folder, const char *file, struct cb_arena *arena, struct cb_found_model *list,
                      size_t *n)
{
    char path[PATH_MAX], name[256];
    const char *dot = strrchr(file, '.');
    const bool onnx = dot && strcmp(dot, ".onnx") == 0;
    struct stat info;
    if (file[0] == '.' || *n == MODELS_MAX || snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path ||
        stat(path, &info) || (!onnx && !S_ISDIR(info.st_mode)) || !look(arena, path, &list[*n]))
        return;
    snprintf(name, sizeof name, "%.*s", S_ISREG(info.st_mode) ? (int)(dot - file) : (int)strlen(file), file);
    if (cb_registry_check_name(name).code) {
        cb_log(CB_WARN, "event=model_skipped path=%s reason=\"not a valid name\"", path);
        return;
    }
    list[*n].name = cb_arena_text(arena, name, strlen(name));
    *n += list[*n].name != NULL;
}

struct cb_status cb_scan_models(const char *folder, struct cb_arena *arena, struct cb_found_model **out, size_t *n)
{
    struct cb_found_model *list;
    struct dirent *entry;
    DIR *dir = opendir(folder);
    size_t found = 0, kept = 0;
    *n = 0;
    *out = NULL;
    if (!dir)
        return cb_ok();
    if (!(list = cb_arena_alloc(arena, MODELS_MAX, sizeof *list))) {
        closedir(dir);
        return cb_fail(CB_ERR_NOMEM, "%s: no memory for the list of models", folder);
    }
    while ((entry = readdir(dir)))
        add_entry(folder, entry->d_name, arena, list, &found);
    closedir(dir);
    qsort(list, found, sizeof *list, by_name);
    for (size_t i = 0; i < found; i++)
        if (kept == 0 || strcmp(list[kept - 1].name, list[i].name))
            list[kept++] = list[i];
    *out = list;
    *n = kept;
    return cb_ok();
}
