/* replica/receive.c: a snapshot from other nodes, pulled piece by piece; the diagram is in transfer.h.
 *
 * Two chunks are under way: while persist takes one, the other arrives. Pieces may come from anybody who
 * has the same snapshot, in any order and more than once; what belongs to another one is counted and
 * forgotten. Nothing is believed before persist has compared all of it with the digest that was offered.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <errno.h>
#include <string.h>

static_assert((int)FRAME_SNAPSHOT_CHUNK_BYTES_MAX == (int)SNAPSHOT_CHUNK_BYTES_MAX, "as in the file");
static_assert((int)FRAME_SNAPSHOT_CHUNK_BYTES_MIN == (int)DISK_SECTOR, "as in the file");
static_assert((int)FRAME_SNAPSHOT_CONFIG_BYTES_MAX == (int)SNAPSHOT_CONFIG_BYTES_MAX, "likewise");
static_assert(FRAME_SNAPSHOT_BYTES_MAX == SNAPSHOT_BYTES_MAX, "likewise");

static bool same(const struct frame_snapshot *a, const struct frame_snapshot *b)
{
    return planted(PLANTED_PIECE_OF_ANOTHER) ||
           (a->index == b->index && a->term == b->term && a->bytes == b->bytes &&
            a->digest == b->digest);
}

/* Would it bring us further, or bring back what our disk has lost? */
static bool is_useful(const struct replica *r, const struct frame_snapshot *s)
{
    const struct raft *raft = r->raft.raft;

    if (s->chunk_bytes != r->options.snapshots.chunk_bytes)
        return false;
    if (r->raft.repair.active)
        return repair_takes_base(r, s->index) && s->index > r->raft.making.current.index;
    if (mend_wants(r, s))
        return true;
    return s->index > raft_commit(raft) && raft_role(raft) != RAFT_LEADER;
}

static void give_job(struct replica *r, const struct snapshot_job *job)
{
    const bool given = making_give_job(r, job);

    ASSERT(given); /* ours and those of making.c are fewer than there may be */
    r->raft.pull.owed++;
}

/* ---- begin and end ----------------------------------------------------------------------------- */

static void clear(struct pull *p)
{
    memset(p->chunk, 0, sizeof p->chunk);
    p->chunk_next = 0;
    p->chunk_given = 0;
    p->chunk_end = snapshot_chunk_count(p->what.bytes, p->what.chunk_bytes);
    p->number = 0;
}

/* From `now` on its silence counts. */
static void choose(struct replica *r, raft_node source)
{
    r->raft.pull.source = source;
    r->raft.pull.source_ns = r->raft.now_ns;
    r->raft.pull.alive_ns = r->raft.now_ns;
}

/* All that is lent comes back with the answers. */
static void drop(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    ASSERT(p->state != PULL_IDLE);
    MARK(PULL_GIVEN_UP);
    if (p->number != 0)
        published_set(&r->unwanted, p->number);
    p->state = p->owed > 0 ? PULL_DROPS : PULL_IDLE;
}

static void begin(struct replica *r, const struct frame *f)
{
    struct pull *p = &r->raft.pull;
    struct raft_config config;
    uint64_t quota_bytes;

    ASSERT(p->state == PULL_IDLE);
    ASSERT(p->owed == 0);
    if (!config_record_decode(f->body, f->body_bytes, &config, &quota_bytes))
        return;
    p->what = f->snapshot;
    p->config_bytes = f->body_bytes;
    memcpy(p->config, f->body, f->body_bytes);
    clear(p);
    choose(r, f->source);
    p->progress_ns = r->raft.now_ns;
    p->state = PULL_WAITS;
    if (r->raft.making.state != MAKING_NAMING)
        making_give_up(r); /* there is room for one file; ours would be older, or is lost */
}

static void tell_done(struct replica *r, struct peer *peer)
{
    struct frame f = {.type = FRAME_SNAPSHOT_DONE,
                      .snapshot = {.index = raft_commit(r->raft.raft)}};

    if (f.snapshot.index > 0)
        emit_frame(r, peer, &f, 0, NULL);
}

/* A newer one takes the place of what is pulled, if the leader says so, which offers what its followers need, or
 * if nothing of the older one has come for a while. */
