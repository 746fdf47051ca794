#include "tests/support/archive_maker.h"

#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <string.h>

#include "importers/image/encode_png.h"

static la_ssize_t keep(struct archive *writer, void *ctx, const void *data, size_t len)
{
    struct archive_maker *maker = ctx;
    (void)writer;
    cb_buf_add(&maker->bytes, data, len);
    return maker->bytes.failed ? -1 : (la_ssize_t)len;
}

void archive_begin(struct archive_maker *maker, enum archive_form form)
{
    maker->writer = archive_write_new();
    cb_buf_init(&maker->bytes, (size_t)64 << 20);
    if (form == ARCHIVE_ZIP)
        archive_write_set_format_zip(maker->writer);
    else
        archive_write_set_format_pax_restricted(maker->writer);
    if (form == ARCHIVE_TAR_GZ)
        archive_write_add_filter_gzip(maker->writer);
    archive_write_set_bytes_in_last_block(maker->writer, 1);
    cr_assert_eq(archive_write_open(maker->writer, maker, NULL, keep, NULL), ARCHIVE_OK);
}

static struct archive_entry *new_entry(const char *name, unsigned type, size_t len)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)len);
    return entry;
}

static void put(struct archive_maker *maker, struct archive_entry *entry, const void *data,
                size_t len)
{
    cr_assert(archive_write_header(maker->writer, entry) >= ARCHIVE_WARN, "%s",
              archive_error_string(maker->writer));
    if (len)
        cr_assert_eq(archive_write_data(maker->writer, data, len), (la_ssize_t)len);
    archive_entry_free(entry);
}

void archive_add(struct archive_maker *maker, const char *name, const void *data, size_t len)
{
    put(maker, new_entry(name, AE_IFREG, len), data, len);
}

void archive_add_folder(struct archive_maker *maker, const char *name)
{
    put(maker, new_entry(name, AE_IFDIR, 0), NULL, 0);
}

void archive_add_link(struct archive_maker *maker, const char *name, const char *target, bool hard)
{
    struct archive_entry *entry = new_entry(name, hard ? AE_IFREG : AE_IFLNK, 0);
    if (hard)
        archive_entry_set_hardlink(entry, target);
    else
        archive_entry_set_symlink(entry, target);
    put(maker, entry, NULL, 0);
}

void archive_add_device(struct archive_maker *maker, const char *name)
{
    put(maker, new_entry(name, AE_IFCHR, 0), NULL, 0);
}

struct cb_bytes archive_end(struct archive_maker *maker)
{
    cr_assert_eq(archive_write_close(maker->writer), ARCHIVE_OK);
    return (struct cb_bytes){ (const uint8_t *)maker->bytes.data, maker->bytes.len };
}

void archive_drop(struct archive_maker *maker)
{
    archive_write_free(maker->writer);
    cb_buf_deinit(&maker->bytes);
}

void archive_photo(int shade, struct cb_buf *out)
{
    uint8_t rgb[9 * 8 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(shade * 37 + (int)i % 3 * 50);
    memcpy(rgb, &shade, sizeof shade);
    cr_assert_eq(cb_png_encode(&(struct cb_image){ 9, 8, rgb }, out).code, CB_OK);
}

void archive_add_photo(struct archive_maker *maker, const char *name, int shade)
{
    struct cb_buf photo;
    cb_buf_init(&photo, 1 << 20);
    archive_photo(shade, &photo);
    archive_add(maker, name, photo.data, photo.len);
    cb_buf_deinit(&photo);
}
