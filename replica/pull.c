/* replica/pull.c: see pull.h. */
#include "replica/pull.h"

#include "replica/replica_internal.h"

#include <string.h>

bool pull_is(const struct frame_snapshot *a, const struct frame_snapshot *b)
{
    return planted(PLANTED_PIECE_OF_ANOTHER) ||
           (a->index == b->index && a->term == b->term && a->bytes == b->bytes &&
            a->digest == b->digest);
}

void pull_give_job(struct replica *r, const struct snapshot_job *job)
{
    const bool given = making_give_job(r, job);

    ASSERT(given); /* ours and those of making.c are fewer than there may be */
    r->raft.pull.owed++;
}

void pull_reset(struct pull *p)
{
    memset(p->chunk, 0, sizeof p->chunk);
    p->chunk_next = 0;
    p->chunk_given = 0;
    p->chunk_end = snapshot_chunk_count(p->what.bytes, p->what.chunk_bytes);
    p->number = 0;
}

void pull_from(struct replica *r, raft_node source)
{
    r->raft.pull.source = source;
    r->raft.pull.source_ns = r->raft.now_ns;
    r->raft.pull.alive_ns = r->raft.now_ns;
}

void pull_from_next(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    uint32_t place = 0;

    while (place < role->peer_count && role->peer[place].node != role->pull.source)
        place++;
    for (uint32_t i = 0; i < role->peer_count; i++) {
        place = place + 1 < role->peer_count ? place + 1 : 0;
        if (place != role->self && role->peer[place].boot != 0)
            break;
    }
    MARK(PULL_SOURCE_SILENT);
    pull_from(r, role->peer[place].node);
}

/* ---- pieces ------------------------------------------------------------------------------------ */

static uint8_t *bytes_of(const struct replica *r, const struct pull_chunk *chunk)
{
    const size_t place = (size_t)(chunk - r->raft.pull.chunk);
    return r->raft.pull_bytes + place * r->options.snapshots.chunk_bytes;
}

/* Pieces of it are still to come. */
static bool is_awaited(const struct pull_chunk *chunk)
{
    return chunk->used && !chunk->lent && chunk->missing > 0;
}

static struct pull_chunk *arriving(struct pull *p, uint64_t offset)
{
    const uint64_t number = offset / p->what.chunk_bytes;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++) {
        struct pull_chunk *chunk = &p->chunk[i];
        if (chunk->used && !chunk->lent && chunk->number == number)
            return chunk;
    }
    return NULL;
}

void pull_on_piece(struct replica *r, const struct frame *f)
{
    struct pull *p = &r->raft.pull;
    const bool pulls = p->state == PULL_RECEIVES || p->state == PULL_MENDS;
    struct pull_chunk *chunk = NULL;

    p->grant_to = f->source;
    if (pulls && pull_is(&p->what, &f->snapshot))
        chunk = arriving(p, f->snapshot.offset);
    if (chunk == NULL) {
        MARK(PIECE_STALE);
        admit_count(r, FRAME_UNEXPECTED_VERDICT);
        return;
    }
    admit_count(r, FRAME_OK_VERDICT);
    const uint32_t at = (uint32_t)(f->snapshot.offset % p->what.chunk_bytes);
    const uint32_t piece = at / FRAME_CHUNK_BYTES;
    const uint64_t bit = 1ull << piece % 64;
    p->progress_ns = r->raft.now_ns;
    chunk->quiet_ns = r->raft.now_ns;
    chunk->tries = 0;
    if (f->source == p->source)
        p->source_ns = r->raft.now_ns;
    MARK_IF((chunk->arrived[piece / 64] & bit) != 0, PIECE_DOUBLE);
    if ((chunk->arrived[piece / 64] & bit) != 0)
        return;
    ASSERT(at + f->body_bytes <= chunk->length); /* as `bytes` is the same */
    memcpy(bytes_of(r, chunk) + at, f->body, f->body_bytes);
    chunk->arrived[piece / 64] |= bit;
    chunk->missing--;
}

/* ---- questions --------------------------------------------------------------------------------- */

