/* core/base/checksum.h - a check against damage, at the speed of memory: not against forgery.
 *
 * Every step is a bijection of the sum so far, so that one changed word always shows. Long data are
 * summed in chunks, which may be done in any order and by several threads. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CB_CHECKSUM_CHUNK ((size_t)1 << 20)

/* How many chunks `len` bytes have; 1 for none. */
static inline size_t cb_checksum_chunks(size_t len)
{
    return len ? (len - 1) / CB_CHECKSUM_CHUNK + 1 : 1;
}

/* Sum of chunk i of `data`. */
uint64_t cb_checksum_chunk(const void *data, size_t len, size_t i);

/* The sum of data whose n chunks have these sums. */
uint64_t cb_checksum_join(const uint64_t *sums, size_t n);

/* The same of data at once. */
uint64_t cb_checksum(const void *data, size_t len);
