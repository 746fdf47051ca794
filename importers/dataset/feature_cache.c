#include "importers/dataset/feature_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/file.h"

#define ENDING ".features"
#define BUFFER_BYTES ((size_t)1 << 20) /* appended together */
#define MOST_FILES 4096                /* of a folder that are looked at */

struct header {
    char magic[16];
    uint32_t version, d;
    struct cb_digest key;
    uint8_t unused[8];
};

struct record {
    struct cb_digest photo;
    uint8_t check[8]; /* the first bytes of the digest of photo and features */
    float features[];
};

struct cb_feature_cache {
    struct cb_arena arena;
    const char *folder, *path;
    struct header header;
    size_t limit, record_bytes;
    int fd;
    struct cb_bytes mapped;      /* header and records as they were at opening */
    const struct record **index; /* [n] sound ones, sorted by photo */
    size_t n;
    uint8_t *buffer; /* records that wait */
    size_t waiting, capacity;
};

static void make_check(const struct record *r, size_t features_bytes, uint8_t check[8])
{
    const struct cb_digest digest =
        cb_digest_of2(&r->photo, sizeof r->photo, r->features, features_bytes);
    memcpy(check, digest.byte, 8);
}

static size_t features_bytes(const struct cb_feature_cache *c)
{
    return c->header.d * sizeof(float);
}

static bool is_sound(const struct cb_feature_cache *c, const struct record *r)
{
    uint8_t check[8];
    make_check(r, features_bytes(c), check);
    return !memcmp(check, r->check, sizeof check);
}

static int by_photo(const void *a, const void *b)
{
    const struct record *const *x = a, *const *y = b;
    return memcmp(&(*x)->photo, &(*y)->photo, sizeof(*x)->photo);
}

static bool has_header(const struct cb_feature_cache *c, off_t size)
{
    struct header there;
    return size >= (off_t)sizeof there &&
           pread(c->fd, &there, sizeof there, 0) == (ssize_t)sizeof there &&
           !memcmp(&there, &c->header, sizeof there);
}

/* The file, with our header and whole records, locked while it is looked at. A strange one is
 * replaced. */
