/* Snapshots by hand in the deterministic simulator: who needs one, and what may happen meanwhile. */
#include "tests/sim/calm.h"

#include <stdlib.h>

enum {
    KEYS = 24,
    POINT_ENTRIES = 10, /* a snapshot after so many entries */
    ENOUGH = 4 * POINT_ENTRIES, /* written while a node is away: the log has been cut behind it */
    WAIT_TIMEOUTS = 40,
    BOUNDED_SEED = 40, /* a crowd: see plan.c */
    PIECE_BYTES = 1024, /* at least, of a piece that is not the last */
};

/* The log is cut as far as the snapshot goes. */
static const struct replica_snapshots tight = {
    .log_bytes = 1 << 30, .entries = POINT_ENTRIES, .chunk_bytes = DISK_SECTOR};

#define SNAPSHOT_SCENARIO(name, node_count)                                      \
    static void test_##name(void **state)                                        \
    {                                                                            \
        (void)state;                                                             \
        for (uint64_t seed = 1; seed <= CALM_SEEDS; seed++)                      \
            name(calm_open_with(&(struct sim_config){.seed = seed,               \
                                                     .nodes = node_count,        \
                                                     .events = CALM_EVENTS,      \
                                                     .snapshots = &tight}));     \
    }

static bool runs_until_answered(struct sim *s, uint64_t call)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (!sim_answered(s, call) && sim_now_ns(s) < end_ns)
        if (!sim_run_ns(s, calm_timeout_ns(s) / 64))
            return false;
    return sim_answered(s, call);
}

static void write_many(struct sim *s, uint32_t node, uint32_t count, uint32_t value_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t call = sim_put(s, node, (uint8_t)(i % KEYS), value_bytes);
        CHECK(s, call != 0);
        CHECK(s, runs_until_answered(s, call));
    }
}

/* Runs until the log of `node` begins above `index`. */
static void await_base(struct sim *s, uint32_t node, raft_index index)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (sim_base(s, node) <= index && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 8));
    CHECK(s, sim_base(s, node) > index);
}

/* Node 2 is away, and comes back to find that the others have cut what it needs. */
static void leave_behind(struct sim *s, uint32_t value_bytes)
{
    CHECK(s, sim_elect(s, 0));
    write_many(s, 0, 2, SMALL);
    sim_isolate(s, 2, true);
    const raft_index last = sim_last(s, 2);
    write_many(s, 0, ENOUGH, value_bytes);
    await_base(s, 0, last);
    await_base(s, 1, last);
}

static void await_install(struct sim *s, uint64_t installs)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (sim_count(s, SIM_SNAPSHOT_INSTALL) < installs && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 8));
    CHECK(s, sim_count(s, SIM_SNAPSHOT_INSTALL) >= installs);
}

/* Until `node` has all that node 0 has. */
static void await_applied(struct sim *s, uint32_t node)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (sim_applied(s, node) < sim_last(s, 0) && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 8));
    CHECK(s, sim_applied(s, node) == sim_last(s, 0));
}

/* Until so many pieces have left. */
static void await_pieces(struct sim *s, uint64_t pieces)
{
    const uint64_t end_ns = sim_now_ns(s) + WAIT_TIMEOUTS * calm_timeout_ns(s);

    while (sim_count(s, SIM_SNAPSHOT_PIECE) < pieces && sim_now_ns(s) < end_ns)
        CHECK(s, sim_run_ns(s, calm_timeout_ns(s) / 256));
    CHECK(s, sim_count(s, SIM_SNAPSHOT_PIECE) >= pieces);
    CHECK(s, sim_count(s, SIM_SNAPSHOT_INSTALL) == 0); /* in its middle */
}

/* Goal:   who lacks entries that are gone is brought back by a snapshot, while writes go on.
 * Method: a follower is away until the others have cut their logs; it returns under writes. */
static void far_behind(struct sim *s)
{
    leave_behind(s, SMALL);
    sim_isolate(s, 2, false);
    write_many(s, 0, POINT_ENTRIES / 2, SMALL);
    await_install(s, 1);
    await_applied(s, 2);
    write_many(s, 2, 2, SMALL);
    CHECK(s, sim_settle(s));
    CHECK(s, sim_applied(s, 2) == sim_applied(s, 0));
}