static bool outdates(const struct replica *r, const struct frame *f)
{
    const struct pull *p = &r->raft.pull;
    const bool stuck = r->raft.now_ns - p->progress_ns > PULL_SOURCE_ROUNDS * r->options.resend_ns;
    const bool pulls = p->state == PULL_WAITS || p->state == PULL_RECEIVES;

    return pulls && f->snapshot.index > p->what.index &&
           (stuck || f->source == raft_leader(r->raft.raft));
}

void receive_on_offer(struct replica *r, const struct frame *f)
{
    struct pull *p = &r->raft.pull;
    const bool busy = p->state != PULL_IDLE && p->state != PULL_MENDS;

    if (!is_useful(r, &f->snapshot)) {
        admit_count(r, FRAME_OK_VERDICT);
        if (f->snapshot.index <= raft_commit(r->raft.raft))
            tell_done(r, peer_of(r, f->source));
        return;
    }
    if (busy && !same(&p->what, &f->snapshot)) {
        MARK(OFFER_OF_ANOTHER);
        admit_count(r, FRAME_UNEXPECTED_VERDICT);
        if (outdates(r, f))
            drop(r); /* it is offered again */
        return;
    }
    admit_count(r, FRAME_OK_VERDICT);
    if (r->raft.repair.active && !repair_is_stuck(r))
        return; /* entries are brought back one by one as long as somebody has them */
    if (p->state == PULL_MENDS && p->owed == 0)
        p->state = PULL_IDLE; /* the whole takes the place of the part */
    if (p->state == PULL_IDLE) {
        begin(r, f);
    } else if (p->state != PULL_MENDS && f->source == raft_leader(r->raft.raft) &&
               f->source != p->source) {
        MARK(PULL_RESUMED); /* another leader, the same snapshot */
        choose(r, f->source);
    }
}

bool receive_begin_mend(struct replica *r, const struct snapshot_header *h, uint32_t chunk)
{
    struct pull *p = &r->raft.pull;

    ASSERT(chunk < snapshot_chunk_count(h->bytes, h->chunk_bytes));
    if (p->state != PULL_IDLE)
        return false;
    p->what = (struct frame_snapshot){.index = h->index,
                                      .term = h->term,
                                      .bytes = h->bytes,
                                      .digest = h->digest,
                                      .chunk_bytes = h->chunk_bytes};
    clear(p);
    p->chunk_next = p->chunk_given = chunk;
    p->chunk_end = chunk + 1;
    p->progress_ns = r->raft.now_ns;
    choose(r, raft_leader(r->raft.raft));
    p->state = PULL_MENDS;
    return true;
}

