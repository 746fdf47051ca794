#include "core/base/hash.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct cb_digest cb_digest_of2(const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct sha256_ctx ctx;
    struct cb_digest digest;
    sha256_init(&ctx);
    if (a_len)
        sha256_update(&ctx, a_len, a);
    if (b_len)
        sha256_update(&ctx, b_len, b);
    sha256_digest(&ctx, sizeof digest.byte, digest.byte);
    return digest;
}

struct cb_digest cb_digest_of(const void *data, size_t len)
{
    return cb_digest_of2(data, len, NULL, 0);
}

bool cb_digest_of_file(int fd, struct cb_digest *out)
{
    uint8_t part[1 << 16];
    struct sha256_ctx ctx;
    off_t at = 0;
    ssize_t n;
    sha256_init(&ctx);
    while ((n = pread(fd, part, sizeof part, at)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0)
            sha256_update(&ctx, (size_t)n, part);
        at += n > 0 ? n : 0;
    }
    sha256_digest(&ctx, sizeof out->byte, out->byte);
    return n == 0;
}

void cb_digest_text(const struct cb_digest *digest, char out[CB_DIGEST_TEXT])
{
    for (size_t i = 0; i < sizeof digest->byte; i++)
        snprintf(out + 2 * i, 3, "%02x", digest->byte[i]);
}

bool cb_digest_parse(const char *text, struct cb_digest *out)
{
    static const char hex[] = "0123456789abcdef";
    if (!text || strlen(text) != 2 * sizeof out->byte)
        return false;
    for (size_t i = 0; i < sizeof out->byte; i++) {
        const char *high = strchr(hex, text[2 * i]), *low = strchr(hex, text[2 * i + 1]);
        if (!high || !low)
            return false;
        out->byte[i] = (uint8_t)((high - hex) << 4 | (low - hex));
    }
    return true;
}
