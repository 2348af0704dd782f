/* Scenarios by hand in the deterministic simulator, each under a few seeds: sizes, timing and both
 * ways of flushing differ. The checkers run after every event; a failure prints the seed. */
#include "tests/sim/calm.h"

enum { FILLING_PUTS = 2000 };

/* Goal:   a cluster begins, elects, takes writes on every node, small ones and large ones, and
 *         everybody ends with the same.
 * Method: nothing but that. */
static void every_node_takes_writes(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    for (uint32_t node = 0; node < sim_plan(s)->nodes; node++) {
        calm_put(s, node, (uint8_t)node, SMALL);
        calm_put(s, node, (uint8_t)(node + 8), LARGE);
    }
    CHECK(s, sim_count(s, SIM_CHUNK) > 0);
    CHECK(s, sim_settle(s));
}

/* Goal:   a follower never acknowledges an entry that a power cut can take back.
 * Method: hold node 1's disk and propose; the others are a quorum. Node 1 may have the entry, but
 *         has promised less; what it has promised survives the loss of everything unflushed. */
static void ack_waits_for_sync(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_disk_hold(s, 1, true);
    const uint64_t call = sim_put(s, 0, 2, SMALL);
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 4)); /* too short to suspect anybody */
    CHECK(s, sim_answered(s, call));
    const raft_index index = sim_call_index(s, call);
    CHECK(s, sim_promised(s, 1) < index);

    sim_crash(s, 1, SIM_LOSE_UNSYNCED);
    CHECK(s, sim_restart(s, 1));
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    CHECK(s, sim_promised(s, 1) >= index);
    CHECK(s, sim_settle(s));
}

/* Goal:   a leader does not count itself before its disk has the entry, and answers all the same
 *         as soon as the others have it.
 * Method: hold the leader's own disk for a moment: two followers commit without it. */
static void leader_disk_may_lag(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_disk_hold(s, 0, true);
    const uint64_t call = sim_put(s, 0, 2, SMALL);
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 4));
    CHECK(s, sim_answered(s, call));
    sim_crash(s, 0, SIM_LOSE_UNSYNCED); /* its only copy was in memory */
    CHECK(s, sim_restart(s, 0));
    CHECK(s, sim_settle(s));
    CHECK(s, sim_applied(s, 0) >= sim_call_index(s, call));
}

/* Goal:   what was acknowledged is there after all nodes lost power at once.
 * Method: so they do, twice, with writes in between. */
static void power_cut_of_all(struct sim *s)
{
    const uint32_t nodes = sim_plan(s)->nodes;

    CHECK(s, sim_elect(s, 0));
    for (uint32_t round = 0; round < 2; round++) {
        calm_put(s, 1, (uint8_t)round, SMALL);
        for (uint32_t node = 0; node < nodes; node++)
            sim_crash(s, node, SIM_LOSE_UNSYNCED);
        for (uint32_t node = 0; node < nodes; node++)
            CHECK(s, sim_restart(s, node));
        CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    }
    CHECK(s, sim_settle(s));
}

/* Goal:   a leader cut off from the rest serves no read, and its writes give way to its
 * successor's. Method: isolate it with a write and a read pending, let the others elect and write,
 * heal. */
static void deposed_leader(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_isolate(s, 0, true);
    if (sim_plan(s)->options.lease_reads) /* until it is over nobody else can have written */
        CHECK(s, sim_run_ns(s, sim_plan(s)->options.election_min_ns));
    const uint64_t stale = sim_get(s, 0, 1);
    CHECK(s, sim_run_ns(s, 12 * calm_timeout_ns(s)));
    /* By lease it may still serve what was read before the others could elect anybody. */
    CHECK(s, !sim_answered(s, stale) || sim_plan(s)->options.lease_reads);
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != 0);
    CHECK(s, leader != UINT32_MAX);
    calm_put(s, leader, 1, SMALL);
    CHECK(s, !sim_answered(s, stale));
    sim_isolate(s, 0, false);
    CHECK(s, sim_settle(s)); /* a late answer would have to show the new value */
    CHECK(s, sim_last(s, 0) == sim_last(s, leader));
}

/* Goal:   PreVote: a node that was away does not disturb who leads.
 * Method: isolate a follower for many timeouts; on its return nobody's term has moved. */
static void return_disturbs_nobody(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    const uint64_t elections = sim_count(s, SIM_ELECTION);
    sim_isolate(s, 2, true);
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    sim_isolate(s, 2, false);
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    CHECK(s, sim_count(s, SIM_ELECTION) == elections);
    CHECK(s, sim_leader(s) == 0);
}

/* Goal:   a node paused in mid-request answers nothing stale when it wakes.
 * Method: the leader takes a read, is paused for long, and wakes to a cluster that has gone on. */
static void paused_leader_wakes(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_get(s, 0, 1);
    sim_pause(s, 0, true);
    CHECK(s, sim_run_ns(s, 12 * calm_timeout_ns(s)));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != 0);
    calm_put(s, leader, 1, SMALL);
    sim_pause(s, 0, false);
    CHECK(s, sim_settle(s)); /* the history checker judges the read */
}

/* Goal:   a disk that hangs under the leader does not hang the cluster.
 * Method: hold it for long: another node leads and serves. */
static void leader_disk_hangs(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_disk_hold(s, 0, true);
    sim_put(s, 0, 2, SMALL); /* something that its disk owes */
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != 0);
    CHECK(s, leader != UINT32_MAX);
    calm_put(s, leader, 3, SMALL);
    sim_disk_hold(s, 0, false);
    CHECK(s, sim_settle(s));
}

