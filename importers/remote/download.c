#include "importers/remote/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"

struct work {
    const struct cb_download *download;
    int fd;          /* of the unfinished file */
    int64_t have;    /* bytes in it */
    int64_t resumed; /* of them, there before */
    int64_t total;   /* as announced; 0: not known */
    bool spoilt;     /* the bytes in it are known to be wrong */
};

static struct cb_status fail_part(const struct work *w, const char *what)
{
    return cb_fail(CB_ERR_IO, "%.200s: %s: %s", w->download->part, what, strerror(errno));
}

static bool from_path(const char *part, char out[PATH_MAX])
{
    return cb_path_print(out, "%s.from", part);
}

void cb_download_forget(const char *part)
{
    char from[PATH_MAX];
    unlink(part);
    if (from_path(part, from))
        unlink(from);
}

static struct cb_status empty(struct work *w)
{
    if (ftruncate(w->fd, 0) || lseek(w->fd, 0, SEEK_SET) < 0)
        return fail_part(w, "cannot be emptied");
    w->have = w->resumed = 0;
    return cb_ok();
}

/* The second line of the notes, when the first is this address: what the file was then. */
static void read_validator(const struct cb_download *d, char out[CB_REMOTE_VALIDATOR_MAX])
{
    const size_t n = strlen(d->address);
    struct cb_bytes text;
    char path[PATH_MAX];
    out[0] = 0;
    if (!from_path(d->part, path) || cb_file_map(path, &text).code)
        return;
    const char *p = (const char *)text.data;
    if (text.len > n + 2 && memcmp(p, d->address, n) == 0 && p[n] == '\n') {
        const size_t len = text.len - n - 2; /* without the line's end */
        if (len < CB_REMOTE_VALIDATOR_MAX && p[text.len - 1] == '\n' &&
            !memchr(p + n + 1, '\n', len)) {
            memcpy(out, p + n + 1, len);
            out[len] = 0;
        }
    }
    cb_file_unmap(&text);
}

static struct cb_status write_validator(const struct cb_download *d, const char *validator)
{
    const struct cb_bytes parts[] = { cb_bytes_of_text(d->address), cb_bytes_of_text("\n"),
                                      cb_bytes_of_text(validator), cb_bytes_of_text("\n") };
    char path[PATH_MAX];
    return from_path(d->part, path) ? cb_file_write_parts(path, parts, CB_COUNT_OF(parts))
                                    : cb_fail(CB_ERR_IO, "%.200s: path is too long", d->part);
}

/* An announced length that cannot be right ends the transfer before it costs anything. */
static struct cb_status begin(void *ctx, const struct cb_remote_answer *answer)
{
    struct work *w = ctx;
    const struct cb_download *d = w->download;
    w->total = answer->total > 0 ? answer->total : d->bytes;
    if (answer->total >= 0 && d->bytes && answer->total != d->bytes)
        return cb_fail(CB_ERR_CONTENT, "%.200s: wants %" PRId64 " bytes, has %" PRId64, d->address,
                       d->bytes, answer->total);
    if (answer->total > d->limit)
        return cb_fail(CB_ERR_TOO_LARGE,
                       "%.200s: has %" PRId64 " bytes, at most %" PRId64 " are taken", d->address,
                       answer->total, d->limit);
    if (answer->at > 0)
        return cb_ok();
    CB_TRY(empty(w));
    return write_validator(d, answer->validator);
}

static struct cb_status data(void *ctx, const void *bytes, size_t len)
{
    struct work *w = ctx;
    const struct cb_download *d = w->download;
    const int64_t most = d->bytes ? d->bytes : d->limit;
    if ((int64_t)len > most - w->have) {
        w->spoilt = true;
        return cb_fail(d->bytes ? CB_ERR_CONTENT : CB_ERR_TOO_LARGE,
                       "%.200s: wants %s%" PRId64 " bytes, has more", d->address,
                       d->bytes ? "" : "at most ", most);
    }
    if (!cb_file_add(w->fd, bytes, len))
        return fail_part(w, "cannot be written");
    w->have += (int64_t)len;
    if (d->progress)
        d->progress(d->ctx, w->have, w->total);
    return cb_ok();
}

