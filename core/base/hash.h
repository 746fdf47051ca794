/* core/base/hash.h - SHA-256 (FIPS 180-4, by nettle), for content digests: trunks, photos,
 * datasets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CB_DIGEST_TEXT 65 /* 64 lower-case hex digits and a 0 */

struct cb_digest {
    uint8_t byte[32];
};

struct cb_digest cb_digest_of(const void *data, size_t len);

/* The digest of two pieces, one after the other. */
struct cb_digest cb_digest_of2(const void *a, size_t a_len, const void *b, size_t b_len);

/* The digest of an open file from its beginning; false when it cannot be read. */
bool cb_digest_of_file(int fd, struct cb_digest *out);

void cb_digest_text(const struct cb_digest *digest, char out[CB_DIGEST_TEXT]);

/* The digest that such a text says; false when it is none. NULL is none. */
bool cb_digest_parse(const char *text, struct cb_digest *out);
