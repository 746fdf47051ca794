/* Archives into a store, by libarchive: once over the headers for the limits, then once over the
 * photos. */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "core/base/buf.h"
#include "importers/dataset/entry_name.h"
#include "importers/dataset/store.h"

#define FREE_BYTES ((size_t)1 << 20) /* unpacked: below this no ratio is too high */

struct unpacking {
    struct cb_dataset_store *store;
    const struct cb_dataset_limits *limits;
    struct cb_bytes file;
    const atomic_bool *cancel;
    struct cb_rejections *rejections;
    struct archive *archive;
    size_t bytes; /* unpacked, or promised to be */
    int entries;
    bool strip; /* one folder holds the whole archive */
};

bool cb_archive_looks_like(struct cb_bytes bytes)
{
    static const struct {
        size_t at, len;
        const char *magic;
    } forms[] = {
        { 0, 4, "PK\3\4" },
        { 0, 4, "PK\5\6" },
        { 0, 3, "\x1f\x8b\x08" },
        { 257, 5, "ustar" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(forms); i++)
        if (bytes.len >= forms[i].at + forms[i].len &&
            !memcmp(bytes.data + forms[i].at, forms[i].magic, forms[i].len))
            return true;
    return false;
}

static const char *error_of(struct archive *archive)
{
    const char *text = archive_error_string(archive);
    return text ? text : "damaged";
}

static struct cb_status open_archive(struct unpacking *u)
{
    if (!(u->archive = archive_read_new()))
        return cb_fail(CB_ERR_NOMEM, "archive: out of memory");
    archive_read_support_format_zip(u->archive);
    archive_read_support_format_tar(u->archive);
    archive_read_support_filter_gzip(u->archive);
    if (archive_read_open_memory(u->archive, u->file.data, u->file.len) != ARCHIVE_OK)
        return cb_fail(CB_ERR_MEDIA, "no archive that we read (.zip, .tar, .tar.gz): %s",
                       error_of(u->archive));
    u->bytes = 0;
    u->entries = 0;
    return cb_ok();
}

/* More unpacked bytes: refuses what is over the limits. */
static struct cb_status count_bytes(struct unpacking *u, size_t more)
{
    if (__builtin_add_overflow(u->bytes, more, &u->bytes) || u->bytes > u->limits->max_total_bytes)
        return cb_fail(CB_ERR_TOO_LARGE, "the archive unpacks to more than %zu bytes",
                       u->limits->max_total_bytes);
    if (u->bytes > FREE_BYTES && u->bytes / (size_t)u->limits->max_ratio > u->file.len)
        return cb_fail(CB_ERR_TOO_LARGE, "the archive unpacks to more than %d times its size",
                       u->limits->max_ratio);
    return cb_ok();
}

/* The next entry; *entry NULL at the end. */
static struct cb_status next_entry(struct unpacking *u, struct archive_entry **entry)
{
    int code;
    *entry = NULL;
    if (u->cancel && atomic_load(u->cancel))
        return cb_fail(CB_ERR_CANCELLED, "unpacking was cancelled");
    while ((code = archive_read_next_header(u->archive, entry)) == ARCHIVE_RETRY)
        ;
    if (code == ARCHIVE_EOF) {
        *entry = NULL;
        return cb_ok();
    }
    if (code < ARCHIVE_WARN)
        return cb_fail(u->entries ? CB_ERR_CONTENT : CB_ERR_MEDIA,
                       "the archive is damaged after %d entries: %s", u->entries,
                       error_of(u->archive));
    if (++u->entries > u->limits->max_entries)
        return cb_fail(CB_ERR_TOO_LARGE, "the archive has more than %d entries",
                       u->limits->max_entries);
    if (archive_entry_is_encrypted(*entry))
        return cb_fail(CB_ERR_CONTENT, "the archive is encrypted");
    return cb_ok();
}

static const char *name_of(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname_utf8(entry);
    if (!name)
        name = archive_entry_pathname(entry);
    return name ? name : "";
}

static bool is_file(struct archive_entry *entry)
{
    return archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry) &&
           !archive_entry_symlink(entry);
}

