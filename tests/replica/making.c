/* Goal:   a log that is cut behind its snapshots can be used for ever: while three nodes take many times as
 *         many bytes as their logs may have, the number of segments stays within bounds, also while nodes are
 *         killed and started in turn; and whenever one was started it comes to the same state as
 *         the others, from its snapshot and what stands behind it in the log.
 *         What a point is, who writes when, and what stops nothing: one point makes the same
 *         snapshot on all nodes; a full disk fails it, and another is made when there is room again.
 * Method: replicas of world.h with small segments. The store's digest at equal applied index
 *         tells equal states; the digest of a snapshot tells equal files.
 */
#include "persist/snapshot.h"
#include "replica/making.h"
#include "sim/disk_sim.h"
#include "tests/replica/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    NODES = 3,
    ROUNDS = 60,
    PUTS = 16, /* in a round */
    VALUE_BYTES = 4000,
    KEYS = 50,
    LOG_BYTES = 256 << 10,
    TRAILING_BYTES = 128 << 10,
    SEGMENT_BYTES = 128 << 10,
    DISK_BYTES = 4 << 20,
};

static struct world *world_of(uint64_t log_bytes, uint64_t trailing_bytes)
{
    struct world *w = world_make(NODES, NODES);

    w->small_log = true;
    w->snapshots.log_bytes = log_bytes;
    w->snapshots.trailing_bytes = trailing_bytes;
    w->snapshots.needed_bytes = 2 * trailing_bytes;
    for (uint32_t n = 0; n < NODES; n++)
        world_start(w, n);
    return w;
}

static struct world *small_world(uint64_t log_bytes)
{
    return world_of(log_bytes, TRAILING_BYTES);
}

static void put_some(struct world *w, uint32_t round)
{
    static uint8_t value[VALUE_BYTES];
    char key[32];

    for (uint32_t i = 0; i < PUTS; i++) {
        snprintf(key, sizeof key, "key-%u", (round * 7 + i) % KEYS);
        value[0] = (uint8_t)round;
        world_put(w, world_leader(w), key, value, sizeof value - i);
    }
}

static uint64_t counter(const struct published *p)
{
    return published_get(p);
}

/* All that run have applied the same, and have the same state. */
static void states_are_equal(struct world *w)
{
    const uint32_t leader = world_leader(w);

    world_run_ms(w, 400);
    for (uint32_t n = 0; n < NODES; n++) {
        const struct node_view *v = &w->machine[n].view;
        if (w->machine[n].replica == NULL)
            continue;
        assert_int_equal(published_get(&v->applied), published_get(&w->machine[leader].view.commit));
        assert_int_equal(published_get(&v->digest), published_get(&w->machine[leader].view.digest));
        assert_int_equal(published_get(&v->revision), published_get(&w->machine[leader].view.revision));
    }
}

static uint32_t segments(const struct world *w, uint32_t n)
{
    return wal_span(replica_wal(w->machine[n].replica)).segments;
}

static void segments_stay_bounded(void **state)
{
    struct world *w = small_world(LOG_BYTES);
    /* What makes a point due, what comes while it is written, what trails, and a segment at each end;
     * a start makes one more. */
    const uint32_t bound = (2 * LOG_BYTES + 2 * TRAILING_BYTES) / SEGMENT_BYTES + 4;
    uint64_t made = 0;

    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t n = round % NODES;
        put_some(w, round);
        world_run_ms(w, 20);
        for (uint32_t i = 0; i < NODES; i++)
            assert_true(segments(w, i) <= bound);
        if (round % 5 != 4)
            continue;
        made += counter(&w->machine[n].counters.snapshots_written);
        world_kill(w, n);
        put_some(w, round);
        world_start(w, n);
        states_are_equal(w);
    }
    for (uint32_t n = 0; n < NODES; n++) {
        assert_true(counter(&w->machine[n].counters.log_base) > 0);
        assert_int_equal(counter(&w->machine[n].counters.snapshots_dropped), 0);
    }
    print_message("%u snapshots by nodes that were killed, at most %u segments\n", (unsigned)made, bound);
    assert_true(made >= 8);
    world_close(w);
}

/* All nodes at once, and with no entry behind the snapshot. */
static void all_start_from_their_snapshots(void **state)
{
    struct world *w = small_world(LOG_BYTES / 2);

    (void)state;
    for (uint32_t round = 0; round < 12; round++) {
        put_some(w, round);
        if (round % 4 != 3)
            continue;
        world_run_ms(w, 100);
        for (uint32_t n = 0; n < NODES; n++)
            world_kill(w, n);
        for (uint32_t n = 0; n < NODES; n++)
            world_start(w, n);
        states_are_equal(w);
        for (uint32_t n = 0; n < NODES; n++)
            assert_true(counter(&w->machine[n].counters.snapshot_index) > 0);
    }
    world_close(w);
}

