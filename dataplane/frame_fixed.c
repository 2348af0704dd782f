/* dataplane/frame_fixed.c: the part of a frame that depends on its type. The structs are the byte
 * tables of docs/formats.md.
 */
#include "dataplane/frame_internal.h"

#include "base/assert.h"
#include "base/record.h"
#include "base/zeros.h"

#include <string.h>

enum {
    FLAG_REJECT = 1,
    FLAG_TRANSFER = 2,
    FLAG_WANTS_ANSWER = 1,
    FLAG_LOG_EMPTY = 2,
    FLAG_REFUSED = 4,
    FLAG_FORWARD = 1,
    FLAG_COMMITTED = 1,
    FLAG_LEADS = 2,
};

struct wire_raft {
    uint8_t type;
    uint8_t flags;
    uint16_t count;
    uint32_t reserved_low;
    uint64_t term;
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t commit;
    uint64_t match;
    uint64_t last;
    uint64_t hint_term;
    uint64_t hint_index;
    uint64_t round;
    uint64_t number;
    uint64_t reserved;
};

struct wire_hello {
    uint8_t flags;
    uint8_t reserved_low[3];
    uint32_t accused_boot;
    uint64_t last;
    uint64_t term;
    uint64_t left_out;
    uint64_t reserved[8];
};

struct wire_forward {
    uint64_t term;
    uint64_t position;
    uint16_t count;
    uint16_t reserved_low[3];
    uint64_t last;
    uint64_t reserved[8];
};

struct wire_chunk {
    uint8_t flags;
    uint8_t reserved_low[3];
    uint32_t checksum;
    uint64_t term;
    uint64_t index;
    uint32_t total;
    uint32_t offset;
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t commit;
    uint64_t tag;
    uint32_t first_missing;
    uint32_t reserved_middle;
    uint64_t bitmap;
    uint64_t reserved[2];
};

struct wire_repair {
    uint8_t flags;
    uint8_t reserved_low[3];
    uint32_t checksum;
    uint64_t index;
    uint32_t offset;
    uint32_t total;
    uint64_t other_term;
    uint64_t term;
    uint32_t other_checksum;
    uint32_t reserved_middle;
    uint64_t other_index; /* 0: the same as index, if there is another entry */
    uint64_t reserved[5];
};

struct wire_digest {
    uint8_t kind;
    uint8_t reserved_low[7];
    uint64_t index;
    uint64_t digest;
    uint64_t reserved[9];
};

union wire_fixed {
    struct wire_raft raft;
    struct wire_hello hello;
    struct wire_forward forward;
    struct wire_chunk chunk;
    struct wire_repair repair;
    struct wire_digest digest;
    uint8_t bytes[FRAME_FIXED_BYTES];
};

static_assert(sizeof(struct wire_raft) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct wire_hello) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct wire_forward) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct wire_chunk) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct wire_repair) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct wire_digest) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(union wire_fixed) == FRAME_FIXED_BYTES, "the fixed part is the format");
static_assert(sizeof(struct frame_request) == 16, "a request in a body is the format");
static_assert(FRAME_CHUNK_BYTES <= FRAME_BODY_BYTES_MAX, "a chunk fits");
static_assert(FRAME_BODY_BYTES_MAX / RECORD_HEADER_BYTES <= RAFT_APPEND_ENTRIES_MAX,
              "what fits a frame may be in an append");

static void raft_encode(const struct raft_msg *m, struct wire_raft *w)
{
    *w = (struct wire_raft){
        .type = m->type,
        .flags = (uint8_t)((m->reject ? FLAG_REJECT : 0) | (m->transfer ? FLAG_TRANSFER : 0)),
        .count = m->count,
        .term = m->term,
        .prev_index = m->prev_index,
        .prev_term = m->prev_term,
        .commit = m->commit,
        .match = m->match,
        .last = m->last,
        .hint_term = m->hint_term,
        .hint_index = m->hint_index,
        .round = m->round,
        .number = m->number,
    };
}

