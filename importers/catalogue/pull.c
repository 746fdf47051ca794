#define _GNU_SOURCE /* renameat2 */
#include "importers/catalogue/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "importers/model/folder.h"
#include "importers/model/labels.h"
#include "importers/model/load.h"

#define LABELS_LIMIT ((int64_t)4 << 20)
#define SYNSET_DIGITS 8

struct work {
    const struct cb_pull *pull;
    struct cb_arena *arena;
    struct cb_pull_result *out;
    char staging[PATH_MAX]; /* FOLDER/.pull/NAME */
    char target[PATH_MAX];  /* FOLDER/NAME */
};

/* What is fetched: where from, and what it must be. */
struct file {
    const struct cb_catalogue_source *source; /* NULL: `path` is an address */
    const char *path;
    const char *part; /* name in the staging folder */
    int64_t bytes, limit;
    const struct cb_digest *digest;
    bool shown;
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Address number `i`, NULL past the last. A mirror has the paths of the original; a folder may also
 * have the files side by side, or a models folder's form. */
static const char *address_of(const struct work *w, const struct file *f, int i)
{
    const char *from = w->pull->from, *name = last_part(f->path);
    if (!from && !f->source)
        return i == 0 ? f->path : NULL;
    if (!from)
        return i < f->source->n ? cb_arena_printf(w->arena, "%s%s", f->source->address[i], f->path)
                                : NULL;
    const char *gap = *from && from[strlen(from) - 1] == '/' ? "" : "/";
    if (strstr(from, "://"))
        return i == 0 ? cb_arena_printf(w->arena, "%s%s%s", from, gap, f->source ? f->path : name)
                      : NULL;
    const char *const forms[] = {
        f->source ? cb_arena_printf(w->arena, "%s%s%s", from, gap, f->path) : NULL,
        cb_arena_printf(w->arena, "%s%s%s", from, gap, name),
        cb_arena_printf(w->arena, "%s%s%s/model.onnx", from, gap, w->pull->name),
    };
    const int n = f->shown ? 3 : 2;
    for (int k = 0; i == 0 && k < n; k++)
        if (forms[k] && cb_file_is_regular(forms[k]))
            return forms[k];
    return i == 0 ? forms[1] : NULL;
}

static struct cb_status fetch(struct work *w, const struct file *f,
                              struct cb_download_result *result)
{
    const struct cb_pull *p = w->pull;
    struct cb_status st = cb_fail(CB_ERR_NOMEM, "%s: no memory for its address", p->name);
    char part[PATH_MAX];
    const char *address;
    if (!cb_path_print(part, "%s/%s", w->staging, f->part))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->staging);
    for (int i = 0; (address = address_of(w, f, i)); i++) {
        const struct cb_download download = {
            .address = address,
            .part = part,
            .http = p->from && strncmp(p->from, "http://", 7) == 0,
            .stall_s = p->stall_s,
            .bytes = f->bytes,
            .limit = f->limit,
            .digest = f->digest,
            .progress = f->shown ? p->progress : NULL,
            .ctx = p->ctx,
        };
        if (i > 0)
            p->warn(p->ctx, st.msg);
        st = cb_download_run(&download, result);
        if (st.code == CB_OK)
            return st;
    }
    return st;
}

/* "n01440764 tench" to "tench", in place; false where a line begins otherwise. */
static bool drop_synsets(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        const char *end = strchrnul(p, '\n');
        if (*p != 'n' || strspn(p + 1, "0123456789") != SYNSET_DIGITS ||
            p[SYNSET_DIGITS + 1] != ' ')
            return false;
        p += SYNSET_DIGITS + 2;
        memmove(to, p, (size_t)(end - p));
        to += end - p;
        *to++ = '\n';
        p = *end ? end + 1 : end;
    }
    *to = 0;
    return true;
}

/* labels.txt from what was fetched; counted, so that a page that says something else is none. */
static struct cb_status convert_labels(struct work *w, const char *part, const char *path)
{
    const struct cb_catalogue_labels *l = w->pull->entry->labels;
    const char *const *list;
    struct cb_bytes file;
    int n = 0;
    CB_TRY(cb_file_map(part, &file));
    char *text = cb_arena_alloc(w->arena, file.len + 2, 1); /* the last line may lack its end */
    if (text)
        memcpy(text, file.data, file.len);
    cb_file_unmap(&file);
    if (!text)
        return cb_fail(CB_ERR_NOMEM, "labels: no memory for them");
    if (l->synsets && !drop_synsets(text))
        return cb_fail(CB_ERR_CONTENT, "labels: wants lines as \"n01440764 tench\"");
    CB_TRY(cb_labels_parse(cb_bytes_of_text(text), w->arena, &list, &n));
    if (l->n && n != l->n)
        return cb_fail(CB_ERR_CONTENT, "labels: wants %d lines, has %d", l->n, n);
    return cb_file_write(path, text, strlen(text));
}