/* Goal:   a transfer goes on from another node when the leader that began it is gone.
 * Method: values are large, so that a snapshot has many pieces; the leader is paused when a third of
 *         them has left. All together not many more leave than one snapshot has. */
static void leader_changes(struct sim *s)
{
    leave_behind(s, LARGE);
    const uint64_t whole = KEYS * LARGE / PIECE_BYTES;
    sim_isolate(s, 2, false);
    await_pieces(s, whole / 3);
    sim_pause(s, 0, true);
    await_install(s, 1);
    CHECK(s, sim_count(s, SIM_SNAPSHOT_PIECE) < 2 * whole);
    sim_pause(s, 0, false);
    CHECK(s, sim_settle(s));
}

/* Goal:   a restart of the receiver in mid-transfer costs that transfer, no more.
 * Method: its power is cut when a third of the pieces has left; it is back at once. */
static void receiver_restarts(struct sim *s)
{
    leave_behind(s, LARGE);
    sim_isolate(s, 2, false);
    await_pieces(s, KEYS * LARGE / PIECE_BYTES / 3);
    sim_crash(s, 2, SIM_LOSE_UNSYNCED);
    CHECK(s, sim_restart(s, 2));
    await_install(s, 1);
    CHECK(s, sim_settle(s));
}

/* Goal:   a node whose disk was wiped is back, under another id, by way of a snapshot.
 * Method: the others have cut their logs; a new node joins and replaces it in one change. */
static void wiped_node_rejoins(struct sim *s)
{
    struct sim_verdict verdict;

    leave_behind(s, SMALL);
    sim_isolate(s, 2, false);
    sim_wipe(s, 2);
    const uint32_t joined = sim_join(s);
    CHECK(s, sim_run_ns(s, 2 * calm_timeout_ns(s)));
    const struct admin_request request = {
        .kind = ADMIN_CHANGE,
        .edit_count = 1,
        .edit[0] = {.kind = ADMIN_ADD, .node = (uint16_t)(joined + 1), .promote = true,
                    .replaces = 3},
    };
    CHECK(s, sim_ask(s, 0, &request));
    await_install(s, 1);
    CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS * calm_timeout_ns(s)));
    CHECK(s, sim_told(s, 0, &verdict));
    CHECK(s, verdict.status == ANSWER_OK);
    write_many(s, joined, 2, SMALL);
    CHECK(s, sim_base(s, joined) > 0);
    CHECK(s, sim_settle(s));
}

/* Goal:   all nodes start from their snapshots, and what lies behind them in the log.
 * Method: the power of all is cut, twice, at any stage of the newest snapshot. */
static void all_restart(struct sim *s)
{
    CHECK(s, sim_elect(s, 0));
    for (uint32_t round = 0; round < 2; round++) {
        write_many(s, sim_leader(s), ENOUGH, SMALL);
        for (uint32_t node = 0; node < 3; node++)
            CHECK(s, sim_base(s, node) > 0 || sim_applied(s, node) < ENOUGH);
        for (uint32_t node = 0; node < 3; node++)
            sim_crash(s, node, SIM_LOSE_UNSYNCED);
        for (uint32_t node = 0; node < 3; node++)
            CHECK(s, sim_restart(s, node));
        CHECK(s, sim_run_ns(s, WAIT_TIMEOUTS / 2 * calm_timeout_ns(s)));
        CHECK(s, sim_leader(s) != UINT32_MAX);
    }
    CHECK(s, sim_settle(s));
}

/* The longest time that one of `count` puts takes at the leader. */
static uint64_t slowest_put_ns(struct sim *s, uint32_t count)
{
    uint64_t slowest = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t begun_ns = sim_now_ns(s);
        const uint64_t call = sim_put(s, 0, (uint8_t)(i % KEYS), SMALL);
        CHECK(s, call != 0);
        while (!sim_answered(s, call) && sim_now_ns(s) < begun_ns + calm_timeout_ns(s))
            CHECK(s, sim_run_ns(s, 20000));
        const uint64_t took_ns = sim_now_ns(s) - begun_ns;
        CHECK(s, sim_answered(s, call));
        slowest = took_ns > slowest ? took_ns : slowest;
    }
    return slowest;
}