static struct cb_status open_file(struct cb_feature_cache *c, size_t *size)
{
    const struct header header = c->header;
    struct stat info;
    c->fd = open(c->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (c->fd < 0 || flock(c->fd, LOCK_EX) || fstat(c->fd, &info) || !S_ISREG(info.st_mode))
        return cb_fail(CB_ERR_IO, "%s: %s", c->path, errno ? strerror(errno) : "no regular file");
    if (!has_header(c, info.st_size) || (size_t)info.st_size > c->limit) {
        close(c->fd);
        unlink(c->path);
        c->fd = open(c->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (c->fd < 0 || write(c->fd, &header, sizeof header) != (ssize_t)sizeof header)
            return cb_fail(CB_ERR_IO, "%s: %s", c->path, strerror(errno));
        info.st_size = sizeof c->header;
    }
    *size = (size_t)info.st_size - ((size_t)info.st_size - sizeof c->header) % c->record_bytes;
    if ((off_t)*size != info.st_size && ftruncate(c->fd, (off_t)*size))
        return cb_fail(CB_ERR_IO, "%s: %s", c->path, strerror(errno));
    flock(c->fd, LOCK_UN);
    return cb_ok();
}

static struct cb_status read_index(struct cb_feature_cache *c, size_t size)
{
    const size_t count = (size - sizeof c->header) / c->record_bytes;
    CB_TRY(cb_file_map_open(c->fd, c->path, &c->mapped));
    if (c->mapped.len < size)
        return cb_fail(CB_ERR_IO, "%s: became shorter", c->path);
    CB_TRY(cb_arena_get(&c->arena, count, sizeof *c->index, "feature cache", &c->index));
    for (size_t i = 0; i < count; i++)
        c->index[c->n++] = (const void *)(c->mapped.data + sizeof c->header + i * c->record_bytes);
    if (c->n)
        qsort(c->index, c->n, sizeof *c->index, by_photo);
    return cb_ok();
}

static struct cb_status start(struct cb_feature_cache *c, const char *folder)
{
    char hex[CB_DIGEST_TEXT];
    size_t size = 0;
    cb_digest_text(&c->header.key, hex);
    c->folder = cb_arena_text(&c->arena, folder, strlen(folder));
    c->path = cb_arena_printf(&c->arena, "%s/%.40s" ENDING, folder, hex);
    c->capacity = BUFFER_BYTES > c->record_bytes ? BUFFER_BYTES - BUFFER_BYTES % c->record_bytes
                                                 : c->record_bytes;
    CB_TRY(cb_arena_get(&c->arena, c->capacity, 1, "feature cache", &c->buffer));
    if (!c->folder || !c->path)
        return cb_fail(CB_ERR_NOMEM, "feature cache: no room");
    CB_TRY(cb_folder_make(folder));
    CB_TRY(open_file(c, &size));
    return read_index(c, size);
}

static void destroy(struct cb_feature_cache *c)
{
    cb_file_unmap(&c->mapped);
    if (c->fd >= 0)
        close(c->fd);
    cb_arena_deinit(&c->arena);
}

struct cb_status cb_feature_cache_open(const char *folder, const struct cb_digest *key, int d,
                                       size_t limit, struct cb_feature_cache **out)
{
    struct cb_feature_cache *c;
    const size_t record_bytes = sizeof(struct record) + (size_t)d * sizeof(float);
    CB_TRY(
        cb_arena_begin(limit / record_bytes * sizeof(void *) + 2 * record_bytes + 4 * BUFFER_BYTES,
                       sizeof *c, &c));
    *c = (struct cb_feature_cache){
        .arena = c->arena,
        .limit = limit,
        .fd = -1,
        .record_bytes = record_bytes,
        .header = { .magic = "cambium-features", .version = 1, .d = (uint32_t)d, .key = *key },
    };
    const struct cb_status st = start(c, folder);
    if (st.code)
        destroy(c);
    else
        *out = c;
    return st;
}

bool cb_feature_cache_find(const struct cb_feature_cache *cache, const struct cb_digest *photo,
                           float *features)
{
    size_t low = 0, high = cache->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (memcmp(&cache->index[middle]->photo, photo, sizeof *photo) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < cache->n && !memcmp(&cache->index[low]->photo, photo, sizeof *photo); low++)
        if (is_sound(cache, cache->index[low])) {
            memcpy(features, cache->index[low]->features, features_bytes(cache));
            return true;
        }
    return false;
}

/* Appends what waits behind the last whole record. */
static void flush(struct cb_feature_cache *c)
{
    struct stat info;
    if (c->waiting && flock(c->fd, LOCK_EX) == 0) {
        if (fstat(c->fd, &info) == 0 && info.st_size >= (off_t)sizeof c->header &&
            (size_t)info.st_size + c->waiting <= c->limit) {
            const size_t tail = ((size_t)info.st_size - sizeof c->header) % c->record_bytes;
            if (pwrite(c->fd, c->buffer, c->waiting, info.st_size - (off_t)tail) < 0)
                c->limit = 0; /* no more */
        }
        flock(c->fd, LOCK_UN);
    }
    c->waiting = 0;
}

void cb_feature_cache_add(struct cb_feature_cache *cache, const struct cb_digest *photo,
                          const float *features)
{
    struct record *r = (void *)(cache->buffer + cache->waiting);
    r->photo = *photo;
    memcpy(r->features, features, features_bytes(cache));
    make_check(r, features_bytes(cache), r->check);
    cache->waiting += cache->record_bytes;
    if (cache->waiting + cache->record_bytes > cache->capacity)
        flush(cache);
}

/* Removes the oldest file but ours; false when there is none, or the folder is within its limit. */
static bool remove_oldest(const struct cb_feature_cache *c)
{
    const char *own = strrchr(c->path, '/') + 1;
    char oldest[NAME_MAX + 1] = "";
    struct stat info, oldest_info = { 0 };
    size_t bytes = 0;
    int files = 0;
    DIR *dir = opendir(c->folder);
    for (struct dirent *entry; dir && files < MOST_FILES && (entry = readdir(dir));) {
        if (!cb_path_ending(entry->d_name, ENDING) ||
            fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW))
            continue;
        files++;
        bytes += (size_t)info.st_size;
        if (strcmp(entry->d_name, own) && (!oldest[0] || info.st_mtime < oldest_info.st_mtime)) {
            snprintf(oldest, sizeof oldest, "%s", entry->d_name);
            oldest_info = info;
        }
    }
    const bool removed =
        dir && oldest[0] && bytes > c->limit && unlinkat(dirfd(dir), oldest, 0) == 0;
    if (dir)
        closedir(dir);
    return removed;
}

void cb_feature_cache_close(struct cb_feature_cache *cache)
{
    if (!cache)
        return;
    flush(cache);
    while (remove_oldest(cache))
        ;
    destroy(cache);
}
