/* replica/forward.c: requests on their way to the leader.
 *
 * The origin sends its queue as one stream a term, by position, and goes back to what was
 * acknowledged when acknowledgements are late. The leader takes what comes next and nothing else,
 * so doubles and gaps fall out, and the entries stand in the log in the stream's order.
 */
#include "base/crc32c.h"
#include "replica/replica_internal.h"

#include <string.h>

/* ---- origin ---------------------------------------------------------------------------------- */

static uint64_t position_of(const struct request_table *t, uint64_t counter)
{
    ASSERT(counter >= t->stream_base);
    return counter - t->stream_base;
}

static void sent_up_to(struct request_table *t, uint64_t counter)
{
    t->next = counter;
    if (t->sent < counter)
        t->sent = counter;
}

/* The request at `next` is too large for a frame. It goes alone: when all before it is acknowledged. */
static bool send_large(struct replica *r, struct peer *leader)
{
    struct request_table *t = &r->raft.requests;
    const struct request *request = &t->slot[t->next & t->mask].request;

    if (t->acked != t->next || leader->chunk_out.active)
        return false;
    MARK(FORWARD_LARGE);
    const struct frame_chunk key = {
        .forward = true,
        .term = t->stream_term,
        .index = position_of(t, t->next),
        .checksum = crc32c(0, request->bytes, request->length),
        .total = request->length,
        .tag = request->tag,
    };
    chunks_begin(r, leader, &key, request->bytes);
    sent_up_to(t, t->next + 1);
    return true;
}

/* One frame of requests from `next` on. False: no room or nothing to send. */
static bool send_some(struct replica *r, struct peer *leader)
{
    struct request_table *t = &r->raft.requests;
    struct frame f = {
        .type = FRAME_FORWARD,
        .forward = {.term = t->stream_term, .position = position_of(t, t->next)},
    };
    uint32_t count = 0;
    uint32_t bytes = 0;

    while (t->next + count != t->tail && count < RAFT_PROPOSE_MAX) {
        const uint32_t more = frame_request_bytes(t->slot[(t->next + count) & t->mask].request.length);
        if (bytes + more > FRAME_BODY_BYTES_MAX)
            break;
        bytes += more;
        count++;
    }
    if (count == 0 || spsc_room(r->to_tx, 1) == 0)
        return false;
    uint8_t *body = byte_ring_reserve(&r->scratch, bytes);
    if (body == NULL)
        return false;
    for (uint32_t i = 0, at = 0; i < count; i++) {
        const struct request *request = &t->slot[(t->next + i) & t->mask].request;
        const uint32_t whole = frame_request_bytes(request->length);
        const struct frame_request head = {.tag = request->tag, .length = request->length};
        memset(body + at + whole - 8, 0, 8); /* the padding */
        memcpy(body + at, &head, sizeof head);
        memcpy(body + at + sizeof head, request->bytes, request->length);
        at += whole;
    }
    f.forward.count = (uint16_t)count;
    f.body_bytes = bytes;
    emit_frame(r, leader, &f, 0, body);
    sent_up_to(t, t->next + count);
    r->raft.forwards_sent += count;
    return true;
}

void forward_send(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct request_table *t = &role->requests;
    const raft_node leader_node = raft_leader(role->raft);

    if (leader_node == 0 || leader_node == r->options.node ||
        t->stream_term != raft_term_now(role->raft) || t->head == t->tail)
        return;
    struct peer *leader = peer_of(r, leader_node);
    if (leader == NULL || leader->boot == 0)
        return;
    if (t->acked < t->next && role->now_ns - t->progress_ns > r->options.resend_ns &&
        !leader->chunk_out.active) {
        MARK(FORWARD_GO_BACK);
        t->next = t->acked; /* go back N */
        t->progress_ns = role->now_ns;
    }
    while (t->next != t->tail && !leader->chunk_out.active &&
           credit_send_room(&leader->credit_out) > 0) {
        const uint32_t length = t->slot[t->next & t->mask].request.length;
        const bool large = frame_request_bytes(length) > FRAME_BODY_BYTES_MAX;
        if (t->acked == t->next)
            role->requests.progress_ns = role->now_ns;
        if (large ? !send_large(r, leader) : !send_some(r, leader))
            break;
    }
}