/* Headers only: sizes and counts against the limits, and whether one folder holds everything. */
static struct cb_status survey(struct unpacking *u)
{
    struct cb_entry_name name;
    struct archive_entry *entry;
    char top[CB_LABEL_MAX + 1] = "";
    bool same = true, deep = false;
    for (;;) {
        CB_TRY(next_entry(u, &entry));
        if (!entry)
            break;
        if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
            CB_TRY(count_bytes(u, (size_t)archive_entry_size(entry)));
        if (!is_file(entry) || cb_entry_name_read(name_of(entry), &name) != CB_ENTRY_TAKEN)
            continue;
        if (!top[0])
            memcpy(top, name.top, sizeof top);
        same &= !strcmp(top, name.top);
        deep |= name.folders > 1;
    }
    u->strip = same && deep;
    return cb_ok();
}

/* The whole of an entry into `out`; *readable false when this one is damaged or too large. */
static struct cb_status read_entry(struct unpacking *u, const char *name, struct cb_buf *out,
                                   bool *readable)
{
    const void *block;
    size_t len;
    la_int64_t offset;
    int code;
    *readable = false;
    while ((code = archive_read_data_block(u->archive, &block, &len, &offset)) == ARCHIVE_OK) {
        CB_TRY(count_bytes(u, len));
        if (len && (offset < 0 || (size_t)offset != out->len)) {
            cb_rejections_add(u->rejections, name, "it has holes");
            return cb_ok();
        }
        if (len)
            cb_buf_add(out, block, len);
        if (out->failed) {
            cb_rejections_add(u->rejections, name, "it has more than %zu bytes",
                              u->limits->max_photo_bytes);
            return cb_ok();
        }
    }
    *readable = code == ARCHIVE_EOF;
    if (!*readable)
        cb_rejections_add(u->rejections, name, "%s", error_of(u->archive));
    return cb_ok();
}

static struct cb_status take_photo(struct unpacking *u, const char *name, const char *label)
{
    struct cb_buf bytes;
    bool readable, added;
    cb_buf_init(&bytes, u->limits->max_photo_bytes);
    struct cb_status st = read_entry(u, name, &bytes, &readable);
    if (st.code == CB_OK && readable)
        st = cb_dataset_store_add(u->store, label, name,
                                  (struct cb_bytes){ (const uint8_t *)bytes.data, bytes.len },
                                  u->rejections, &added);
    cb_buf_deinit(&bytes);
    return st;
}

static struct cb_status take_entry(struct unpacking *u, struct archive_entry *entry)
{
    const char *name = name_of(entry);
    struct cb_entry_name read;
    const enum cb_entry_verdict verdict = cb_entry_name_read(name, &read);
    if (archive_entry_filetype(entry) == AE_IFDIR || verdict == CB_ENTRY_HIDDEN)
        return cb_ok();
    if (!is_file(entry))
        cb_rejections_add(u->rejections, name, "it is a link or a device");
    else if (verdict == CB_ENTRY_REFUSED || (u->strip && read.folders < 2))
        cb_rejections_add(u->rejections, name, "%s",
                          read.reason ? read.reason : "it is in no class folder");
    else if (archive_entry_size_is_set(entry) &&
             archive_entry_size(entry) > (la_int64_t)u->limits->max_photo_bytes)
        cb_rejections_add(u->rejections, name, "it has more than %zu bytes",
                          u->limits->max_photo_bytes);
    else
        return take_photo(u, name, read.label);
    return cb_ok();
}

static struct cb_status extract(struct unpacking *u)
{
    for (struct archive_entry *entry;;) {
        CB_TRY(next_entry(u, &entry));
        if (!entry)
            return cb_ok();
        CB_TRY(take_entry(u, entry));
    }
}

static struct cb_status unpack(struct unpacking *u)
{
    static struct cb_status (*const passes[])(struct unpacking *) = { survey, extract };
    struct cb_status st = cb_ok();
    if (!cb_archive_looks_like(u->file))
        return cb_fail(CB_ERR_MEDIA, "no archive that we read (.zip, .tar, .tar.gz)");
    for (size_t i = 0; i < CB_COUNT_OF(passes) && st.code == CB_OK; i++) {
        st = open_archive(u);
        if (st.code == CB_OK)
            st = passes[i](u);
        archive_read_free(u->archive);
    }
    return st;
}

struct cb_status cb_dataset_store_add_archive(struct cb_dataset_store *store,
                                              const struct cb_archive_source *source,
                                              struct cb_rejections *rejections)
{
    struct unpacking u = { .store = store,
                           .limits = cb_dataset_store_limits(store),
                           .file = source->bytes,
                           .cancel = source->cancel,
                           .rejections = rejections };
    if (source->path)
        CB_TRY(cb_file_map(source->path, &u.file));
    const struct cb_status st = unpack(&u);
    if (source->path)
        cb_file_unmap(&u.file);
    return st;
}
