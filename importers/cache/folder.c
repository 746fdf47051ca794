#include "importers/cache/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/base/checksum.h"

#define MOST_FILES 4096                /* of a folder that are looked at */
#define LEAST_FREE ((uint64_t)1 << 30) /* of the disk, and a twentieth of it */
#define TEMPORARY ".new-XXXXXX"
#define LEFT_BEHIND_S 3600 /* age of a temporary file that nobody writes any more */

static struct cb_status fail_errno(const char *path)
{
    return cb_fail(errno == ENOENT ? CB_ERR_NOT_FOUND : CB_ERR_IO, "%.200s: %s", path,
                   strerror(errno));
}

/* Ours alone to write. */
static bool is_ours(const struct stat *info)
{
    return info->st_uid == geteuid() && (info->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

struct cb_status cb_cache_folder_open(const char *path, size_t limit, struct cb_cache_folder *out)
{
    struct stat info;
    if (!cb_path_print(out->path, "%s", path))
        return cb_fail(CB_ERR_INPUT, "the cache folder's name is too long");
    if (!cb_file_is_folder(path)) {
        CB_TRY(cb_folder_make(path));
        if (chmod(path, 0700))
            return fail_errno(path);
    }
    if (stat(path, &info))
        return fail_errno(path);
    if (!is_ours(&info))
        return cb_fail(CB_ERR_INPUT, "%.200s: belongs to another user, or others may write there",
                       path);
    out->limit = limit;
    return cb_ok();
}

struct cb_status cb_cache_folder_map(const struct cb_cache_folder *folder, const char *name,
                                     struct cb_bytes *out)
{
    struct cb_status st;
    struct stat info;
    char path[PATH_MAX];
    int fd;
    if (!cb_path_print(path, "%s/%s", folder->path, name))
        return cb_fail(CB_ERR_IO, "%.100s: path is too long", name);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
        return errno == ELOOP ? cb_fail(CB_ERR_CONTENT, "%.200s: is a link", path)
                              : fail_errno(path);
    if (fstat(fd, &info) || !S_ISREG(info.st_mode) || !is_ours(&info))
        st = cb_fail(CB_ERR_CONTENT, "%.200s: belongs to another user, or others may write it",
                     path);
    else
        st = cb_file_map_open(fd, path, out);
    if (!st.code)
        futimens(fd, NULL); /* used now: the oldest go first */
    close(fd);
    return st;
}

struct found {
    char name[NAME_MAX + 1];
    struct stat info;
};

/* The file that was used longest ago but `own` and the small ones; bytes: of all. */
static struct found find_oldest(DIR *dir, const char *own, uint64_t *bytes)
{
    struct found oldest = { .name = "" }, f;
    int files = 0;
    *bytes = 0;
    rewinddir(dir);
    for (struct dirent *e; files < MOST_FILES && (e = readdir(dir)); files++) {
        if (fstatat(dirfd(dir), e->d_name, &f.info, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(f.info.st_mode))
            continue;
        snprintf(f.name, sizeof f.name, "%s", e->d_name);
        if (strstr(f.name, ".new-") && time(NULL) - f.info.st_mtime > LEFT_BEHIND_S &&
            unlinkat(dirfd(dir), f.name, 0) == 0)
            continue;
        *bytes += (uint64_t)f.info.st_size;
        if (strcmp(f.name, own) && cb_path_ending(f.name, ".packed") &&
            (!oldest.name[0] || f.info.st_mtime < oldest.info.st_mtime))
            oldest = f;
    }
    return oldest;
}

/* Removes what is oldest until the folder is within its limit. */
static void trim(const struct cb_cache_folder *folder, const char *own)
{
    DIR *dir = opendir(folder->path);
    uint64_t bytes;
    for (int i = 0; dir && i < MOST_FILES; i++) {
        const struct found f = find_oldest(dir, own, &bytes);
        if (bytes <= folder->limit || !f.name[0] || unlinkat(dirfd(dir), f.name, 0))
            break;
    }
    if (dir)
        closedir(dir);
}

static struct cb_status check_room(const struct cb_cache_folder *folder, size_t bytes)
{
    struct statvfs disk;
    if (bytes > folder->limit)
        return cb_fail(CB_ERR_TOO_LARGE, "%zu MB are over the cache's limit of %zu MB", bytes >> 20,
                       folder->limit >> 20);
    if (statvfs(folder->path, &disk))
        return fail_errno(folder->path);
    const uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    const uint64_t part = (uint64_t)disk.f_blocks * disk.f_frsize / 20;
    const uint64_t keep = part < LEAST_FREE ? part : LEAST_FREE;
    return left > keep && left - keep > bytes
               ? cb_ok()
               : cb_fail(CB_ERR_TOO_LARGE, "%.200s: the disk is nearly full", folder->path);
}

struct cb_status cb_cache_folder_write(const struct cb_cache_folder *folder, const char *name,
                                       size_t bytes, cb_cache_write_fn *write, void *ctx)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    struct cb_status st;
    int fd;
    CB_TRY(check_room(folder, bytes));
    if (!cb_path_print(path, "%s/%s", folder->path, name) ||
        !cb_path_print(temporary, "%s" TEMPORARY, path))
        return cb_fail(CB_ERR_IO, "%.100s: path is too long", name);
    if ((fd = mkstemp(temporary)) < 0)
        return fail_errno(temporary);
    st = write(ctx, fd);
    if (close(fd) && !st.code)
        st = fail_errno(temporary);
    if (!st.code && rename(temporary, path))
        st = fail_errno(path);
    if (st.code)
        unlink(temporary);
    else
        trim(folder, name);
    return st;
}

int cb_cache_folder_lock(const struct cb_cache_folder *folder)
{
    char path[PATH_MAX];
    int fd;
    if (!cb_path_print(path, "%s/lock", folder->path) ||
        (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return -1;
    while (flock(fd, LOCK_EX))
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}

void cb_cache_folder_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

/* ---- records ---- */

#define ORDER 0x01020304u
#define VERSION 1u

struct header {
    char name[16];
    uint32_t order, version;
    uint64_t build, size, n;
    uint64_t sum, header; /* of the records; of the header with this one 0 */
};

static uint64_t header_sum(struct header h)
{
    h.header = 0;
    return cb_checksum(&h, sizeof h);
}

struct cb_status cb_records_parse(struct cb_bytes file, const struct cb_records *kind,
                                  struct cb_arena *arena, void *records_pointer, size_t *n)
{
    const uint8_t *records = file.data + sizeof(struct header);
    struct header h;
    void *copy;
    if (file.len < sizeof h)
        return cb_fail(CB_ERR_CONTENT, "%s: too short", kind->name);
    memcpy(&h, file.data, sizeof h);
    if (strncmp(h.name, kind->name, sizeof h.name) || h.order != ORDER || h.version != VERSION ||
        h.size != kind->size || h.header != header_sum(h))
        return cb_fail(CB_ERR_CONTENT, "%s: no file of this version, or damaged", kind->name);
    if (h.build != kind->build)
        h.n = 0;
    else if (h.n > kind->most || h.n * h.size != file.len - sizeof h ||
             h.sum != cb_checksum(records, h.n * h.size))
        return cb_fail(CB_ERR_CONTENT, "%s: damaged", kind->name);
    CB_TRY(cb_arena_get(arena, h.n, h.size, kind->name, &copy));
    memcpy(copy, records, h.n * h.size);
    memcpy(records_pointer, &copy, sizeof copy);
    *n = h.n;
    return cb_ok();
}

struct cb_status cb_records_read(const struct cb_cache_folder *folder,
                                 const struct cb_records *kind, struct cb_arena *arena,
                                 void *records_pointer, size_t *n)
{
    struct cb_bytes file;
    struct cb_status st = cb_cache_folder_map(folder, kind->name, &file);
    *n = 0;
    if (st.code == CB_ERR_NOT_FOUND)
        return cb_ok();
    CB_TRY(st);
    st = cb_records_parse(file, kind, arena, records_pointer, n);
    cb_file_unmap(&file);
    return st;
}

struct cb_status cb_records_write(const struct cb_cache_folder *folder,
                                  const struct cb_records *kind, const void *records, size_t n)
{
    struct header h = { .order = ORDER,
                        .version = VERSION,
                        .build = kind->build,
                        .size = kind->size,
                        .n = n,
                        .sum = cb_checksum(records, n * kind->size) };
    char path[PATH_MAX];
    snprintf(h.name, sizeof h.name, "%s", kind->name);
    h.header = header_sum(h);
    CB_TRY(check_room(folder, sizeof h + n * kind->size));
    if (!cb_path_print(path, "%s/%s", folder->path, kind->name))
        return cb_fail(CB_ERR_IO, "%s: path is too long", kind->name);
    return cb_file_write_parts(
        path,
        (const struct cb_bytes[]){ { (const uint8_t *)&h, sizeof h }, { records, n * kind->size } },
        2);
}
