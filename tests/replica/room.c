/* Goal:   while the disks of a majority are full, writes are refused at every node at once with
 *         ANSWER_NO_ROOM, and a leader that alone is full hands over; reads go on, nobody is elected, and writes are taken again by
 *         themselves when there is room. The same while a majority's disks are below their reserve, though their
 *         logs have room. One full follower of three stops nobody but itself.
 * Method: three replicas of world.h, on whose disks no segment can be prepared; writes use up what was
 *         there already. */
#include "sim/disk_sim.h"
#include "tests/replica/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    NODES = 3,
    FILLING = 512 << 10,
    FILLING_PUTS = 400,   /* more than all segments hold that are there or prepared */
    ANSWER_MS = 300,      /* of a write that is stored; an election takes 200 at most */
    AT_ONCE_MS = 5,       /* of a refusal: no round over the net, no timeout */
    NOTICED_MS = 300,     /* an election's time without room, a heartbeat, and some more */
    HANDOVER_MS = 1500,   /* four elections' times without room, and one for the new leader */
    NO_ANSWER = 1000,
    LOOKED_MS = 1200,     /* a look at the file system each second */
    REPLICA_QUOTA = 64 << 20, /* of world.c */
};

static void set_full(struct world *w, uint32_t n, bool full)
{
    disk_sim_fail(w->machine[n].disk,
                  &(struct disk_sim_fault){.kind = DISK_OP_CREATE, .nth = full ? 1 : 0,
                                           .result = -ENOSPC, .sticky = true});
}

/* The status of a put, or NO_ANSWER by then. */
static uint32_t put_within_ms(struct world *w, uint32_t n, uint32_t value_bytes, uint64_t ms)
{
    static uint8_t value[FILLING];
    static uint8_t bytes[FILLING + 256];
    const uint64_t end_ns = w->now_ns + ms * 1000000;
    const struct command put = {.kind = COMMAND_PUT,
                                .key = {(const uint8_t *)"key", 3},
                                .value = {value, value_bytes}};
    const struct client *client = &w->machine[n].client;

    world_push(w, n, REQUEST_PROPOSE, bytes, command_encode(&put, bytes));
    while (!client->answered && w->now_ns < end_ns)
        world_turn(w);
    return client->answered ? client->answer.status : NO_ANSWER;
}

/* Writes until one is not stored. What it was is in doubt until there is room. */
static void fill(struct world *w, uint32_t leader)
{
    for (uint32_t i = 0; i < FILLING_PUTS; i++)
        if (put_within_ms(w, leader, FILLING, ANSWER_MS) != ANSWER_OK)
            return;
    fail_msg("the disks are full, and %u large values were stored", FILLING_PUTS);
}

static void all_refuse(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++) {
        assert_int_equal(put_within_ms(w, n, 1, AT_ONCE_MS), ANSWER_NO_ROOM);
        world_run_ms(w, 50);
        assert_int_equal(published_get(&w->machine[n].counters.writes_refused), 1);
    }
}

static void all_take_writes(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(put_within_ms(w, n, n + 1, ANSWER_MS), ANSWER_OK);
    world_run_ms(w, 50);
    for (uint32_t n = 0; n < NODES; n++) {
        world_read_is(w, n, "key", NODES);
        assert_int_equal(published_get(&w->machine[n].counters.writes_refused), 0);
    }
}

/* `full`: bit i is for the node i places behind the leader. */
static void refuses_until_there_is_room(uint32_t full)
{
    struct world *w = world_open(NODES, NODES);
    const uint32_t leader = world_leader(w);
    const uint64_t term = published_get(&w->machine[leader].view.term);

    all_take_writes(w);
    for (uint32_t i = 0; i < NODES; i++)
        if ((full >> i & 1) != 0)
            set_full(w, (leader + i) % NODES, true);
    fill(w, leader);
    world_run_ms(w, NOTICED_MS);
    all_refuse(w);
    world_run_ms(w, 2000);
    all_refuse(w);
    world_read_is(w, leader, "key", FILLING);
    assert_int_equal(world_leader(w), leader);
    assert_int_equal(published_get(&w->machine[leader].view.term), term);
    for (uint32_t n = 0; n < NODES; n++)
        set_full(w, n, false);
    world_run_ms(w, 2 * NOTICED_MS);
    all_take_writes(w);
    assert_int_equal(published_get(&w->machine[leader].view.term), term);
    world_close(w);
}

