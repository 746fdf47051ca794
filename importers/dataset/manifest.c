#include "importers/dataset/manifest.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/file.h"

#define MOST_BYTES ((size_t)CB_DATASET_MAX_CLASSES * (CB_LABEL_MAX + 1) + 64)

static const char first_line[] = "cambium-dataset 1\n";

static struct cb_status path_of(const char *folder, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, CB_MANIFEST_NAME) >= PATH_MAX)
        return cb_fail(CB_ERR_IO, "%s: path is too long", folder);
    return cb_ok();
}

static struct cb_status parse(struct cb_bytes text, struct cb_arena *arena,
                              const char *const **labels, int *n)
{
    const char *p = (const char *)text.data, *end;
    const char **list;
    size_t lines = 0;
    int count = 0;
    if (text.len > MOST_BYTES || text.len < strlen(first_line) ||
        memcmp(p, first_line, strlen(first_line)))
        return cb_fail(CB_ERR_CONTENT, "not a manifest that we read");
    end = p + text.len;
    p += strlen(first_line);
    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    if (lines > CB_DATASET_MAX_CLASSES)
        return cb_fail(CB_ERR_CONTENT, "more than %d classes", CB_DATASET_MAX_CLASSES);
    CB_TRY(cb_arena_get(arena, lines, sizeof *list, "labels", &list));
    for (const char *line_end; p < end && (line_end = memchr(p, '\n', (size_t)(end - p)));
         p = line_end + 1) {
        char *label = cb_arena_text(arena, p, (size_t)(line_end - p));
        if (!label)
            return cb_fail(CB_ERR_NOMEM, "no room for the labels");
        if (strlen(label) != (size_t)(line_end - p) || !cb_label_ok(label))
            return cb_fail(CB_ERR_CONTENT, "line %d is no label", count + 2);
        list[count++] = label;
    }
    *labels = list;
    *n = count;
    return p == end ? cb_ok() : cb_fail(CB_ERR_CONTENT, "its last line has no end");
}

struct cb_status cb_manifest_read(const char *folder, struct cb_arena *arena, bool *found,
                                  const char *const **labels, int *n)
{
    char path[PATH_MAX];
    struct cb_bytes text;
    CB_TRY(path_of(folder, path));
    struct cb_status st = cb_file_map(path, &text);
    *found = st.code == CB_OK;
    if (st.code)
        return st.code == CB_ERR_NOT_FOUND ? cb_ok() : st;
    st = cb_context(parse(text, arena, labels, n), "%s", path);
    cb_file_unmap(&text);
    return st;
}

struct cb_status cb_manifest_write(const char *folder, const char *const *labels, int n)
{
    char path[PATH_MAX];
    struct cb_buf text;
    struct cb_status st;
    CB_TRY(path_of(folder, path));
    cb_buf_init(&text, MOST_BYTES);
    cb_buf_printf(&text, "%s", first_line);
    for (int i = 0; i < n; i++)
        cb_buf_printf(&text, "%s\n", labels[i]);
    st = text.failed ? cb_fail(CB_ERR_NOMEM, "%s: no room", path)
                     : cb_file_write(path, text.data, text.len);
    cb_buf_deinit(&text);
    return st;
}
