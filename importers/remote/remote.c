#include "importers/remote/remote.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_REDIRECTS 5L
#define SLOWEST 64L /* bytes a second: below, nothing moves */

/* libcurl is loaded when something is fetched: linked, it and the thirty libraries behind it would
 * cost every command 4 ms and 3 MB. */
struct api {
    void *library;
    CURLcode (*global_init)(long);
    void (*global_cleanup)(void);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_perform)(CURL *);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
};

/* clang-format off */
static const struct { const char *name; size_t offset; } functions[] = {
    { "curl_global_init", offsetof(struct api, global_init) },
    { "curl_global_cleanup", offsetof(struct api, global_cleanup) },
    { "curl_easy_init", offsetof(struct api, easy_init) },
    { "curl_easy_setopt", offsetof(struct api, easy_setopt) },
    { "curl_easy_getinfo", offsetof(struct api, easy_getinfo) },
    { "curl_easy_perform", offsetof(struct api, easy_perform) },
    { "curl_easy_cleanup", offsetof(struct api, easy_cleanup) },
    { "curl_easy_strerror", offsetof(struct api, easy_strerror) },
    { "curl_slist_append", offsetof(struct api, slist_append) },
    { "curl_slist_free_all", offsetof(struct api, slist_free_all) },
};
/* clang-format on */

static struct cb_status load(struct api *api)
{
    static const char *const names[] = { "libcurl-gnutls.so.4", "libcurl.so.4" };
    for (size_t i = 0; !api->library && i < CB_COUNT_OF(names); i++)
        api->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!api->library)
        return cb_fail(CB_ERR_UNSUPPORTED, "fetching wants libcurl: %.200s", dlerror());
    for (size_t i = 0; i < CB_COUNT_OF(functions); i++) {
        void *address = dlsym(api->library, functions[i].name);
        if (!address)
            return cb_fail(CB_ERR_UNSUPPORTED, "libcurl has no %s", functions[i].name);
        memcpy((char *)api + functions[i].offset, &address, sizeof address);
    }
    return cb_ok();
}

struct transfer {
    const struct cb_remote *remote;
    const struct api *api;
    CURL *curl;
    struct cb_remote_answer answer;
    int64_t range_at, range_total; /* of Content-Range; -1: none */
    char etag[CB_REMOTE_VALIDATOR_MAX], modified[CB_REMOTE_VALIDATOR_MAX], location[256];
    bool begun;
    struct cb_status status; /* why a callback ended it */
};

/* The value of a header line when it is called `name`, without blanks around it. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t room)
{
    const size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) || line[n] != ':')
        return false;
    line += n + 1;
    len -= n + 1;
    while (len && (*line == ' ' || *line == '\t'))
        line++, len--;
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
        len--;
    if (len >= room)
        return false;
    memcpy(out, line, len);
    out[len] = 0;
    return true;
}

/* "bytes 100-199/200" (RFC 9110, 14.4) */
static void read_range(struct transfer *t, const char *text)
{
    long long first, last, total;
    if (sscanf(text, "bytes %lld-%lld/%lld", &first, &last, &total) != 3 || first < 0 ||
        last < first || total <= last)
        return;
    t->range_at = first;
    t->range_total = total;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    const size_t len = size * n;
    char text[CB_REMOTE_VALIDATOR_MAX];
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a redirect's headers do not count */
        t->range_at = t->range_total = -1;
        t->etag[0] = t->modified[0] = 0;
    }
    /* A weak ETag, W/"..", says nothing of bytes. */
    if (header_value(line, len, "ETag", text, sizeof text) && text[0] == '"')
        memcpy(t->etag, text, sizeof text);
    if (header_value(line, len, "Content-Range", text, sizeof text))
        read_range(t, text);
    header_value(line, len, "Last-Modified", t->modified, sizeof t->modified);
    header_value(line, len, "Location", t->location, sizeof t->location);
    return len;
}

static void read_answer(struct transfer *t)
{
    const char *validator = t->etag[0] ? t->etag : t->modified;
    long status = 0;
    curl_off_t length = -1;
    t->api->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->api->easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    t->answer.status = (int)status;
    t->answer.at = status == 206 ? t->range_at : 0;
    t->answer.total = status == 206 ? t->range_total : length;
    snprintf(t->answer.validator, sizeof t->answer.validator, "%s", validator);
}

static struct cb_status begin(struct transfer *t)
{
    const struct cb_remote *r = t->remote;
    t->begun = true;
    read_answer(t);
    if (t->answer.status == 206 && (r->from == 0 || t->answer.at != r->from))
        return cb_fail(CB_ERR_IO,
                       "%.200s: wanted bytes from %" PRId64 " on, was given them from %" PRId64,
                       r->address, r->from, t->answer.at);
    if (t->answer.status != 200 && t->answer.status != 206)
        return cb_fail(CB_ERR_IO, "%.200s: wants status 200, has %d", r->address, t->answer.status);
    return r->begin(r->ctx, &t->answer);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    if (!t->begun)
        t->status = begin(t);
    if (t->status.code == CB_OK)
        t->status = t->remote->data(t->remote->ctx, data, size * n);
    return t->status.code ? CURL_WRITEFUNC_ERROR : size * n;
}