static const struct snapshot_header *current(const struct world *w, uint32_t n)
{
    return snapshot_current(replica_snapshots(w->machine[n].replica));
}

/* By hand. */
static void make(struct world *w)
{
    assert_true(trigger_propose(w->machine[world_leader(w)].replica) > 0);
    world_run_ms(w, 1500);
}

/* Also when nothing was written since the one before. */
static void one_point_makes_the_same_everywhere(void **state)
{
    struct world *w = small_world(0);
    raft_index before = 0;

    (void)state;
    put_some(w, 1);
    assert_null(current(w, 0));
    for (uint32_t n = 0; n < NODES; n++) {
        make(w);
        for (uint32_t i = 0; i < NODES; i++) {
            assert_non_null(current(w, i));
            assert_int_equal(current(w, i)->index, current(w, 0)->index);
            assert_int_equal(current(w, i)->digest, current(w, 0)->digest);
            assert_int_equal(current(w, i)->chain, current(w, 0)->chain);
        }
        assert_true(current(w, 0)->index > before);
        before = current(w, 0)->index;
        assert_int_equal(counter(&w->machine[n].counters.snapshots_written), n + 1);
        const struct replica_held held = replica_held(w->machine[n].replica);
        assert_int_equal(held.pinned, 0);
        assert_int_equal(held.snapshot_jobs, 0);
    }
    world_close(w);
}

/* One after the other, as soon as it is known how long it takes. */
static void members_write_in_turns(void **state)
{
    struct world *w = small_world(0);
    uint64_t begun_ns[NODES] = {0};
    uint32_t begun = 0;

    (void)state;
    put_some(w, 1);
    make(w);
    assert_true(trigger_propose(w->machine[world_leader(w)].replica) > 0);
    for (uint32_t turn = 0; turn < 50000 && begun < NODES; turn++) {
        world_turn(w);
        for (uint32_t n = 0; n < NODES; n++) {
            const struct snapshots *s = replica_snapshots(w->machine[n].replica);
            if (begun_ns[n] != 0 || snapshot_stage(s) == SNAPSHOT_IDLE)
                continue;
            begun_ns[n] = w->now_ns;
            begun++;
            for (uint32_t i = 0; i < NODES; i++) /* some writes of 0.1 ms at least make a file */
                assert_true(i == n || begun_ns[i] == 0 || begun_ns[n] - begun_ns[i] >= 500000);
        }
    }
    assert_int_equal(begun, NODES);
    world_close(w);
}

/* The base stays where what is above it is not more than may trail. */
static void log_trails_its_snapshot(void **state)
{
    struct world *w = small_world(0);

    (void)state;
    make(w);
    const raft_index first = current(w, 0)->index;
    put_some(w, 1); /* 64 KB */
    make(w);
    assert_int_equal(counter(&w->machine[0].counters.log_base), 0); /* all of it may trail */
    for (uint32_t round = 0; round < 3; round++)
        put_some(w, round);
    make(w);
    assert_true(counter(&w->machine[0].counters.log_base) > first);
    assert_true(counter(&w->machine[0].counters.log_base) <= current(w, 0)->index);
    world_close(w);
}

/* It stops nothing, and when there is room again the node asks for another point by itself. */
static void full_disk_fails_it_and_another_comes(void **state)
{
    struct world *w = small_world(1ull << 40); /* a wish is the only reason */
    struct disk_sim_fault full = {
        .kind = DISK_OP_CREATE, .nth = 1, .result = -ENOSPC, .sticky = true};

    (void)state;
    put_some(w, 1);
    disk_sim_fail(w->machine[1].disk, &full);
    make(w);
    assert_int_equal(counter(&w->machine[1].counters.snapshots_dropped), 1);
    assert_int_equal(replica_held(w->machine[1].replica).pinned, 0);
    assert_null(current(w, 1));
    const raft_index others = current(w, 0)->index;
    full.nth = 0;
    disk_sim_fail(w->machine[1].disk, &full);
    put_some(w, 2);
    world_run_ms(w, 8000);
    assert_non_null(current(w, 1));
    assert_true(current(w, 1)->index > others);
    assert_int_equal(current(w, 1)->digest, current(w, 2)->digest);
    states_are_equal(w);
    world_close(w);
}

