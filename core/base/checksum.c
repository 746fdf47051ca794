#include "core/base/checksum.h"

#include <string.h>

enum { LANES = 8 }; /* a multiplication takes some cycles: so many run at once */

static uint64_t step(uint64_t sum, uint64_t word)
{
    sum ^= word;
    return (sum << 29 | sum >> 35) * 0x9e3779b97f4a7c15u;
}

static uint64_t sum_of(const uint8_t *p, size_t len)
{
    uint64_t lane[LANES], word, sum = len;
    for (size_t i = 0; i < LANES; i++)
        lane[i] = i + 1;
    for (; len >= sizeof lane; len -= sizeof lane, p += sizeof lane)
        for (size_t i = 0; i < LANES; i++) {
            memcpy(&word, p + i * sizeof word, sizeof word);
            lane[i] = step(lane[i], word);
        }
    for (size_t i = 0; i < LANES; i++)
        sum = step(sum, lane[i]);
    for (size_t n; len; len -= n, p += n) {
        n = len < sizeof word ? len : sizeof word;
        word = 0;
        memcpy(&word, p, n);
        sum = step(sum, word);
    }
    return sum ^ sum >> 32;
}

uint64_t cb_checksum_chunk(const void *data, size_t len, size_t i)
{
    const size_t at = i * CB_CHECKSUM_CHUNK;
    return sum_of((const uint8_t *)data + at,
                  len - at < CB_CHECKSUM_CHUNK ? len - at : CB_CHECKSUM_CHUNK);
}

static uint64_t join(uint64_t so_far, uint64_t next)
{
    return step(step(so_far, next), so_far >> 32);
}

uint64_t cb_checksum_join(const uint64_t *sums, size_t n)
{
    uint64_t sum = n;
    for (size_t i = 0; i < n; i++)
        sum = join(sum, sums[i]);
    return sum;
}

uint64_t cb_checksum(const void *data, size_t len)
{
    const size_t n = cb_checksum_chunks(len);
    uint64_t sum = n;
    for (size_t i = 0; i < n; i++)
        sum = join(sum, cb_checksum_chunk(data, len, i));
    return sum;
}
