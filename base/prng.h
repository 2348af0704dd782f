/* base/prng.h: the only source of chance: xoshiro256** (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2021), seeded through splitmix64. The same seed gives the same
 * sequence on every machine; simulator runs depend on it.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t bound);             /* 0 .. bound - 1; bound > 0 */
uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high); /* inclusive */
bool prng_chance(struct prng *p, uint32_t per_million);
uint64_t hash_u64(uint64_t a, uint64_t b); /* mixes two words; for seeds of seeds */

#endif
