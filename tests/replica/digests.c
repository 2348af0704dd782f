/* Goal:   a state machine that differs from a majority's stops its node, whoever leads; without a majority
 *         nobody stops, and writes are refused until there is one; and states that agree disturb nobody.
 * Method: one real node, whose peers are puppets that say what they like of their states. */
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    EVERY = 4,       /* as in world.c */
    LAST = 2 * EVERY, /* of the log, when the digests are compared */
    WRONG = 1,       /* what is added to a digest */
    HEARTBEAT_MS = 10,
    AGAIN_MS = 1000, /* after which an inquiry without a verdict begins anew */
    HANDOVER_MS = 800,
};

static struct machine *real(const struct puppets *s)
{
    return &s->w->machine[0];
}

static const struct raft *real_raft(const struct puppets *s)
{
    return replica_raft(real(s)->replica);
}

static enum replica_stop stopped(const struct puppets *s)
{
    world_run_ms(s->w, 2);
    return (enum replica_stop)published_get(&real(s)->view.stop);
}

/* Both puppets go on being a leader's healthy followers, and say nothing of their states. */
static void follow_for(struct puppets *s, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += HEARTBEAT_MS / 2) {
        const raft_term term = raft_term_now(real_raft(s));
        puppet_acknowledge(s->two, term, raft_last(real_raft(s)));
        puppet_acknowledge(s->three, term, raft_last(real_raft(s)));
        world_run_ms(s->w, HEARTBEAT_MS / 2);
    }
}

/* A put that is answered as soon as it is acknowledged, or refused. */
static uint32_t put(struct puppets *s)
{
    static const uint8_t key[] = "key";
    static uint8_t bytes[64];
    const struct command command = {.kind = COMMAND_PUT, .key = {key, 3}, .value = {key, 1}};
    const struct client *client = &real(s)->client;

    world_push(s->w, 0, REQUEST_PROPOSE, bytes, command_encode(&command, bytes));
    for (uint32_t i = 0; i < 20 && !client->answered; i++)
        follow_for(s, HEARTBEAT_MS / 2);
    assert_true(client->answered);
    return client->answer.status;
}

/* The real node leads, and has applied entries beyond the second multiple. */
static void lead_with_entries(struct puppets *s)
{
    puppets_open(s);
    puppets_elect(s);
    while (published_get(&real(s)->view.applied) < LAST)
        assert_int_equal(put(s), ANSWER_OK);
    assert_int_equal(published_get(&real(s)->view.applied), LAST);
}

static void tell(struct puppet *p, enum frame_digest_kind kind, raft_index index, uint64_t digest)
{
    puppet_send(p, &(struct frame){.type = FRAME_DIGEST,
                                   .digest = {.kind = (uint8_t)kind, .index = index, .digest = digest}});
}

/* The newest frame about digests that has come to it. */
static const struct frame_digest *hears(struct puppet *p, enum frame_digest_kind kind)
{
    const struct frame *f = puppet_next(p, FRAME_DIGEST, 0, 2 * HEARTBEAT_MS);

    while (f != NULL && f->digest.kind != kind)
        f = puppet_next(p, FRAME_DIGEST, 0, 2 * HEARTBEAT_MS);
    return f == NULL ? NULL : &f->digest;
}

static uint64_t own_digest(const struct puppets *s)
{
    return published_get(&real(s)->view.digest);
}

static void states_that_agree_disturb_nobody(void **state)
{
    struct puppets s;

    (void)state;
    lead_with_entries(&s);
    puppet_drop(s.two);
    tell(s.two, FRAME_DIGEST_REPORT, LAST, own_digest(&s));
    tell(s.three, FRAME_DIGEST_REPORT, LAST, own_digest(&s));
    tell(s.three, FRAME_DIGEST_REPORT, LAST + EVERY, WRONG); /* where this node has not got to */
    follow_for(&s, 100);
    assert_null(hears(s.two, FRAME_DIGEST_ASK));
    assert_int_equal(put(&s), ANSWER_OK);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    puppets_close(&s);
}

static void who_is_alone_is_told(void **state)
{
    struct puppets s;

    (void)state;
    lead_with_entries(&s);
    const uint64_t digest = own_digest(&s);
    puppet_drop(s.two);
    puppet_drop(s.three);
    tell(s.two, FRAME_DIGEST_REPORT, LAST, digest + WRONG);
    const struct frame_digest *asked = hears(s.three, FRAME_DIGEST_ASK);
    assert_non_null(asked);
    assert_int_equal(asked->index, LAST);
    assert_null(hears(s.two, FRAME_DIGEST_VERDICT)); /* one against one: it could be either */
    assert_int_equal(put(&s), ANSWER_CORRUPT);
    assert_int_equal(published_get(&real(&s)->counters.corrupt), 1);
    tell(s.three, FRAME_DIGEST_REPORT, LAST, digest);
    const struct frame_digest *verdict = hears(s.two, FRAME_DIGEST_VERDICT);
    assert_non_null(verdict);
    assert_int_equal(verdict->index, LAST);
    assert_int_equal(verdict->digest, digest);
    assert_int_equal(put(&s), ANSWER_OK);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    tell(s.two, FRAME_DIGEST_REPORT, LAST, digest); /* back, with another state */
    world_run_ms(s.w, 2 * HEARTBEAT_MS);
    puppet_drop(s.two);
    assert_null(hears(s.two, FRAME_DIGEST_VERDICT));
    puppets_close(&s);
}