void forward_on_ack(struct replica *r, const struct frame *f)
{
    struct replica_raft *role = &r->raft;
    struct request_table *t = &role->requests;
    const uint64_t counter = t->stream_base + f->forward.position;

    if (f->forward.term != t->stream_term || f->source != raft_leader(role->raft))
        return;
    if (f->forward.position > t->sent - t->stream_base || counter <= t->acked)
        return;
    t->acked = counter;
    t->acked_last = f->forward.last;
    if (t->next < counter)
        t->next = counter;
    t->progress_ns = role->now_ns;
}

/* ---- leader ---------------------------------------------------------------------------------- */

/* True: we lead in the frame's term, it is of a member, and the stream's state is of this term. */
static bool leads(struct replica *r, struct peer *peer, raft_term term)
{
    const struct raft *raft = r->raft.raft;

    if (raft_role(raft) != RAFT_LEADER || raft_term_now(raft) != term || !peer->member)
        return false;
    if (peer->forward_term != term) {
        peer->forward_term = term;
        peer->forward_next = 0;
    }
    return true;
}

static struct record_spec spec_of(const struct peer *peer, uint64_t tag)
{
    return (struct record_spec){
        .type = RECORD_COMMAND,
        .origin = {.request = tag, .boot = peer->boot, .node = peer->node},
    };
}

/* The requests of the body; the decoder has walked it. */
static void parse(const struct peer *peer, const struct frame *f, struct record_spec *specs)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < f->forward.count; i++) {
        struct frame_request head;
        memcpy(&head, f->body + at, sizeof head);
        specs[i] = spec_of(peer, head.tag);
        specs[i].payload = f->body + at + sizeof head;
        specs[i].payload_bytes = head.length;
        at += frame_request_bytes(head.length);
    }
}

void forward_on_frame(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    struct record_spec specs[RAFT_PROPOSE_MAX];

    if (!leads(r, peer, f->forward.term)) {
        MARK(FORWARD_NOT_LEADER);
        admit_count(r, FRAME_UNEXPECTED_VERDICT);
        return;
    }
    const uint32_t count = f->forward.count;
    if (count > RAFT_PROPOSE_MAX) { /* we would not send so many in a frame */
        admit_count(r, FRAME_MALFORMED_VERDICT);
        return;
    }
    parse(peer, f, specs);
    admit_count(r, FRAME_OK_VERDICT);
    peer->forward_ack_due = true;
    const uint64_t skip =
        planted(PLANTED_FORWARD_DOUBLED) ? 0 : peer->forward_next - f->forward.position;
    MARK_IF(f->forward.position > peer->forward_next, FORWARD_GAP);
    MARK_IF(f->forward.position <= peer->forward_next && skip >= count, FORWARD_DOUBLE);
    MARK_IF(skip > 0 && skip < count, FORWARD_OVERLAP);
    if (f->forward.position > peer->forward_next || skip >= count)
        return; /* a gap, or all of it was here before */
    step_propose(r, specs + skip, count - (uint32_t)skip);
    peer->forward_next += count - skip;
    r->raft.forwards_taken += count - skip;
}

bool forward_take_one(struct replica *r, struct peer *peer, const struct frame_chunk *chunk,
                      const uint8_t *bytes)
{
    struct record_spec spec = spec_of(peer, chunk->tag);

    if (!leads(r, peer, chunk->term))
        return false;
    peer->forward_ack_due = true;
    if (chunk->index != peer->forward_next)
        return true;
    spec.payload = bytes;
    spec.payload_bytes = chunk->total;
    step_propose(r, &spec, 1);
    peer->forward_next++;
    r->raft.forwards_taken++;
    return true;
}

void forward_ack_due(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        if (!peer->forward_ack_due)
            continue;
        struct frame f = {
            .type = FRAME_FORWARD_ACK,
            .forward = {.term = peer->forward_term,
                        .position = peer->forward_next,
                        .last = raft_last(role->raft)},
        };
        peer->forward_ack_due = !emit_frame(r, peer, &f, 0, NULL);
    }
}