static struct cb_status fetch_labels(struct work *w, const char *path)
{
    const struct cb_catalogue_labels *l = w->pull->entry->labels;
    const struct file file = { .source = l->source,
                               .path = l->path,
                               .part = "labels.part",
                               .limit = LABELS_LIMIT,
                               .digest = l->has_digest ? &l->digest : NULL };
    struct cb_download_result result;
    char part[PATH_MAX];
    if (!cb_path_print(part, "%s/%s", w->staging, file.part))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->staging);
    struct cb_status st = fetch(w, &file, &result);
    if (st.code == CB_OK)
        st = convert_labels(w, part, path);
    cb_download_forget(part);
    return st;
}

/* Labels are a convenience: without them the network answers with numbers. */
static struct cb_status add_labels(struct work *w)
{
    const struct cb_catalogue_labels *l = w->pull->entry ? w->pull->entry->labels : NULL;
    char path[PATH_MAX];
    struct cb_buf text;
    if (!l)
        return cb_ok();
    if (!cb_path_print(path, "%s/labels.txt", w->staging))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->staging);
    if (!l->item) {
        const struct cb_status st = fetch_labels(w, path);
        char *note = cb_arena_printf(w->arena, "left without labels: %s", st.msg);
        w->out->labels = st.code == CB_OK;
        if (st.code)
            w->pull->warn(w->pull->ctx, note ? note : "left without labels");
        return cb_ok();
    }
    cb_buf_init(&text, (size_t)LABELS_LIMIT);
    for (int i = 0; i < l->n; i++)
        cb_buf_printf(&text, "%s\n", l->item[i]);
    const struct cb_status st = text.failed ? cb_fail(CB_ERR_NOMEM, "labels: no memory for them")
                                            : cb_file_write(path, text.data, text.len);
    cb_buf_deinit(&text);
    w->out->labels = st.code == CB_OK;
    return st;
}

static struct cb_status add_recipe(struct work *w)
{
    char path[PATH_MAX], *text;
    if (!w->pull->entry || !w->pull->entry->recipe)
        return cb_ok();
    CB_TRY(cb_recipe_print(w->pull->entry->recipe, w->arena, &text));
    if (!cb_path_print(path, "%s/recipe.json", w->staging))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->staging);
    w->out->recipe = true;
    return cb_file_write(path, text, strlen(text));
}

/* The folder appears under its name at once, in place of an older one or of nothing. */
static struct cb_status publish(struct work *w)
{
    char part[PATH_MAX], onnx[PATH_MAX];
    if (!cb_path_print(part, "%s/model.onnx.part", w->staging) ||
        !cb_path_print(onnx, "%s/model.onnx", w->staging))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->staging);
    if (rename(part, onnx))
        return cb_fail(CB_ERR_IO, "%.200s: %s", onnx, strerror(errno));
    cb_download_forget(part); /* what is known of it */
    const bool there = w->pull->replace && cb_file_exists(w->target);
    if (renameat2(AT_FDCWD, w->staging, AT_FDCWD, w->target,
                  there ? RENAME_EXCHANGE : RENAME_NOREPLACE)) {
        const int error = errno;
        rename(onnx, part); /* the next pull need not fetch it again */
        return cb_fail(error == EEXIST ? CB_ERR_CONFLICT : CB_ERR_IO, "%.200s: %s", w->target,
                       strerror(error));
    }
    const int fd = open(w->pull->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return there ? cb_folder_remove(w->staging) : cb_ok();
}

static const struct cb_digest *wanted_digest(const struct cb_pull *p)
{
    return p->digest ? p->digest : p->entry && p->entry->has_digest ? &p->entry->digest : NULL;
}

