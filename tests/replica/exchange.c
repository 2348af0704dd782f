/* Goal:   credit is a running total for a pair of boots, rides on every reply, and a blocked sender finds
 *         out; control goes first; a large record arrives in pieces of any order and number, only gaps
 *         are sent again, and its pieces keep the leader alive.
 * Method: one real node, whose peers are puppets. */
#include "dataplane/rx.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    TERM = 5,
    WINDOW = 64,    /* what world.h lets each peer have under way; the chunks' window too */
    LARGE = 100 << 10,
    CHUNKS = (LARGE + RECORD_HEADER_BYTES + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES,
    PIECES_A_MS = 16,
    LONG_MS = 1000, /* five of the longest election timeouts */
};

static _Alignas(RECORD_ALIGN) uint8_t large[2][LARGE + RECORD_HEADER_BYTES + RECORD_ALIGN];

static const struct raft *real_raft(const struct puppets *s)
{
    return replica_raft(s->w->machine[0].replica);
}

static void follow_two(struct puppets *s)
{
    puppets_open(s);
    puppets_begin(s);
    puppet_lead(s->two, TERM, 1);
    assert_int_equal(raft_leader(real_raft(s)), 2);
    puppet_drop(s->two);
}

/* ---- credit ------------------------------------------------------------------------------------ */

static const struct frame *empty_append(struct puppets *s, uint64_t number)
{
    s->two->number = number - 1;
    puppet_send(s->two, &(struct frame){.type = FRAME_RAFT,
                                        .raft = {.type = RAFT_MSG_APPEND, .term = TERM}});
    return puppet_next(s->two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 5);
}

static void credit_is_a_running_total(void **state)
{
    struct puppets s;

    (void)state;
    follow_two(&s);
    assert_int_equal(s.two->granted, WINDOW);
    assert_null(empty_append(&s, WINDOW + 1)); /* beyond what was promised: dropped */
    const struct frame *f = empty_append(&s, 10);
    assert_non_null(f);
    assert_int_equal(f->credit, 10 + WINDOW); /* nine are lost, and their room is free again */
    f = empty_append(&s, 3);                  /* overtaken: it takes nothing back */
    assert_non_null(f);
    assert_int_equal(f->credit, 10 + WINDOW);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = TERM});
    f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_HEARTBEAT_REPLY, 5);
    assert_non_null(f);
    assert_int_equal(f->credit, 10 + WINDOW); /* on every reply */
    puppets_close(&s);
}

static void credit_is_of_a_pair_of_boots(void **state)
{
    struct puppets s;

    (void)state;
    follow_two(&s);
    assert_non_null(empty_append(&s, 40));
    puppet_restart(s.two);
    puppet_greet(s.two, 0);
    assert_int_equal(s.two->granted, WINDOW);
    assert_null(empty_append(&s, WINDOW + 1)); /* what the earlier boot was promised is over */
    assert_non_null(empty_append(&s, 1));
    puppets_close(&s);
}

static void grant_for_an_earlier_boot_is_none(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    s.two->grants = 0;
    puppets_begin(&s);
    struct frame hello = {
        .type = FRAME_HELLO,
        .source = 2,
        .source_boot = s.two->boot,
        .source_incarnation = s.two->incarnation,
        .target = 1,
        .target_boot = s.w->machine[0].boot - 1,
        .target_incarnation = s.w->machine[0].incarnation,
        .credit = 1000,
    };
    puppet_send_as_it_is(s.two, &hello);
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_PREVOTE, LONG_MS);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_PREVOTE_REPLY, .term = f->raft.term});
    f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_VOTE, LONG_MS);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_VOTE_REPLY, .term = f->raft.term});
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_HEARTBEAT, 5)); /* needs none */
    assert_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 30));
    hello.target_boot++;
    puppet_send_as_it_is(s.two, &hello);
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 30));
    puppets_close(&s);
}

