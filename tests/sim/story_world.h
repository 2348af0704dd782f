/* tests/sim/story_world.h: a drawn history that a linearizable store did answer, with all that is
 * needed to make it wrong: the state at every index, and where each call begins and ends.
 */
#ifndef TESTS_SIM_STORY_WORLD_H
#define TESTS_SIM_STORY_WORLD_H

#include "base/prng.h"
#include "tests/sim/story.h"

enum {
    WORLD_CALLS = 40,
    WORLD_INDEXES_MAX = 2 * STORY_CALLS_MAX,
    WORLD_KEYS = 6,
    WORLD_NODES = 3,
    WORLD_NOWHERE = -1, /* of a step: there is none */
};

struct world {
    struct story story;
    uint64_t last; /* index committed */
    int64_t revision[WORLD_INDEXES_MAX];
    struct history_item state[WORLD_INDEXES_MAX][WORLD_KEYS];   /* version 0: no such key */
    int32_t begin_at[STORY_CALLS_MAX], end_at[STORY_CALLS_MAX]; /* steps */
    uint64_t index[STORY_CALLS_MAX];                            /* committed at; 0: nowhere */
    uint64_t floor[STORY_CALLS_MAX];                            /* committed when it began */
    uint64_t node_read[WORLD_NODES + 1];                        /* newest that a read was given */
    struct prng prng;
};

/* With or without calls whose fate stays unknown. */
void world_draw(struct world *w, uint64_t seed, bool unknowns);

uint32_t world_begin(struct world *w, struct history_call call);
void world_commit(struct world *w, uint32_t call);
/* The right answer at an index: of a write, where it is committed. */
void world_end(struct world *w, uint32_t call, uint64_t index);
void world_answer(const struct world *w, const struct history_call *call, uint64_t index,
                  struct story_step *step);

#endif
