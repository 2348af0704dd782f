/* Goal:   the frame codec takes back exactly what was encoded, and nothing else is a frame.
 * Method: random valid frames of every type through both ways; every single bit of a frame turned;
 *         every truncation, at the very end of a heap block so that ASan sees a read beyond; each
 *         field pushed out of its range behind a right checksum; a million mutated frames, of
 *         which those that pass must encode to the same bytes again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "tests/dataplane/sample.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER = FRAME_NET_BYTES,
    FIXED = FRAME_NET_BYTES + FRAME_HEADER_BYTES,
    BODY = FRAME_BODY_OFFSET,
    CHECKSUM = HEADER + 64,
    MACS_BYTES = 12,
    ROUNDS = 2000,
    MUTATIONS = 1000000,
};

/* Makes a hand-made change pass the checksum, so that the checks behind it are what judges. */
static void seal(uint8_t *bytes, uint32_t length)
{
    memset(bytes + CHECKSUM, 0, 4);
    const uint32_t sum = crc32c(0, bytes + HEADER, length - HEADER);
    memcpy(bytes + CHECKSUM, &sum, 4);
}

static void assert_same_raft(const struct raft_msg *a, const struct raft_msg *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->reject, b->reject);
    assert_int_equal(a->transfer, b->transfer);
    assert_int_equal(a->incarnation, b->incarnation);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->prev_index, b->prev_index);
    assert_int_equal(a->prev_term, b->prev_term);
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->match, b->match);
    assert_int_equal(a->last, b->last);
    assert_int_equal(a->hint_term, b->hint_term);
    assert_int_equal(a->hint_index, b->hint_index);
    assert_int_equal(a->round, b->round);
    assert_int_equal(a->number, b->number);
}

static void assert_same_chunk(const struct frame_chunk *a, const struct frame_chunk *b)
{
    assert_int_equal(a->forward, b->forward);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->prev_index, b->prev_index);
    assert_int_equal(a->prev_term, b->prev_term);
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->tag, b->tag);
    assert_int_equal(a->first_missing, b->first_missing);
    assert_int_equal(a->bitmap, b->bitmap);
}

static void assert_same_repair(const struct frame_repair *a, const struct frame_repair *b)
{
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->other_checksum, b->other_checksum);
    assert_int_equal(a->other_index, b->other_index);
    assert_int_equal(a->other_term, b->other_term);
    assert_int_equal(a->committed, b->committed);
    assert_int_equal(a->leads, b->leads);
    assert_int_equal(a->term, b->term);
}

static void assert_same_snapshot(const struct frame_snapshot *a, const struct frame_snapshot *b)
{
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->digest, b->digest);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->bitmap, b->bitmap);
    assert_int_equal(a->config_index, b->config_index);
    assert_int_equal(a->sender_term, b->sender_term);
    assert_int_equal(a->chunk_bytes, b->chunk_bytes);
    assert_int_equal(a->chain, b->chain);
}

static void assert_same(const struct frame *a, const struct frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->source, b->source);
    assert_int_equal(a->target, b->target);
    assert_int_equal(a->source_boot, b->source_boot);
    assert_int_equal(a->target_boot, b->target_boot);
    assert_int_equal(a->source_incarnation, b->source_incarnation);
    assert_int_equal(a->target_incarnation, b->target_incarnation);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->credit, b->credit);
    assert_int_equal(a->no_room, b->no_room);
    assert_int_equal(a->refuses_writes, b->refuses_writes);
    assert_int_equal(a->wants_snapshot, b->wants_snapshot);
    assert_int_equal(a->corrupt, b->corrupt);
    assert_int_equal(a->body_bytes, b->body_bytes);
    if (a->body_bytes > 0)
        assert_memory_equal(a->body, b->body, a->body_bytes);
    if (a->type == FRAME_RAFT)
        assert_same_raft(&a->raft, &b->raft);
    if (a->type == FRAME_CHUNK || a->type == FRAME_CHUNK_ACK)
        assert_same_chunk(&a->chunk, &b->chunk);
    if (a->type == FRAME_REPAIR_ASK || a->type == FRAME_REPAIR)
        assert_same_repair(&a->repair, &b->repair);
    if (a->type == FRAME_DIGEST) {
        assert_int_equal(a->digest.kind, b->digest.kind);
        assert_int_equal(a->digest.index, b->digest.index);
        assert_int_equal(a->digest.digest, b->digest.digest);
    }
    if (a->type >= FRAME_SNAPSHOT_OFFER)
        assert_same_snapshot(&a->snapshot, &b->snapshot);
    if (a->type == FRAME_FORWARD || a->type == FRAME_FORWARD_ACK) {
        assert_int_equal(a->forward.term, b->forward.term);
        assert_int_equal(a->forward.position, b->forward.position);
        assert_int_equal(a->forward.last, b->forward.last);
        assert_int_equal(a->forward.count, b->forward.count);
    }
    if (a->type == FRAME_HELLO) {
        assert_int_equal(a->hello.wants_answer, b->hello.wants_answer);
        assert_int_equal(a->hello.log_empty, b->hello.log_empty);
        assert_int_equal(a->hello.refused, b->hello.refused);
        assert_int_equal(a->hello.accused_boot, b->hello.accused_boot);
        assert_int_equal(a->hello.last, b->hello.last);
        assert_int_equal(a->hello.term, b->hello.term);
        assert_int_equal(a->hello.left_out, b->hello.left_out);
    }
}