/* A blocked sender says with each heartbeat up to which number it has sent, and goes on when it hears. */
static void blocked_sender_probes(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    s.two->grants = 2; /* the first entry, and the news that it is committed */
    puppets_elect(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    world_push(s.w, 0, REQUEST_PROPOSE, "x", 1);
    for (uint32_t i = 0; i < 3; i++) {
        const struct frame *f = puppet_next(s.two, FRAME_CREDIT, 0, 15);
        assert_non_null(f);
        assert_int_equal(f->number, 2);
    }
    s.two->grants = 3;
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT_REPLY, .term = term, .last = 1});
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 15);
    assert_non_null(f);
    assert_int_equal(f->number, 3);
    assert_int_equal(f->raft.count, 1);
    puppets_close(&s);
}

static void probe_is_answered(void **state)
{
    struct puppets s;

    (void)state;
    follow_two(&s);
    puppet_send(s.two, &(struct frame){.type = FRAME_CREDIT});
    assert_null(puppet_next(s.two, FRAME_CREDIT, 0, 5)); /* a grant is no question */
    struct frame probe = {.type = FRAME_CREDIT, .number = 50};
    puppet_send(s.two, &probe);
    const struct frame *f = puppet_next(s.two, FRAME_CREDIT, 0, 5);
    assert_non_null(f);
    assert_int_equal(f->number, 0);
    assert_int_equal(f->credit, 50 + WINDOW);
    puppets_close(&s);
}

/* What arrives together is not taken in that order: a heartbeat of a later term goes before an append. */
static void control_goes_first(void **state)
{
    struct puppets s;

    (void)state;
    follow_two(&s);
    puppet_send(s.two, &(struct frame){.type = FRAME_RAFT,
                                       .raft = {.type = RAFT_MSG_APPEND, .term = TERM}});
    puppet_say(s.three, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = TERM + 1});
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 5);
    assert_non_null(f);
    assert_true(f->raft.reject);
    assert_int_equal(f->raft.term, TERM + 1);
    puppets_close(&s);
}

/* In each turn as much as rx takes of a link, which is all that raft takes in a poll. */
static void flood(struct puppet *p, uint32_t turns)
{
    for (uint32_t turn = 0; turn < turns; turn++) {
        for (uint32_t i = 0; i < PORT_BURST_MAX; i++)
            puppet_say(p, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT_REPLY, .term = TERM});
        world_turn(p->w);
    }
}

/* One peer speaks without end. What its rate and its burst leave of that reaches raft, and another's
 * question of a vote is answered at once, each time. */
static void a_flood_delays_nobody_else(void **state)
{
    struct puppets s;

    (void)state;
    follow_two(&s);
    flood(s.two, 3 * RX_CONTROL_BURST / PORT_BURST_MAX); /* its burst is over */
    puppet_drop(s.three);
    for (uint32_t i = 0; i < 200; i++) {
        puppet_say(s.three, &(struct raft_msg){.type = RAFT_MSG_PREVOTE, .term = TERM + 1});
        flood(s.two, 3); /* the way there and back */
        const struct frame *f = puppet_next(s.three, FRAME_RAFT, RAFT_MSG_PREVOTE_REPLY, 0);
        assert_non_null(f);
    }
    const struct replica_counters *counters = &s.w->machine[0].counters;
    assert_true(published_get(&counters->frames[FRAME_TOO_OFTEN_VERDICT]) > 1000);
    assert_int_equal(published_get(&counters->frames[FRAME_RING_FULL_VERDICT]), 0);
    puppets_close(&s);
}

/* ---- a large record on its way in ---------------------------------------------------------------- */

/* The object's key; its bytes are large[which]. */
static struct frame_chunk make_object(uint32_t which)
{
    const struct record_spec spec = {
        .type = RECORD_COMMAND,
        .cluster = 7,
        .index = 1,
        .term = TERM,
        .payload_bytes = LARGE - which, /* the bytes of another object differ */
    };
    const uint32_t checksum = record_encode(&spec, large[which]);

    return (struct frame_chunk){
        .term = TERM, .index = 1, .checksum = checksum, .total = record_bytes(spec.payload_bytes)};
}

