/* Goal:   a promise leaves the node when the disk has what it promises, and not before: an accepted append,
 *         a vote. What promises nothing does not wait: a refusal, a PreVote, the answer to a heartbeat.
 *         Of acknowledgements that become free together the newest speaks for all.
 * Method: one real node whose disk is held, and peers that are puppets. */
#include "sim/disk_sim.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TERM = 5, SHORT_MS = 5, LONG_MS = 50, ENTRIES = 3 };

/* It follows two in TERM, and its disk does nothing from here on. */
static void hold_disk(struct puppets *s)
{
    puppets_open(s);
    puppets_begin(s);
    puppet_lead(s->two, TERM, 1);
    world_run_ms(s->w, SHORT_MS);
    puppet_drop(s->two);
    puppet_drop(s->three);
    disk_sim_hold(s->w->machine[0].disk, true);
}

static void let_go(struct puppets *s)
{
    disk_sim_hold(s->w->machine[0].disk, false);
}

static void append_entries(struct puppets *s)
{
    _Alignas(RECORD_ALIGN) uint8_t bytes[RECORD_HEADER_BYTES];
    uint32_t chain = 0;

    for (raft_index i = 1; i <= ENTRIES; i++) {
        const struct record_spec spec = {
            .type = RECORD_EMPTY, .cluster = 7, .index = i, .term = TERM, .chain = chain};
        chain = record_encode(&spec, bytes);
        puppet_append(s->two, TERM, record_at(bytes), i == 1 ? 0 : TERM, 0);
        world_turn(s->w); /* a step each */
    }
}

static void acknowledgement_waits(void **state)
{
    struct puppets s;

    (void)state;
    hold_disk(&s);
    append_entries(&s);
    assert_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, SHORT_MS));
    assert_int_equal(raft_last(replica_raft(s.w->machine[0].replica)), ENTRIES);
    puppet_append(s.two, TERM, replica_record(s.w->machine[0].replica, 1), 0, 0); /* a duplicate too */
    assert_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, SHORT_MS));
    let_go(&s);
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, LONG_MS));
    puppets_close(&s);
}

static void vote_waits(void **state)
{
    struct puppets s;

    (void)state;
    hold_disk(&s);
    world_run_ms(s.w, 110); /* it may vote again, and would not campaign yet */
    puppet_drop(s.three);
    puppet_say(s.three, &(struct raft_msg){.type = RAFT_MSG_VOTE, .term = TERM + 1, .transfer = true});
    assert_null(puppet_next(s.three, FRAME_RAFT, RAFT_MSG_VOTE_REPLY, SHORT_MS));
    assert_int_equal(raft_vote(replica_raft(s.w->machine[0].replica)), 3);
    let_go(&s);
    const struct frame *f = puppet_next(s.three, FRAME_RAFT, RAFT_MSG_VOTE_REPLY, LONG_MS);
    assert_non_null(f);
    assert_false(f->raft.reject);
    puppets_close(&s);
}

static void what_promises_nothing_does_not_wait(void **state)
{
    struct puppets s;

    (void)state;
    hold_disk(&s);
    append_entries(&s);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = TERM});
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_HEARTBEAT_REPLY, SHORT_MS));
    puppet_say(s.three, &(struct raft_msg){.type = RAFT_MSG_PREVOTE, .term = TERM + 1});
    assert_non_null(puppet_next(s.three, FRAME_RAFT, RAFT_MSG_PREVOTE_REPLY, SHORT_MS));
    puppet_send(s.two, &(struct frame){.type = FRAME_RAFT, /* a gap */
                                       .raft = {.type = RAFT_MSG_APPEND, .term = TERM,
                                                .prev_index = 9, .prev_term = TERM}});
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, SHORT_MS);
    assert_non_null(f);
    assert_true(f->raft.reject);
    puppets_close(&s);
}

/* The first is on its way to the disk alone, the others share the next write. */
static void newest_speaks_for_all(void **state)
{
    struct puppets s;
    uint32_t answers = 0;
    raft_index match = 0;

    (void)state;
    hold_disk(&s);
    append_entries(&s);
    world_run_ms(s.w, SHORT_MS);
    let_go(&s);
    for (const struct frame *f;
         (f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, LONG_MS)) != NULL; answers++)
        match = f->raft.match;
    assert_int_equal(match, ENTRIES);
    assert_true(answers < ENTRIES);
    puppets_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgement_waits),
        cmocka_unit_test(vote_waits),
        cmocka_unit_test(what_promises_nothing_does_not_wait),
        cmocka_unit_test(newest_speaks_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
