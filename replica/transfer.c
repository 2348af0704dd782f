/* replica/transfer.c: our current snapshot for peers that lack it, or a part of it.
 *
 * Offered by a leader whose core asks for it, and to whoever says that he wants one or asks for one that is
 * older than ours. Chunks that peers ask for are read by persist into two buffers, and stay there until
 * others are wanted, so that a piece that was lost costs no second read. Pieces go last in a poll.
 */
#include "replica/replica_internal.h"

#include <errno.h>
#include <string.h>

static const struct snapshot_header *ours(const struct replica *r)
{
    return &r->raft.making.current; /* index 0: none */
}

static bool is_ours(const struct replica *r, const struct frame_snapshot *s)
{
    const struct snapshot_header *h = ours(r);

    return h->index == s->index && h->term == s->term && h->bytes == s->bytes &&
           h->digest == s->digest && (s->chunk_bytes == 0 || s->chunk_bytes == h->chunk_bytes);
}

static uint32_t chunk_of(const struct replica *r, uint64_t offset)
{
    return (uint32_t)(offset / ours(r)->chunk_bytes);
}

/* ---- offers ------------------------------------------------------------------------------------ */

void transfer_offer(struct replica *r, struct peer *peer, raft_index index)
{
    if (ours(r)->index != 0 && ours(r)->index >= index)
        peer->offer_due = true;
}

static bool offer(struct replica *r, struct peer *peer)
{
    const struct snapshot_header *h = ours(r);
    struct frame f = {
        .type = FRAME_SNAPSHOT_OFFER,
        .snapshot = {.index = h->index,
                     .term = h->term,
                     .bytes = h->bytes,
                     .digest = h->digest,
                     .config_index = h->config_index,
                     .sender_term = raft_term_now(r->raft.raft),
                     .chunk_bytes = h->chunk_bytes,
                     .chain = h->chain},
        .body_bytes = h->config_bytes,
    };

    if (peer->boot == 0 || h->index == 0)
        return true; /* nobody to hear it, or nothing to offer any more */
    if (spsc_room(r->to_tx, 1) == 0)
        return false;
    uint8_t *body = byte_ring_reserve(&r->scratch, f.body_bytes);
    if (body == NULL)
        return false;
    memcpy(body, h->config, h->config_bytes);
    return emit_frame(r, peer, &f, 0, body);
}

void transfer_on_want(struct replica *r, const struct frame *f)
{
    admit_count(r, FRAME_OK_VERDICT);
    transfer_offer(r, peer_of(r, f->source), f->snapshot.index);
}

/* ---- questions --------------------------------------------------------------------------------- */

/* The core learns that the transfer which it asked for goes on. */
static void begun(struct replica *r, const struct peer *peer)
{
    const struct raft *raft = r->raft.raft;
    struct raft_event ev = {
        .type = RAFT_EV_SNAPSHOT_BEGUN, .peer = peer->node, .index = ours(r)->index};

    if (raft_role(raft) == RAFT_LEADER && raft_snapshot_to(raft, peer->node) != ev.index)
        step_event(r, &ev);
}

/* A question takes the place of an earlier one about its chunk, else of the oldest. */
static struct serve_ask *ask_for(struct replica *r, struct peer *peer, bool table, uint64_t offset)
{
    struct serve_ask *oldest = &peer->ask[0];

    for (uint32_t i = 0; i < SERVE_ASKS_MAX; i++) {
        struct serve_ask *ask = &peer->ask[i];
        if (ask->bitmap != 0 && ask->table == table && chunk_of(r, ask->offset) == chunk_of(r, offset))
            return ask;
        if (ask->bitmap == 0 || (oldest->bitmap != 0 && ask->asked_ns < oldest->asked_ns))
            oldest = ask;
    }
    return oldest;
}

/* What a question asks for beyond its chunk is not looked at: nobody of ours does. */
static uint64_t within_chunk(const struct replica *r, const struct frame_snapshot *s)
{
    const uint64_t end = (uint64_t)ours(r)->chunk_bytes * (chunk_of(r, s->offset) + 1ull);
    const uint64_t pieces = (end - s->offset) / FRAME_CHUNK_BYTES;

    ASSERT(pieces > 0);
    return pieces < FRAME_PIECES_MAX ? s->bitmap & ((1ull << pieces) - 1) : s->bitmap;
}

void transfer_on_ask(struct replica *r, const struct frame *f)
{
    struct peer *peer = peer_of(r, f->source);
    const struct frame_snapshot *s = &f->snapshot;

    admit_count(r, FRAME_OK_VERDICT);
    if (!is_ours(r, s)) {
        MARK(PULLED_ANOTHER);
        transfer_offer(r, peer, s->index + 1);
        return;
    }
    peer->snapshot_asked_ns = r->raft.now_ns;
    if (s->bitmap != 0) {
        struct serve_ask *ask = ask_for(r, peer, s->chunk_bytes != 0, s->offset);
        *ask = (struct serve_ask){.index = s->index,
                                  .table = s->chunk_bytes != 0,
                                  .offset = s->offset,
                                  .bitmap = within_chunk(r, s),
                                  .asked_ns = r->raft.now_ns};
    }
    begun(r, peer);
}

