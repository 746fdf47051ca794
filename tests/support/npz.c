#include "tests/support/npz.h"

#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <string.h>

#include "importers/tensor/npy.h"

static struct archive *open_zip(const char *path)
{
    struct archive *a = archive_read_new();
    archive_read_support_format_zip(a);
    cr_assert_eq(archive_read_open_filename(a, path, 1 << 16), ARCHIVE_OK, "%s", path);
    return a;
}

/* The next array of the file, its name without .npy; false at the end. */
static bool next(struct archive *a, struct archive_entry **entry, char name[256])
{
    const char *ending;
    if (archive_read_next_header(a, entry) != ARCHIVE_OK)
        return false;
    snprintf(name, 256, "%s", archive_entry_pathname(*entry));
    ending = strstr(name, ".npy");
    cr_assert_not_null(ending, "%s", name);
    name[ending - name] = 0;
    return true;
}

static void read_array(struct archive *a, const struct archive_entry *entry, struct cb_arena *arena,
                       struct cb_tensor *out)
{
    const size_t bytes = (size_t)archive_entry_size((struct archive_entry *)(uintptr_t)entry);
    uint8_t *data = cb_arena_alloc(arena, bytes, 1);
    cr_assert_not_null(data);
    cr_assert_eq(archive_read_data(a, data, bytes), (la_ssize_t)bytes);
    const struct cb_status st = cb_npy_read(arena, (struct cb_bytes){ data, bytes }, out);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
}

bool npz_read(const char *path, const char *name, struct cb_arena *arena, struct cb_tensor *out)
{
    struct archive *a = open_zip(path);
    struct archive_entry *entry;
    bool found = false;
    char is[256];
    while (!found && next(a, &entry, is)) {
        found = strcmp(is, name) == 0;
        if (found)
            read_array(a, entry, arena, out);
    }
    archive_read_free(a);
    return found;
}

void npz_each(const char *path, struct cb_arena *arena,
              void (*see)(void *ctx, const char *name, const struct cb_tensor *array), void *ctx)
{
    struct archive *a = open_zip(path);
    struct archive_entry *entry;
    const size_t mark = arena->used;
    struct cb_tensor array;
    char name[256];
    while (next(a, &entry, name)) {
        read_array(a, entry, arena, &array);
        see(ctx, name, &array);
        cb_arena_rewind(arena, mark);
    }
    archive_read_free(a);
}