static struct cb_status copy(struct work *w)
{
    const char *path = w->download->address;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct cb_status st = cb_ok();
    char part[1 << 16];
    struct stat info;
    ssize_t n = 0;
    if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        st = cb_fail(fd < 0 && errno != ENOENT ? CB_ERR_IO : CB_ERR_NOT_FOUND, "%.300s: %s", path,
                     fd < 0 ? strerror(errno) : "no regular file");
        if (fd >= 0)
            close(fd);
        return st;
    }
    st = begin(w, &(struct cb_remote_answer){ .total = info.st_size });
    while (st.code == CB_OK && (n = read(fd, part, sizeof part)) > 0)
        st = data(w, part, (size_t)n);
    if (st.code == CB_OK && n < 0)
        st = cb_fail(CB_ERR_IO, "%.300s: %s", path, strerror(errno));
    close(fd);
    return st;
}

/* `again`: from the beginning, whatever is there. */
static struct cb_status fetch(struct work *w, bool again)
{
    const struct cb_download *d = w->download;
    char validator[CB_REMOTE_VALIDATOR_MAX];
    struct cb_remote_answer answer;
    if (!strstr(d->address, "://"))
        return copy(w);
    read_validator(d, validator);
    if (again || (!*validator && !d->digest) || (d->bytes && w->have > d->bytes))
        CB_TRY(empty(w));
    if (d->bytes && w->have == d->bytes)
        return cb_ok();
    w->resumed = w->have;
    if (lseek(w->fd, 0, SEEK_END) < 0)
        return fail_part(w, "cannot be written");
    const struct cb_remote remote = { .address = d->address,
                                      .http = d->http,
                                      .stall_s = d->stall_s,
                                      .from = w->have,
                                      .validator = validator,
                                      .begin = begin,
                                      .data = data,
                                      .ctx = w };
    const struct cb_status st = cb_remote_get(&remote, &answer);
    if (st.code && answer.status == 416 && !again) /* nothing behind what is there */
        return fetch(w, true);
    return st;
}

static struct cb_status verify(struct work *w, struct cb_digest *digest)
{
    const struct cb_download *d = w->download;
    char wanted[CB_DIGEST_TEXT], found[CB_DIGEST_TEXT];
    w->spoilt = true;
    if (d->bytes && w->have != d->bytes)
        return cb_fail(CB_ERR_CONTENT, "%.200s: wants %" PRId64 " bytes, has %" PRId64, d->address,
                       d->bytes, w->have);
    if (w->have == 0)
        return cb_fail(CB_ERR_CONTENT, "%.200s: is empty", d->address);
    if (!cb_digest_of_file(w->fd, digest))
        return fail_part(w, "cannot be read");
    if (!d->digest || memcmp(digest, d->digest, sizeof *digest) == 0) {
        w->spoilt = false;
        return cb_ok();
    }
    cb_digest_text(d->digest, wanted);
    cb_digest_text(digest, found);
    return cb_fail(CB_ERR_CONTENT, "%.200s: wants SHA-256 %s, has %s", d->address, wanted, found);
}

/* What went on from another's beginning is fetched once more, from its own. */
static struct cb_status fetch_and_verify(struct work *w, struct cb_digest *digest)
{
    struct cb_status st = fetch(w, false);
    if (st.code == CB_OK)
        st = verify(w, digest);
    if (w->spoilt && w->resumed) {
        w->spoilt = false;
        CB_TRY(fetch(w, true));
        st = verify(w, digest);
    }
    if (st.code == CB_OK && fsync(w->fd))
        st = fail_part(w, "cannot be written");
    return st;
}

struct cb_status cb_download_run(const struct cb_download *download, struct cb_download_result *out)
{
    struct work w = { .download = download, .total = download->bytes };
    struct cb_digest digest;
    struct stat info;
    struct cb_status st = cb_ok();
    w.fd = open(download->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (w.fd < 0)
        return fail_part(&w, "cannot be opened");
    if (fstat(w.fd, &info) || !S_ISREG(info.st_mode))
        st = cb_fail(CB_ERR_IO, "%.200s: no regular file", download->part);
    w.have = st.code ? 0 : (int64_t)info.st_size;
    w.resumed = w.have;
    if (st.code == CB_OK)
        st = fetch_and_verify(&w, &digest);
    close(w.fd);
    if (w.spoilt)
        cb_download_forget(download->part);
    if (st.code == CB_OK)
        *out = (struct cb_download_result){ w.have, w.resumed, digest };
    return st;
}
