/* tests/sim/story_mutate.h: ways in which a right history becomes a wrong one.
 *
 * Each takes a drawn world (story_world.h) and does one thing to it that no linearizable store, or
 * no log, can have done. It says which of the two checkers must see it; where only one must, why.
 */
#ifndef TESTS_SIM_STORY_MUTATE_H
#define TESTS_SIM_STORY_MUTATE_H

#include "tests/sim/story_world.h"

struct mutation {
    const char *name;
    bool (*apply)(struct world *w); /* false: there is no place for it in this world */
    bool replay_rejects;
    bool search_rejects;
    bool unknowns;       /* stays wrong, to clients too, if the world has unknown writes */
    const char *because; /* where the two differ */
};

extern const struct mutation story_mutations[];
extern const uint32_t story_mutation_count;

#endif