static void send_piece(struct puppet *p, const struct frame_chunk *key, uint32_t which, uint32_t number)
{
    struct frame f = {.type = FRAME_CHUNK, .chunk = *key};

    f.chunk.offset = number * FRAME_CHUNK_BYTES;
    const uint32_t left = key->total - f.chunk.offset;
    f.body_bytes = left < FRAME_CHUNK_BYTES ? left : FRAME_CHUNK_BYTES;
    f.body = large[which] + f.chunk.offset;
    puppet_send(p, &f);
}

/* The newest acknowledgement by now is `first_missing` and `bitmap`. */
static void acknowledged_is(struct puppet *p, uint32_t first_missing, uint64_t bitmap)
{
    const struct frame *last = NULL;

    for (const struct frame *f; (f = puppet_next(p, FRAME_CHUNK_ACK, 0, 2)) != NULL;)
        last = f;
    assert_non_null(last);
    assert_int_equal(last->chunk.first_missing, first_missing);
    assert_int_equal(last->chunk.bitmap, bitmap);
}

static void pieces_arrive_in_any_order(void **state)
{
    struct puppets s;
    const struct frame_chunk key = make_object(0);

    (void)state;
    follow_two(&s);
    for (uint32_t i = 1; i < 6; i++)
        send_piece(s.two, &key, 0, i);
    acknowledged_is(s.two, 0, 0x3e);
    send_piece(s.two, &key, 0, 3); /* again: no harm */
    acknowledged_is(s.two, 0, 0x3e);
    send_piece(s.two, &key, 0, 0);
    acknowledged_is(s.two, 6, 0);
    for (uint32_t i = CHUNKS; i > 6; i--) {
        send_piece(s.two, &key, 0, i - 1);
        if (i % PIECES_A_MS == 0)
            world_run_ms(s.w, 1);
    }
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 10);
    assert_non_null(f);
    assert_int_equal(f->raft.match, 1);
    send_piece(s.two, &key, 0, 7); /* who asks again is told that all of it is here */
    acknowledged_is(s.two, CHUNKS, 0);
    send_piece(s.two, &key, 0, 0); /* from its beginning: the reply to the whole was lost */
    f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 10);
    assert_non_null(f);
    assert_int_equal(f->raft.match, 1);
    assert_int_equal(raft_last(real_raft(&s)), 1);
    puppets_close(&s);
}

static void another_object_takes_the_slot(void **state)
{
    struct puppets s;
    const struct frame_chunk key = make_object(0), other = make_object(1);

    (void)state;
    follow_two(&s);
    for (uint32_t i = 0; i < 4; i++)
        send_piece(s.two, &key, 0, i);
    acknowledged_is(s.two, 4, 0);
    send_piece(s.two, &other, 1, 2);
    acknowledged_is(s.two, 0, 4);
    send_piece(s.two, &key, 0, 4);
    acknowledged_is(s.two, 0, 16); /* the pieces of before are gone, not mixed in */
    send_piece(s.three, &other, 1, 1); /* another sender has a slot of its own */
    acknowledged_is(s.three, 0, 2);
    send_piece(s.two, &key, 0, 5);
    acknowledged_is(s.two, 0, 48);
    puppets_close(&s);
}

static void pieces_of_an_earlier_boot_are_gone(void **state)
{
    struct puppets s;
    const struct frame_chunk key = make_object(0);

    (void)state;
    follow_two(&s);
    send_piece(s.two, &key, 0, 0);
    acknowledged_is(s.two, 1, 0);
    puppet_restart(s.two);
    puppet_greet(s.two, 0);
    send_piece(s.two, &key, 0, 1);
    acknowledged_is(s.two, 0, 2);
    puppets_close(&s);
}

static void worthless_pieces_are_dropped(void **state)
{
    struct puppets s;
    struct frame_chunk key = make_object(0);

    (void)state;
    follow_two(&s);
    key.term--;
    send_piece(s.two, &key, 0, 0); /* its leader's term is over */
    key.term++;
    key.forward = true;
    send_piece(s.two, &key, 0, 0); /* a request, and this node does not lead */
    assert_null(puppet_next(s.two, FRAME_CHUNK_ACK, 0, 10));
    puppets_close(&s);
}

