/* Goal:   what disks have lost comes back from the peers, without a leader, if only one of them has it:
 *         in every combination of three nodes and five entries. What nobody has is never made up.
 * Method: three nodes with the same five entries, the first of them the configuration, and idle marks
 *         behind; all lose power; a bit rots in each batch that holds the entries chosen for a node;
 *         all start. The argument is the stride through the 32768 combinations, for quick runs.
 *         And entries that only their leader ever had, lost after others have gone on without them: with
 *         another entry in their place, or with a log that ends in front of it.
 */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NODES = 3,
    ENTRIES = 5,
    COMBINATIONS = 1 << (NODES * ENTRIES),
    SMALL = 16,
    LOST_TAILS = 40,
};

static uint64_t timeout_ns(const struct sim *s)
{
    return sim_plan(s)->options.election_max_ns;
}

static bool failed(struct sim *s, uint32_t combination, const char *what)
{
    const struct check_report *report = sim_report(s);

    sim_print_nodes(s);
    printf("combination %u: %s (%s: %s)\n", combination, what,
           report->invariant != NULL ? report->invariant : "no invariant broken",
           report->invariant != NULL ? report->detail : "");
    return false;
}

static bool write_one(struct sim *s, uint32_t node, uint8_t key)
{
    const uint64_t call = sim_put(s, node, key, SMALL);

    return call != 0 && sim_run_ns(s, 10 * timeout_ns(s)) && sim_answered(s, call);
}

/* Five entries on all disks, marks behind them, and the power is gone. */
static bool write_and_die(struct sim *s, uint32_t combination)
{
    /* One seed for a run of combinations: sizes, timing and ways of flushing differ. */
    const struct sim_config config = {
        .seed = 1 + combination / 64, .nodes = NODES, .events = 4000, .calm = true};

    sim_begin(s, &config);
    if (!sim_elect(s, 0))
        return failed(s, combination, "nobody was elected");
    for (uint8_t key = 0; sim_last(s, 0) < ENTRIES; key++)
        if (!write_one(s, 0, key))
            return failed(s, combination, "a write was not answered");
    for (uint32_t node = 0; node < NODES; node++) {
        if (sim_promised(s, node) < ENTRIES && node != sim_leader(s))
            return failed(s, combination, "a node has less than all entries");
        sim_crash(s, node, SIM_LOSE_UNSYNCED);
    }
    return true;
}

/* Bit e of node n's part: it loses entry e + 1. True: each entry is left somewhere. */
static bool damage(struct sim *s, uint32_t combination)
{
    uint32_t lost = (1u << ENTRIES) - 1;

    for (uint32_t node = 0; node < NODES; node++) {
        const uint32_t part = combination >> (node * ENTRIES) & ((1u << ENTRIES) - 1);
        for (uint32_t entry = 0; entry < ENTRIES; entry++)
            if ((part >> entry & 1) != 0)
                (void)sim_damage(s, node, entry + 1);
        lost &= part;
    }
    return lost == 0;
}

/* Where an entry is gone for good nobody leads, and what is there is not touched. */
static bool nobody_leads(struct sim *s, uint32_t combination)
{
    if (sim_leader(s) != UINT32_MAX)
        return failed(s, combination, "a node leads that lacks an entry");
    for (uint32_t node = 0; node < NODES; node++)
        if (!sim_is_faulty(s, node) || sim_last(s, node) < ENTRIES)
            return failed(s, combination, "a node is whole without an entry that nobody has");
    return true;
}

static bool run(struct sim *s, uint32_t combination, uint32_t *recovered)
{
    if (!write_and_die(s, combination))
        return false;
    const bool recoverable = damage(s, combination);
    for (uint32_t node = 0; node < NODES; node++)
        if (!sim_restart(s, node))
            return failed(s, combination, "a node did not start");
    if (!sim_run_ns(s, 20 * timeout_ns(s)))
        return failed(s, combination, "an invariant broke");
    if (!recoverable)
        return nobody_leads(s, combination);
    (*recovered)++;
    for (uint32_t node = 0; node < NODES; node++) {
        if (sim_is_faulty(s, node))
            return failed(s, combination, "a node was not repaired");
        if (sim_applied(s, node) < ENTRIES)
            return failed(s, combination, "a node has not applied all entries");
    }
    return sim_settle(s) || failed(s, combination, "the cluster did not come back");
}

