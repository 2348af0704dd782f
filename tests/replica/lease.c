/* Goal:   a leader that reads by lease answers without a round while its lease holds, and never with
 *         what it has if it was paused between the confirmation and the answer and another leader
 *         has written meanwhile: then it asks again, as often as it takes. A follower that was paused
 *         after it has read its clock promises for as long as one that was not, also when nothing could
 *         leave it when it woke.
 * Method: replicas of world.h. One of them is polled by hand, role by role, and left alone while the
 *         others go on. The follower's leader and its rival are puppets. The last poll is left at each of
 *         its first moments in turn, while the tx role makes room. */
#include "tests/replica/puppet.h"

#include "persist/segment.h"
#include "raftcore/raft.h"
#include "sim/disk_sim.h"
#include "sim/fibre.h"
#include "sim/port_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char old[10], new[20];

static struct world *world_of_leases(void)
{
    struct world *w = world_open(3, 3);

    for (uint32_t n = 0; n < 3; n++)
        world_kill(w, n);
    w->lease_reads = true;
    for (uint32_t n = 0; n < 3; n++)
        world_start(w, n);
    return w;
}

static uint32_t encode_get(uint8_t *bytes)
{
    return command_encode(&(struct command){.kind = QUERY_RANGE, .key = {(const uint8_t *)"key", 3}},
                          bytes);
}

static void lease_answers_at_once(void **state)
{
    struct world *w = world_of_leases();
    const uint32_t leader = world_leader(w);
    uint8_t bytes[128];

    (void)state;
    world_put(w, leader, "key", old, sizeof old);
    world_run_ms(w, 50);
    const uint64_t begun = w->now_ns;
    world_read_is(w, leader, "key", sizeof old);
    assert_true(w->now_ns - begun <= 60000); /* three turns; a round is two times 20 us and more */
    for (uint32_t n = 0; n < 3; n++)
        world_read_is(w, n, "key", sizeof old);
    /* Many at once are served in few turns. */
    const uint32_t length = encode_get(bytes);
    struct client *c = &w->machine[leader].client;
    memcpy(c->bytes, bytes, length);
    for (uint64_t i = 0; i < 50; i++) {
        const struct request request = {.tag = 1ull << REQUEST_DOOR_SHIFT | (1 << 20) | i,
                                        .bytes = c->bytes, .length = length, .kind = REQUEST_READ};
        c->tag = request.tag;
        assert_int_equal(spsc_push(w->machine[leader].door->to_raft, &request, sizeof request, 1), 1);
    }
    c->answered = false;
    for (uint32_t i = 0; i < 4; i++)
        world_turn(w);
    assert_true(c->answered); /* the last of them */
    world_close(w);
}

/* The role of a node that world_turn() leaves alone. */
static void poll(struct world *w, uint32_t n, enum replica_role role)
{
    replica_poll(w->machine[n].replica, role, w->now_ns);
}

static void paused_leader_does_not_answer_from_the_past(void **state)
{
    uint8_t bytes[128];
    const uint32_t length = encode_get(bytes);

    (void)state;
    /* The pause comes right after raft's poll, and after store's poll that found the read. */
    for (uint32_t stage = 0; stage < 2; stage++) {
        struct world *w = world_of_leases();
        const uint32_t paused = world_leader(w);
        world_put(w, paused, "key", old, sizeof old);
        world_run_ms(w, 50);
        struct client *c = &w->machine[paused].client;
        world_push(w, paused, REQUEST_READ, bytes, length);
        w->now_ns += 1000;
        poll(w, paused, REPLICA_RAFT); /* confirms it by lease */
        for (uint32_t i = 0; i < stage; i++)
            poll(w, paused, REPLICA_STORE);
        w->paused = paused;
        world_run_ms(w, 1000);
        world_put(w, (paused + 1) % 3, "key", new, sizeof new);
        w->paused = w->count;
        poll(w, paused, REPLICA_STORE); /* before anything else has seen the time */
        while (!c->answered)
            world_turn(w);
        assert_int_equal(c->answer.status, ANSWER_OK);
        assert_int_equal(c->value_bytes, sizeof new);
        world_close(w);
    }
}

/* As many reads as the door's ring takes. */
static void push_reads(struct world *w, uint32_t n)
{
    static uint64_t number = 1 << 20;
    struct machine *m = &w->machine[n];
    const uint32_t length = encode_get(m->client.bytes);

    for (;;) {
        const struct request request = {.tag = 1ull << REQUEST_DOOR_SHIFT | ++number,
                                        .bytes = m->client.bytes,
                                        .length = length,
                                        .kind = REQUEST_READ};
        if (spsc_push(m->door->to_raft, &request, sizeof request, 1) == 0)
            return;
    }
}

