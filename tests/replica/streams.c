/* Goal:   a request's fate is exact. A leader takes forwards of its own term only, each stream in its
 *         order, and doubles and gaps fall out; an origin sends again until it is acknowledged, and in a
 *         later term only when an entry of that term has decided what became of the earlier ones. A
 *         read is answered when its index is applied, not before.
 * Method: one real node, whose peers are puppets. */
#include "base/crc32c.h"
#include "tests/replica/puppet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { TERM = 5, RESEND_MS = 50, QUERY_BYTES = 128 };

static const struct raft *real_raft(const struct puppets *s)
{
    return replica_raft(s->w->machine[0].replica);
}

static uint32_t encode_put(uint8_t *bytes)
{
    return command_encode(&(struct command){.kind = COMMAND_PUT, .key = {(const uint8_t *)"k", 1},
                                            .value = {(const uint8_t *)"v", 1}},
                          bytes);
}

/* ---- the leader's side --------------------------------------------------------------------------- */

/* `count` requests of its stream of that term, with tags that are their positions. */
static void forward_from(struct puppet *p, raft_term term, uint64_t position, uint32_t count)
{
    _Alignas(8) uint8_t body[512] = {0};
    uint8_t put[64];
    const uint32_t length = encode_put(put);
    const uint32_t whole = frame_request_bytes(length);
    struct frame f = {
        .type = FRAME_FORWARD,
        .forward = {.term = term, .position = position, .count = (uint16_t)count},
        .body = body,
        .body_bytes = count * whole,
    };

    for (uint32_t i = 0; i < count; i++) {
        const struct frame_request head = {.tag = position + i, .length = length};
        memcpy(body + i * whole, &head, sizeof head);
        memcpy(body + i * whole + sizeof head, put, length);
    }
    puppet_drop(p);
    puppet_send(p, &f);
}

static void forward(struct puppets *s, raft_term term, uint64_t position, uint32_t count)
{
    forward_from(s->two, term, position, count);
}

/* What came of it: the next position that is expected, and entries in the log. */
static void taken_is(struct puppets *s, uint64_t position, raft_index last)
{
    const struct frame *f = puppet_next(s->two, FRAME_FORWARD_ACK, 0, 5);

    assert_non_null(f);
    assert_int_equal(f->forward.position, position);
    assert_int_equal(f->forward.term, raft_term_now(real_raft(s)));
    assert_int_equal(raft_last(real_raft(s)), last);
}

static void leader_takes_a_stream_in_order(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s); /* its own first entry has index 1 */
    const raft_term term = raft_term_now(real_raft(&s));
    forward(&s, term, 0, 2);
    taken_is(&s, 2, 3);
    const struct record_header *record = replica_record(s.w->machine[0].replica, 3);
    assert_int_equal(record->origin_node, 2);
    assert_int_equal(record->origin_boot, s.two->boot);
    assert_int_equal(record->origin_request, 1);
    forward(&s, term, 0, 2); /* a double */
    taken_is(&s, 2, 3);
    forward(&s, term, 3, 1); /* a gap */
    taken_is(&s, 2, 3);
    forward(&s, term, 1, 2); /* half a double */
    taken_is(&s, 3, 4);
    assert_int_equal(replica_record(s.w->machine[0].replica, 4)->origin_request, 2);
    puppets_close(&s);
}

static void leader_takes_its_own_term_only(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    forward(&s, term - 1, 0, 1);
    assert_null(puppet_next(s.two, FRAME_FORWARD_ACK, 0, 5));
    forward(&s, term + 1, 0, 1);
    assert_null(puppet_next(s.two, FRAME_FORWARD_ACK, 0, 5));
    assert_int_equal(raft_last(real_raft(&s)), 1);
    puppets_close(&s);
}

