/* replica/pull.c: see pull.h. */
#include "replica/pull.h"

#include "replica/replica_internal.h"

#include <errno.h>
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

static_assert(RAFT_MEMBERS_MAX <= 64, "a set of peers is one word");

/* What a question about it says. */
static struct frame_snapshot named(const struct pull *p)
{
    return (struct frame_snapshot){.index = p->what.index,
                                   .term = p->what.term,
                                   .bytes = p->what.bytes,
                                   .digest = p->what.digest,
                                   .chunk_bytes = p->table ? p->what.chunk_bytes : 0};
}

/* From here on the chunks are those of the table, or of the content. */
static void want(struct pull *p, bool table)
{
    p->table = table;
    p->chunk_next = 0;
    p->chunk_given = 0;
    const struct frame_snapshot s = named(p);
    p->chunk_end = snapshot_chunk_count(frame_snapshot_extent(&s), p->what.chunk_bytes);
}

void pull_reset(struct pull *p, bool table)
{
    memset(p->chunk, 0, sizeof p->chunk);
    want(p, table);
    p->number = 0;
    p->liars = 0;
}

/* ---- who is asked ------------------------------------------------------------------------------ */

/* Pieces of it are still to come. */
static bool is_awaited(const struct pull_chunk *chunk)
{
    return chunk->used && !chunk->lent && chunk->missing > 0;
}

/* All of its pieces are wanted, of who is asked now. */
static void await(const struct pull *p, struct pull_chunk *chunk)
{
    *chunk = (struct pull_chunk){
        .used = true,
        .from = p->source,
        .number = chunk->number,
        .length = chunk->length,
        .missing = (chunk->length + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES,
    };
}

void pull_from(struct replica *r, raft_node source)
{
    struct pull *p = &r->raft.pull;

    p->source = source;
    p->source_ns = r->raft.now_ns;
    p->alive_ns = r->raft.now_ns;
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (is_awaited(&p->chunk[i]) && p->chunk[i].from != source)
            await(p, &p->chunk[i]);
}

static uint32_t place_of(const struct replica *r, raft_node node)
{
    uint32_t place = 0;

    while (place < r->raft.peer_count && r->raft.peer[place].node != node)
        place++;
    return place;
}

bool pull_believes(const struct replica *r, raft_node source)
{
    const uint32_t place = place_of(r, source);

    return place == r->raft.peer_count || (r->raft.pull.liars >> place & 1) == 0;
}

/* All that we know take their turn. False: nobody who is believed is left. */
static bool from_next(struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    uint32_t place = place_of(r, role->pull.source);

    for (uint32_t i = 0; i < role->peer_count; i++) {
        place = place + 1 < role->peer_count ? place + 1 : 0;
        if (place == role->self || role->peer[place].boot == 0 || (role->pull.liars >> place & 1) != 0)
            continue;
        pull_from(r, role->peer[place].node);
        return true;
    }
    return false;
}

/* ---- pieces ------------------------------------------------------------------------------------ */

static uint8_t *bytes_of(const struct replica *r, const struct pull_chunk *chunk)
{
    const size_t place = (size_t)(chunk - r->raft.pull.chunk);
    return r->raft.pull_bytes + place * r->options.snapshots.chunk_bytes;
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
    if (pulls && pull_is(&p->what, &f->snapshot) && f->snapshot.chunk_bytes == named(p).chunk_bytes)
        chunk = arriving(p, f->snapshot.offset);
    if (chunk == NULL || chunk->from != f->source) {
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
    struct frame f = {.type = FRAME_SNAPSHOT_ASK, .snapshot = named(p)};
    const uint32_t pieces =
        chunk == NULL ? 0 : (chunk->length + FRAME_CHUNK_BYTES - 1) / FRAME_CHUNK_BYTES;
    uint32_t first = 0;

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
    if (r->raft.now_ns - p->progress_ns > PULL_SILENT_ROUNDS * round_ns)
        return false;
    if (r->raft.now_ns - p->source_ns > PULL_SOURCE_ROUNDS * round_ns) {
        MARK(PULL_SOURCE_SILENT);
        if (!from_next(r))
            pull_from(r, p->source); /* nobody else is known now */
    }
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
    const struct frame_snapshot s = named(p);

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS && p->chunk_next < p->chunk_end; i++) {
        struct pull_chunk *chunk = &p->chunk[i];
        if (chunk->used)
            continue;
        const uint64_t offset = (uint64_t)p->chunk_next * p->what.chunk_bytes;
        const uint64_t left = frame_snapshot_extent(&s) - offset;
        chunk->number = p->chunk_next++;
        chunk->length = left < p->what.chunk_bytes ? (uint32_t)left : p->what.chunk_bytes;
        await(p, chunk);
    }
}

static struct pull_chunk *lent(struct pull *p)
{
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (p->chunk[i].lent)
            return &p->chunk[i];
    return NULL;
}

void pull_give_chunk(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    if (lent(p) != NULL)
        return;
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++) {
        struct pull_chunk *chunk = &p->chunk[i];
        if (!chunk->used || chunk->missing > 0 || chunk->number != p->chunk_given)
            continue;
        pull_give_job(r, &(struct snapshot_job){
                             .kind = p->state == PULL_MENDS ? SNAPSHOT_JOB_REPAIR
                                     : p->table             ? SNAPSHOT_JOB_TABLE
                                                            : SNAPSHOT_JOB_CHUNK,
                             .number = p->number,
                             .chunk = chunk->number,
                             .bytes = bytes_of(r, chunk),
                             .length = chunk->length,
                         });
        chunk->lent = true;
        return;
    }
}

/* A table is refused as a whole: who is to blame is known if all of it came from one node. */
static void note_table(struct pull *p, const struct pull_chunk *chunk)
{
    if (chunk->number == 0)
        p->table_from = chunk->from;
    else if (p->table_from != chunk->from)
        p->table_from = 0;
}

/* It is wanted once more, of somebody else. */
static bool refuse(struct replica *r, struct pull_chunk *chunk)
{
    struct pull *p = &r->raft.pull;
    const raft_node from = p->table ? p->table_from : chunk->from;
    const uint32_t place = place_of(r, from);

    MARK(CHUNK_REFUSED);
    MARK_IF(p->table, TABLE_REFUSED);
    if (place < r->raft.peer_count)
        p->liars |= 1ull << place;
    if (p->table) {
        chunk->used = false;
        want(p, true); /* nothing says which part of it is false */
    }
    if (!pull_believes(r, p->source) && !from_next(r))
        return false;
    if (!p->table)
        await(p, chunk);
    return true;
}

bool pull_on_answer(struct replica *r, const struct snapshot_event *event)
{
    struct pull *p = &r->raft.pull;
    struct pull_chunk *chunk = lent(p);

    ASSERT(chunk != NULL);
    ASSERT(chunk->number == event->chunk);
    chunk->lent = false;
    if (p->table)
        note_table(p, chunk);
    if (event->result == -EINVAL && p->state != PULL_DROPS)
        return refuse(r, chunk);
    chunk->used = false;
    p->chunk_given++;
    if (p->table && pull_is_whole(p))
        want(p, false);
    return true;
}

bool pull_is_whole(const struct pull *p)
{
    return p->chunk_given == p->chunk_end;
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
