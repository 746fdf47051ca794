#include "importers/model/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"

#define MAX_NAMES 100000

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

bool cb_model_name_ok(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > CB_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(name[i]))
            return false;
    return true;
}

static void make_name(const char *text, size_t len, char out[CB_NAME_MAX + 1])
{
    size_t n = 0;
    if (len == 0 || !isalnum((unsigned char)text[0]))
        out[n++] = 'm';
    for (size_t i = 0; i < len && n < CB_NAME_MAX; i++)
        out[n++] = is_name_char(text[i]) ? text[i] : '_';
    out[n] = 0;
}

/* The last part of the real path, without .onnx; the folder's for a file that is called model.onnx.
 * The path exists. */
static void name_of(const char *path, char out[CB_NAME_MAX + 1])
{
    char real[PATH_MAX], *base, *slash;
    const char *end;
    if (!realpath(path, real))
        return;
    if ((slash = strrchr(real, '/')) && strcmp(slash, "/model.onnx") == 0)
        *slash = 0;
    base = (slash = strrchr(real, '/')) ? slash + 1 : real;
    end = cb_path_ending(base, ".onnx");
    make_name(base, end ? (size_t)(end - base) : strlen(base), out);
}

/* `out` becomes the first of the two that is a file, "" when none is. */
static bool pick(char out[PATH_MAX], const char *own, const char *shared)
{
    const char *found = cb_file_is_regular(own) ? own : cb_file_is_regular(shared) ? shared : "";
    return cb_path_print(out, "%s", found);
}

static bool find_beside(const char *file, struct cb_model_files *out)
{
    char own[PATH_MAX], shared[PATH_MAX];
    const char *slash = strrchr(file, '/'), *end = cb_path_ending(file, ".onnx");
    const int folder = slash ? (int)(slash + 1 - file) : 0,
              stem = end ? (int)(end - file) : (int)strlen(file);
    return cb_path_print(own, "%.*s.labels.txt", stem, file) &&
           cb_path_print(shared, "%.*slabels.txt", folder, file) &&
           pick(out->labels, own, shared) && cb_path_print(own, "%.*s.recipe.json", stem, file) &&
           cb_path_print(shared, "%.*srecipe.json", folder, file) && pick(out->recipe, own, shared);
}

/* FOLDER/model.onnx or FOLDER/head.onnx. */
static bool find_in(const char *folder, struct cb_model_files *out)
{
    if (cb_path_print(out->onnx, "%s/model.onnx", folder) && cb_file_is_regular(out->onnx))
        return true;
    out->is_head =
        cb_path_print(out->onnx, "%s/head.onnx", folder) && cb_file_is_regular(out->onnx);
    return out->is_head;
}

static int version_of(const char *text)
{
    char *end;
    const long v = strtol(text, &end, 10);
    return isdigit((unsigned char)text[0]) && !*end && v <= INT_MAX ? (int)v : -1;
}

/* The highest version folder with a model in it. */
static bool find_version(const char *folder, struct cb_model_files *out)
{
    struct cb_model_files found;
    DIR *dir = opendir(folder);
    int best = -1;
    if (!dir)
        return false;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_MAX];
        const int version = version_of(entry->d_name);
        found.is_head = false;
        if (version > best && cb_path_print(path, "%s/%s", folder, entry->d_name) &&
            find_in(path, &found)) {
            best = out->version = version;
            out->is_head = found.is_head;
            memcpy(out->onnx, found.onnx, sizeof out->onnx);
        }
    }
    closedir(dir);
    return best >= 0;
}

struct cb_status cb_model_files_find(const char *path, struct cb_model_files *out)
{
    *out = (struct cb_model_files){ .version = 1 };
    if (!cb_path_print(out->path, "%s", path))
        return cb_fail(CB_ERR_INPUT, "the model's path is too long");
    if (cb_file_is_folder(path)) {
        if (!find_in(path, out) && !find_version(path, out))
            return cb_fail(CB_ERR_NOT_FOUND, "%s: no model.onnx in this folder", path);
    } else if (!cb_file_is_regular(path)) {
        return cb_fail(CB_ERR_NOT_FOUND, "%s: no such model file or folder", path);
    } else {
        memcpy(out->onnx, out->path, sizeof out->onnx);
    }
    name_of(path, out->name);
    return find_beside(out->onnx, out) ? cb_ok()
                                       : cb_fail(CB_ERR_INPUT, "the model's path is too long");
}

struct cb_status cb_model_files_of(const char *folder, const char *name, struct cb_model_files *out)
{
    char path[PATH_MAX];
    if (!cb_model_name_ok(name))
        return cb_fail(CB_ERR_NOT_FOUND, "\"%.80s\" is no model's name", name);
    if (cb_path_print(path, "%s/%s.onnx", folder, name) && cb_file_is_regular(path))
        return cb_model_files_find(path, out);
    if (cb_path_print(path, "%s/%s", folder, name) && cb_file_is_folder(path))
        return cb_model_files_find(path, out);
    return cb_fail(CB_ERR_NOT_FOUND, "no model \"%s\" in %s", name, folder);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds the name of an entry that is a model and is not there yet as folder or file. */
static struct cb_status add_name(struct cb_arena *arena, const char *folder, const char *entry,
                                 const char **names, int *n)
{
    struct cb_model_files files;
    const char *end = cb_path_ending(entry, ".onnx");
    const char *name = cb_arena_text(arena, entry, end ? (size_t)(end - entry) : strlen(entry));
    if (!name)
        return cb_fail(CB_ERR_NOMEM, "%s: too many models", folder);
    if (*n == MAX_NAMES || cb_model_files_of(folder, name, &files).code)
        return cb_ok();
    names[(*n)++] = name;
    return cb_ok();
}

struct cb_status cb_model_names(const char *folder, struct cb_arena *arena,
                                const char *const **names, int *n)
{
    struct cb_status st = cb_ok();
    const char **list;
    int count = 0, kept = 0;
    DIR *dir = opendir(folder);
    *n = 0;
    *names = NULL;
    if (!dir)
        return cb_ok();
    st = cb_arena_get(arena, MAX_NAMES, sizeof *list, "models", &list);
    for (const struct dirent *entry; st.code == CB_OK && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            st = add_name(arena, folder, entry->d_name, list, &count);
    closedir(dir);
    if (st.code)
        return st;
    qsort(list, (size_t)count, sizeof *list, by_text);
    for (int i = 0; i < count; i++)
        if (kept == 0 || strcmp(list[kept - 1], list[i]))
            list[kept++] = list[i];
    *names = list;
    *n = kept;
    return cb_ok();
}