static void leader_takes_from_members_only(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    puppet_greet(s.four, 0);
    forward_from(s.four, term, 0, 1);
    assert_null(puppet_next(s.four, FRAME_FORWARD_ACK, 0, 5));
    assert_int_equal(raft_last(real_raft(&s)), 1);
    puppets_close(&s);
}

/* A request in two pieces: a whole one counts by its checksum, in its place, for this boot. */
static void large_request_comes_in_pieces(void **state)
{
    struct puppets s;
    static uint8_t bytes[FRAME_CHUNK_BYTES + 8];

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    struct frame f = {
        .type = FRAME_CHUNK,
        .chunk = {.forward = true, .term = raft_term_now(real_raft(&s)), .total = sizeof bytes,
                  .checksum = crc32c(0, bytes, sizeof bytes) ^ 1, .tag = 77},
        .body = bytes,
    };
    for (uint32_t round = 0; round < 3; round++) {
        f.chunk.offset = 0;
        f.body_bytes = FRAME_CHUNK_BYTES;
        puppet_send(s.two, &f);
        world_run_ms(s.w, 1);
        if (round == 1) { /* half of it died with that boot */
            puppet_restart(s.two);
            puppet_greet(s.two, 1);
        }
        f.chunk.offset = FRAME_CHUNK_BYTES;
        f.body_bytes = sizeof bytes - FRAME_CHUNK_BYTES;
        puppet_send(s.two, &f);
        world_run_ms(s.w, 1);
        assert_int_equal(raft_last(real_raft(&s)), round < 2 ? 1 : 2);
        f.chunk.checksum = crc32c(0, bytes, sizeof bytes);
    }
    taken_is(&s, 1, 2);
    assert_int_equal(replica_record(s.w->machine[0].replica, 2)->origin_request, 77);
    puppets_close(&s);
}

static void new_boot_of_an_origin_begins_a_stream(void **state)
{
    struct puppets s;

    (void)state;
    puppets_open(&s);
    puppets_elect(&s);
    const raft_term term = raft_term_now(real_raft(&s));
    forward(&s, term, 0, 2);
    taken_is(&s, 2, 3);
    puppet_restart(s.two);
    puppet_greet(s.two, 9);
    forward(&s, term, 0, 1);
    taken_is(&s, 1, 4);
    assert_int_equal(replica_record(s.w->machine[0].replica, 4)->origin_boot, s.two->boot);
    puppets_close(&s);
}

/* ---- the origin's side --------------------------------------------------------------------------- */

static uint8_t put_bytes[64];
static uint32_t put_length;

/* The real node follows two, and one of its clients has asked for a put. */
static void follow_and_put(struct puppets *s)
{
    puppets_open(s);
    puppets_begin(s);
    puppet_lead(s->two, TERM, 1);
    puppet_drop(s->two);
    put_length = encode_put(put_bytes);
    world_push(s->w, 0, REQUEST_PROPOSE, put_bytes, put_length);
}

static const struct client *client(const struct puppets *s)
{
    return &s->w->machine[0].client;
}

/* An entry of the real node's put as if `boot` of it had asked; or of nobody, if boot is 0. */
static const struct record_header *make_record(const struct puppets *s, raft_index index,
                                               raft_term term, uint32_t chain, uint32_t boot)
{
    static _Alignas(RECORD_ALIGN) uint8_t bytes[2][256];
    struct record_spec spec = {.type = RECORD_EMPTY, .cluster = 7, .index = index, .term = term,
                               .chain = chain};

    if (boot != 0) {
        spec.type = RECORD_COMMAND;
        spec.origin = (struct record_origin){.node = 1, .boot = boot, .request = client(s)->tag};
        spec.payload = put_bytes;
        spec.payload_bytes = put_length;
    }
    record_encode(&spec, bytes[index % 2]);
    return record_at(bytes[index % 2]);
}