static void leader_that_is_alone_hands_over_and_stops(void **state)
{
    struct puppets s;

    (void)state;
    lead_with_entries(&s);
    s.w->may_stop = true;
    puppet_drop(s.two);
    puppet_drop(s.three);
    tell(s.two, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + WRONG);
    tell(s.three, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + WRONG);
    world_run_ms(s.w, 1);
    assert_int_equal(published_get(&real(&s)->view.stop), REPLICA_STOP_NONE);
    const raft_node heir = raft_transfer_target(real_raft(&s));
    assert_true(heir == 2 || heir == 3);
    struct puppet *p = heir == 2 ? s.two : s.three;
    const struct frame *f = puppet_next(p, FRAME_RAFT, RAFT_MSG_TIMEOUT_NOW, 100);
    assert_non_null(f);
    puppet_say(p, &(struct raft_msg){.type = RAFT_MSG_VOTE, .transfer = true, .term = f->raft.term + 1,
                                     .prev_index = LAST, .prev_term = f->raft.term});
    assert_int_equal(stopped(&s), REPLICA_STOP_DIVERGED);
    puppets_close(&s);
}

static void leader_that_finds_no_heir_stops_all_the_same(void **state)
{
    struct puppets s;

    (void)state;
    lead_with_entries(&s);
    s.w->may_stop = true;
    tell(s.two, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + WRONG);
    tell(s.three, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + WRONG);
    follow_for(&s, HANDOVER_MS + 100);
    assert_int_equal(stopped(&s), REPLICA_STOP_DIVERGED);
    puppets_close(&s);
}

static void without_a_majority_nobody_stops(void **state)
{
    struct puppets s;

    (void)state;
    lead_with_entries(&s);
    tell(s.two, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + WRONG);
    tell(s.three, FRAME_DIGEST_REPORT, LAST, own_digest(&s) + 2 * WRONG);
    follow_for(&s, 2 * HANDOVER_MS);
    assert_int_equal(put(&s), ANSWER_CORRUPT);
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    puppet_drop(s.two);
    follow_for(&s, AGAIN_MS);
    assert_non_null(hears(s.two, FRAME_DIGEST_ASK)); /* begun anew: a majority may come yet */
    tell(s.two, FRAME_DIGEST_REPORT, LAST, own_digest(&s));
    assert_int_equal(put(&s), ANSWER_OK);
    puppets_close(&s);
}

/* ---- at a follower ------------------------------------------------------------------------------- */

/* The real node gives up its lead to node 2, which leads `term`. */
static raft_term follow(struct puppets *s)
{
    lead_with_entries(s);
    const raft_term term = raft_term_now(real_raft(s)) + 1;
    puppet_lead(s->two, term, 2 * HEARTBEAT_MS);
    assert_int_equal(raft_leader(real_raft(s)), 2);
    return term;
}

static void follower_reports_and_answers(void **state)
{
    struct puppets s;

    (void)state;
    const raft_term term = follow(&s);
    const struct frame_digest *report = hears(s.two, FRAME_DIGEST_REPORT);
    assert_non_null(report);
    assert_int_equal(report->index, LAST);
    assert_int_equal(report->digest, own_digest(&s));
    puppet_lead(s.two, term, AGAIN_MS / 2);
    puppet_drop(s.two);
    puppet_lead(s.two, term, AGAIN_MS);
    assert_non_null(hears(s.two, FRAME_DIGEST_REPORT)); /* the first may have been lost */
    puppet_drop(s.two);
    tell(s.two, FRAME_DIGEST_ASK, EVERY, 0);
    report = hears(s.two, FRAME_DIGEST_REPORT);
    assert_non_null(report);
    assert_int_equal(report->index, EVERY);
    tell(s.two, FRAME_DIGEST_VERDICT, LAST, own_digest(&s));
    tell(s.two, FRAME_DIGEST_VERDICT, LAST + EVERY, WRONG); /* it has not got there */
    tell(s.three, FRAME_DIGEST_VERDICT, LAST, own_digest(&s) + WRONG); /* who does not lead */
    assert_int_equal(stopped(&s), REPLICA_STOP_NONE);
    puppets_close(&s);
}

static void follower_that_is_alone_stops(void **state)
{
    struct puppets s;

    (void)state;
    follow(&s);
    s.w->may_stop = true;
    tell(s.two, FRAME_DIGEST_VERDICT, LAST, own_digest(&s) + WRONG);
    assert_int_equal(stopped(&s), REPLICA_STOP_DIVERGED);
    puppets_close(&s);
}

static void follower_refuses_with_its_leader(void **state)
{
    struct puppets s;
    static uint8_t bytes[64];
    const struct command command = {.kind = COMMAND_PUT, .key = {(const uint8_t *)"k", 1}};

    (void)state;
    const raft_term term = follow(&s);
    puppet_send(s.two, &(struct frame){.type = FRAME_CREDIT, .corrupt = true});
    world_run_ms(s.w, 1);
    world_push(s.w, 0, REQUEST_PROPOSE, bytes, command_encode(&command, bytes));
    world_run_ms(s.w, 1);
    assert_true(real(&s)->client.answered);
    assert_int_equal(real(&s)->client.answer.status, ANSWER_CORRUPT);
    puppet_lead(s.two, term, HEARTBEAT_MS); /* its frames say so no more */
    assert_int_equal(published_get(&real(&s)->view.stop), REPLICA_STOP_NONE);
    puppets_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_that_agree_disturb_nobody),
        cmocka_unit_test(who_is_alone_is_told),
        cmocka_unit_test(leader_that_is_alone_hands_over_and_stops),
        cmocka_unit_test(leader_that_finds_no_heir_stops_all_the_same),
        cmocka_unit_test(without_a_majority_nobody_stops),
        cmocka_unit_test(follower_reports_and_answers),
        cmocka_unit_test(follower_that_is_alone_stops),
        cmocka_unit_test(follower_refuses_with_its_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
