/* Goal:   a leader proposes a snapshot point when its options say so, by log, entries or age, or when a
 *         member wishes it; it grants wishes at most so often, and lets nothing that is over keep it from that.
 * Method: one real node that leads the puppets. Points are told from other entries by looking at what it
 *         sends.
 */
#include "persist/snapshot.h"
#include "replica/making.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { CLUSTER = 7, BEAT_MS = 10, ELECTION_MS = 400, SHORT_MS = 300, PATIENCE_MS = 3000, PUTS = 5 };

#define NEVER (1ull << 40)

static struct machine *real(const struct puppets *s)
{
    return &s->w->machine[0];
}

static const struct raft *real_raft(const struct puppets *s)
{
    return replica_raft(real(s)->replica);
}

/* Starts over with these options, and leads. */
static void lead_with(struct puppets *s, const struct replica_snapshots *options)
{
    puppets_open(s);
    world_kill(s->w, 0);
    s->w->small_log = true;
    s->w->snapshots = *options;
    world_start(s->w, 0);
    puppets_elect(s);
}

/* The puppet acknowledges what there is, and says whether it wishes a point. */
static void acknowledge(struct puppets *s, bool wishes)
{
    const raft_index last = raft_last(real_raft(s));
    const struct frame f = {
        .type = FRAME_RAFT,
        .wants_snapshot = wishes,
        .raft = {.type = RAFT_MSG_APPEND_REPLY, .term = raft_term_now(real_raft(s)), .match = last, .last = last},
    };

    puppet_send(s->two, &f);
    puppet_drop(s->two);
    puppet_drop(s->three);
}

static void follow_for(struct puppets *s, uint64_t ms, bool wishes)
{
    for (uint64_t at = 0; at < ms; at += BEAT_MS) {
        acknowledge(s, wishes);
        world_run_ms(s->w, BEAT_MS);
    }
}

/* Entries of the log that are none of the `others`. */
static void points_are(const struct puppets *s, raft_index others, raft_index points)
{
    assert_int_equal(raft_last(real_raft(s)), others + points);
}

/* Requests of the puppet, which has forwarded so many before: nobody proposes them anew when they are lost. */
static void forward_puts(struct puppets *s, uint64_t position)
{
    _Alignas(8) uint8_t body[512] = {0};
    uint8_t bytes[64];
    const struct command put = {
        .kind = COMMAND_PUT, .key = {(const uint8_t *)"k", 1}, .value = {(const uint8_t *)"v", 1}};
    const uint32_t length = command_encode(&put, bytes);
    const uint32_t whole = frame_request_bytes(length);
    const struct frame f = {
        .type = FRAME_FORWARD,
        .forward = {.term = raft_term_now(real_raft(s)), .position = position, .count = PUTS},
        .body = body,
        .body_bytes = PUTS * whole,
    };

    for (uint32_t i = 0; i < PUTS; i++) {
        const struct frame_request head = {.tag = position + i, .length = length};
        memcpy(body + i * whole, &head, sizeof head);
        memcpy(body + i * whole + sizeof head, bytes, length);
    }
    puppet_send(s->two, &f);
}

/* The puppet leads a later term, in which nothing of the log stays but the first entry, of `chain`. */
static void depose(struct puppets *s, uint32_t chain)
{
    const raft_term term = raft_term_now(real_raft(s));
    _Alignas(RECORD_ALIGN) uint8_t bytes[RECORD_HEADER_BYTES];
    const struct record_spec spec = {
        .type = RECORD_EMPTY, .cluster = CLUSTER, .index = 2, .term = term + 1, .chain = chain};

    record_encode(&spec, bytes);
    puppet_append(s->two, term + 1, (const struct record_header *)bytes, term, 1);
    world_run_ms(s->w, 2);
    assert_int_equal(raft_last(real_raft(s)), 2);
    puppet_drop(s->two);
}

/* The real node gets the votes that it asks for. */
static void elect_again(struct puppets *s)
{
    const struct frame *f = puppet_next(s->two, FRAME_RAFT, RAFT_MSG_PREVOTE, ELECTION_MS);

    assert_non_null(f);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_PREVOTE_REPLY, .term = f->raft.term});
    f = puppet_next(s->two, FRAME_RAFT, RAFT_MSG_VOTE, ELECTION_MS);
    assert_non_null(f);
    puppet_say(s->two, &(struct raft_msg){.type = RAFT_MSG_VOTE_REPLY, .term = f->raft.term});
    world_run_ms(s->w, 2);
    assert_int_equal(raft_role(real_raft(s)), RAFT_LEADER);
}

/* No option but the one that the test sets makes a point due. */
static struct replica_snapshots options_of(uint64_t log_bytes, uint64_t entries, uint64_t age_ns)
{
    struct replica_snapshots options = replica_snapshots_default();