static uint32_t sample_encoded(struct prng *p, uint8_t type, uint8_t *out)
{
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;

    sample_frame(p, type, &f, body);
    return frame_encode(&f, SAMPLE_CLUSTER, &sample_route, out);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    uint8_t again[PORT_FRAME_BYTES_MAX];
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct prng p;

    prng_seed(&p, 1);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (uint8_t type = FRAME_RAFT; type <= FRAME_DIGEST; type++) {
            struct frame in;
            struct frame out;
            sample_frame(&p, type, &in, body);
            const uint32_t length = frame_encode(&in, SAMPLE_CLUSTER, &sample_route, bytes);
            assert_int_equal(length, FRAME_BODY_OFFSET + in.body_bytes);
            assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_OK_VERDICT);
            assert_same(&in, &out);
            assert_int_equal(frame_encode(&out, SAMPLE_CLUSTER, &sample_route, again), length);
            assert_memory_equal(bytes, again, length);
        }
    }
}

static void control_is_all_but_entries_forwards_and_pieces(void **state)
{
    (void)state;
    struct frame f = {.type = FRAME_RAFT};

    for (uint8_t type = RAFT_MSG_FIRST; type <= RAFT_MSG_LAST; type++) {
        f.raft.type = type;
        assert_int_equal(frame_is_control(&f), type != RAFT_MSG_APPEND);
    }
    for (uint8_t type = FRAME_HELLO; type <= FRAME_DIGEST; type++) {
        f.type = type;
        const bool data =
            type == FRAME_FORWARD || type == FRAME_CHUNK || type == FRAME_SNAPSHOT_PIECE;
        assert_int_equal(frame_is_control(&f), !data);
    }
}

static void every_turned_bit_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    struct frame f;
    struct prng p;

    prng_seed(&p, 2);
    for (uint8_t type = FRAME_RAFT; type <= FRAME_DIGEST; type++) {
        const uint32_t length = sample_encoded(&p, type, bytes);
        for (uint32_t bit = MACS_BYTES * 8; bit < length * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f),
                                 FRAME_OK_VERDICT);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_OK_VERDICT);
    }
}

static void every_truncation_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    struct frame f;
    struct prng p;

    prng_seed(&p, 3);
    for (uint8_t type = FRAME_RAFT; type <= FRAME_DIGEST; type++) {
        const uint32_t length = sample_encoded(&p, type, bytes);
        for (uint32_t cut = 0; cut < length; cut++) {
            uint8_t *const block = malloc(cut > 0 ? cut : 1);
            assert_non_null(block);
            memcpy(block, bytes, cut);
            assert_int_not_equal(frame_decode(block, cut, SAMPLE_CLUSTER, &f), FRAME_OK_VERDICT);
            free(block);
        }
    }
}