static void wrong_bytes_are_no_record(void **state)
{
    struct puppets s;
    const struct frame_chunk key = make_object(0);

    (void)state;
    follow_two(&s);
    for (uint32_t round = 0; round < 2; round++) {
        large[0][5000] ^= round == 0; /* the first time one bit differs */
        for (uint32_t i = 0; i < CHUNKS; i++) {
            send_piece(s.two, &key, 0, i);
            if (i % PIECES_A_MS == 0)
                world_run_ms(s.w, 1);
        }
        world_run_ms(s.w, 5);
        assert_int_equal(raft_last(real_raft(&s)), round);
        large[0][5000] ^= round == 0;
    }
    puppets_close(&s);
}

static void pieces_keep_their_leader_alive(void **state)
{
    struct puppets s;
    const struct frame_chunk key = make_object(0);

    (void)state;
    follow_two(&s);
    for (uint32_t at = 0; at < LONG_MS; at += 50) {
        send_piece(s.two, &key, 0, 1);
        world_run_ms(s.w, 50);
    }
    assert_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_PREVOTE, 1));
    for (uint32_t at = 0; at < LONG_MS; at += 50) {
        send_piece(s.three, &key, 0, 1); /* who does not lead keeps nobody alive */
        world_run_ms(s.w, 50);
    }
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_PREVOTE, 1));
    puppets_close(&s);
}

/* ---- and on its way out -------------------------------------------------------------------------- */

/* Which chunks arrive within `ms`. */
static uint64_t pieces_sent(struct puppet *p, uint64_t ms, struct frame_chunk *key, uint32_t *count)
{
    const uint64_t end_ns = p->w->now_ns + ms * 1000000;
    uint64_t seen = 0;

    for (*count = 0; p->w->now_ns < end_ns;) {
        const struct frame *f = puppet_next(p, FRAME_CHUNK, 0, (end_ns - p->w->now_ns) / 1000000);
        if (f == NULL)
            break;
        *key = f->chunk;
        seen |= 1ull << f->chunk.offset / FRAME_CHUNK_BYTES % 64;
        ++*count;
    }
    return seen;
}

/* The real node leads and sends a large record; two has the whole first window. */
static struct frame begin_large(struct puppets *s)
{
    struct frame_chunk key = {.total = 0};
    uint32_t count;

    puppets_open(s);
    puppets_elect(s);
    memset(large[0], 'x', LARGE);
    world_push(s->w, 0, REQUEST_PROPOSE, large[0], LARGE);
    assert_int_equal(pieces_sent(s->two, 5, &key, &count), UINT64_MAX);
    assert_int_equal(count, WINDOW); /* no more are under way */
    key.offset = 0;
    return (struct frame){.type = FRAME_CHUNK_ACK, .chunk = key};
}

static uint32_t pieces_within(struct puppets *s, uint64_t ms)
{
    struct frame_chunk key;
    uint32_t count;

    pieces_sent(s->two, ms, &key, &count);
    return count;
}

static void only_gaps_are_sent_again(void **state)
{
    struct puppets s;
    struct frame ack = begin_large(&s);
    struct frame_chunk key;
    uint32_t count;

    (void)state;
    ack.chunk.bitmap = ~(uint64_t)0x21;
    puppet_send(s.two, &ack);
    assert_int_equal(pieces_sent(s.two, 8, &key, &count), 0x21);
    assert_int_equal(count, 2);
    ack.chunk.first_missing = 64;
    ack.chunk.bitmap = 0;
    puppet_send(s.two, &ack);
    assert_int_equal(pieces_within(&s, 4), CHUNKS - 64);
    puppets_close(&s);
}

static void silence_begins_at_the_first_gap(void **state)
{
    struct puppets s;
    struct frame ack = begin_large(&s);

    (void)state;
    ack.chunk.first_missing = 60;
    puppet_send(s.two, &ack);
    assert_int_equal(pieces_within(&s, 5), CHUNKS - WINDOW);
    assert_int_equal(pieces_within(&s, 60), CHUNKS - 60); /* resend_ns is 50 ms */
    puppets_close(&s);
}