static bool raft_decode(const struct wire_raft *w, struct frame *f)
{
    f->raft = (struct raft_msg){
        .type = w->type,
        .reject = (w->flags & FLAG_REJECT) != 0,
        .transfer = (w->flags & FLAG_TRANSFER) != 0,
        .from = f->source,
        .to = f->target,
        .count = w->count,
        .bytes = f->body_bytes,
        .incarnation = f->source_incarnation,
        .term = w->term,
        .prev_index = w->prev_index,
        .prev_term = w->prev_term,
        .commit = w->commit,
        .match = w->match,
        .last = w->last,
        .hint_term = w->hint_term,
        .hint_index = w->hint_index,
        .round = w->round,
        .number = w->number,
    };
    return (w->flags & ~(FLAG_REJECT | FLAG_TRANSFER)) == 0 && w->reserved_low == 0 &&
           w->reserved == 0;
}

static void hello_encode(const struct frame_hello *h, struct wire_hello *w)
{
    *w = (struct wire_hello){
        .flags = (uint8_t)((h->wants_answer ? FLAG_WANTS_ANSWER : 0) |
                           (h->log_empty ? FLAG_LOG_EMPTY : 0) | (h->refused ? FLAG_REFUSED : 0)),
        .accused_boot = h->accused_boot,
        .last = h->last,
        .term = h->term,
        .left_out = h->left_out,
    };
}

static bool hello_decode(const struct wire_hello *w, struct frame_hello *h)
{
    *h = (struct frame_hello){
        .wants_answer = (w->flags & FLAG_WANTS_ANSWER) != 0,
        .log_empty = (w->flags & FLAG_LOG_EMPTY) != 0,
        .refused = (w->flags & FLAG_REFUSED) != 0,
        .accused_boot = w->accused_boot,
        .last = w->last,
        .term = w->term,
        .left_out = w->left_out,
    };
    return (w->flags & ~(FLAG_WANTS_ANSWER | FLAG_LOG_EMPTY | FLAG_REFUSED)) == 0 &&
           bytes_are_zero(w->reserved_low, sizeof w->reserved_low) &&
           bytes_are_zero(w->reserved, sizeof w->reserved);
}

static void forward_encode(const struct frame_forward *o, struct wire_forward *w)
{
    *w = (struct wire_forward){
        .term = o->term, .position = o->position, .count = o->count, .last = o->last};
}

static bool forward_decode(const struct wire_forward *w, struct frame_forward *o)
{
    *o = (struct frame_forward){
        .term = w->term, .position = w->position, .last = w->last, .count = w->count};
    return bytes_are_zero(w->reserved_low, sizeof w->reserved_low) &&
           bytes_are_zero(w->reserved, sizeof w->reserved);
}

static void chunk_encode(const struct frame_chunk *c, struct wire_chunk *w)
{
    *w = (struct wire_chunk){
        .flags = c->forward ? FLAG_FORWARD : 0,
        .checksum = c->checksum,
        .term = c->term,
        .index = c->index,
        .total = c->total,
        .offset = c->offset,
        .prev_index = c->prev_index,
        .prev_term = c->prev_term,
        .commit = c->commit,
        .tag = c->tag,
        .first_missing = c->first_missing,
        .bitmap = c->bitmap,
    };
}

static bool chunk_decode(const struct wire_chunk *w, struct frame_chunk *c)
{
    *c = (struct frame_chunk){
        .forward = (w->flags & FLAG_FORWARD) != 0,
        .term = w->term,
        .index = w->index,
        .checksum = w->checksum,
        .total = w->total,
        .offset = w->offset,
        .prev_index = w->prev_index,
        .prev_term = w->prev_term,
        .commit = w->commit,
        .tag = w->tag,
        .first_missing = w->first_missing,
        .bitmap = w->bitmap,
    };
    return (w->flags & ~FLAG_FORWARD) == 0 && w->reserved_middle == 0 &&
           bytes_are_zero(w->reserved_low, sizeof w->reserved_low) &&
           bytes_are_zero(w->reserved, sizeof w->reserved);
}

static void repair_encode(const struct frame_repair *o, struct wire_repair *w)
{
    *w = (struct wire_repair){
        .flags = (uint8_t)((o->committed ? FLAG_COMMITTED : 0) | (o->leads ? FLAG_LEADS : 0)),
        .checksum = o->checksum,
        .index = o->index,
        .offset = o->offset,
        .total = o->total,
        .other_term = o->other_term,
        .term = o->term,
        .other_checksum = o->other_checksum,
        .other_index = o->other_index == o->index ? 0 : o->other_index,
    };
}