bool receive_writes(const struct replica *r)
{
    const enum pull_state state = r->raft.pull.state;
    return state != PULL_IDLE && state != PULL_MENDS;
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

void receive_on_piece(struct replica *r, const struct frame *f)
{
    struct pull *p = &r->raft.pull;
    const bool pulls = p->state == PULL_RECEIVES || p->state == PULL_MENDS;
    struct pull_chunk *chunk = NULL;

    p->grant_to = f->source;
    if (pulls && same(&p->what, &f->snapshot))
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

/* ---- chunks ------------------------------------------------------------------------------------ */

/* The next chunks get the buffers that are free. */
static void place_chunks(struct replica *r)
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

/* Whole chunks in order, and the end behind the last one. */
static void give_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    const bool mends = p->state == PULL_MENDS;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++) {
        /* Two neighbours lie in different buffers, in whichever order. */
        for (uint32_t k = 0; k < SNAPSHOT_PULL_BUFFERS; k++) {
            struct pull_chunk *chunk = &p->chunk[k];
            if (!chunk->used || chunk->lent || chunk->missing > 0 || chunk->number != p->chunk_given)
                continue;
            give_job(r, &(struct snapshot_job){
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
    if (mends || p->chunk_given < p->chunk_end)
        return;
    give_job(r, &(struct snapshot_job){.kind = SNAPSHOT_JOB_END, .number = p->number});
    p->state = PULL_ENDS;
}

/* Somebody else: all that we know take their turn. */
static void next_source(struct replica *r)
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
    choose(r, role->peer[place].node);
}

static void ask_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    const uint64_t round_ns = r->options.resend_ns;
    bool waits = false;

    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        waits = waits || is_awaited(&p->chunk[i]);
    if (!waits) { /* it is our disk that is silent */
        p->progress_ns = r->raft.now_ns;
        p->source_ns = r->raft.now_ns;
        return;
    }
    if (r->raft.now_ns - p->progress_ns > PULL_SILENT_ROUNDS * round_ns) {
        mend_on_silence(r);
        drop(r);
        return;
    }
    if (r->raft.now_ns - p->source_ns > PULL_SOURCE_ROUNDS * round_ns)
        next_source(r);
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (is_awaited(&p->chunk[i]))
            ask_chunk(r, &p->chunk[i]);
}

/* ---- persist ----------------------------------------------------------------------------------- */

static void begin_file(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    struct snapshot_job job = {
        .kind = SNAPSHOT_JOB_BEGIN,
        .start = {.index = p->what.index,
                  .term = p->what.term,
                  .chain = p->what.chain,
                  .config_index = p->what.config_index,
                  .config_bytes = p->config_bytes,
                  .room = p->what.bytes,
                  .digest_known = !planted(PLANTED_PIECE_OF_ANOTHER),
                  .digest = p->what.digest},
    };

    if (!making_writer_free(r))
        return;
    making_give_up(r); /* it may hold a pin */
    p->number = making_next_number(r);
    job.number = p->number;
    memcpy(job.config, p->config, p->config_bytes);
    give_job(r, &job);
    p->state = PULL_RECEIVES;
}

static void free_chunk(struct pull *p, uint32_t number)
{
    for (uint32_t i = 0; i < SNAPSHOT_PULL_BUFFERS; i++)
        if (p->chunk[i].lent && p->chunk[i].number == number)
            p->chunk[i].used = p->chunk[i].lent = false;
}

/* It was put right; or what came is not what stood there, and somebody else may do better. */
static void on_mended(struct replica *r, const struct snapshot_event *event)
{
    struct pull *p = &r->raft.pull;

    if (p->state != PULL_MENDS)
        return;
    if (event->result == -EINVAL) {
        p->chunk_next = p->chunk_given = event->chunk;
        next_source(r);
        return;
    }
    p->state = PULL_IDLE;
    if (event->kind == SNAPSHOT_EVENT_REPAIRED)
        mend_done(r);
}

void receive_on_event(struct replica *r, const struct snapshot_event *event)
{
    struct pull *p = &r->raft.pull;

    ASSERT(p->owed > 0);
    p->owed--;
    if (event->job == SNAPSHOT_JOB_CHUNK || event->job == SNAPSHOT_JOB_REPAIR)
        free_chunk(p, event->chunk);
    if (event->job == SNAPSHOT_JOB_REPAIR)
        on_mended(r, event);
    if (event->job == SNAPSHOT_JOB_BEGIN && p->state != PULL_DROPS) {
        ASSERT(event->number == p->number);
        p->ready = event->header;
        p->state = event->kind == SNAPSHOT_EVENT_READY ? PULL_READY : PULL_DROPS;
    }
    if (p->state == PULL_DROPS && p->owed == 0)
        p->state = PULL_IDLE;
}

/* ---- poll -------------------------------------------------------------------------------------- */

/* Who is asked for nothing now hears that it goes on: a disk may take its time. */
static void stay_alive(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    if (r->raft.now_ns >= p->alive_ns && ask(r, NULL))
        p->alive_ns = r->raft.now_ns + r->options.resend_ns;
}

static void grant(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    struct frame f = {.type = FRAME_CREDIT};

    if (p->grant_to != 0 && emit_frame(r, peer_of(r, p->grant_to), &f, 0, NULL))
        p->grant_to = 0;
}

void receive_poll(struct replica *r)
{
    struct pull *p = &r->raft.pull;
    const bool whole = p->state == PULL_WAITS || p->state == PULL_RECEIVES || p->state == PULL_ENDS;
    /* What was to be mended is no more the current one. */
    const bool outdated =
        p->state == PULL_MENDS && p->what.index != r->raft.making.current.index;

    if (outdated || (whole && !is_useful(r, &p->what))) {
        MARK(PULL_NEEDLESS);
        drop(r);
    }
    if (p->state == PULL_WAITS)
        begin_file(r);
    if (p->state == PULL_RECEIVES || p->state == PULL_MENDS) {
        place_chunks(r);
        give_chunks(r);
    }
    if (p->state == PULL_RECEIVES || p->state == PULL_MENDS)
        ask_chunks(r);
    if (p->state == PULL_READY)
        install_poll(r);
    if (p->state != PULL_IDLE && p->state != PULL_DROPS)
        stay_alive(r);
    grant(r);
}

uint64_t receive_next_ns(const struct replica *r)
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
