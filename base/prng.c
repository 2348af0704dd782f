#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t word, uint32_t bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void prng_seed(struct prng *p, uint64_t seed)
{
    for (uint32_t i = 0; i < 4; i++)
        p->state[i] = splitmix64(&seed);
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *const s = p->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
    ASSERT(bound > 0);
    /* The high half of the product; the bias is below 2^-32 for every bound we use. */
    return (uint64_t)(((unsigned __int128)prng_next(p) * bound) >> 64);
}

uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    if (high - low == UINT64_MAX)
        return prng_next(p); /* the count of values would not fit */
    return low + prng_below(p, high - low + 1);
}

bool prng_chance(struct prng *p, uint32_t per_million)
{
    return prng_below(p, 1000000) < per_million;
}

uint64_t hash_u64(uint64_t a, uint64_t b)
{
    uint64_t state = a ^ rotate_left(b, 32) ^ (b * 0x9e3779b97f4a7c15);
    return splitmix64(&state);
}