/* A pause with all tables and rings full of reads by lease: they come back late, to a full table, and
 * the store waits until they are taken. New reads that ask for the same places must not keep it. */
static void late_reads_hold_nobody_up(void **state)
{
    struct world *w = world_of_leases();
    const uint32_t paused = world_leader(w);
    const struct node_view *view = &w->machine[paused].view;

    (void)state;
    world_put(w, paused, "key", old, sizeof old);
    world_run_ms(w, 50);
    w->paused = paused;
    for (uint32_t i = 0; i < 100; i++) {
        push_reads(w, paused);
        poll(w, paused, REPLICA_RAFT);
    }
    world_run_ms(w, 1000);
    world_put(w, (paused + 1) % 3, "key", new, sizeof new);
    w->paused = w->count;
    for (uint32_t turn = 0; turn < 20000; turn++) {
        push_reads(w, paused);
        world_turn(w);
    }
    assert_int_equal(published_get(&view->applied), published_get(&view->commit));
    assert_int_equal(published_get(&view->commit),
                     published_get(&w->machine[(paused + 1) % 3].view.commit));
    world_close(w);
}

/* The real node reads its clock, is paused, and then hears a heartbeat in the same poll. It must vote
 * for nobody for an election_min from there on, all but the last of it. */
static void paused_node_promises(struct puppets *s)
{
    const struct raft_msg asks = {.type = RAFT_MSG_PREVOTE, .term = 2, .prev_index = 9, .prev_term = 1};
    const uint64_t promise_ns = 99 * 1000000;
    const uint64_t clock_ns = s->w->now_ns; /* the last that raft sees before the pause */

    s->w->paused = 0;
    world_run_ms(s->w, 60);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = 1, .round = 1});
    world_run_ms(s->w, 1);
    poll(s->w, 0, REPLICA_RX);
    replica_poll(s->w->machine[0].replica, REPLICA_RAFT, clock_ns);
    s->w->paused = s->w->count;
    const uint64_t heard_ns = s->w->now_ns;
    while (s->w->now_ns < heard_ns + promise_ns) {
        puppet_say(s->three, &asks);
        const struct frame *f = puppet_next(s->three, FRAME_RAFT, RAFT_MSG_PREVOTE_REPLY, 1);
        assert_non_null(f);
        assert_true(f->raft.reject);
    }
}

static void paused_follower_keeps_its_promise(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_begin(&s);
    puppet_lead(s.two, 1, 100);
    paused_node_promises(&s);
    puppets_close(&s);
}

enum { ENTRIES = 3, LOST = 2 };

/* The bytes of the record, wherever they stand on the disk. */
static void damage(struct disk *disk, const uint8_t *record)
{
    static char names[DISK_FILES_MAX][DISK_NAME_BYTES];
    const int64_t count = disk_list(disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);
    uint32_t damaged = 0;

    for (int64_t i = 0; i < count; i++) {
        uint64_t length;
        uint8_t *bytes = disk_sim_bytes(disk, names[i], &length);
        uint8_t *at = memmem(bytes, length, record, RECORD_HEADER_BYTES);
        for (; at != NULL; at = memmem(bytes, length, record, RECORD_HEADER_BYTES), damaged++)
            *at ^= 1;
    }
    assert_true(damaged > 0);
}

/* A follower starts with an entry missing, and the two others greet it. */
static void start_with_a_hole(struct puppets *s, uint8_t records[ENTRIES][RECORD_HEADER_BYTES])
{
    uint32_t chain = 0;

    puppets_open(s);
    puppets_begin(s);
    puppet_lead(s->two, 1, 20);
    for (raft_index i = 1; i <= ENTRIES; i++) {
        const struct record_spec spec = {
            .type = RECORD_EMPTY, .cluster = 7, .index = i, .term = 1, .chain = chain};
        chain = record_encode(&spec, records[i - 1]);
        puppet_append(s->two, 1, record_at(records[i - 1]), i == 1 ? 0 : 1, 0);
        world_run_ms(s->w, 20);
    }
    world_kill(s->w, 0);
    damage(s->w->machine[0].disk, records[LOST - 1]);
    world_start(s->w, 0);
    puppet_greet(s->two, ENTRIES);
    puppet_greet(s->three, ENTRIES);
}

/* Its core begins anew in the poll that finds the log whole, and it must not forget what it promised
 * before in that poll. */