static void each_verdict_has_its_cause(void **state)
{
    (void)state;
    uint8_t bytes[PORT_FRAME_BYTES_MAX + 100] = {0};
    struct frame f;
    struct prng p;

    prng_seed(&p, 4);
    const uint32_t length = sample_encoded(&p, FRAME_HELLO, bytes);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER + 1, &f), FRAME_CLUSTER_VERDICT);
    assert_int_equal(frame_decode(bytes, 10, SAMPLE_CLUSTER, &f), FRAME_SHORT_VERDICT);
    assert_int_equal(frame_decode(bytes, BODY - 1, SAMPLE_CLUSTER, &f), FRAME_SHORT_VERDICT);
    assert_int_equal(frame_decode(bytes, PORT_FRAME_BYTES_MAX + 100, SAMPLE_CLUSTER, &f),
                     FRAME_MALFORMED_VERDICT);
    assert_int_equal(frame_decode(bytes, length + 1, SAMPLE_CLUSTER, &f), FRAME_MALFORMED_VERDICT);

    bytes[13] ^= 6; /* 0x0806: ARP */
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_NOT_OURS_VERDICT);
    bytes[13] ^= 6;
    bytes[HEADER] ^= 1;
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_NOT_OURS_VERDICT);
    bytes[HEADER] ^= 1;
    bytes[HEADER + 4]++;
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_VERSION_VERDICT);
    bytes[HEADER + 4]--;
    bytes[FIXED + 8]++;
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_CHECKSUM_VERDICT);
    bytes[FIXED + 8]--;
    bytes[HEADER + 80] = 1; /* the tag is reserved */
    seal(bytes, length);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f), FRAME_MALFORMED_VERDICT);
    assert_string_equal(frame_verdict_name(FRAME_MALFORMED_VERDICT), "MALFORMED");
}

struct broken {
    uint8_t type;
    uint32_t offset; /* in the frame */
    uint64_t value;
    uint32_t bytes;
};

#define TOO_HIGH ((uint64_t)RAFT_WORD_MAX + 1)

