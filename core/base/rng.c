#include "core/base/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

struct cb_rng cb_rng_seed(uint64_t seed)
{
    struct cb_rng rng;
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng.s[i] = z ^ (z >> 31);
    }
    return rng;
}

uint64_t cb_rng_next(struct cb_rng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t cb_rng_below(struct cb_rng *rng, uint64_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* no remainder bias */
    uint64_t x;
    do
        x = cb_rng_next(rng);
    while (x >= limit);
    return x % n;
}

float cb_rng_uniform(struct cb_rng *rng, float lo, float hi)
{
    return lo + (hi - lo) * (float)(cb_rng_next(rng) >> 40) * 0x1p-24f;
}

float cb_rng_normal(struct cb_rng *rng)
{
    /* Box-Muller; 1 - u is never 0 */
    const float u = 1.0f - cb_rng_uniform(rng, 0, 1), v = cb_rng_uniform(rng, 0, 1);
    return sqrtf(-2.0f * logf(u)) * cosf(6.28318530718f * v);
}

void cb_rng_fill(struct cb_rng *rng, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = cb_rng_uniform(rng, -1, 1);
}

void cb_rng_shuffle(struct cb_rng *rng, size_t n, size_t *index)
{
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)cb_rng_below(rng, i), t = index[j];
        index[j] = index[i - 1];
        index[i - 1] = t;
    }
}