static void promise_outlives_a_repair(void **state)
{
    _Alignas(RECORD_ALIGN) uint8_t records[ENTRIES][RECORD_HEADER_BYTES];
    struct puppets s;

    (void)state;
    start_with_a_hole(&s, records);
    const struct replica *real = s.w->machine[0].replica;
    const struct frame *asked = puppet_next(s.two, FRAME_REPAIR_ASK, 0, 100);
    assert_non_null(asked);
    assert_int_equal(asked->repair.index, LOST);
    struct frame answer = {.type = FRAME_REPAIR, .repair = asked->repair,
                           .body = records[LOST - 1], .body_bytes = RECORD_HEADER_BYTES};
    answer.repair.total = RECORD_HEADER_BYTES;
    puppet_send(s.two, &answer);
    for (uint32_t turn = 0; wal_repairs_durable(replica_wal(real)) == 0; turn++) {
        assert_true(turn < 10000);
        world_turn(s.w);
    }
    paused_node_promises(&s);
    assert_int_equal(published_get(&s.w->machine[0].counters.repaired), 1);
    assert_int_equal(published_get(&s.w->machine[0].counters.holes), 0);
    puppets_close(&s);
}

enum { TX_RING = 256, BURST = 32, MOMENTS = 24, ARRIVAL_NS = 100000 }; /* as world.c and raft have it */

struct late_poll {
    struct replica *replica;
    uint64_t clock_ns;
};

static void poll_raft(void *context)
{
    const struct late_poll *late = context;
    replica_poll(late->replica, REPLICA_RAFT, late->clock_ns);
}

/* The rival's questions lie in the ring to raft, as many as it takes. */
static void ask(struct puppets *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        puppet_say(s->three, &(struct raft_msg){.type = RAFT_MSG_PREVOTE, .term = 2});
    s->w->now_ns += ARRIVAL_NS;
    net_advance(s->w->net, s->w->now_ns);
    while (replica_poll(s->w->machine[0].replica, REPLICA_RX, s->w->now_ns) > 0)
        continue;
}

/* Answers fill the ring to tx, but for one less than a poll of raft may say. */
static void leave_little_room(struct puppets *s, struct late_poll *late)
{
    for (uint32_t room = TX_RING; room > BURST; room -= BURST) {
        ask(s, BURST);
        poll_raft(late);
    }
    ask(s, 1);
    poll_raft(late);
}

/* The poll that hears the leader late is the one that fills the ring to tx. In the next one there is no
 * room when the promise is to be renewed, and there is when the questions are looked at. */
static void late_promise_without_room(uint32_t moments)
{
    struct fibre *fibre = fibre_new();
    struct puppets s;

    puppets_open(&s);
    puppets_begin(&s);
    puppet_lead(s.two, 1, 100);
    struct late_poll late = {s.w->machine[0].replica, s.w->now_ns};
    s.w->paused = 0;
    leave_little_room(&s, &late);
    world_run_ms(s.w, 60);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = 1, .round = 1});
    world_run_ms(s.w, 1);
    ask(&s, 2 * BURST);
    poll_raft(&late);
    assert_true(raft_heard_leader(replica_raft(late.replica)));
    world_run_ms(s.w, 50);
    puppet_drop(s.three);
    late.clock_ns = s.w->now_ns; /* more than 110 ms behind the first, 50 behind the leader's word */
    if (!fibre_begin(fibre, poll_raft, &late, moments)) {
        poll(s.w, 0, REPLICA_TX);
        fibre_go_on(fibre, FIBRE_TO_ITS_END);
    }
    s.w->paused = s.w->count;
    const struct frame *f = puppet_next(s.three, FRAME_RAFT, RAFT_MSG_PREVOTE_REPLY, 20);
    assert_non_null(f);
    for (; f != NULL; f = puppet_next(s.three, FRAME_RAFT, RAFT_MSG_PREVOTE_REPLY, 1))
        assert_true(f->raft.reject);
    puppets_close(&s);
    fibre_delete(fibre);
}

static void late_promise_is_renewed_at_any_moment(void **state)
{
    (void)state;
    for (uint32_t moments = 0; moments < MOMENTS; moments++)
        late_promise_without_room(moments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_answers_at_once),
        cmocka_unit_test(paused_leader_does_not_answer_from_the_past),
        cmocka_unit_test(late_reads_hold_nobody_up),
        cmocka_unit_test(paused_follower_keeps_its_promise),
        cmocka_unit_test(late_promise_is_renewed_at_any_moment),
        cmocka_unit_test(promise_outlives_a_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