/* Pieces that there are not, and another object: such acknowledgements change nothing. */
static void absurd_acknowledgements_are_dropped(void **state)
{
    struct puppets s;
    struct frame ack = begin_large(&s);

    (void)state;
    ack.chunk.first_missing = CHUNKS + 1;
    puppet_send(s.two, &ack);
    ack.chunk.first_missing = CHUNKS - 1;
    ack.chunk.bitmap = 4;
    puppet_send(s.two, &ack);
    ack.chunk.first_missing = 64;
    ack.chunk.bitmap = 0;
    ack.chunk.checksum++;
    puppet_send(s.two, &ack);
    assert_int_equal(pieces_within(&s, 5), 0);
    assert_int_equal(pieces_within(&s, 60), WINDOW); /* none has arrived, as far as it knows */
    puppets_close(&s);
}

static void new_boot_gets_all_pieces(void **state)
{
    struct puppets s;
    struct frame ack = begin_large(&s);

    (void)state;
    ack.chunk.first_missing = 60;
    puppet_send(s.two, &ack);
    assert_int_equal(pieces_within(&s, 5), CHUNKS - WINDOW);
    puppet_restart(s.two);
    puppet_greet(s.two, 1);
    const struct frame *probe = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND, 5);
    assert_non_null(probe);
    assert_int_equal(probe->raft.count, 0); /* large ones wait until it says what it has */
    puppet_acknowledge(s.two, probe->raft.term, 1);
    assert_int_equal(pieces_within(&s, 5), WINDOW);
    puppets_close(&s);
}

static void pieces_end_with_their_term(void **state)
{
    struct puppets s;

    (void)state;
    begin_large(&s);
    puppet_lead(s.three, raft_term_now(real_raft(&s)) + 1, 100);
    puppet_drop(s.two);
    assert_int_equal(pieces_within(&s, 60), 0);
    puppets_close(&s);
}

/* A piece is a sign of its leader's life, so who has found that it leads no longer sends none. */
static void pieces_end_with_the_lead(void **state)
{
    struct puppets s;

    (void)state;
    begin_large(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    world_run_ms(s.w, 250); /* nobody answers */
    assert_int_not_equal(raft_role(real_raft(&s)), RAFT_LEADER);
    assert_int_equal(raft_term_now(real_raft(&s)), term);
    puppet_drop(s.two);
    assert_int_equal(pieces_within(&s, 60), 0);
    puppets_close(&s);
}

static void broken_words_are_counted(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    const struct machine *real = &s.w->machine[0];
    const raft_term term = published_get(&real->view.term);
    puppet_acknowledge(s.two, term, 100); /* nobody has sent so much */
    puppet_say(s.three, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT_REPLY}); /* of no term */
    world_run_ms(s.w, 40);
    assert_int_equal(published_get(&real->counters.convicted), 1);
    assert_int_equal(published_get(&real->counters.ignored), 1);
    assert_int_equal(published_get(&real->view.commit), 1);
    puppets_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_words_are_counted),
        cmocka_unit_test(credit_is_a_running_total),
        cmocka_unit_test(credit_is_of_a_pair_of_boots),
        cmocka_unit_test(grant_for_an_earlier_boot_is_none),
        cmocka_unit_test(blocked_sender_probes),
        cmocka_unit_test(probe_is_answered),
        cmocka_unit_test(control_goes_first),
        cmocka_unit_test(a_flood_delays_nobody_else),
        cmocka_unit_test(pieces_arrive_in_any_order),
        cmocka_unit_test(another_object_takes_the_slot),
        cmocka_unit_test(pieces_of_an_earlier_boot_are_gone),
        cmocka_unit_test(worthless_pieces_are_dropped),
        cmocka_unit_test(wrong_bytes_are_no_record),
        cmocka_unit_test(pieces_keep_their_leader_alive),
        cmocka_unit_test(only_gaps_are_sent_again),
        cmocka_unit_test(silence_begins_at_the_first_gap),
        cmocka_unit_test(absurd_acknowledgements_are_dropped),
        cmocka_unit_test(new_boot_gets_all_pieces),
        cmocka_unit_test(pieces_end_with_their_term),
        cmocka_unit_test(pieces_end_with_the_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
