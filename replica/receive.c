/* replica/receive.c: what becomes of a snapshot of other nodes: from its offer to the file that install.c
 * takes, or to its end. The diagram is in transfer.h; pull.h has the chunks.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <string.h>

static_assert((int)FRAME_SNAPSHOT_CHUNK_BYTES_MAX == (int)SNAPSHOT_CHUNK_BYTES_MAX, "as in the file");
static_assert((int)FRAME_SNAPSHOT_CHUNK_BYTES_MIN == (int)DISK_SECTOR, "as in the file");
static_assert((int)FRAME_SNAPSHOT_CONFIG_BYTES_MAX == (int)SNAPSHOT_CONFIG_BYTES_MAX, "likewise");
static_assert(FRAME_SNAPSHOT_BYTES_MAX == SNAPSHOT_BYTES_MAX, "likewise");
static_assert(FRAME_SNAPSHOT_CHECKSUM_BYTES == sizeof(uint64_t), "likewise");

/* Would it bring us further, or bring back what our disk has lost? */
static bool is_useful(const struct replica *r, const struct frame_snapshot *s)
{
    const struct raft *raft = r->raft.raft;

    if (s->chunk_bytes != r->options.snapshots.chunk_bytes)
        return false;
    if (r->raft.repair.active && !repair_takes_base(r, s->index))
        return false;
    if (r->raft.repair.active && !r->raft.mend.lost)
        return s->index > r->raft.making.current.index;
    if (mend_wants(r, s))
        return true;
    return s->index > raft_commit(raft) && raft_role(raft) != RAFT_LEADER;
}

/* ---- begin and end ----------------------------------------------------------------------------- */

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

/* Nobody has it. */
static void give_up(struct replica *r)
{
    mend_on_silence(r);
    drop(r);
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
    pull_reset(p, true);
    pull_from(r, f->source);
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
    if (busy && !pull_is(&p->what, &f->snapshot)) {
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
               f->source != p->source && pull_believes(r, f->source)) {
        MARK(PULL_RESUMED); /* another leader, the same snapshot */
        pull_from(r, f->source);
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
    pull_reset(p, false);
    p->chunk_next = p->chunk_given = chunk;
    p->chunk_end = chunk + 1;
    p->progress_ns = r->raft.now_ns;
    pull_from(r, raft_leader(r->raft.raft));
    p->state = PULL_MENDS;
    return true;
}

bool receive_writes(const struct replica *r)
{
    const enum pull_state state = r->raft.pull.state;
    return state != PULL_IDLE && state != PULL_MENDS;
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
                  .digest_known = true,
                  .digest = p->what.digest},
    };

    if (!making_writer_free(r))
        return;
    making_give_up(r); /* it may hold a pin */
    p->number = making_next_number(r);
    job.number = p->number;
    memcpy(job.config, p->config, p->config_bytes);
    pull_give_job(r, &job);
    p->state = PULL_RECEIVES;
}

/* It was put right, or can't be. */
static void on_mended(struct replica *r, const struct snapshot_event *event)
{
    struct pull *p = &r->raft.pull;

    if (p->state != PULL_MENDS || !pull_is_whole(p))
        return;
    p->state = PULL_IDLE;
    if (event->kind == SNAPSHOT_EVENT_REPAIRED)
        mend_done(r);
}

void receive_on_event(struct replica *r, const struct snapshot_event *event)
{
    struct pull *p = &r->raft.pull;

    ASSERT(p->owed > 0);
    p->owed--;
    if (event->job != SNAPSHOT_JOB_BEGIN && event->job != SNAPSHOT_JOB_END && !pull_on_answer(r, event))
        give_up(r);
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

static void receive_chunks(struct replica *r)
{
    struct pull *p = &r->raft.pull;

    pull_place_chunks(r);
    pull_give_chunk(r);
    if (p->state == PULL_RECEIVES && pull_is_whole(p)) {
        pull_give_job(r, &(struct snapshot_job){.kind = SNAPSHOT_JOB_END, .number = p->number});
        p->state = PULL_ENDS;
    } else if (!pull_ask_chunks(r)) {
        give_up(r);
    }
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
    if (p->state == PULL_RECEIVES || p->state == PULL_MENDS)
        receive_chunks(r);
    if (p->state == PULL_READY)
        install_poll(r);
    if (p->state != PULL_IDLE && p->state != PULL_DROPS)
        pull_stay_alive(r);
    pull_grant(r);
}