static void both_followers_are_full(void **state)
{
    (void)state;
    refuses_until_there_is_room(6);
}

/* It hands over, once, and refuses for itself; who leads now takes writes. */
static void the_leader_is_full(void **state)
{
    struct world *w = world_open(NODES, NODES);
    const uint32_t full = world_leader(w);

    (void)state;
    set_full(w, full, true);
    fill(w, full);
    world_run_ms(w, HANDOVER_MS);
    const uint32_t leader = world_leader(w);
    const uint64_t term = published_get(&w->machine[leader].view.term);
    assert_int_not_equal(leader, full);
    assert_int_equal(put_within_ms(w, leader, 1, ANSWER_MS), ANSWER_OK);
    assert_int_equal(put_within_ms(w, 3 - leader - full, 1, ANSWER_MS), ANSWER_OK);
    assert_int_equal(put_within_ms(w, full, 1, AT_ONCE_MS), ANSWER_NO_ROOM);
    world_run_ms(w, 10000);
    /* It is not given back by an operator's wish either. */
    const struct admin_request wish = {.kind = ADMIN_TRANSFER, .target = (uint16_t)(full + 1)};
    assert_int_equal(world_ask(w, leader, REQUEST_ADMIN, &wish, sizeof wish)->status,
                     ANSWER_REFUSED);
    assert_int_equal(put_within_ms(w, leader, 1, ANSWER_MS), ANSWER_OK);
    assert_int_equal(world_leader(w), leader);
    set_full(w, full, false);
    world_run_ms(w, 5000); /* it has much to catch up with */
    all_take_writes(w);
    assert_int_equal(published_get(&w->machine[leader].view.term), term);
    world_close(w);
}

static void the_leader_and_another_are_full(void **state)
{
    (void)state;
    refuses_until_there_is_room(3);
}

static void all_are_full(void **state)
{
    (void)state;
    refuses_until_there_is_room(7);
}

/* It can't apply what it can't store, so only it refuses. */
static void a_full_follower_refuses_for_itself(void **state)
{
    struct world *w = world_open(NODES, NODES);
    const uint32_t leader = world_leader(w);
    const uint32_t full = (leader + 1) % NODES;

    (void)state;
    set_full(w, full, true);
    for (uint32_t i = 0; i < FILLING_PUTS; i++)
        assert_int_equal(put_within_ms(w, leader, FILLING, ANSWER_MS), ANSWER_OK);
    world_run_ms(w, NOTICED_MS);
    assert_int_equal(put_within_ms(w, full, 1, AT_ONCE_MS), ANSWER_NO_ROOM);
    assert_int_equal(put_within_ms(w, leader, 1, ANSWER_MS), ANSWER_OK);
    assert_int_equal(put_within_ms(w, (leader + 2) % NODES, 1, ANSWER_MS), ANSWER_OK);
    set_full(w, full, false);
    world_run_ms(w, 5000); /* it has much to catch up with */
    all_take_writes(w);
    assert_int_equal(world_leader(w), leader);
    world_close(w);
}