/* The entry is in no other log: a later leader has another one there, which ends the hole. */
static bool run_lost_tail(struct sim *s, uint64_t seed, uint32_t *cut)
{
    const struct sim_config config = {.seed = seed, .nodes = NODES, .events = 4000, .calm = true};

    sim_begin(s, &config);
    if (!sim_elect(s, 0))
        return failed(s, 0, "nobody was elected");
    sim_isolate(s, 0, true);
    const raft_index index = sim_last(s, 0) + 1;
    for (uint8_t i = 0; i < 3; i++)
        (void)sim_put(s, 0, i, SMALL);
    if (!sim_run_ns(s, timeout_ns(s) / 2))
        return failed(s, 0, "an invariant broke");
    sim_crash(s, 0, SIM_LOSE_UNSYNCED);
    if (!sim_run_ns(s, 10 * timeout_ns(s)) || !write_one(s, 1, 7))
        return failed(s, 0, "the others do not go on");
    const uint32_t damaged = sim_damage(s, 0, index);
    sim_isolate(s, 0, false);
    if (!sim_restart(s, 0) || (damaged > 0 && !sim_is_faulty(s, 0)))
        return failed(s, 0, "damage was not seen");
    if (!sim_run_ns(s, 20 * timeout_ns(s)) || sim_is_faulty(s, 0))
        return failed(s, 0, "the hole is still there");
    *cut += damaged > 0;
    return sim_settle(s) || failed(s, 0, "the cluster did not come back");
}

/* A leader that nobody hears takes writes by way of each node, and all lose power. Its last entry that
 * the others have; 0: failed. */
static raft_index write_unheard(struct sim *s)
{
    if (!sim_elect(s, 0))
        return 0;
    const raft_index common = sim_last(s, 0);
    for (uint32_t node = 1; node < NODES; node++)
        sim_cut(s, 0, node, true);
    for (uint32_t node = 0; node < NODES; node++)
        (void)sim_put(s, node, (uint8_t)node, SMALL);
    if (!sim_run_ns(s, sim_plan(s)->options.election_min_ns * 3 / 4)) /* before they elect another */
        return 0;
    for (uint32_t node = 0; node < NODES; node++) {
        sim_crash(s, node, SIM_LOSE_UNSYNCED);
        if (node > 0)
            sim_cut(s, 0, node, false);
    }
    return common;
}

/* Bit i of `lost`: the i-th of those entries is lost. The others elect a leader, whose log ends with its
 * first entry, below them: the hole ends where that log does. */
static bool run_longer_tail(struct sim *s, uint64_t seed, uint32_t lost, uint32_t *cut)
{
    const struct sim_config config = {.seed = seed, .nodes = NODES, .events = 4000, .calm = true};
    uint32_t damaged = 0;

    sim_begin(s, &config);
    const raft_index common = write_unheard(s);
    const raft_index last = sim_last(s, 0);
    if (common == 0 || !sim_restart(s, 1) || !sim_restart(s, 2) ||
        !sim_run_ns(s, 20 * timeout_ns(s)))
        return failed(s, lost, "the others do not go on");
    for (uint32_t i = 0; i < NODES; i++)
        if ((lost >> i & 1) != 0)
            damaged += sim_damage(s, 0, common + 1 + i);
    if (!sim_restart(s, 0) || (damaged > 0 && !sim_is_faulty(s, 0)))
        return failed(s, lost, "damage was not seen");
    *cut += damaged > 0 && last > sim_last(s, 1);
    if (!sim_run_ns(s, 20 * timeout_ns(s)) || sim_is_faulty(s, 0))
        return failed(s, lost, "the hole is still there");
    return sim_settle(s) || failed(s, lost, "the cluster did not come back");
}

int main(int argc, char **argv)
{
    const uint32_t stride = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    const uint32_t first = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    struct sim *s = sim_new();
    uint32_t runs = 0;
    uint32_t recovered = 0;
    uint32_t cut = 0;
    uint32_t cut_above = 0;

    for (uint32_t combination = first; combination < COMBINATIONS; combination += stride, runs++) {
        if (!run(s, combination, &recovered))
            return 1;
        if (argc > 2)
            break;
    }
    for (uint64_t seed = 1; seed <= LOST_TAILS; seed++)
        if (!run_lost_tail(s, seed, &cut))
            return 1;
    for (uint64_t seed = 1; seed <= LOST_TAILS; seed++)
        for (uint32_t lost = 1; lost < 1u << NODES; lost++)
            if (!run_longer_tail(s, seed, lost, &cut_above))
                return 1;
    sim_delete(s);
    printf("%u combinations of %u, %u recoverable and recovered; %u lost tails cut, %u longer ones\n",
           runs, COMBINATIONS, recovered, cut, cut_above);
    return recovered > 0 && cut > LOST_TAILS / 2 && cut_above > LOST_TAILS ? 0 : 1;
}
