#include "sim/main_shrink.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool spent(const struct shrink *k)
{
    return k->tries >= SHRINK_TRIES_MAX || k->events >= SHRINK_EVENTS_MAX;
}

static void print_progress(const struct shrink *k)
{
    fprintf(stderr,
            "shrinking: %u tries: fails at event %" PRIu64
            ", %u nodes, %u clients a node, %d faults\n",
            k->tries, k->outcome.events, k->outcome.nodes, k->outcome.clients,
            __builtin_popcountll(k->outcome.on));
}

/* True: it fails by the same invariant, before `event`, and is what further tries begin with. */
static bool try_before(struct shrink *k, const struct sim_config *candidate, uint64_t event)
{
    struct apart_outcome outcome;

    if (spent(k))
        return false;
    apart_run(candidate, &outcome);
    k->tries++;
    k->events += outcome.events;
    if (strcmp(outcome.invariant, k->outcome.invariant) != 0 || outcome.events >= event)
        return false;
    k->best = *candidate;
    k->outcome = outcome;
    print_progress(k);
    return true;
}

static bool try(struct shrink *k, const struct sim_config *candidate)
{
    return try_before(k, candidate, UINT64_MAX);
}

/* Less is tried only for a failure that comes no later: else phase two would have to show it. */
static bool try_events(struct shrink *k, uint64_t events)
{
    struct sim_config candidate = k->best;

    if (events == 0 || events >= k->best.events)
        return false;
    candidate.events = events;
    return try_before(k, &candidate, k->outcome.events + 1);
}

/* Nothing behind the failure, then less and less: a run that is healed earlier may fail too. */
static bool shrink_events(struct shrink *k)
{
    bool smaller = try_events(k, k->outcome.events); /* nothing else changes */

    for (uint64_t part = 2; part <= 32; part *= 2)
        while (try_events(k, k->best.events - k->best.events / part))
            smaller = true;
    return smaller;
}

static bool try_without(struct shrink *k, uint64_t faults)
{
    struct sim_config candidate = k->best;

    if ((k->outcome.on & faults) == 0)
        return false;
    candidate.without |= faults;
    return try(k, &candidate);
}

static bool shrink_faults(struct shrink *k)
{
    bool smaller = try_without(k, k->outcome.on);

    for (uint32_t fault = 0; fault < PLAN_FAULT_COUNT; fault++)
        smaller = try_without(k, plan_fault_bit((enum plan_fault)fault)) || smaller;
    return smaller;
}

static bool shrink_nodes(struct shrink *k)
{
    struct sim_config candidate = k->best;

    for (candidate.nodes = 2; candidate.nodes < k->outcome.nodes; candidate.nodes++)
        if (try(k, &candidate))
            return true;
    return false;
}

static bool shrink_clients(struct shrink *k)
{
    struct sim_config candidate = k->best;

    for (candidate.clients = 1; candidate.clients < k->outcome.clients; candidate.clients *= 2)
        if (try(k, &candidate))
            return true;
    return false;
}

bool shrink_seed(const struct sim_config *failing, struct shrink *shrink)
{
    bool smaller = true;

    *shrink = (struct shrink){.best = *failing};
    apart_run(failing, &shrink->outcome);
    if (shrink->outcome.invariant[0] == '\0')
        return false;
    /* What takes most away comes first: it makes all further tries cheap. */
    while (smaller && !spent(shrink)) {
        smaller = shrink_events(shrink);
        smaller = shrink_faults(shrink) || smaller;
        smaller = shrink_nodes(shrink) || smaller;
        smaller = shrink_clients(shrink) || smaller;
    }
    return true;
}