/* Whether a put is stored at once, or refused for want of room. */
static bool put_is_stored(struct world *w, uint32_t n, uint32_t round)
{
    static uint8_t value[VALUE_BYTES];
    uint8_t bytes[VALUE_BYTES + 256];
    const struct command put = {.kind = COMMAND_PUT,
                                .key = {(const uint8_t *)(round % 2 == 0 ? "even" : "odd"), 3},
                                .value = {value, sizeof value}};
    const struct answer *answer =
        world_ask(w, n, REQUEST_PROPOSE, bytes, command_encode(&put, bytes));

    assert_true(answer->status == ANSWER_OK || answer->status == ANSWER_NO_ROOM);
    return answer->status == ANSWER_OK;
}

/* The log may keep everything, and the disks are small: when they are full, a snapshot is made in the room
 * that is kept for it, all of the log is cut, and writes go on. */
static void full_disks_are_emptied_by_a_snapshot(void **state)
{
    struct world *w = world_of(1ull << 40, 1ull << 40);
    uint32_t stored = 0, refused = 0;

    (void)state;
    for (uint32_t n = 0; n < NODES; n++)
        disk_sim_limit(w->machine[n].disk, DISK_BYTES);
    while (stored * VALUE_BYTES < 4 * DISK_BYTES) {
        if (put_is_stored(w, world_leader(w), stored)) {
            stored++;
            continue;
        }
        assert_true(++refused < 2000);
        world_run_ms(w, 20);
    }
    for (uint32_t n = 0; n < NODES; n++)
        assert_true(counter(&w->machine[n].counters.snapshots_written) >= 2);
    states_are_equal(w);
    world_close(w);
}

/* The leader's answer is the index that every node's snapshot then has. Until it is made there is no other. */
static void operator_asks_for_one(void **state)
{
    struct world *w = small_world(0);
    const uint32_t leader = world_leader(w);
    const struct admin_request ask = {.kind = ADMIN_SNAPSHOT};

    (void)state;
    put_some(w, 1);
    const struct answer *a = world_ask(w, (leader + 1) % NODES, REQUEST_ADMIN, &ask, sizeof ask);
    assert_int_equal(a->status, ANSWER_NOT_LEADER);
    assert_int_equal(a->leader, leader + 1);
    a = world_ask(w, leader, REQUEST_ADMIN, &ask, sizeof ask);
    assert_int_equal(a->status, ANSWER_OK);
    const uint64_t index = a->index;
    a = world_ask(w, leader, REQUEST_ADMIN, &ask, sizeof ask);
    assert_int_equal(a->status, ANSWER_REFUSED);
    assert_int_equal(a->refusal, ADMIN_REFUSAL_MAKING);
    world_run_ms(w, 500);
    for (uint32_t n = 0; n < NODES; n++) {
        assert_non_null(current(w, n));
        assert_int_equal(current(w, n)->index, index);
    }
    a = world_ask(w, leader, REQUEST_ADMIN, &ask, sizeof ask);
    assert_int_equal(a->status, ANSWER_OK);
    assert_true(a->index > index);
    world_close(w);
}

/* Each start makes a segment, however little is in it; and there is an end to their number. */
static void many_starts_bring_a_snapshot(void **state)
{
    struct world *w = world_make(2, 1);
    const uint32_t half = WAL_SEGMENTS_MAX / 2;
    uint32_t starts = 0;

    (void)state;
    w->small_log = true;
    w->snapshots.log_bytes = 1ull << 40;
    for (; starts < half + 10; starts++) {
        world_start(w, 0);
        world_put(w, world_leader(w), "key", "value", 5);
        if (segments(w, 0) > half)
            break;
        assert_null(current(w, 0));
        world_kill(w, 0);
    }
    assert_true(starts < half + 10);
    world_run_ms(w, 3000);
    assert_non_null(current(w, 0));
    assert_true(segments(w, 0) < 4);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_stay_bounded),
        cmocka_unit_test(all_start_from_their_snapshots),
        cmocka_unit_test(one_point_makes_the_same_everywhere),
        cmocka_unit_test(members_write_in_turns),
        cmocka_unit_test(log_trails_its_snapshot),
        cmocka_unit_test(operator_asks_for_one),
        cmocka_unit_test(full_disk_fails_it_and_another_comes),
        cmocka_unit_test(full_disks_are_emptied_by_a_snapshot),
        cmocka_unit_test(many_starts_bring_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
