/* sim/main_shrink.h: a failing seed made smaller, so that whoever looks into it reads less.
 *
 * Greedy: events, faults, nodes and clients are taken away one after the other, and again until
 * nothing more can go; what is left fails by the same invariant. A seed draws each fault's part by
 * itself (plan.h), so one that is taken away leaves the others as they were. The same failure always
 * shrinks to the same: the limit is a number of tries and of events, not of seconds.
 */
#ifndef SIM_MAIN_SHRINK_H
#define SIM_MAIN_SHRINK_H

#include "sim/main_apart.h"

enum {
    SHRINK_TRIES_MAX = 400,
    SHRINK_EVENTS_MAX = 10000000, /* of all tries: some 20 s */
};

struct shrink {
    struct sim_config best;
    struct apart_outcome outcome; /* of `best` */
    uint32_t tries;
    uint64_t events; /* of all tries */
};

/* False: the seed does not fail by itself. Progress goes to stderr. */
bool shrink_seed(const struct sim_config *failing, struct shrink *shrink);

#endif