static void origin_sends_until_acknowledged(void **state)
{
    struct puppets s;

    (void)state;
    follow_and_put(&s);
    for (uint32_t i = 0; i < 3; i++) {
        const struct frame *f = puppet_next(s.two, FRAME_FORWARD, 0, RESEND_MS + 10);
        assert_non_null(f);
        assert_int_equal(f->forward.term, TERM);
        assert_int_equal(f->forward.position, 0);
        assert_int_equal(f->forward.count, 1);
        puppet_lead(s.two, TERM, 1);
    }
    struct frame ack = {.type = FRAME_FORWARD_ACK, .forward = {.term = TERM, .position = 1}};
    puppet_send(s.three, &ack); /* who does not lead acknowledges nothing */
    ack.forward.term--;
    puppet_send(s.two, &ack); /* nor does an earlier stream's */
    puppet_drop(s.two);
    assert_non_null(puppet_next(s.two, FRAME_FORWARD, 0, RESEND_MS + 10));
    ack.forward.term++;
    puppet_send(s.two, &ack);
    puppet_lead(s.two, TERM, 1);
    puppet_drop(s.two);
    puppet_lead(s.two, TERM, 3 * RESEND_MS);
    assert_null(puppet_next(s.two, FRAME_FORWARD, 0, 1));
    puppets_close(&s);
}

static void later_term_must_decide_first(void **state)
{
    struct puppets s;

    (void)state;
    follow_and_put(&s);
    assert_non_null(puppet_next(s.two, FRAME_FORWARD, 0, 5));
    puppet_lead(s.three, TERM + 1, 3 * RESEND_MS);
    assert_null(puppet_next(s.three, FRAME_FORWARD, 0, 1)); /* it may have come through */
    const struct record_header *empty = make_record(&s, 1, TERM + 1, 0, 0);
    puppet_append(s.three, TERM + 1, empty, 0, 0);
    puppet_lead(s.three, TERM + 1, 2 * RESEND_MS);
    assert_null(puppet_next(s.three, FRAME_FORWARD, 0, 1)); /* nothing is committed */
    puppet_append(s.three, TERM + 1, empty, 0, 1);
    const struct frame *f = puppet_next(s.three, FRAME_FORWARD, 0, 5);
    assert_non_null(f);
    assert_int_equal(f->forward.term, TERM + 1);
    assert_int_equal(f->forward.position, 0);
    assert_false(client(&s)->answered);
    puppets_close(&s);
}

static void what_came_through_is_not_sent_again(void **state)
{
    struct puppets s;

    (void)state;
    follow_and_put(&s);
    assert_non_null(puppet_next(s.two, FRAME_FORWARD, 0, 5));
    puppet_lead(s.three, TERM + 1, 1);
    const struct record_header *put = make_record(&s, 1, TERM, 0, s.w->machine[0].boot);
    puppet_append(s.three, TERM + 1, put, 0, 0);
    world_run_ms(s.w, 2);
    puppet_append(s.three, TERM + 1, make_record(&s, 2, TERM + 1, put->header_crc, 0), TERM, 2);
    puppet_lead(s.three, TERM + 1, 3 * RESEND_MS);
    assert_true(client(&s)->answered);
    assert_int_equal(client(&s)->answer.status, ANSWER_OK);
    assert_int_equal(client(&s)->answer.index, 1);
    assert_null(puppet_next(s.three, FRAME_FORWARD, 0, 1));
    puppets_close(&s);
}

static void entries_of_an_earlier_boot_answer_nobody(void **state)
{
    struct puppets s;

    (void)state;
    follow_and_put(&s);
    puppet_append(s.two, TERM, make_record(&s, 1, TERM, 0, s.w->machine[0].boot - 1), 0, 1);
    puppet_lead(s.two, TERM, RESEND_MS);
    assert_int_equal(published_get(&s.w->machine[0].view.applied), 1);
    assert_false(client(&s)->answered);
    puppets_close(&s);
}

/* A record counts if it is whole, of this cluster, at its place, and continues the log as it is here:
 * else the core hears nothing of it, and the log stays. */
