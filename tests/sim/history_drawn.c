/* Goal:   the history checkers accept drawn histories that a linearizable store did answer, unknown
 *         fates and late effects among them, and reject them when one thing in them was made wrong.
 * Method: draw worlds (story_world.h); tell each as it is; then make each mutation of story_mutate.h
 *         in as many worlds as have a place for it. Each must be rejected by just the checkers that
 *         its row names, in every world. */
#include "base/assert.h"
#include "tests/sim/story_mutate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALID = 400, PLACES = 25, SEEDS_MAX = 20000 };

static struct world world;

/* False, and says which: a right history is rejected, or not all of it was looked at. */
static bool accepted(uint64_t seed, bool unknowns)
{
    struct story_verdict v;

    world_draw(&world, seed, unknowns);
    story_tell(&world.story, &v);
    if (v.replay == NULL && v.search == NULL && v.given_up == 0)
        return true;
    printf("world %" PRIu64 "%s is right; replay says %s, search says %s, %" PRIu64 " given up\n",
           seed, unknowns ? " with unknowns" : "", v.replay != NULL ? v.replay_detail : "so too",
           v.search != NULL ? v.search_detail : "so too", v.given_up);
    return false;
}

static bool judged(const struct mutation *m, uint64_t seed)
{
    struct story_verdict v;

    story_tell(&world.story, &v);
    if ((v.replay != NULL) == m->replay_rejects && (v.search != NULL) == m->search_rejects)
        return true;
    printf("%s, world %" PRIu64 ": replay %s, search %s\n", m->name, seed,
           v.replay != NULL ? v.replay_detail : "accepts",
           v.search != NULL ? v.search_detail : "accepts");
    return false;
}

static bool try_mutation(const struct mutation *m)
{
    uint32_t places = 0, right = 0;

    ASSERT((m->because != NULL) == (m->replay_rejects != m->search_rejects));
    for (uint64_t seed = 1; seed <= SEEDS_MAX && places < PLACES; seed++) {
        world_draw(&world, seed, m->unknowns);
        if (!m->apply(&world))
            continue;
        places++;
        right += judged(m, seed);
    }
    printf("%-40s %3u of %3u  replay %s, search %s%s%s\n", m->name, right, places,
           m->replay_rejects ? "rejects" : "accepts", m->search_rejects ? "rejects" : "accepts",
           m->because != NULL ? ": " : "", m->because != NULL ? m->because : "");
    return places == PLACES && right == places;
}

int main(void)
{
    uint32_t valid = 0;
    bool good = true;

    for (uint64_t seed = 1; seed <= VALID; seed++)
        valid += accepted(seed, seed % 2 == 0);
    printf("%u of %u right histories are accepted by both\n", valid, VALID);
    for (uint32_t i = 0; i < story_mutation_count; i++)
        good = try_mutation(&story_mutations[i]) && good;
    return good && valid == VALID ? EXIT_SUCCESS : EXIT_FAILURE;
}