static const struct broken broken[] = {
    {FRAME_CREDIT, HEADER + 5, 0, 1},           /* unknown types */
    {FRAME_CREDIT, HEADER + 5, FRAME_DIGEST + 1, 1},
    {FRAME_HELLO, HEADER + 5, FRAME_SNAPSHOT_OFFER, 1}, /* one without a body */
    {FRAME_CREDIT, HEADER + 6, 1, 2},           /* group */
    {FRAME_CREDIT, HEADER + 16, 0, 2},          /* nobody sends */
    {FRAME_CREDIT, HEADER + 18, 0, 2},
    {FRAME_CREDIT, HEADER + 20, 0, 4},          /* boot 0 never ran */
    {FRAME_CREDIT, HEADER + 24, 0, 8},
    {FRAME_CREDIT, HEADER + 32, 0, 8},          /* a target unknown, and no HELLO */
    {FRAME_CREDIT, HEADER + 44, 8, 4},          /* a body that is not there */
    {FRAME_CREDIT, HEADER + 68, 16, 4},         /* a flag without a meaning */
    {FRAME_CREDIT, HEADER + 68, 1u << 31, 4},
    {FRAME_CREDIT, HEADER + 72, 1, 4},
    {FRAME_CREDIT, HEADER + 76, 1, 4},
    {FRAME_CREDIT, HEADER + 95, 1, 1},
    {FRAME_CREDIT, FIXED, 1, 1},
    {FRAME_CREDIT, FIXED + 95, 1, 1},
    {FRAME_CHUNK, HEADER + 48, 0, 8},           /* data without a number */
    {FRAME_RAFT, FIXED, 0, 1},
    {FRAME_RAFT, FIXED, RAFT_MSG_LAST + 1, 1},
    {FRAME_RAFT, FIXED + 1, 4, 1},
    {FRAME_RAFT, FIXED + 2, RAFT_APPEND_ENTRIES_MAX + 1, 2},
    {FRAME_RAFT, FIXED + 4, 1, 4},
    {FRAME_RAFT, FIXED + 8, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 16, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 24, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 32, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 40, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 48, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 56, TOO_HIGH, 8},
    {FRAME_RAFT, FIXED + 64, UINT64_MAX, 8},
    {FRAME_RAFT, FIXED + 88, 1, 8},
    {FRAME_HELLO, FIXED, 8, 1},
    {FRAME_HELLO, FIXED + 3, 1, 1},
    {FRAME_HELLO, FIXED + 8, TOO_HIGH, 8},
    {FRAME_HELLO, FIXED + 16, TOO_HIGH, 8},
    {FRAME_HELLO, FIXED + 24, TOO_HIGH, 8},
    {FRAME_HELLO, FIXED + 32, 1, 1},
    {FRAME_FORWARD, FIXED, TOO_HIGH, 8},
    {FRAME_FORWARD, FIXED + 8, TOO_HIGH, 8},
    {FRAME_FORWARD, FIXED + 16, 0, 2},
    {FRAME_FORWARD, FIXED + 16, 200, 2},
    {FRAME_FORWARD, FIXED + 18, 1, 2},
    {FRAME_FORWARD, FIXED + 24, 1, 8},
    {FRAME_FORWARD, BODY + 8, UINT32_MAX, 4},   /* a request longer than the body */
    {FRAME_FORWARD, BODY + 8, FRAME_BODY_BYTES_MAX - 8, 4},
    {FRAME_FORWARD, BODY + 12, 1, 4},
    {FRAME_FORWARD_ACK, FIXED + 16, 1, 2},
    {FRAME_FORWARD_ACK, FIXED + 24, TOO_HIGH, 8},
    {FRAME_FORWARD_ACK, FIXED + 32, 1, 8},
    {FRAME_CHUNK, FIXED, 2, 1},
    {FRAME_CHUNK, FIXED + 1, 1, 1},
    {FRAME_CHUNK, FIXED + 8, TOO_HIGH, 8},
    {FRAME_CHUNK, FIXED + 16, TOO_HIGH, 8},
    {FRAME_CHUNK, FIXED + 24, (2u << 20) + 65, 4},
    {FRAME_CHUNK, FIXED + 24, 0, 4},
    {FRAME_CHUNK, FIXED + 28, 512, 4},
    {FRAME_CHUNK, FIXED + 28, 3u << 20, 4},
    {FRAME_CHUNK, FIXED + 32, TOO_HIGH, 8},
    {FRAME_CHUNK, FIXED + 40, TOO_HIGH, 8},
    {FRAME_CHUNK, FIXED + 48, TOO_HIGH, 8},
    {FRAME_CHUNK, FIXED + 68, 1, 4},
    {FRAME_CHUNK, FIXED + 80, 1, 8},
    {FRAME_CHUNK_ACK, FIXED + 64, 2050, 4},
    {FRAME_CHUNK_ACK, FIXED + 24, (2u << 20) + 65, 4},
    {FRAME_REPAIR_ASK, FIXED, 1, 1},
    {FRAME_REPAIR_ASK, FIXED + 1, 1, 1},
    {FRAME_REPAIR_ASK, FIXED + 8, 0, 8},
    {FRAME_REPAIR_ASK, FIXED + 8, TOO_HIGH, 8},
    {FRAME_REPAIR_ASK, FIXED + 16, 4, 4},
    {FRAME_REPAIR_ASK, FIXED + 20, 64, 4},
    {FRAME_REPAIR_ASK, FIXED + 24, 1, 8},
    {FRAME_REPAIR_ASK, FIXED + 48, 1, 8},
    {FRAME_REPAIR, FIXED, 4, 1},
    {FRAME_REPAIR, FIXED + 8, 0, 8},
    {FRAME_REPAIR, FIXED + 16, 4, 4},
    {FRAME_REPAIR, FIXED + 20, (2u << 20) + 72, 4},
    {FRAME_REPAIR, FIXED + 24, TOO_HIGH, 8},
    {FRAME_REPAIR, FIXED + 32, TOO_HIGH, 8},
    {FRAME_REPAIR, FIXED + 44, 1, 4},
    {FRAME_REPAIR, FIXED + 48, UINT64_MAX, 8},  /* no log ends above its own end */
    {FRAME_REPAIR, FIXED + 56, 1, 1},
    {FRAME_SNAPSHOT_OFFER, FIXED, 0, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED, TOO_HIGH, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 8, 0, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 8, TOO_HIGH, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 16, 0, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 16, FRAME_SNAPSHOT_BYTES_MAX + 1, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 32, 1024, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 40, 1, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 48, 0, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 48, RAFT_WORD_MAX, 8}, /* a configuration from behind it */
    {FRAME_SNAPSHOT_OFFER, FIXED + 56, 0, 8},             /* committed before it was appended */
    {FRAME_SNAPSHOT_OFFER, FIXED + 56, TOO_HIGH, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 64, 0, 4},
    {FRAME_SNAPSHOT_OFFER, FIXED + 64, 4097, 4},
    {FRAME_SNAPSHOT_OFFER, FIXED + 64, (256 << 10) + 4096, 4},
    {FRAME_SNAPSHOT_OFFER, FIXED + 72, 1, 8},
    {FRAME_SNAPSHOT_OFFER, FIXED + 95, 1, 1},
    {FRAME_SNAPSHOT_ASK, FIXED + 8, 0, 8},
    {FRAME_SNAPSHOT_ASK, FIXED + 16, FRAME_SNAPSHOT_BYTES_MAX + 1, 8},
    {FRAME_SNAPSHOT_ASK, FIXED + 32, 512, 8},
    {FRAME_SNAPSHOT_ASK, FIXED + 32, 1ull << 62, 8},      /* behind the end */
    {FRAME_SNAPSHOT_ASK, FIXED + 48, 1, 8},
    {FRAME_SNAPSHOT_ASK, FIXED + 56, 1, 8},
    {FRAME_SNAPSHOT_ASK, FIXED + 64, 4095, 4}, /* a table of chunks that there are none of */
    {FRAME_SNAPSHOT_ASK, FIXED + 64, (256 << 10) + 4096, 4},
    {FRAME_SNAPSHOT_PIECE, FIXED + 64, 1, 4},
    {FRAME_SNAPSHOT_DONE, FIXED + 64, 4096, 4},
    {FRAME_SNAPSHOT_ASK, FIXED + 68, 1, 4},
    {FRAME_SNAPSHOT_ASK, FIXED + 80, 1, 8},
    {FRAME_SNAPSHOT_PIECE, HEADER + 48, 0, 8},            /* data without a number */
    {FRAME_SNAPSHOT_PIECE, FIXED, 0, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 8, TOO_HIGH, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 16, 0, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 32, 1, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 32, 1ull << 62, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 40, 1, 8},
    {FRAME_SNAPSHOT_PIECE, FIXED + 48, 1, 8},
    {FRAME_SNAPSHOT_DONE, FIXED, 0, 8},
    {FRAME_SNAPSHOT_DONE, FIXED + 8, 1, 8},
    {FRAME_SNAPSHOT_DONE, FIXED + 16, 1, 8},
    {FRAME_SNAPSHOT_DONE, FIXED + 24, 1, 8},
    {FRAME_SNAPSHOT_DONE, FIXED + 32, 1024, 8},
    {FRAME_SNAPSHOT_DONE, FIXED + 40, 1, 8},
    {FRAME_SNAPSHOT_WANT, FIXED, TOO_HIGH, 8},
    {FRAME_SNAPSHOT_WANT, FIXED + 24, 1, 8},
    {FRAME_SNAPSHOT_WANT, FIXED + 56, 1, 8},
    {FRAME_SNAPSHOT_WANT, FIXED + 88, 1, 8},
    {FRAME_DIGEST, FIXED, FRAME_DIGEST_VERDICT + 1, 1},
    {FRAME_DIGEST, FIXED + 1, 1, 1},
    {FRAME_DIGEST, FIXED + 8, 0, 8},
    {FRAME_DIGEST, FIXED + 8, TOO_HIGH, 8},
    {FRAME_DIGEST, FIXED + 24, 1, 8},
    {FRAME_DIGEST, FIXED + 88, 1, 8},
};