/* One of three is dead and one full: nothing can be stored, though only one says so. */
static void dead_and_full_together(void **state)
{
    struct world *w = world_open(NODES, NODES);
    const uint32_t leader = world_leader(w);
    const uint32_t full = (leader + 1) % NODES;
    const uint32_t dead = (leader + 2) % NODES;

    (void)state;
    set_full(w, full, true);
    world_kill(w, dead);
    fill(w, leader);
    world_run_ms(w, 2 * NOTICED_MS); /* of silence, and without room */
    assert_int_equal(put_within_ms(w, leader, 1, AT_ONCE_MS), ANSWER_NO_ROOM);
    world_run_ms(w, 50);
    assert_int_equal(put_within_ms(w, full, 1, AT_ONCE_MS), ANSWER_NO_ROOM);
    assert_int_equal(world_leader(w), leader);
    world_start(w, dead);
    world_run_ms(w, 5000); /* it has much to catch up with */
    assert_int_equal(put_within_ms(w, leader, 1, ANSWER_MS), ANSWER_OK);
    assert_int_equal(put_within_ms(w, dead, 2, ANSWER_MS), ANSWER_OK);
    assert_int_equal(world_leader(w), leader);
    world_close(w);
}

/* A full node's word is no longer than its life: the next boot has what it has. */
static void a_new_boot_has_said_nothing(void **state)
{
    struct world *w = world_open(NODES, NODES);
    const uint32_t leader = world_leader(w);

    (void)state;
    set_full(w, (leader + 1) % NODES, true);
    set_full(w, (leader + 2) % NODES, true);
    fill(w, leader);
    world_run_ms(w, NOTICED_MS);
    all_refuse(w);
    for (uint32_t i = 1; i < NODES; i++) {
        const uint32_t n = (leader + i) % NODES;
        world_kill(w, n);
        set_full(w, n, false);
        world_start(w, n);
    }
    world_leader(w);
    world_run_ms(w, 2 * NOTICED_MS);
    all_take_writes(w);
    world_close(w);
}

/* The file system of the node has so much room above its reserve, or so much less. */
static void leave(struct world *w, uint32_t n, int64_t above)
{
    struct machine *m = &w->machine[n];
    const uint64_t needed = published_get(&m->counters.disk_reserve);

    assert_true(needed > REPLICA_QUOTA);
    disk_sim_limit(m->disk, (uint64_t)((int64_t)(disk_sim_used(m->disk) + needed) + above));
}

static void run_below_reserve(struct world *w, uint32_t leader)
{
    all_refuse(w);
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(published_get(&w->machine[n].counters.no_room), 0);
    world_read_is(w, leader, "key", NODES);
    /* One of two is enough. */
    leave(w, (leader + 1) % NODES, 0);
    world_run_ms(w, NOTICED_MS);
    assert_int_equal(put_within_ms(w, (leader + 2) % NODES, 1, ANSWER_MS), ANSWER_OK);
    all_take_writes(w);
}

/* Writes end while there is room for the log yet, and it stays: a majority's disks have less than a
 * snapshot and the next segments take. */
static void below_the_reserve(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 2; first++) { /* the leader is among them, or not */
        struct world *w = world_open(NODES, NODES);
        const uint32_t leader = world_leader(w);
        const uint64_t term = published_get(&w->machine[leader].view.term);

        world_run_ms(w, LOOKED_MS); /* the next segments are there */
        all_take_writes(w);
        leave(w, (leader + 1) % NODES, -1);
        world_run_ms(w, LOOKED_MS);
        all_take_writes(w); /* one follower below it takes writes like the others */
        assert_int_equal(published_get(&w->machine[(leader + 1) % NODES].counters.below_reserve), 1);
        leave(w, first == 0 ? leader : (leader + 2) % NODES, -1);
        world_run_ms(w, LOOKED_MS);
        run_below_reserve(w, leader);
        assert_int_equal(world_leader(w), leader);
        assert_int_equal(published_get(&w->machine[leader].view.term), term);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_followers_are_full),
        cmocka_unit_test(the_leader_is_full),
        cmocka_unit_test(the_leader_and_another_are_full),
        cmocka_unit_test(all_are_full),
        cmocka_unit_test(a_full_follower_refuses_for_itself),
        cmocka_unit_test(dead_and_full_together),
        cmocka_unit_test(a_new_boot_has_said_nothing),
        cmocka_unit_test(below_the_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