/* The next 64 pieces from the first that is missing, as far as they are. `chunk` NULL: nothing is wanted now. */
static bool ask(struct replica *r, struct pull_chunk *chunk)
{
    struct pull *p = &r->raft.pull;
    struct peer *source = peer_of(r, p->source);
    struct frame f = {.type = FRAME_SNAPSHOT_ASK, .snapshot = p->what};
    const uint32_t pieces =
        chunk == NULL ? 0 : (chunk->length + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
    uint32_t first = 0;

    f.snapshot.config_index = f.snapshot.sender_term = 0;
    f.snapshot.chunk_bytes = f.snapshot.chain = 0;
    while (first < pieces && (chunk->arrived[first / 64] >> first % 64 & 1) != 0)
        first++;
    for (uint32_t i = first; i < pieces && i < first + FRAME_PIECES_MAX; i++)
        if ((chunk->arrived[i / 64] >> i % 64 & 1) == 0)
            f.snapshot.bitmap |= 1ull << (i - first);
    if (chunk != NULL)
        f.snapshot.offset =
            (uint64_t)chunk->number * p->what.chunk_bytes + (uint64_t)first * FRAME_CHUNK_BYTES;
    if (source == NULL || source->boot == 0 || source->node == r->options.node)
        return true; /* nobody to ask: as if he was silent */
    if (!emit_frame(r, source, &f, 0, NULL))
        return false;
    p->alive_ns = r->raft.now_ns + r->options.resend_ns;
    if (p->grant_to == source->node)
        p->grant_to = 0; /* it rides on the question */
    return true;
}

/* How long a chunk may be silent before it is asked for again. */
static uint64_t patience_ns(const struct replica *r, const struct pull_chunk *chunk)
{
    const uint32_t doubles = chunk->tries < PULL_AGAIN_DOUBLES ? chunk->tries : PULL_AGAIN_DOUBLES;
    return r->options.resend_ns / PULL_AGAIN_SHARE << doubles;
}

static void ask_chunk(struct replica *r, struct pull_chunk *chunk)
{
    if (r->raft.now_ns - chunk->quiet_ns < patience_ns(r, chunk) && chunk->tries > 0)
        return;
    MARK_IF(chunk->tries > 0, PIECES_ASKED_AGAIN);
    if (!ask(r, chunk))
        return; /* no room now: the next poll comes here again */
    chunk->tries++;
    chunk->quiet_ns = r->raft.now_ns;
}

bool pull_ask_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    const uint64_t round_ns = r->options.resend_ns;
    bool waits = false;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        waits = waits || is_awaited(&p->chunk[i]);
    if (!waits) { /* it is our disk that is silent */
        p->progress_ns = r->raft.now_ns;
        p->source_ns = r->raft.now_ns;
        return true;
    }
    if (r->raft.now_ns - p->progress_ns > PULL_SILENT_ROUNDS * round_ns) {
        return false;
    }
    if (r->raft.now_ns - p->source_ns > PULL_SOURCE_ROUNDS * round_ns)
        pull_from_next(r);
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (is_awaited(&p->chunk[i]))
            ask_chunk(r, &p->chunk[i]);
    return true;
}

void pull_stay_alive(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    if (r->raft.now_ns >= p->alive_ns && ask(r, NULL))
        p->alive_ns = r->raft.now_ns + r->options.resend_ns;
}

void pull_grant(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    struct frame f = {.type = FRAME_CREDIT};

    if (p->grant_to != 0 && emit_frame(r, peer_of(r, p->grant_to), &f, 0, NULL))
        p->grant_to = 0;
}

/* ---- chunks ------------------------------------------------------------------------------------ */

void pull_place_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS && p->chunk_next < p->chunk_end; i++) {
        struct pull_chunk *chunk = &p->chunk[i];
        if (chunk->used)
            continue;
        const uint64_t offset = (uint64_t)p->chunk_next * p->what.chunk_bytes;
        const uint64_t left = p->what.bytes - offset;
        const uint32_t length =
            left < p->what.chunk_bytes ? (uint32_t)left : p->what.chunk_bytes;
        *chunk = (struct pull_chunk){
            .used = true,
            .number = p->chunk_next++,
            .length = length,
            .missing = (length + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES,
        };
    }
}

bool pull_give_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    const bool mends = p->state == PULL_MENDS;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++) {
        /* Two neighbours lie in different buffers, in whichever order. */
        for (uint32_t k = 0; k < SNAPSHOT_PULL_BUFFERS; k++) {
            struct pull_chunk *chunk = &p->chunk[k];
            if (!chunk->used || chunk->lent || chunk->missing > 0 || chunk->number != p->chunk_given)
                continue;
            pull_give_job(r, &(struct snapshot_job){
                            .kind = mends ? SNAPSHOT_JOB_REPAIR : SNAPSHOT_JOB_CHUNK,
                            .number = p->number,
                            .chunk = chunk->number,
                            .bytes = bytes_of(r, chunk),
                            .length = chunk->length,
                        });
            chunk->lent = true;
            p->chunk_given++;
        }
    }
    return p->chunk_given == p->chunk_end;
}

void pull_free_chunk(struct pull *p, uint32_t number)
{
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (p->chunk[i].lent && p->chunk[i].number == number)
            p->chunk[i].used = p->chunk[i].lent = false;
}

uint64_t pull_next_ns(const struct replica *r)
{
    const struct pull *p = &r->raft.pull;
    uint64_t next = p->alive_ns;

    if (p->state == PULL_IDLE || p->state == PULL_DROPS)
        return UINT64_MAX;
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++) {
        const struct pull_chunk *chunk = &p->chunk[i];
        const uint64_t again = chunk->quiet_ns + patience_ns(r, chunk);
        if (is_awaited(chunk) && again < next)
            next = again;
    }
    return next;
}