static void every_field_has_its_range(void **state)
{
    (void)state;
    struct prng p;

    prng_seed(&p, 5);
    for (uint32_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        const struct broken *const b = &broken[i];
        for (uint32_t round = 0; round < 50; round++) {
            uint8_t bytes[PORT_FRAME_BYTES_MAX];
            struct frame f;
            const uint32_t length = sample_encoded(&p, b->type, bytes);
            memcpy(bytes + b->offset, &b->value, b->bytes);
            seal(bytes, length);
            assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &f),
                             FRAME_MALFORMED_VERDICT);
        }
    }
}

/* A snapshot of 70 KiB and a byte: its last pieces, and what would be behind them. */
static void pieces_end_with_the_content(void **state)
{
    (void)state;
    enum { PIECES = 71, OFFSET_WIRE = FIXED + 32, BITMAP_WIRE = FIXED + 40 };
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;
    struct frame out;
    struct prng p;

    prng_seed(&p, 7);
    sample_frame(&p, FRAME_SNAPSHOT_ASK, &f, body);
    f.snapshot.bytes = (PIECES - 1) * FRAME_CHUNK_BYTES + 1;
    f.snapshot.chunk_bytes = 0;
    for (uint64_t first = 0; first < PIECES; first++) {
        const uint64_t left = PIECES - first;
        const uint64_t all = left < FRAME_PIECES_MAX ? (1ull << left) - 1 : UINT64_MAX;
        f.snapshot.offset = first * FRAME_CHUNK_BYTES;
        f.snapshot.bitmap = all;
        const uint32_t length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, bytes);
        assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_OK_VERDICT);
        assert_int_equal(out.snapshot.bitmap, all);
        const uint64_t behind = all + 1;
        if (behind == 0)
            continue;
        memcpy(bytes + BITMAP_WIRE, &behind, sizeof behind);
        seal(bytes, length);
        assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out),
                         FRAME_MALFORMED_VERDICT);
    }
    f.type = FRAME_SNAPSHOT_PIECE;
    f.snapshot.bitmap = 0;
    f.snapshot.offset = (PIECES - 1) * FRAME_CHUNK_BYTES;
    f.body = body;
    f.body_bytes = 1;
    const uint32_t length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, bytes);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_OK_VERDICT);
    const uint64_t before = f.snapshot.offset - FRAME_CHUNK_BYTES; /* where a byte is too little */
    memcpy(bytes + OFFSET_WIRE, &before, sizeof before);
    seal(bytes, length);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_MALFORMED_VERDICT);
}

