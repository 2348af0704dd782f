#include "tests/sim/calm.h"

static struct sim *shared; /* one after the other: memory is reused */

int calm_begin(void **state)
{
    (void)state;
    shared = sim_new();
    return 0;
}

int calm_end(void **state)
{
    (void)state;
    sim_delete(shared);
    return 0;
}

struct sim *calm_open_with(const struct sim_config *config)
{
    struct sim_config calm = *config;

    calm.calm = true;
    sim_begin(shared, &calm);
    return shared;
}

struct sim *calm_open(uint64_t seed, uint32_t nodes)
{
    return calm_open_with(
        &(struct sim_config){.seed = seed, .nodes = nodes, .events = CALM_EVENTS});
}

struct sim *calm_open_crowd(uint64_t seed, const struct replica_snapshots *snapshots)
{
    /* A fault that harms nobody: with none at all a run is calm, and has no clients. */
    const uint64_t without = PLAN_ALL_FAULTS & ~plan_fault_bit(PLAN_PRIORITIES);

    sim_begin(shared, &(struct sim_config){.seed = seed,
                                           .nodes = 3,
                                           .events = CALM_EVENTS,
                                           .without = without,
                                           .snapshots = snapshots});
    return shared;
}

uint64_t calm_timeout_ns(const struct sim *s)
{
    return sim_plan(s)->options.election_max_ns;
}

void calm_check(const struct sim *s, bool good, const char *what, int line)
{
    const struct check_report *report = sim_report(s);

    if (report->invariant == NULL && good)
        return;
    sim_print_nodes(s);
    fail_msg("seed %llu, line %d: %s (%s: %s)", (unsigned long long)sim_plan(s)->seed, line, what,
             report->invariant != NULL ? report->invariant : "no invariant broken",
             report->invariant != NULL ? report->detail : "");
}

uint64_t calm_put(struct sim *s, uint32_t node, uint8_t key, uint32_t value_bytes)
{
    const uint64_t call = sim_put(s, node, key, value_bytes);

    CHECK(s, call != 0);
    CHECK(s, sim_run_ns(s, 10 * calm_timeout_ns(s)));
    CHECK(s, sim_answered(s, call));
    return call;
}