/* It may never have asked: it has the snapshot from elsewhere, and what it acknowledged was lost. */
void transfer_on_done(struct replica *r, const struct frame *f)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_ENDED, .peer = f->source, .ok = true};

    admit_count(r, FRAME_OK_VERDICT);
    if (ours(r)->index != 0 && ours(r)->index <= f->snapshot.index)
        begun(r, peer_of(r, f->source));
    ev.index = raft_snapshot_to(r->raft.raft, f->source);
    if (ev.index != 0 && ev.index <= f->snapshot.index)
        step_event(r, &ev);
}

bool transfer_serves(const struct peer *peer)
{
    bool any = false;

    for (uint32_t i = 0; i < SERVE_ASKS_MAX; i++)
        any = any || peer->ask[i].bitmap != 0;
    return any;
}

/* ---- chunks ------------------------------------------------------------------------------------ */

static bool is_for(const struct replica *r, const struct serve_ask *ask, const struct snapshot_read *read)
{
    return ask->bitmap != 0 && ask->index == read->index && ask->index == ours(r)->index &&
           ask->table == read->table && chunk_of(r, ask->offset) == read->chunk;
}

/* Is it what somebody waits for? */
static bool is_asked_for(const struct replica *r, const struct snapshot_read *read)
{
    bool any = false;

    for (uint32_t i = 0; i < r->raft.peer_count; i++)
        for (uint32_t k = 0; k < SERVE_ASKS_MAX; k++)
            any = any || is_for(r, &r->raft.peer[i].ask[k], read);
    return any;
}

/* It can't be read: who asked asks again, and somebody else. */
static void forget_asks(struct replica *r, const struct snapshot_read *read)
{
    for (uint32_t i = 0; i < r->raft.peer_count; i++) {
        for (uint32_t k = 0; k < SERVE_ASKS_MAX; k++) {
            struct serve_ask *ask = &r->raft.peer[i].ask[k];
            if (is_for(r, ask, read))
                ask->bitmap = 0;
        }
    }
}

static void take_read(struct replica *r)
{
    struct serve *serve = &r->raft.serve;
    struct snapshot_read *read;

    while (spsc_pop(r->raft_chunks, &read, sizeof read, 1) == 1) {
        struct serve_chunk *chunk = &serve->chunk[0];
        while (&chunk->read != read)
            chunk++;
        ASSERT(chunk < &serve->chunk[SNAPSHOT_SERVE_BUFFERS]);
        ASSERT(chunk->state == SERVE_READING);
        chunk->state = read->result == 0 ? SERVE_READY : SERVE_FREE;
        chunk->used_ns = r->raft.now_ns;
        if (read->result != 0)
            forget_asks(r, read);
        if (read->result != 0 && read->result != -ENOENT && !read->table)
            mend_on_damage(r, read);
    }
}

/* The chunk, when it is here. NULL: not yet; it is being read, if there was a buffer for it. */
static struct serve_chunk *chunk_at(struct replica *r, const struct serve_ask *ask)
{
    struct serve *serve = &r->raft.serve;
    struct serve_chunk *free = NULL;

    for (uint32_t i = 0; i < SNAPSHOT_SERVE_BUFFERS; i++) {
        struct serve_chunk *chunk = &serve->chunk[i];
        if (chunk->state != SERVE_FREE && chunk->read.index == ask->index &&
            chunk->read.table == ask->table && chunk->read.chunk == chunk_of(r, ask->offset))
            return chunk->state == SERVE_READY ? chunk : NULL;
        if (chunk->state == SERVE_READING || (chunk->state == SERVE_READY && is_asked_for(r, &chunk->read)))
            continue;
        if (free == NULL || chunk->used_ns < free->used_ns)
            free = chunk;
    }
    if (free == NULL)
        return NULL;
    const uint32_t place = (uint32_t)(free - serve->chunk);
    struct snapshot_read *read = &free->read;
    free->state = SERVE_READING;
    free->read = (struct snapshot_read){
        .index = ask->index,
        .chunk = chunk_of(r, ask->offset),
        .table = ask->table,
        .content = r->raft.serve_bytes + (size_t)place * r->options.snapshots.chunk_bytes,
    };
    const uint32_t taken = spsc_push(r->raft_reads, &read, sizeof read, 1);
    ASSERT(taken == 1); /* no more buffers than slots */
    r->raft.pushes++;
    return NULL;
}