/* The table of a snapshot of 129 chunks and a byte: 8 bytes a chunk, so a piece and two checksums. */
static void pieces_end_with_the_table(void **state)
{
    (void)state;
    enum { CHUNKS = 130, CHUNK = 4096, BITMAP_WIRE = FIXED + 40, CHUNK_WIRE = FIXED + 64 };
    uint8_t bytes[PORT_FRAME_BYTES_MAX];
    uint8_t body[FRAME_BODY_BYTES_MAX];
    struct frame f;
    struct frame out;
    struct prng p;

    prng_seed(&p, 8);
    sample_frame(&p, FRAME_SNAPSHOT_ASK, &f, body);
    f.snapshot.bytes = (CHUNKS - 1) * CHUNK + 1;
    f.snapshot.chunk_bytes = CHUNK;
    f.snapshot.offset = 0;
    f.snapshot.bitmap = 3;
    uint32_t length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, bytes);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_OK_VERDICT);
    assert_int_equal(frame_snapshot_extent(&out.snapshot), 8 * CHUNKS);
    const uint32_t twice = 2 * CHUNK; /* so the table is half as long */
    memcpy(bytes + CHUNK_WIRE, &twice, sizeof twice);
    seal(bytes, length);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_MALFORMED_VERDICT);
    f.type = FRAME_SNAPSHOT_PIECE;
    f.snapshot.bitmap = 0;
    f.snapshot.offset = FRAME_CHUNK_BYTES;
    f.body = body;
    f.body_bytes = 2 * FRAME_SNAPSHOT_CHECKSUM_BYTES;
    length = frame_encode(&f, SAMPLE_CLUSTER, &sample_route, bytes);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_OK_VERDICT);
    const uint32_t none = 0; /* the same of the content */
    memcpy(bytes + CHUNK_WIRE, &none, sizeof none);
    seal(bytes, length);
    assert_int_equal(frame_decode(bytes, length, SAMPLE_CLUSTER, &out), FRAME_MALFORMED_VERDICT);
}

/* Whatever passes is a frame that we could have sent, byte for byte. */
static void a_million_mutations(void **state)
{
    (void)state;
    struct prng p;
    uint32_t passed = 0;

    prng_seed(&p, 6);
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        uint8_t bytes[PORT_FRAME_BYTES_MAX];
        uint8_t again[PORT_FRAME_BYTES_MAX];
        struct frame f;
        const uint32_t length =
            sample_encoded(&p, (uint8_t)prng_between(&p, FRAME_RAFT, FRAME_DIGEST), bytes);
        const uint32_t changes = (uint32_t)prng_between(&p, 1, 3);
        for (uint32_t change = 0; change < changes; change++)
            bytes[prng_between(&p, HEADER, length - 1)] = (uint8_t)prng_next(&p);
        seal(bytes, length);
        if (frame_decode(bytes, length, SAMPLE_CLUSTER, &f) != FRAME_OK_VERDICT)
            continue;
        assert_int_equal(frame_encode(&f, SAMPLE_CLUSTER, &sample_route, again), length);
        assert_memory_equal(bytes, again, length);
        passed++;
    }
    assert_true(passed > MUTATIONS / 100); /* or nothing behind the ranges was tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(control_is_all_but_entries_forwards_and_pieces),
        cmocka_unit_test(every_turned_bit_is_seen),
        cmocka_unit_test(every_truncation_is_seen),
        cmocka_unit_test(each_verdict_has_its_cause),
        cmocka_unit_test(every_field_has_its_range),
        cmocka_unit_test(pieces_end_with_the_content),
        cmocka_unit_test(pieces_end_with_the_table),
        cmocka_unit_test(a_million_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