    options.log_bytes = log_bytes;
    options.entries = entries;
    options.age_ns = age_ns;
    return options;
}

/* Its disk has lost the snapshot: the core knows nothing of that. */
static void ask_for_pieces(struct puppets *s)
{
    const struct snapshot_header *h = snapshot_current(replica_snapshots(real(s)->replica));

    puppet_send(s->two, &(struct frame){.type = FRAME_SNAPSHOT_ASK,
                                        .snapshot = {.index = h->index, .term = h->term, .bytes = h->bytes,
                                                     .digest = h->digest, .bitmap = 1}});
}

/* Another one would take its place, and the transfer begin anew. */
static void while_a_snapshot_is_pulled_the_next_one_waits(void **state)
{
    const struct replica_snapshots by_entries = options_of(NEVER, PUTS, 0);
    struct puppets s;

    (void)state;
    lead_with(&s, &by_entries);
    forward_puts(&s, 0);
    follow_for(&s, PATIENCE_MS, false);
    points_are(&s, 1 + PUTS, 1);
    assert_int_equal(published_get(&real(&s)->counters.snapshot_index), 1 + PUTS + 1);
    ask_for_pieces(&s);
    forward_puts(&s, PUTS);
    for (uint32_t ms = 0; ms < PATIENCE_MS; ms += SHORT_MS) {
        follow_for(&s, SHORT_MS, false);
        points_are(&s, 1 + 2 * PUTS, 1);
        ask_for_pieces(&s);
    }
    follow_for(&s, PATIENCE_MS, false);
    points_are(&s, 1 + 2 * PUTS, 2);
    puppets_close(&s);
}

/* It stood far beyond the end of what is the log now, which may stay as it is for a long time. */
static void a_point_that_was_truncated_is_not_waited_for(void **state)
{
    const struct replica_snapshots by_wish = replica_snapshots_default();
    struct puppets s;

    (void)state;
    lead_with(&s, &by_wish);
    forward_puts(&s, 0);
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 100);
    assert_non_null(f);
    const uint32_t chain = record_at(f->body)->chain;
    assert_int_equal(trigger_propose(real(&s)->replica), 1 + PUTS + 1);
    depose(&s, chain);
    elect_again(&s);
    follow_for(&s, PATIENCE_MS / 2, true);
    points_are(&s, 3, 1); /* an entry of each leader stays */
    puppets_close(&s);
}

/* PUTS entries make none due, the next ones do. */
static void comes_behind_puts(const struct replica_snapshots *options)
{
    struct puppets s;

    lead_with(&s, options);
    forward_puts(&s, 0);
    follow_for(&s, SHORT_MS, false);
    points_are(&s, 1 + PUTS, 0);
    forward_puts(&s, PUTS);
    follow_for(&s, SHORT_MS, false);
    points_are(&s, 1 + 2 * PUTS, 1);
    puppets_close(&s);
}

static void a_long_log_brings_a_point(void **state)
{
    const struct replica_snapshots by_bytes = options_of((1 + 2 * PUTS) * RECORD_HEADER_BYTES, 0, 0);
    const struct replica_snapshots by_entries = options_of(NEVER, 1 + 2 * PUTS, 0);

    (void)state;
    comes_behind_puts(&by_bytes);
    comes_behind_puts(&by_entries);
}

/* But only if there is anything that the last one has not got. */
static void an_old_point_brings_another(void **state)
{
    const struct replica_snapshots by_age = options_of(NEVER, 0, SHORT_MS * 1000000ull);
    struct puppets s;

    (void)state;
    lead_with(&s, &by_age);
    follow_for(&s, 4 * SHORT_MS, false);
    points_are(&s, 1, 1);
    forward_puts(&s, 0);
    follow_for(&s, SHORT_MS / 2, false);
    points_are(&s, 1 + PUTS, 2);
    follow_for(&s, 4 * SHORT_MS, false);
    points_are(&s, 1 + PUTS, 2);
    puppets_close(&s);
}

/* And none of the options counts when points are switched off. */
static void wishes_are_granted_now_and_then(void **state)
{
    const struct replica_snapshots by_wish = options_of(0, 1, 1);
    struct puppets s;

    (void)state;
    lead_with(&s, &by_wish);
    forward_puts(&s, 0);
    follow_for(&s, PATIENCE_MS, false);
    points_are(&s, 1 + PUTS, 0);
    follow_for(&s, PATIENCE_MS, true);
    points_are(&s, 1 + PUTS, PATIENCE_MS / 1000);
    puppets_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_log_brings_a_point),
        cmocka_unit_test(an_old_point_brings_another),
        cmocka_unit_test(wishes_are_granted_now_and_then),
        cmocka_unit_test(while_a_snapshot_is_pulled_the_next_one_waits),
        cmocka_unit_test(a_point_that_was_truncated_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