/* False: no room or no credit now. */
static bool send_piece(struct replica *r, struct peer *peer, const struct serve_chunk *chunk,
                       uint64_t offset)
{
    const struct snapshot_header *h = ours(r);
    const uint32_t at = (uint32_t)(offset % h->chunk_bytes);
    struct frame f = {
        .type = FRAME_SNAPSHOT_PIECE,
        .snapshot = {.index = h->index,
                     .term = h->term,
                     .bytes = h->bytes,
                     .digest = h->digest,
                     .offset = offset,
                     .chunk_bytes = chunk->read.table ? h->chunk_bytes : 0},
    };
    const uint64_t left = frame_snapshot_extent(&f.snapshot) - offset;

    f.body_bytes = left < FRAME_CHUNK_BYTES ? (uint32_t)left : FRAME_CHUNK_BYTES;
    ASSERT(at + f.body_bytes <= chunk->read.length);
    if (credit_send_room(&peer->credit_out) == 0 || spsc_room(r->to_tx, 1) == 0)
        return false;
    uint8_t *body = byte_ring_reserve(&r->scratch, f.body_bytes);
    if (body == NULL)
        return false;
    memcpy(body, chunk->read.content + at, f.body_bytes);
    return emit_frame(r, peer, &f, 0, body);
}

/* What it is still worth; a question that has grown old is asked again by whoever means it. */
static void review(struct replica *r, struct serve_ask *ask)
{
    if (ask->index != ours(r)->index || r->raft.now_ns - ask->asked_ns > r->options.resend_ns)
        ask->bitmap = 0;
}

/* Pieces that have left. */
static uint32_t answer(struct replica *r, struct peer *peer, struct serve_ask *ask, uint32_t most)
{
    uint32_t sent = 0;

    review(r, ask);
    if (ask->bitmap == 0)
        return 0;
    struct serve_chunk *chunk = chunk_at(r, ask);
    while (chunk != NULL && ask->bitmap != 0 && sent < most) {
        const uint32_t piece = (uint32_t)__builtin_ctzll(ask->bitmap);
        if (!send_piece(r, peer, chunk, ask->offset + (uint64_t)piece * FRAME_CHUNK_BYTES))
            break;
        chunk->used_ns = r->raft.now_ns;
        ask->bitmap &= ask->bitmap - 1;
        sent++;
    }
    return sent;
}

/* Since this moment a transfer to this peer would be over. */
static uint64_t silent_from_ns(const struct replica *r, const struct peer *peer)
{
    return peer->snapshot_asked_ns + SERVE_SILENT_ROUNDS * r->options.resend_ns;
}

bool transfer_runs(const struct replica *r, const struct peer *peer)
{
    const bool asks = peer->snapshot_asked_ns != 0 && r->raft.now_ns < silent_from_ns(r, peer);

    return asks || raft_snapshot_to(r->raft.raft, peer->node) != 0;
}

/* Nobody asks any more: whatever became of the peer, the core is to decide anew. */
static void end_silent(struct replica *r, const struct peer *peer)
{
    struct raft_event ev = {
        .type = RAFT_EV_SNAPSHOT_ENDED,
        .peer = peer->node,
        .index = raft_snapshot_to(r->raft.raft, peer->node),
    };

    if (ev.index == 0 || r->raft.now_ns < silent_from_ns(r, peer) || !step_can(r, 0, 0, true))
        return;
    MARK(TRANSFER_SILENT);
    step_event(r, &ev);
}

void transfer_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    uint32_t sent = 0;

    take_read(r);
    for (uint32_t i = 0; i < role->peer_count; i++) {
        const uint32_t place = role->serve.peer_next + i;
        struct peer *peer = &role->peer[place < role->peer_count ? place : place - role->peer_count];
        if (peer->offer_due)
            peer->offer_due = !offer(r, peer);
        for (uint32_t k = 0; k < SERVE_ASKS_MAX; k++)
            sent += answer(r, peer, &peer->ask[k], SERVE_BURST - sent);
        end_silent(r, peer);
    }
    role->serve.peer_next = role->serve.peer_next + 1 < role->peer_count ? role->serve.peer_next + 1 : 0;
}

uint64_t transfer_next_ns(const struct replica *r)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < r->raft.peer_count; i++) {
        const struct peer *peer = &r->raft.peer[i];
        if (raft_snapshot_to(r->raft.raft, peer->node) != 0 && silent_from_ns(r, peer) < next)
            next = silent_from_ns(r, peer);
        for (uint32_t k = 0; k < SERVE_ASKS_MAX; k++)
            if (peer->ask[k].bitmap != 0 && peer->ask[k].asked_ns + r->options.resend_ns < next)
                next = peer->ask[k].asked_ns + r->options.resend_ns + 1;
    }
    return next;
}

void transfer_forget(struct peer *peer)
{
    memset(peer->ask, 0, sizeof peer->ask);
    peer->snapshot_asked_ns = 0;
    peer->offer_due = false;
}