/* Goal:   a snapshot that is made delays no commit by more than a few operations of the disk.
 * Method: the store is filled with large values, once with and once without snapshots; then small writes
 *         go on, and the slowest of either run are compared. */
static void test_no_commit_waits(void **state)
{
    static const struct replica_snapshots way[] = {
        {.chunk_bytes = DISK_SECTOR},
        /* The log stays, so that nobody pulls a snapshot beside it. */
        {.chunk_bytes = DISK_SECTOR, .log_bytes = 1 << 30, .entries = POINT_ENTRIES,
         .trailing_bytes = 1 << 30, .needed_bytes = 1 << 30},
    };

    (void)state;
    for (uint64_t seed = 1; seed <= CALM_SEEDS; seed++) {
        uint64_t slowest[2];
        struct sim *s = NULL;
        for (uint32_t i = 0; i < 2; i++) {
            s = calm_open_with(&(struct sim_config){
                .seed = seed, .nodes = 3, .events = CALM_EVENTS, .snapshots = &way[i]});
            CHECK(s, sim_elect(s, 0));
            write_many(s, 0, KEYS, LARGE);
            slowest[i] = slowest_put_ns(s, 4 * POINT_ENTRIES);
        }
        CHECK(s, sim_run_ns(s, 4 * calm_timeout_ns(s)));
        CHECK(s, sim_count(s, SIM_SNAPSHOT_FILE) > 0);
        CHECK(s, sim_count(s, SIM_SNAPSHOT_PIECE) == 0);
        const struct disk_sim_options *disk = &sim_plan(s)->disk;
        CHECK(s, slowest[1] <= slowest[0] + 8 * disk->latency_ns_max);
    }
}

/* Goal:   the disk of a node that writes for ever does not fill: the log is cut and its files used again.
 * Method: eight quick clients a node and no fault; from time to time each disk is looked at. It never holds
 *         more than what a log of one snapshot's distance, the files kept for later and two snapshots take.
 *         `ENTRIES` in the environment is how many entries. */
static void test_log_is_bounded(void **state)
{
    static const struct replica_snapshots often = {.chunk_bytes = DISK_SECTOR, .log_bytes = 64 << 10};
    const char *wanted = getenv("ENTRIES");
    const raft_index entries = wanted != NULL ? strtoull(wanted, NULL, 10) : 6000;

    (void)state;
    struct sim *s = calm_open_crowd(BOUNDED_SEED, &often);
    const struct replica_options *o = &sim_plan(s)->options;
    const uint64_t files = 8 + o->wal.segments_ahead + o->wal.spares_max;
    const uint64_t most = files * o->wal.segment_bytes + 3 * o->quota_bytes;
    uint64_t events = 0;
    while (sim_commit(s, 0) < entries) {
        events += 10000;
        CHECK(s, sim_run(s, events));
        for (uint32_t node = 0; node < sim_plan(s)->nodes; node++)
            CHECK(s, sim_disk_used(s, node) <= most);
    }
    CHECK(s, sim_base(s, 0) + entries / 4 > sim_commit(s, 0));
    CHECK(s, sim_settle(s));
}

SNAPSHOT_SCENARIO(far_behind, 3)
SNAPSHOT_SCENARIO(leader_changes, 3)
SNAPSHOT_SCENARIO(receiver_restarts, 3)
SNAPSHOT_SCENARIO(wiped_node_rejoins, 3)
SNAPSHOT_SCENARIO(all_restart, 3)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far_behind),       cmocka_unit_test(test_leader_changes),
        cmocka_unit_test(test_receiver_restarts), cmocka_unit_test(test_wiped_node_rejoins),
        cmocka_unit_test(test_all_restart),      cmocka_unit_test(test_no_commit_waits),
        cmocka_unit_test(test_log_is_bounded),
    };
    return cmocka_run_group_tests(tests, calm_begin, calm_end);
}