static struct cb_status explain_status(const struct transfer *t)
{
    const int status = t->answer.status;
    return cb_fail(status == 404 || status == 410 ? CB_ERR_NOT_FOUND : CB_ERR_IO,
                   "%.200s: wants status 200, has %d", t->remote->address, status);
}

static struct cb_status explain(const struct transfer *t, CURLcode code, const char *error)
{
    const struct cb_remote *r = t->remote;
    curl_off_t got = 0;
    t->api->easy_getinfo(t->curl, CURLINFO_SIZE_DOWNLOAD_T, &got);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR: return explain_status(t);
    case CURLE_TOO_MANY_REDIRECTS:
        return cb_fail(CB_ERR_IO, "%.200s: more than %ld redirects, the last one to %.120s",
                       r->address, MOST_REDIRECTS, t->location);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return cb_fail(CB_ERR_IO, "%.200s: redirects to %.120s, which is not %s", r->address,
                       t->location, r->http ? "http or https" : "https");
    case CURLE_PARTIAL_FILE:
        return cb_fail(CB_ERR_IO, "%.200s: broke off: wants %" PRId64 " bytes, has %" PRId64,
                       r->address, t->answer.total, t->answer.at + (int64_t)got);
    case CURLE_OPERATION_TIMEDOUT:
        return cb_fail(CB_ERR_IO, "%.200s: no news for %d seconds, after %" PRId64 " bytes",
                       r->address, r->stall_s, t->answer.at + (int64_t)got);
    default:
        return cb_fail(CB_ERR_IO, "%.200s: %.160s", r->address,
                       *error ? error : t->api->easy_strerror(code));
    }
}

static struct curl_slist *set_up(struct transfer *t, char *error)
{
    const struct cb_remote *r = t->remote;
    const struct api *api = t->api;
    const char *kinds = r->http ? "http,https" : "https";
    struct curl_slist *headers = NULL;
    CURL *c = t->curl;
    char text[CB_REMOTE_VALIDATOR_MAX + 16];
    api->easy_setopt(c, CURLOPT_URL, r->address);
    api->easy_setopt(c, CURLOPT_PROTOCOLS_STR, kinds);
    api->easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, kinds);
    api->easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    api->easy_setopt(c, CURLOPT_MAXREDIRS, MOST_REDIRECTS);
    api->easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    api->easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    api->easy_setopt(c, CURLOPT_USERAGENT, "cambium");
    api->easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)r->stall_s);
    api->easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, SLOWEST);
    api->easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)r->stall_s);
    api->easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    api->easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    api->easy_setopt(c, CURLOPT_HEADERDATA, t);
    api->easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    api->easy_setopt(c, CURLOPT_WRITEDATA, t);
    if (r->from > 0) {
        snprintf(text, sizeof text, "%" PRId64 "-", r->from);
        api->easy_setopt(c, CURLOPT_RANGE, text);
        snprintf(text, sizeof text, "If-Range: %s", r->validator);
        if (*r->validator && (headers = api->slist_append(NULL, text)))
            api->easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    }
    return headers;
}

struct cb_status cb_remote_get(const struct cb_remote *remote, struct cb_remote_answer *out)
{
    struct api api = { 0 };
    struct transfer t = { .api = &api, .remote = remote, .range_at = -1, .range_total = -1 };
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code;
    *out = (struct cb_remote_answer){ .total = -1 };
    if (strncmp(remote->address, "https://", 8) &&
        (!remote->http || strncmp(remote->address, "http://", 7)))
        return cb_fail(CB_ERR_INPUT, "%.200s: wants an address that begins with https://%s",
                       remote->address, remote->http ? " or http://" : "");
    CB_TRY(load(&api));
    if (api.global_init(CURL_GLOBAL_DEFAULT) || !(t.curl = api.easy_init())) {
        api.global_cleanup();
        return cb_fail(CB_ERR_NOMEM, "%.200s: no memory to fetch it", remote->address);
    }
    struct curl_slist *headers = set_up(&t, error);
    code = api.easy_perform(t.curl);
    if (!t.begun)
        read_answer(&t);
    if (code == CURLE_OK && !t.begun) /* an empty body */
        t.status = begin(&t);
    if (t.status.code == CB_OK && code)
        t.status = explain(&t, code, error);
    api.slist_free_all(headers);
    api.easy_cleanup(t.curl);
    api.global_cleanup();
    *out = t.answer;
    return t.status;
}
