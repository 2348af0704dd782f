/* replica/chunks.c: records and requests too large for a frame, in pieces.
 *
 * Sender and receiver have one slot for each other. The receiver says which chunk is the first it
 * misses and which of the next 64 it has; only gaps are sent again, so a large record arrives
 * whole over a link that loses frames. A receiver that gets a piece of another object forgets the
 * one before: the sender gave that up.
 */
#include "base/crc32c.h"
#include "replica/replica_internal.h"

#include <string.h>

enum { HOLES_SHARE = 8 }; /* gaps are filled again after this part of the resend time */

static uint32_t chunk_count(uint32_t total)
{
    return (total + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
}

static bool same_object(const struct frame_chunk *a, const struct frame_chunk *b)
{
    return a->forward == b->forward && a->term == b->term && a->index == b->index &&
           a->checksum == b->checksum && a->total == b->total;
}

/* ---- sender ---------------------------------------------------------------------------------- */

void chunks_begin(struct replica *r, struct peer *peer, const struct frame_chunk *key,
                  const uint8_t *bytes)
{
    struct chunk_send *out = &peer->chunk_out;

    if (out->active && same_object(&out->key, key))
        return; /* the core sends again what is still under way */
    ASSERT(chunk_count(key->total) < CHUNKS_MAX);
    memcpy(out->bytes, bytes, key->total);
    out->active = true;
    out->key = *key;
    out->count = chunk_count(key->total);
    out->first_missing = 0;
    out->next = 0;
    out->bitmap = 0;
    out->progress_ns = r->raft.now_ns;
    out->holes_ns = r->raft.now_ns;
}

/* False: no room or no credit now. */
static bool send_chunk(struct replica *r, struct peer *peer, uint32_t number)
{
    const struct chunk_send *out = &peer->chunk_out;
    struct frame f = {.type = FRAME_CHUNK, .chunk = out->key};

    if (credit_send_room(&peer->credit_out) == 0 || spsc_room(r->to_tx, 1) == 0)
        return false;
    f.chunk.offset = number * FRAME_CHUNK_BYTES;
    const uint32_t left = out->key.total - f.chunk.offset;
    f.body_bytes = left < FRAME_CHUNK_BYTES ? left : FRAME_CHUNK_BYTES;
    uint8_t *body = byte_ring_reserve(&r->scratch, f.body_bytes);
    if (body == NULL)
        return false;
    memcpy(body, out->bytes + f.chunk.offset, f.body_bytes);
    return emit_frame(r, peer, &f, 0, body);
}

/* Chunks that a later acknowledged one has overtaken. */
static void fill_holes(struct replica *r, struct peer *peer)
{
    struct chunk_send *out = &peer->chunk_out;

    if (out->bitmap == 0 || r->raft.now_ns - out->holes_ns < r->options.resend_ns / HOLES_SHARE)
        return;
    MARK(CHUNK_HOLES_FILLED);
    out->holes_ns = r->raft.now_ns;
    const uint32_t newest = 63 - (uint32_t)__builtin_clzll(out->bitmap);
    for (uint32_t i = 0; i < newest; i++) {
        if ((out->bitmap >> i & 1) == 0 && !send_chunk(r, peer, out->first_missing + i))
            break;
    }
}

/* Its leader's term is over, or we led it and do so no longer: a piece would keep the others from
 * electing another. */
static bool is_over(const struct replica *r, const struct chunk_send *out)
{
    return out->key.term != raft_term_now(r->raft.raft) ||
           (!out->key.forward && raft_role(r->raft.raft) != RAFT_LEADER);
}

static void poll_peer(struct replica *r, struct peer *peer)
{
    struct chunk_send *out = &peer->chunk_out;

    if (is_over(r, out)) {
        MARK(CHUNK_TERM_OVER);
        out->active = false;
        return;
    }
    if (r->raft.now_ns - out->progress_ns > r->options.resend_ns) {
        MARK(CHUNK_ALL_AGAIN);
        out->progress_ns = r->raft.now_ns;
        out->next = out->first_missing; /* all silent: from the first gap again */
    }
    fill_holes(r, peer);
    while (out->next < out->count && out->next < out->first_missing + CHUNK_WINDOW) {
        const uint32_t ahead = out->next - out->first_missing;
        const bool arrived = (out->bitmap >> ahead & 1) != 0;
        if (!arrived && !send_chunk(r, peer, out->next))
            break;
        out->next++;
    }
}

void chunks_on_ack(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    struct chunk_send *out = &peer->chunk_out;

    MARK_IF(out->active && !same_object(&out->key, &f->chunk), CHUNK_ACK_OTHER);
    if (!out->active || !same_object(&out->key, &f->chunk) || f->chunk.first_missing > out->count)
        return;
    const uint32_t left = out->count - f->chunk.first_missing;
    const uint64_t known = left < CHUNK_WINDOW ? (1ull << left) - 1 : UINT64_MAX;
    if ((f->chunk.bitmap & ~known) != 0)
        return; /* acknowledges chunks that there are not */
    /* It may say less than the one before: it was overtaken on the way, or a late piece of another
     * object made the receiver begin anew. The first costs a few chunks sent twice. */
    MARK_IF(f->chunk.first_missing < out->first_missing, CHUNK_ACK_BACK);
    if (f->chunk.first_missing != out->first_missing || f->chunk.bitmap != out->bitmap)
        out->progress_ns = r->raft.now_ns;
    out->first_missing = f->chunk.first_missing;
    out->bitmap = f->chunk.bitmap;
    if (out->next < out->first_missing || out->next > out->first_missing + CHUNK_WINDOW)
        out->next = out->first_missing;
    if (out->first_missing == out->count)
        out->active = false;
}

/* ---- receiver -------------------------------------------------------------------------------- */

static bool has_arrived(const struct chunk_receive *in, uint32_t number)
{
    return (in->arrived[number / 64] >> (number % 64) & 1) != 0;
}

static void begin_receive(struct chunk_receive *in, const struct frame_chunk *key)
{
    in->active = true;
    in->complete = false;
    in->key = *key;
    in->count = chunk_count(key->total);
    in->first_missing = 0;
    memset(in->arrived, 0, sizeof in->arrived);
}

/* The whole object is here: to the core with it. False: it is worthless, or has no place now. */
static bool complete_record(struct replica *r, struct chunk_receive *in, raft_node from)
{
    const struct raft_msg msg = {
        .type = RAFT_MSG_APPEND,
        .from = from,
        .incarnation = peer_of(r, from)->incarnation,
        .to = r->options.node,
        .term = in->key.term,
        .count = 1,
        .bytes = in->key.total,
        .prev_index = in->key.prev_index,
        .prev_term = in->key.prev_term,
        .commit = in->key.commit,
    };
    return append_records(r, &msg, in->bytes, in->key.total) == FRAME_OK_VERDICT;
}

static bool complete_request(struct replica *r, struct peer *peer, struct chunk_receive *in)
{
    return crc32c(0, in->bytes, in->key.total) == in->key.checksum &&
           forward_take_one(r, peer, &in->key, in->bytes);
}

static bool worth_receiving(const struct replica *r, const struct frame *f)
{
    const struct frame_chunk *chunk = &f->chunk;
    const uint32_t total_max = chunk->forward ? r->options.record_payload_bytes_max
                                              : record_bytes(r->options.record_payload_bytes_max);
    const bool leader = raft_role(r->raft.raft) == RAFT_LEADER;

    if (chunk->total > total_max)
        return false;
    if (chunk->term < raft_term_now(r->raft.raft))
        return false;
    return chunk->forward == leader; /* requests go to leaders, records to others */
}

/* Whatever is under way from the leader is a sign of its life. */
static void leader_is_alive(struct replica *r, const struct frame *f)
{
    struct raft_event ev = {.type = RAFT_EV_ALIVE, .peer = f->source, .term = f->chunk.term};

    step_event(r, &ev);
}

void chunks_on_frame(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    struct chunk_receive *in = f->chunk.forward ? &peer->request_in : &peer->record_in;
    const uint32_t number = f->chunk.offset / FRAME_CHUNK_BYTES;

    if (!worth_receiving(r, f)) {
        MARK(CHUNK_UNEXPECTED);
        admit_count(r, FRAME_UNEXPECTED_VERDICT);
        return;
    }
    admit_count(r, FRAME_OK_VERDICT);
    MARK_IF(in->active && !in->complete && !same_object(&in->key, &f->chunk), CHUNK_REPLACED);
    if (!in->active || !same_object(&in->key, &f->chunk))
        begin_receive(in, &f->chunk);
    in->ack_due = true;
    if (!in->key.forward)
        leader_is_alive(r, f);
    MARK_IF(has_arrived(in, number), CHUNK_DUPLICATE);
    MARK_IF(in->complete, CHUNK_OBJECT_AGAIN);
    if (in->complete && in->key.forward)
        peer->forward_ack_due = true; /* the sender has not heard that it was taken */
    if (in->complete && !in->key.forward && number == 0 && !planted(PLANTED_CHUNK_REPLY_LOST))
        complete_record(r, in, f->source); /* sent anew: the leader has not heard the core's reply */
    if (in->complete || has_arrived(in, number))
        return;
    memcpy(in->bytes + f->chunk.offset, f->body, f->body_bytes);
    in->arrived[number / 64] |= 1ull << (number % 64);
    while (in->first_missing < in->count && has_arrived(in, in->first_missing))
        in->first_missing++;
    if (in->first_missing < in->count)
        return;
    in->complete = true;
    const bool taken = in->key.forward ? complete_request(r, peer, in)
                                       : complete_record(r, in, f->source);
    if (!taken)
        in->active = false; /* begin again if the sender still means it */
}

static void acknowledge(struct replica *r, struct peer *peer, struct chunk_receive *in)
{
    if (!in->ack_due || !in->active)
        return;
    struct frame f = {.type = FRAME_CHUNK_ACK, .chunk = in->key};
    f.chunk.offset = 0;
    f.chunk.first_missing = in->first_missing;
    f.chunk.bitmap = 0;
    for (uint32_t i = 0; i < CHUNK_WINDOW && in->first_missing + i < in->count; i++)
        if (has_arrived(in, in->first_missing + i))
            f.chunk.bitmap |= 1ull << i;
    if (emit_frame(r, peer, &f, 0, NULL))
        in->ack_due = false;
}

void chunks_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    for (uint32_t i = 0; i < role->peer_count; i++) {
        struct peer *peer = &role->peer[i];
        if (peer->chunk_out.active)
            poll_peer(r, peer);
        acknowledge(r, peer, &peer->record_in);
        acknowledge(r, peer, &peer->request_in);
    }
}