static bool repair_decode(const struct wire_repair *w, struct frame_repair *o)
{
    *o = (struct frame_repair){
        .index = w->index,
        .checksum = w->checksum,
        .offset = w->offset,
        .total = w->total,
        .other_index = w->other_index == 0 && w->other_term != 0 ? w->index : w->other_index,
        .other_checksum = w->other_checksum,
        .other_term = w->other_term,
        .committed = (w->flags & FLAG_COMMITTED) != 0,
        .leads = (w->flags & FLAG_LEADS) != 0,
        .term = w->term,
    };
    return (w->flags & ~(FLAG_COMMITTED | FLAG_LEADS)) == 0 && w->reserved_middle == 0 &&
           bytes_are_zero(w->reserved_low, sizeof w->reserved_low) &&
           bytes_are_zero(w->reserved, sizeof w->reserved);
}

static void digest_encode(const struct frame_digest *d, struct wire_digest *w)
{
    *w = (struct wire_digest){.kind = d->kind, .index = d->index, .digest = d->digest};
}

static bool digest_decode(const struct wire_digest *w, struct frame_digest *d)
{
    *d = (struct frame_digest){.kind = w->kind, .index = w->index, .digest = w->digest};
    return bytes_are_zero(w->reserved_low, sizeof w->reserved_low) &&
           bytes_are_zero(w->reserved, sizeof w->reserved);
}

void frame_fixed_encode(const struct frame *f, uint8_t *out)
{
    union wire_fixed w = {.bytes = {0}};

    switch (f->type) {
    case FRAME_RAFT:
        raft_encode(&f->raft, &w.raft);
        break;
    case FRAME_HELLO:
        hello_encode(&f->hello, &w.hello);
        break;
    case FRAME_FORWARD:
    case FRAME_FORWARD_ACK:
        forward_encode(&f->forward, &w.forward);
        break;
    case FRAME_CHUNK:
    case FRAME_CHUNK_ACK:
        chunk_encode(&f->chunk, &w.chunk);
        break;
    case FRAME_REPAIR_ASK:
    case FRAME_REPAIR:
        repair_encode(&f->repair, &w.repair);
        break;
    case FRAME_SNAPSHOT_OFFER:
    case FRAME_SNAPSHOT_ASK:
    case FRAME_SNAPSHOT_PIECE:
    case FRAME_SNAPSHOT_DONE:
    case FRAME_SNAPSHOT_WANT:
        frame_snapshot_encode(&f->snapshot, w.bytes);
        break;
    case FRAME_DIGEST:
        digest_encode(&f->digest, &w.digest);
        break;
    default:
        ASSERT(f->type == FRAME_CREDIT);
        break;
    }
    memcpy(out, &w, sizeof w);
}

bool frame_fixed_decode(const uint8_t *bytes, struct frame *f)
{
    union wire_fixed w;

    memcpy(&w, bytes, sizeof w);
    switch (f->type) {
    case FRAME_RAFT:
        return raft_decode(&w.raft, f);
    case FRAME_HELLO:
        return hello_decode(&w.hello, &f->hello);
    case FRAME_FORWARD:
    case FRAME_FORWARD_ACK:
        return forward_decode(&w.forward, &f->forward);
    case FRAME_CHUNK:
    case FRAME_CHUNK_ACK:
        return chunk_decode(&w.chunk, &f->chunk);
    case FRAME_REPAIR_ASK:
    case FRAME_REPAIR:
        return repair_decode(&w.repair, &f->repair);
    case FRAME_SNAPSHOT_OFFER:
    case FRAME_SNAPSHOT_ASK:
    case FRAME_SNAPSHOT_PIECE:
    case FRAME_SNAPSHOT_DONE:
    case FRAME_SNAPSHOT_WANT:
        return frame_snapshot_decode(w.bytes, &f->snapshot);
    case FRAME_DIGEST:
        return digest_decode(&w.digest, &f->digest);
    case FRAME_CREDIT:
        return bytes_are_zero(&w, sizeof w);
    default:
        return false;
    }
}