/* What has the name already: `already` when it holds these bytes. */
static struct cb_status look_at_target(struct work *w)
{
    const struct cb_digest *wanted = wanted_digest(w->pull);
    struct cb_model_files files;
    struct cb_bytes file;
    char beside[PATH_MAX];
    if (!cb_path_print(beside, "%s.onnx", w->target))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", w->target);
    if (!cb_file_exists(w->target) && !cb_file_exists(beside))
        return cb_ok();
    if (cb_model_files_of(w->pull->folder, w->pull->name, &files).code == CB_OK && wanted &&
        !files.is_head && cb_file_map(files.onnx, &file).code == CB_OK) {
        w->out->digest = cb_digest_of(file.data, file.len);
        w->out->bytes = (int64_t)file.len;
        cb_file_unmap(&file);
        w->out->already = w->out->verified = memcmp(&w->out->digest, wanted, sizeof *wanted) == 0;
    }
    if (w->out->already && !w->pull->replace) {
        w->out->labels = *files.labels;
        w->out->recipe = *files.recipe;
        return cb_path_print(w->out->path, "%s", files.path)
                   ? cb_ok()
                   : cb_fail(CB_ERR_INPUT, "%.200s: path is too long", files.path);
    }
    w->out->already = false;
    if (w->pull->replace && !cb_file_exists(beside) && cb_file_is_folder(w->target))
        return cb_ok();
    return cb_fail(CB_ERR_CONFLICT, "%.200s: is there already, and not known to be the same%s",
                   cb_file_exists(beside) ? beside : w->target,
                   w->pull->replace ? ": only a model's folder is replaced" : "");
}

/* Of what an earlier pull left only the unfinished file counts. */
static struct cb_status forget_rest(const struct work *w)
{
    static const char *const names[] = { "model.onnx", "recipe.json", "labels.txt", "labels.part" };
    char path[PATH_MAX];
    for (size_t i = 0; i < CB_COUNT_OF(names); i++)
        if (cb_path_print(path, "%s/%s", w->staging, names[i]) && unlink(path) && errno != ENOENT)
            return cb_fail(CB_ERR_IO, "%.200s: %s", path, strerror(errno));
    return cb_ok();
}

static struct cb_status fetch_all(struct work *w)
{
    const struct cb_pull *p = w->pull;
    const struct file model = {
        .source = p->entry ? p->entry->source : NULL,
        .path = p->entry ? p->entry->path : p->address,
        .part = "model.onnx.part",
        .bytes = p->entry ? p->entry->bytes : 0,
        .limit = CB_PULL_LIMIT,
        .digest = wanted_digest(p),
        .shown = true,
    };
    struct cb_download_result result;
    CB_TRY(cb_folder_make(w->staging));
    CB_TRY(forget_rest(w));
    CB_TRY(fetch(w, &model, &result));
    w->out->bytes = result.bytes;
    w->out->resumed = result.resumed;
    w->out->digest = result.digest;
    w->out->verified = model.digest != NULL;
    CB_TRY(add_recipe(w));
    CB_TRY(add_labels(w));
    CB_TRY(publish(w));
    memcpy(w->out->path, w->target, sizeof w->target);
    return cb_ok();
}

struct cb_status cb_pull_run(const struct cb_pull *pull, struct cb_arena *arena,
                             struct cb_pull_result *out)
{
    struct work w = { .pull = pull, .arena = arena, .out = out };
    char lock[PATH_MAX], room[PATH_MAX];
    *out = (struct cb_pull_result){ 0 };
    if (!cb_model_name_ok(pull->name))
        return cb_fail(CB_ERR_INPUT, "\"%.80s\" is no model's name", pull->name);
    if (!cb_path_print(room, "%s/.pull", pull->folder) ||
        !cb_path_print(lock, "%s/%s.lock", room, pull->name) ||
        !cb_path_print(w.staging, "%s/%s", room, pull->name) ||
        !cb_path_print(w.target, "%s/%s", pull->folder, pull->name))
        return cb_fail(CB_ERR_INPUT, "%.200s: path is too long", pull->folder);
    CB_TRY(cb_folder_make(room));
    const int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return cb_fail(CB_ERR_IO, "%.200s: %s", lock, strerror(errno));
    struct cb_status st = cb_ok();
    if (flock(fd, LOCK_EX | LOCK_NB))
        st = cb_fail(errno == EWOULDBLOCK ? CB_ERR_BUSY : CB_ERR_IO,
                     "%s: another pull of it is running (%.200s)", pull->name, lock);
    if (st.code == CB_OK)
        st = look_at_target(&w);
    if (st.code == CB_OK && !out->already)
        st = fetch_all(&w);
    close(fd);
    return st;
}
