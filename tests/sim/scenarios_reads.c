/* Reads, and frames from long ago, by hand in the deterministic simulator. Half of the seeds read by
 * lease; the checkers of histories judge every answer. */
#include "tests/sim/calm.h"

enum { REPLAYED = 400, REPLAYS = 20 };

/* Others elect while node 0 does nothing, and what the new leader serves is acknowledged. */
static uint32_t succeed(struct sim *s, uint8_t key)
{
    CHECK(s, sim_run_ns(s, 12 * calm_timeout_ns(s)));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != 0);
    CHECK(s, leader != UINT32_MAX);
    calm_put(s, leader, key, SMALL);
    return leader;
}

/* A read that came to the paused leader when its successor had served a write: old is wrong. */
static void wake_to_read(struct sim *s, uint64_t read)
{
    CHECK(s, read != 0);
    sim_pause(s, 0, false);
    CHECK(s, sim_run_ns(s, 10 * calm_timeout_ns(s)));
    CHECK(s, sim_settle(s));
}

/* Goal:   no stale read by a leader that was paused in the middle of a round of heartbeats (etcd#20418):
 *         what comes while the round runs waits for the next one.
 * Method: a follower's read starts a round at the leader, which is paused when that has left; the answers
 *         lie in its queue. It is asked when its successor has written, and wakes. */
static void paused_in_a_round(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    const uint64_t heartbeats = sim_net(s)->sent;
    const uint64_t read = sim_get(s, 1, 1);
    CHECK(s, read != 0);
    while (sim_net(s)->sent < heartbeats + 2) /* the question, and the round */
        CHECK(s, sim_run_ns(s, 1000));
    sim_pause(s, 0, true);
    succeed(s, 1);
    wake_to_read(s, sim_get(s, 0, 1));
}

/* Goal:   the same of a leader that has just read its clock: by that its lease still holds.
 * Method: as above, without a round of its own, paused at that place. */
static void paused_with_its_clock(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    const uint64_t read = sim_get(s, 0, 1); /* by lease: at once */
    CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 4));
    CHECK(s, sim_answered(s, read));
    sim_pause_with_clock(s, 0);
    succeed(s, 1);
    wake_to_read(s, sim_get(s, 0, 1));
}

/* Another node leads as soon as it can and serves a write; node 0, which hears nobody, is asked at once. */
static void read_behind_successor(struct sim *s)
{
    const uint64_t slice_ns = sim_plan(s)->options.election_min_ns / 64;
    const uint64_t end_ns = sim_now_ns(s) + 10 * calm_timeout_ns(s);

    while ((sim_leader(s) == 0 || sim_leader(s) == UINT32_MAX) && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, slice_ns));
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != 0);
    CHECK(s, leader != UINT32_MAX);
    const uint64_t write = sim_put(s, leader, 1, SMALL);
    while (!sim_answered(s, write) && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, slice_ns));
    const uint64_t read = sim_get(s, 0, 1);
    CHECK(s, read != 0);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    CHECK(s, !sim_answered(s, read)); /* nobody is heard who could confirm it */
}

static void deafen(struct sim *s, bool deaf)
{
    for (uint32_t other = 1; other < sim_plan(s)->nodes; other++)
        sim_cut(s, other, 0, deaf);
}

/* Goal:   a lease is over before anybody else can be elected.
 * Method: the leader is cut off, and asked as soon as its successor has served a write. */
static void cut_off_in_its_lease(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    sim_isolate(s, 0, true);
    read_behind_successor(s);
    sim_isolate(s, 0, false);
    CHECK(s, sim_settle(s));
}

/* Goal:   reads by lease end with TIMEOUT_NOW: a deaf leader that has handed over serves nothing more,
 *         though by time its lease holds.
 * Method: all links to it are cut when it is asked to hand over, so it learns of nothing. */
static void deaf_after_handing_over(struct sim *s)
{
    const struct admin_request request = {.kind = ADMIN_TRANSFER, .target = 2};

    CHECK(s, sim_elect(s, 0));
    calm_put(s, 0, 1, SMALL);
    CHECK(s, sim_ask(s, 0, &request));
    deafen(s, true);
    read_behind_successor(s);
    deafen(s, false);
    CHECK(s, sim_settle(s));
}

/* Goal:   frames of earlier terms and boots change nothing.
 * Method: three leaders follow each other, every node loses power once and writes go on; all the while
 *         frames are kept. Then hundreds of them arrive again, among calls: nobody's term moves, the same
 *         node leads, calls are served. */
static void old_frames_change_nothing(struct sim *s)
{
    sim_record(s);
    for (uint32_t node = 0; node < sim_plan(s)->nodes; node++) {
        CHECK(s, sim_elect(s, node));
        calm_put(s, node, (uint8_t)node, SMALL);
        calm_put(s, node, (uint8_t)(node + 8), LARGE);
        sim_crash(s, node, SIM_LOSE_UNSYNCED);
        CHECK(s, sim_restart(s, node));
        CHECK(s, sim_run_ns(s, 10 * calm_timeout_ns(s)));
    }
    const uint32_t leader = sim_leader(s);
    CHECK(s, leader != UINT32_MAX);
    const raft_term term = sim_term(s, leader);
    uint32_t arrived = 0;
    for (uint32_t i = 0; i < REPLAYS; i++) {
        arrived += sim_replay(s, REPLAYED / REPLAYS);
        calm_put(s, i % sim_plan(s)->nodes, 1, SMALL);
    }
    CHECK(s, arrived > REPLAYED / 2);
    CHECK(s, sim_leader(s) == leader);
    for (uint32_t node = 0; node < sim_plan(s)->nodes; node++)
        CHECK(s, sim_term(s, node) == term);
    CHECK(s, sim_settle(s));
}

SCENARIO(paused_in_a_round, 3)
SCENARIO(paused_with_its_clock, 3)
SCENARIO(cut_off_in_its_lease, 3)
SCENARIO(deaf_after_handing_over, 3)
SCENARIO(old_frames_change_nothing, 3)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paused_in_a_round),
        cmocka_unit_test(test_paused_with_its_clock),
        cmocka_unit_test(test_cut_off_in_its_lease),
        cmocka_unit_test(test_deaf_after_handing_over),
        cmocka_unit_test(test_old_frames_change_nothing),
    };
    return cmocka_run_group_tests(tests, calm_begin, calm_end);
}
