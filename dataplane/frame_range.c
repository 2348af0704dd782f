/* dataplane/frame_range.c: the range of every field of a frame, by its type. */
#include "dataplane/frame_internal.h"

#include "base/assert.h"
#include "base/record.h"
#include "base/zeros.h"

#include <string.h>

enum {
    OBJECT_BYTES_MAX = RECORD_HEADER_BYTES + RECORD_PAYLOAD_BYTES_MAX,
    CHUNKS_MAX = (OBJECT_BYTES_MAX + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES,
};

static bool raft_well_formed(const struct frame *f)
{
    const struct raft_msg *const m = &f->raft;

    if (m->type < RAFT_MSG_FIRST || m->type > RAFT_MSG_LAST)
        return false;
    if (m->transfer && m->type != RAFT_MSG_VOTE)
        return false;
    if (m->from != f->source || m->to != f->target || m->bytes != f->body_bytes)
        return false;
    if (m->incarnation != f->source_incarnation)
        return false;
    if (m->term > RAFT_WORD_MAX || m->prev_index > RAFT_WORD_MAX || m->prev_term > RAFT_WORD_MAX ||
        m->commit > RAFT_WORD_MAX || m->match > RAFT_WORD_MAX || m->last > RAFT_WORD_MAX ||
        m->hint_term > RAFT_WORD_MAX || m->hint_index > RAFT_WORD_MAX)
        return false;
    if (m->type != RAFT_MSG_APPEND)
        return m->count == 0 && f->body_bytes == 0;
    return m->count <= RAFT_APPEND_ENTRIES_MAX && f->body_bytes % RECORD_ALIGN == 0 &&
           f->body_bytes >= (uint32_t)m->count * RECORD_HEADER_BYTES &&
           (m->count > 0 || f->body_bytes == 0);
}

/* The body is walked, so whoever reads the requests later needs no check of its own. */
static bool requests_well_formed(const struct frame *f)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < f->forward.count; i++) {
        struct frame_request request;
        if (f->body_bytes - at < sizeof request)
            return false;
        memcpy(&request, f->body + at, sizeof request);
        if (request.reserved != 0 || request.length > f->body_bytes - at - sizeof request)
            return false;
        const uint32_t end = at + frame_request_bytes(request.length);
        const uint32_t used = at + (uint32_t)sizeof request + request.length;
        if (end > f->body_bytes || !bytes_are_zero(f->body + used, end - used))
            return false;
        at = end;
    }
    return at == f->body_bytes;
}

static bool forward_well_formed(const struct frame *f)
{
    if (f->forward.term > RAFT_WORD_MAX || f->forward.position > RAFT_WORD_MAX ||
        f->forward.last > RAFT_WORD_MAX)
        return false;
    if (f->type == FRAME_FORWARD_ACK)
        return f->forward.count == 0 && f->body_bytes == 0;
    return f->forward.count > 0 && f->forward.last == 0 && requests_well_formed(f);
}

static bool chunk_well_formed(const struct frame *f)
{
    const struct frame_chunk *const c = &f->chunk;

    if (c->term > RAFT_WORD_MAX || c->index > RAFT_WORD_MAX || c->prev_index > RAFT_WORD_MAX ||
        c->prev_term > RAFT_WORD_MAX || c->commit > RAFT_WORD_MAX)
        return false;
    if (c->total > OBJECT_BYTES_MAX || c->first_missing > CHUNKS_MAX)
        return false;
    if (f->type == FRAME_CHUNK_ACK)
        return f->body_bytes == 0 && c->offset <= c->total;
    if (c->offset % FRAME_CHUNK_BYTES != 0 || c->offset >= c->total)
        return false;
    const uint32_t remain = c->total - c->offset;
    return f->body_bytes == (remain < FRAME_CHUNK_BYTES ? remain : FRAME_CHUNK_BYTES);
}

static bool repair_well_formed(const struct frame *f)
{
    const struct frame_repair *const o = &f->repair;
    const bool other = o->other_term != 0 || o->other_checksum != 0 || o->other_index != 0 ||
                       o->committed || o->leads;

    if (o->index == 0 || o->index > RAFT_WORD_MAX || o->term > RAFT_WORD_MAX ||
        o->other_term > RAFT_WORD_MAX)
        return false;
    if (o->total > OBJECT_BYTES_MAX || o->offset > OBJECT_BYTES_MAX || o->offset % 8 != 0)
        return false;
    if (f->type == FRAME_REPAIR_ASK)
        return f->body_bytes == 0 && o->total == 0 && !other;
    if (o->total == 0)
        return f->body_bytes == 0 && o->other_term != 0 && o->other_index != 0 &&
               (o->other_index == o->index || (o->other_index < o->index && o->leads));
    if (other || o->offset >= o->total)
        return false;
    const uint32_t remain = o->total - o->offset;
    return f->body_bytes == (remain < FRAME_BODY_BYTES_MAX ? remain : FRAME_BODY_BYTES_MAX);
}

static bool digest_well_formed(const struct frame *f)
{
    return f->digest.kind <= FRAME_DIGEST_VERDICT && f->digest.index > 0 &&
           f->digest.index <= RAFT_WORD_MAX && f->body_bytes == 0 &&
           (f->digest.kind != FRAME_DIGEST_ASK || f->digest.digest == 0);
}

bool frame_well_formed(const struct frame *f)
{
    if (f->source == 0 || f->target == 0 || f->source == f->target)
        return false;
    if (f->source_boot == 0 || f->source_incarnation == 0)
        return false;
    if (f->target_incarnation == 0 && f->type != FRAME_HELLO)
        return false;
    if (f->body_bytes > FRAME_BODY_BYTES_MAX || (f->body_bytes > 0 && f->body == NULL))
        return false;
    if (f->number == 0 && !frame_is_control(f))
        return false;

    switch (f->type) {
    case FRAME_RAFT:
        return raft_well_formed(f);
    case FRAME_HELLO:
        return f->hello.last <= RAFT_WORD_MAX && f->hello.term <= RAFT_WORD_MAX &&
               f->hello.left_out <= RAFT_WORD_MAX && f->body_bytes == 0;
    case FRAME_FORWARD:
    case FRAME_FORWARD_ACK:
        return forward_well_formed(f);
    case FRAME_CHUNK:
    case FRAME_CHUNK_ACK:
        return chunk_well_formed(f);
    case FRAME_REPAIR_ASK:
    case FRAME_REPAIR:
        return repair_well_formed(f);
    case FRAME_SNAPSHOT_OFFER:
    case FRAME_SNAPSHOT_ASK:
    case FRAME_SNAPSHOT_PIECE:
    case FRAME_SNAPSHOT_DONE:
    case FRAME_SNAPSHOT_WANT:
        return frame_snapshot_well_formed(f);
    case FRAME_DIGEST:
        return digest_well_formed(f);
    case FRAME_CREDIT:
        return f->body_bytes == 0;
    default:
        return false;
    }
}
