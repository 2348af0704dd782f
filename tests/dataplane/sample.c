/* tests/dataplane/sample.c: see sample.h. */
#include "tests/dataplane/sample.h"

#include <string.h>

#include "base/record.h"

static uint64_t word(struct prng *p)
{
    return prng_between(p, 0, RAFT_WORD_MAX);
}

static void fill(struct prng *p, uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)prng_next(p);
}

static void sample_raft(struct prng *p, struct frame *f, uint8_t *body)
{
    f->raft = (struct raft_msg){
        .type = (uint8_t)prng_between(p, RAFT_MSG_FIRST, RAFT_MSG_LAST),
        .reject = prng_chance(p, 500000),
        .from = f->source,
        .to = f->target,
        .incarnation = f->source_incarnation,
        .term = word(p),
        .prev_index = word(p),
        .prev_term = word(p),
        .commit = word(p),
        .match = word(p),
        .last = word(p),
        .hint_term = word(p),
        .hint_index = word(p),
        .round = prng_next(p),
        .number = prng_next(p),
    };
    f->raft.transfer = f->raft.type == RAFT_MSG_VOTE && prng_chance(p, 500000);
    if (f->raft.type == RAFT_MSG_APPEND) {
        const uint32_t room = FRAME_BODY_BYTES_MAX / RECORD_HEADER_BYTES;
        f->raft.count = (uint16_t)prng_between(p, 0, room);
        f->body_bytes = f->raft.count * RECORD_HEADER_BYTES;
        if (f->raft.count > 0)
            f->body_bytes +=
                (uint32_t)prng_below(p, (FRAME_BODY_BYTES_MAX - f->body_bytes) / 8 + 1) * 8;
        fill(p, body, f->body_bytes);
        f->raft.bytes = f->body_bytes;
    }
}

static void sample_forward(struct prng *p, struct frame *f, uint8_t *body)
{
    f->forward = (struct frame_forward){.term = word(p), .position = word(p)};
    if (f->type == FRAME_FORWARD_ACK) {
        f->forward.last = word(p);
        return;
    }
    memset(body, 0, FRAME_BODY_BYTES_MAX);
    const uint32_t wanted = (uint32_t)prng_between(p, 1, 20);
    while (f->forward.count < wanted) {
        const struct frame_request request = {.tag = prng_next(p),
                                              .length = (uint32_t)prng_below(p, 200)};
        if (f->body_bytes + frame_request_bytes(request.length) > FRAME_BODY_BYTES_MAX)
            return;
        memcpy(body + f->body_bytes, &request, sizeof request);
        fill(p, body + f->body_bytes + sizeof request, request.length);
        f->body_bytes += frame_request_bytes(request.length);
        f->forward.count++;
    }
}

