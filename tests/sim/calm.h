/* tests/sim/calm.h: what scenarios by hand share: a calm cluster, in which nothing fails but what the
 * scenario does, under a few seeds: sizes, timing and both ways of flushing differ. The checkers run
 * after every event; a failure prints the seed. */
#ifndef TESTS_SIM_CALM_H
#define TESTS_SIM_CALM_H

#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { CALM_SEEDS = 12, CALM_EVENTS = 4000, SMALL = 16, LARGE = 9000 };

struct sim *calm_open(uint64_t seed, uint32_t nodes);
struct sim *calm_open_with(const struct sim_config *config); /* calm whatever it says */
/* Clients of its own, quick ones if the seed has a crowd, and no fault. */
struct sim *calm_open_crowd(uint64_t seed, const struct replica_snapshots *snapshots);
uint64_t calm_timeout_ns(const struct sim *s); /* of an election, the longest */
uint64_t calm_put(struct sim *s, uint32_t node, uint8_t key,
                  uint32_t value_bytes); /* acknowledged */
/* Whatever the checkers saw comes first: it explains the rest. */
void calm_check(const struct sim *s, bool good, const char *what, int line);

#define CHECK(s, expression) calm_check(s, expression, #expression, __LINE__)

/* A test that is `name`, a function of a struct sim, in clusters of so many nodes. */
#define SCENARIO(name, nodes)                               \
    static void test_##name(void **state)                   \
    {                                                       \
        (void)state;                                        \
        for (uint64_t seed = 1; seed <= CALM_SEEDS; seed++) \
            name(calm_open(seed, nodes));                   \
    }

int calm_begin(void **state); /* of a group of tests */
int calm_end(void **state);

#endif