static void record_must_follow(void **state)
{
    struct puppets s;
    _Alignas(RECORD_ALIGN) uint8_t bytes[256];

    (void)state;
    follow_and_put(&s);
    const uint32_t boot = s.w->machine[0].boot;
    const struct record_header *first = make_record(&s, 1, TERM, 0, boot);
    puppet_append(s.two, TERM, first, 0, 0);
    world_run_ms(s.w, 2);
    assert_int_equal(raft_last(real_raft(&s)), 1);
    const uint32_t chain = first->header_crc;
    struct record_spec spec = {.type = RECORD_EMPTY, .cluster = 7, .index = 2, .term = TERM, .chain = chain};
    for (uint32_t i = 0; i < 6; i++) {
        struct record_spec bad = spec;
        raft_index prev = 1;
        bad.cluster += i == 0;
        bad.chain += i == 1;
        bad.index += i == 2;
        if (i == 3) { /* another entry than ours at (1, TERM) */
            bad.index = 1;
            bad.chain = 0;
            prev = 0;
        }
        record_encode(&bad, bytes);
        bytes[20] ^= i == 4;
        const struct frame f = {
            .type = FRAME_RAFT,
            .raft = {.type = RAFT_MSG_APPEND, .term = TERM, .prev_index = prev,
                     .prev_term = prev == 0 ? 0 : TERM, .count = 1, .bytes = RECORD_HEADER_BYTES},
            .body = bytes,
            .body_bytes = RECORD_HEADER_BYTES,
        };
        puppet_drop(s.two);
        puppet_send(s.two, &f);
        const bool taken = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 5) != NULL;
        assert_int_equal(taken, i == 5);
        assert_int_equal(raft_last(real_raft(&s)), i == 5 ? 2 : 1);
    }
    puppets_close(&s);
}

/* So does each record of a frame the one before it, also where the log says nothing of the first one's. */
static void records_of_a_frame_follow_each_other(void **state)
{
    struct puppets s;
    _Alignas(RECORD_ALIGN) uint8_t bytes[2 * RECORD_HEADER_BYTES];
    struct record_spec spec = {.type = RECORD_EMPTY, .cluster = 7, .index = 1, .term = TERM};
    const struct frame f = {
        .type = FRAME_RAFT,
        .raft = {.type = RAFT_MSG_APPEND, .term = TERM, .count = 2, .bytes = sizeof bytes},
        .body = bytes,
        .body_bytes = sizeof bytes,
    };

    (void)state;
    follow_and_put(&s);
    record_encode(&spec, bytes);
    const uint32_t chain = record_at(bytes)->header_crc;
    for (uint32_t wrong = 2; wrong-- > 0;) {
        spec.index = 2;
        spec.chain = chain + wrong;
        record_encode(&spec, bytes + RECORD_HEADER_BYTES);
        puppet_drop(s.two);
        puppet_send(s.two, &f);
        const bool taken = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 5) != NULL;
        assert_int_equal(taken, wrong == 0);
        assert_int_equal(raft_last(real_raft(&s)), wrong == 0 ? 2 : 0);
    }
    puppets_close(&s);
}

/* The entry before is on the disk alone, and its checksum is remembered. */
static void record_must_follow_what_a_start_found(void **state)
{
    struct puppets s;

    (void)state;
    follow_and_put(&s);
    const struct record_header *first = make_record(&s, 1, TERM, 0, s.w->machine[0].boot);
    const uint32_t chain = first->header_crc;
    puppet_append(s.two, TERM, first, 0, 0);
    assert_non_null(puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 20));
    world_kill(s.w, 0);
    world_start(s.w, 0);
    s.two->number = 0;
    puppet_greet(s.two, 1);
    for (uint32_t good = 0; good < 2; good++) {
        puppet_append(s.two, TERM, make_record(&s, 2, TERM, chain + 1 - good, 0), TERM, 0);
        const bool taken = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_APPEND_REPLY, 20) != NULL;
        assert_int_equal(taken, good);
        assert_int_equal(raft_last(real_raft(&s)), 1 + good);
    }
    puppets_close(&s);
}