static void sample_chunk(struct prng *p, struct frame *f, uint8_t *body)
{
    f->chunk = (struct frame_chunk){
        .forward = prng_chance(p, 500000),
        .term = word(p),
        .index = word(p),
        .checksum = (uint32_t)prng_next(p),
        .total = (uint32_t)prng_between(p, 1, RECORD_HEADER_BYTES + RECORD_PAYLOAD_BYTES_MAX),
        .prev_index = word(p),
        .prev_term = word(p),
        .commit = word(p),
        .tag = prng_next(p),
    };
    const uint32_t chunks = (f->chunk.total + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
    if (f->type == FRAME_CHUNK_ACK) {
        f->chunk.first_missing = (uint32_t)prng_between(p, 0, chunks);
        f->chunk.bitmap = prng_next(p);
        return;
    }
    f->chunk.offset = (uint32_t)prng_below(p, chunks) * FRAME_CHUNK_BYTES;
    f->body_bytes = f->chunk.total - f->chunk.offset;
    if (f->body_bytes > FRAME_CHUNK_BYTES)
        f->body_bytes = FRAME_CHUNK_BYTES;
    fill(p, body, f->body_bytes);
}

static void sample_repair(struct prng *p, struct frame *f, uint8_t *body)
{
    f->repair = (struct frame_repair){
        .index = prng_between(p, 1, RAFT_WORD_MAX),
        .checksum = (uint32_t)prng_next(p),
        .term = word(p),
    };
    if (f->type == FRAME_REPAIR_ASK) {
        f->repair.offset = (uint32_t)prng_below(p, RECORD_PAYLOAD_BYTES_MAX / 8) * 8;
    } else if (prng_chance(p, 500000)) {
        f->repair.other_term = prng_between(p, 1, RAFT_WORD_MAX);
        f->repair.other_checksum = (uint32_t)prng_next(p);
        f->repair.committed = prng_chance(p, 500000);
        f->repair.leads = prng_chance(p, 500000);
        f->repair.other_index = f->repair.index;
        if (f->repair.leads && f->repair.index > 1 && prng_chance(p, 500000))
            f->repair.other_index = prng_between(p, 1, f->repair.index - 1);
    } else {
        f->repair.total =
            (uint32_t)prng_between(p, 8, (RECORD_HEADER_BYTES + RECORD_PAYLOAD_BYTES_MAX) / 8) * 8;
        f->repair.offset = (uint32_t)prng_below(p, f->repair.total / 8) * 8;
        f->body_bytes = f->repair.total - f->repair.offset;
        if (f->body_bytes > FRAME_BODY_BYTES_MAX)
            f->body_bytes = FRAME_BODY_BYTES_MAX;
        fill(p, body, f->body_bytes);
    }
}

/* Small ones too, or no question would be for the end of one. */
static void sample_snapshot(struct prng *p, struct frame *f, uint8_t *body)
{
    f->snapshot = (struct frame_snapshot){.index = prng_between(p, 1, RAFT_WORD_MAX)};
    if (f->type == FRAME_SNAPSHOT_DONE || f->type == FRAME_SNAPSHOT_WANT)
        return;
    struct frame_snapshot *const s = &f->snapshot;
    s->term = prng_between(p, 1, RAFT_WORD_MAX);
    s->bytes = prng_between(p, 1, prng_chance(p, 500000) ? 100000 : FRAME_SNAPSHOT_BYTES_MAX);
    s->digest = prng_next(p);
    if (f->type == FRAME_SNAPSHOT_OFFER) {
        s->config_index = prng_between(p, 1, s->index);
        s->sender_term = prng_between(p, s->term, RAFT_WORD_MAX);
        s->chunk_bytes = (uint32_t)prng_between(p, 1, 64) * 4096;
        s->chain = (uint32_t)prng_next(p);
        f->body_bytes = (uint32_t)prng_between(p, 1, FRAME_SNAPSHOT_CONFIG_BYTES_MAX);
        fill(p, body, f->body_bytes);
        return;
    }
    if (prng_chance(p, 500000)) /* of the table */
        s->chunk_bytes = (uint32_t)prng_between(p, 1, 64) * 4096;
    const uint64_t extent = frame_snapshot_extent(s);
    const uint64_t pieces = (extent + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
    const uint64_t first = prng_below(p, pieces);
    s->offset = first * FRAME_CHUNK_BYTES;
    if (f->type == FRAME_SNAPSHOT_ASK) {
        const uint64_t left = pieces - first;
        s->bitmap = prng_next(p) >> (left < FRAME_PIECES_MAX ? FRAME_PIECES_MAX - left : 0);
        return;
    }
    const uint64_t left = extent - s->offset;
    f->body_bytes = left < FRAME_CHUNK_BYTES ? (uint32_t)left : FRAME_CHUNK_BYTES;
    fill(p, body, f->body_bytes);
}

static void sample_digest(struct prng *p, struct frame *f)
{
    f->digest.kind = (uint8_t)prng_between(p, FRAME_DIGEST_REPORT, FRAME_DIGEST_VERDICT);
    f->digest.index = prng_between(p, 1, RAFT_WORD_MAX);
    if (f->digest.kind != FRAME_DIGEST_ASK)
        f->digest.digest = prng_next(p);
}

void sample_frame(struct prng *p, uint8_t type, struct frame *f, uint8_t *body)
{
    memset(f, 0, sizeof *f);
    f->type = type;
    f->source = (raft_node)prng_between(p, 1, 4);
    f->target = (raft_node)(f->source + prng_between(p, 1, 4));
    f->source_boot = (uint32_t)prng_between(p, 1, UINT32_MAX);
    f->target_boot = (uint32_t)prng_next(p);
    f->source_incarnation = prng_between(p, 1, UINT64_MAX - 1);
    f->target_incarnation = prng_between(p, type == FRAME_HELLO ? 0 : 1, 1000);
    f->number = prng_between(p, 1, UINT64_MAX - 1);
    f->credit = prng_next(p);
    f->no_room = prng_chance(p, 500000);
    f->refuses_writes = prng_chance(p, 500000);
    f->corrupt = prng_chance(p, 500000);
    f->wants_snapshot = prng_chance(p, 500000);
    f->body = body;

    if (type == FRAME_RAFT)
        sample_raft(p, f, body);
    else if (type == FRAME_HELLO)
        f->hello = (struct frame_hello){.wants_answer = prng_chance(p, 500000),
                                        .log_empty = prng_chance(p, 500000),
                                        .refused = prng_chance(p, 500000),
                                        .accused_boot = (uint32_t)prng_next(p),
                                        .last = word(p),
                                        .term = word(p),
                                        .left_out = word(p)};
    else if (type == FRAME_FORWARD || type == FRAME_FORWARD_ACK)
        sample_forward(p, f, body);
    else if (type == FRAME_CHUNK || type == FRAME_CHUNK_ACK)
        sample_chunk(p, f, body);
    else if (type == FRAME_REPAIR_ASK || type == FRAME_REPAIR)
        sample_repair(p, f, body);
    else if (type == FRAME_DIGEST)
        sample_digest(p, f);
    else if (type >= FRAME_SNAPSHOT_OFFER)
        sample_snapshot(p, f, body);
    if (f->body_bytes == 0)
        f->body = NULL;
}
