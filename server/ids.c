#include "server/ids.h"

#include <stdint.h>
#include <sys/random.h>

void cb_id_make(char prefix, char *out, size_t len)
{
    static const char letters[] =
        "0123456789abcdefghjkmnpqrstvwxyz"; /* 32: 5 bits, none to be mixed up */
    uint8_t byte[64];
    size_t filled = 0;
    while (filled < sizeof byte) {
        const ssize_t n = getrandom(byte + filled, sizeof byte - filled, 0);
        filled += n > 0 ? (size_t)n : 0;
    }
    out[0] = prefix;
    for (size_t i = 1; i + 1 < len; i++)
        out[i] = letters[byte[i % sizeof byte] & 31];
    out[len - 1] = 0;
}
