#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRESH_NS 100000000 /* more than any tick of a file system's clock */

static struct cb_status fail_errno(const char *path)
{
    return cb_fail(errno == ENOENT || errno == ENOTDIR ? CB_ERR_NOT_FOUND : CB_ERR_IO, "%s: %s",
                   path, strerror(errno));
}

struct cb_status cb_file_map_open(int fd, const char *name, struct cb_bytes *out)
{
    struct stat info;
    void *p = NULL;
    if (fstat(fd, &info))
        return fail_errno(name);
    if (!S_ISREG(info.st_mode))
        return cb_fail(CB_ERR_IO, "%s: not a regular file", name);
    if (info.st_size > 0 &&
        (p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        return fail_errno(name);
    *out = (struct cb_bytes){ p, (size_t)info.st_size };
    return cb_ok();
}

static struct cb_status map_and_close(int fd, const char *path, struct cb_bytes *out)
{
    const struct cb_status st = cb_file_map_open(fd, path, out);
    close(fd);
    return st;
}

struct cb_status cb_file_map(const char *path, struct cb_bytes *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? fail_errno(path) : map_and_close(fd, path, out);
}

bool cb_file_identify(int fd, struct cb_file_identity *out)
{
    struct stat info;
    if (fstat(fd, &info))
        return false;
    *out = (struct cb_file_identity){
        .device = info.st_dev,
        .inode = info.st_ino,
        .size = (uint64_t)info.st_size,
        .modified_ns = info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec,
        .changed_ns = info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec,
    };
    return true;
}

bool cb_file_same(const struct cb_file_identity *a, const struct cb_file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

bool cb_file_is_fresh(const struct cb_file_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec - identity->changed_ns < FRESH_NS;
}

struct cb_status cb_file_map_known(const char *path, struct cb_bytes *out,
                                   struct cb_file_identity *identity)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(path);
    if (!cb_file_identify(fd, identity)) {
        const struct cb_status st = fail_errno(path);
        close(fd);
        return st;
    }
    return map_and_close(fd, path, out);
}

/* One step of a path from outside: fd of `name` in the folder `at`, which is closed. */
static int step_into(int at, const char *name, bool last)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    const int fd = openat(at, name, flags), error = errno;
    close(at);
    errno = error;
    return fd;
}

struct cb_status cb_file_map_inside(const char *folder, const char *relative, struct cb_bytes *out)
{
    char path[PATH_MAX];
    char *part = path, *next;
    int fd;
    if (relative[0] == '/' || snprintf(path, sizeof path, "%s", relative) >= (int)sizeof path)
        return cb_fail(CB_ERR_INPUT, "%.200s: not a path inside the folder", relative);
    if ((fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY)) < 0)
        return fail_errno(folder);
    do {
        if ((next = strchr(part, '/')))
            *next++ = 0;
        if (strcmp(part, "..") == 0) {
            close(fd);
            return cb_fail(CB_ERR_INPUT, "%.200s: not a path inside the folder", relative);
        }
        if ((fd = step_into(fd, *part ? part : ".", !next)) < 0)
            return errno == ELOOP
                       ? cb_fail(CB_ERR_INPUT, "%.200s: links are not followed", relative)
                       : fail_errno(relative);
        part = next;
    } while (next);
    return map_and_close(fd, relative, out);
}

void cb_file_unmap(struct cb_bytes *bytes)
{
    if (bytes->data)
        munmap((void *)(uintptr_t)bytes->data, bytes->len);
    *bytes = (struct cb_bytes){ 0 };
}

void cb_file_will_read(const void *data, size_t len)
{
    const uintptr_t page = 4096, from = (uintptr_t)data & ~(page - 1);
    if (len)
        madvise((void *)from, (uintptr_t)data + len - from, MADV_WILLNEED);
}

void cb_file_let_go(const void *data, size_t len)
{
    const uintptr_t page = 4096, from = ((uintptr_t)data + page - 1) & ~(page - 1);
    const uintptr_t to = ((uintptr_t)data + len) & ~(page - 1);
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

bool cb_file_add(int fd, const void *data, size_t len)
{
    const uint8_t *next = data;
    while (len) {
        const ssize_t n = write(fd, next, len < (1u << 30) ? len : (1u << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        next += n;
        len -= (size_t)n;
    }
    return true;
}

static void sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    int fd;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return;
    if ((fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
        fsync(fd);
        close(fd);
    }
}

struct cb_status cb_file_write_parts(const char *path, const struct cb_bytes *parts, size_t count)
{
    char temp[PATH_MAX];
    struct cb_status st = cb_ok();
    int fd;
    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return cb_fail(CB_ERR_IO, "%s: path is too long", path);
    if ((fd = mkstemp(temp)) < 0)
        return fail_errno(path);
    for (size_t i = 0; i < count && st.code == CB_OK; i++)
        if (!cb_file_add(fd, parts[i].data, parts[i].len))
            st = fail_errno(path);
    if (st.code == CB_OK && (fchmod(fd, 0644) || fsync(fd)))
        st = fail_errno(path);
    if (close(fd) && st.code == CB_OK)
        st = fail_errno(path);
    if (st.code == CB_OK && rename(temp, path))
        st = fail_errno(path);
    if (st.code)
        unlink(temp);
    else
        sync_folder_of(path);
    return st;
}

struct cb_status cb_file_write(const char *path, const void *data, size_t len)
{
    return cb_file_write_parts(path, &(struct cb_bytes){ data, len }, 1);
}

bool cb_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool cb_file_is_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool cb_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool cb_path_print(char out[PATH_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(out, PATH_MAX, fmt, args);
    va_end(args);
    return n >= 0 && n < PATH_MAX;
}

const char *cb_path_ending(const char *path, const char *ending)
{
    const size_t len = strlen(path), n = strlen(ending);
    return len > n && strcmp(path + len - n, ending) == 0 ? path + len - n : NULL;
}

struct cb_status cb_folder_make(const char *path)
{
    char part[PATH_MAX];
    const size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return cb_fail(CB_ERR_IO, "%s: path is empty or too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0755) && (errno != EEXIST || !cb_file_is_folder(part)))
            return fail_errno(part);
    }
    return cb_ok();
}

static struct cb_status remove_at(int parent, const char *name, int depth)
{
    struct cb_status st = cb_ok();
    struct dirent *entry;
    DIR *dir;
    int fd;
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return st;
    if (errno != EISDIR && errno != EPERM)
        return fail_errno(name);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(name);
    if (depth == 0) {
        close(fd);
        return cb_fail(CB_ERR_IO, "%s: folders are nested too deep", name);
    }
    if (!(dir = fdopendir(fd))) {
        close(fd);
        return fail_errno(name);
    }
    while (st.code == CB_OK && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            st = remove_at(fd, entry->d_name, depth - 1);
    closedir(dir);
    if (st.code == CB_OK && unlinkat(parent, name, AT_REMOVEDIR))
        st = fail_errno(name);
    return st;
}

struct cb_status cb_folder_remove(const char *path)
{
    return remove_at(AT_FDCWD, path, 64);
}