/* A request that is too large, and one for which the table has no place, are answered at once. */
static void too_large_and_too_many_are_refused(void **state)
{
    struct puppets s;
    static uint8_t bytes[RECORD_PAYLOAD_BYTES_MAX + 1];
    uint32_t busy = 0;

    (void)state;
    follow_and_put(&s);
    struct client *c = &s.w->machine[0].client;
    for (uint32_t i = 0; i < 1100; i++) { /* world.h gives the table 1024 places */
        world_push(s.w, 0, REQUEST_PROPOSE, put_bytes, put_length);
        world_turn(s.w);
        busy += c->answered && c->answer.status == ANSWER_BUSY;
        assert_int_equal(c->answered, i >= 1023);
    }
    assert_int_equal(busy, 1100 - 1023); /* one was there before */
    c->tag = 1ull << REQUEST_DOOR_SHIFT | 1 << 30;
    c->answered = false;
    const struct request large = {.tag = c->tag, .bytes = bytes, .length = sizeof bytes,
                                  .kind = REQUEST_PROPOSE};
    assert_int_equal(spsc_push(s.w->machine[0].door->to_raft, &large, sizeof large, 1), 1);
    world_turn(s.w);
    assert_true(c->answered);
    assert_int_equal(c->answer.status, ANSWER_BAD);
    puppets_close(&s);
}

/* ---- reads --------------------------------------------------------------------------------------- */

static void read_waits_for_its_index(void **state)
{
    struct puppets s;
    uint8_t bytes[QUERY_BYTES];
    const uint32_t length = command_encode(
        &(struct command){.kind = QUERY_RANGE, .key = {(const uint8_t *)"k", 1}}, bytes);

    (void)state;
    follow_and_put(&s);
    puppet_append(s.two, TERM, make_record(&s, 1, TERM, 0, s.w->machine[0].boot), 0, 0);
    world_run_ms(s.w, 2);
    world_push(s.w, 0, REQUEST_READ, bytes, length); /* this client asks for nothing else now */
    const struct frame *f = puppet_next(s.two, FRAME_RAFT, RAFT_MSG_READ_INDEX, 20);
    assert_non_null(f);
    const struct raft_msg reply = {.type = RAFT_MSG_READ_INDEX_REPLY, .term = TERM,
                                   .number = f->raft.number, .commit = 1};
    puppet_say(s.three, &reply); /* it does not lead */
    puppet_say(s.two, &reply);
    puppet_lead(s.two, TERM, RESEND_MS);
    assert_false(client(&s)->answered);
    puppet_say(s.two, &(struct raft_msg){.type = RAFT_MSG_HEARTBEAT, .term = TERM, .commit = 1});
    world_run_ms(s.w, 2);
    assert_true(client(&s)->answered);
    assert_int_equal(client(&s)->items_seen, 1); /* it sees the entry that it waited for */
    puppets_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leader_takes_a_stream_in_order),
        cmocka_unit_test(leader_takes_its_own_term_only),
        cmocka_unit_test(leader_takes_from_members_only),
        cmocka_unit_test(large_request_comes_in_pieces),
        cmocka_unit_test(new_boot_of_an_origin_begins_a_stream),
        cmocka_unit_test(origin_sends_until_acknowledged),
        cmocka_unit_test(later_term_must_decide_first),
        cmocka_unit_test(what_came_through_is_not_sent_again),
        cmocka_unit_test(entries_of_an_earlier_boot_answer_nobody),
        cmocka_unit_test(record_must_follow),
        cmocka_unit_test(records_of_a_frame_follow_each_other),
        cmocka_unit_test(record_must_follow_what_a_start_found),
        cmocka_unit_test(too_large_and_too_many_are_refused),
        cmocka_unit_test(read_waits_for_its_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