/* Puts by way of `node` until one is not stored; that one is in doubt, or refused. */
static void fill(struct sim *s, uint32_t node)
{
    uint64_t call;

    for (uint32_t i = 0; i < FILLING_PUTS; i++) {
        const uint64_t end_ns = sim_now_ns(s) + 20 * calm_timeout_ns(s);
        call = sim_put(s, node, (uint8_t)(i % 8), LARGE);
        CHECK(s, call != 0);
        while (!sim_answered(s, call) && sim_now_ns(s) < end_ns)
            CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 32));
        if (!sim_answered(s, call))
            return;
    }
    calm_check(s, false, "full disks took all writes", __LINE__);
}

static void refused_at_once(struct sim *s, uint32_t node)
{
    const uint64_t call = sim_put(s, node, 1, SMALL);

    CHECK(s, call != 0);
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) /
                               2)); /* a request's timeout is twice that of an election */
    CHECK(s, sim_refused(s, call));
}

/* Goal:   while a majority's disks are full, writes are refused at once wherever they arrive, nobody is
 *         elected, and reads are served; with room again everything goes on by itself.
 * Method: three followers of five get no more segments, and writes use up what they have. */
static void majority_is_full(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    const raft_term term = sim_term(s, 0);
    for (uint32_t node = 1; node <= 3; node++)
        sim_disk_full(s, node, true);
    fill(s, 0);
    CHECK(s, sim_run_ns(s, 3 * calm_timeout_ns(s)));
    for (uint32_t node = 1; node <= 4; node++)
        refused_at_once(s, node);
    const uint64_t read = sim_get(s, 4, 1);
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s)));
    CHECK(s, sim_answered(s, read));
    CHECK(s, sim_leader(s) == 0);
    CHECK(s, sim_term(s, 0) == term);

    for (uint32_t node = 1; node <= 3; node++)
        sim_disk_full(s, node, false);
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    for (uint32_t node = 0; node <= 4; node++)
        calm_put(s, node, 2, SMALL);
    CHECK(s, sim_term(s, 0) == term);
    CHECK(s, sim_settle(s));
}

/* Goal:   an old copy of a directory is found out though it runs under the very boot number that the
 *         true one had, by what that had acknowledged: it is told, stops, and the true one comes back.
 * Method: copy node 1's disk; let it acknowledge more, start once more and be heard; then kill it and
 *         start the copy, whose boot is the same. */
static void copy_of_the_same_boot(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 1, 1, SMALL);
    sim_copy_disk(s, 1);
    const raft_index copied = sim_last(s, 1);
    calm_put(s, 0, 2, SMALL);
    calm_put(s, 0, 3, LARGE);
    CHECK(s, sim_promised(s, 1) > copied);

    sim_crash(s, 1, SIM_LOSE_UNSYNCED);
    CHECK(s, sim_restart(s, 1));
    const uint32_t boot = sim_boot(s, 1);
    calm_put(s, 0, 4, SMALL);
    sim_crash(s, 1, SIM_LOSE_UNSYNCED);
    const raft_term term = sim_term(s, 0);
    CHECK(s, sim_start_copy(s, 1));
    CHECK(s, sim_boot(s, 1) == boot);
    CHECK(s, sim_last(s, 1) <= copied);
    CHECK(s, sim_run_ns(s, 20 * calm_timeout_ns(s)));
    CHECK(s, sim_count(s, SIM_OLD_COPY_STOPPED) == 1);
    CHECK(s, sim_leader(s) == 0);
    CHECK(s, sim_term(s, 0) == term);
    calm_put(s, 1, 5, SMALL);
    CHECK(s, sim_settle(s));
}

SCENARIO(every_node_takes_writes, 3)
SCENARIO(ack_waits_for_sync, 3)
SCENARIO(leader_disk_may_lag, 3)
SCENARIO(power_cut_of_all, 3)
SCENARIO(deposed_leader, 3)
SCENARIO(return_disturbs_nobody, 3)
SCENARIO(paused_leader_wakes, 3)
SCENARIO(leader_disk_hangs, 3)
SCENARIO(majority_is_full, 5)
SCENARIO(copy_of_the_same_boot, 3)

/* Goal:   the same seed gives the same run, to the last frame; another seed gives another.
 * Method: full runs with faults, compared by their hashes. */
static void test_same_seed_same_run(void **state)
{
    uint64_t hash[3];
    const uint64_t seeds[3] = {5, 5, 6};

    (void)state;
    struct sim *s = sim_new();
    for (uint32_t i = 0; i < 3; i++) {
        sim_begin(s, &(struct sim_config){.seed = seeds[i], .events = 3000});
        CHECK(s, sim_run(s, 3000));
        hash[i] = sim_hash(s);
    }
    sim_delete(s);
    assert_true(hash[0] == hash[1]);
    assert_true(hash[0] != hash[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_node_takes_writes),
        cmocka_unit_test(test_ack_waits_for_sync),
        cmocka_unit_test(test_leader_disk_may_lag),
        cmocka_unit_test(test_power_cut_of_all),
        cmocka_unit_test(test_deposed_leader),
        cmocka_unit_test(test_return_disturbs_nobody),
        cmocka_unit_test(test_paused_leader_wakes),
        cmocka_unit_test(test_leader_disk_hangs),
        cmocka_unit_test(test_majority_is_full),
        cmocka_unit_test(test_copy_of_the_same_boot),
        cmocka_unit_test(test_same_seed_same_run),
    };
    return cmocka_run_group_tests(tests, calm_begin, calm_end);
}
