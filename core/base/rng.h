/* core/base/rng.h - random numbers with explicit state: the same seed gives the same numbers
 * everywhere.
 *
 * xoshiro256** seeded by splitmix64 (Blackman and Vigna, doi:10.1145/3460772). Not for secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cb_rng {
    uint64_t s[4];
};

struct cb_rng cb_rng_seed(uint64_t seed);
uint64_t cb_rng_next(struct cb_rng *rng);
uint64_t cb_rng_below(struct cb_rng *rng, uint64_t n);        /* uniform in 0 .. n-1; n > 0 */
float cb_rng_uniform(struct cb_rng *rng, float lo, float hi); /* in [lo, hi) */
float cb_rng_normal(struct cb_rng *rng);                      /* mean 0, deviation 1 */
void cb_rng_fill(struct cb_rng *rng, size_t n, float *out);   /* uniform in [-1, 1) */
void cb_rng_shuffle(struct cb_rng *rng, size_t n, size_t *index);
