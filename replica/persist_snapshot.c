/* replica/persist_snapshot.c: the persist role's side of snapshots: one file being written, one base
 * change under way, one chunk being read for the store and one for peers.
 *
 *   WRITING_NONE --job BEGIN--> WAITS --snapshot_begin() takes it--> BEGUN --READY or FAILED--> NONE
 *
 * What the store emits arrives by a ring of its own. It may be there before its BEGIN, then it waits; or
 * after its writing was given up, then it is thrown away, and the store gets its buffer back.
 */
#include "replica/replica_internal.h"

#include <errno.h>

static void tell(struct replica *r, const struct snapshot_event *event)
{
    const uint32_t taken = spsc_push(r->snapshot_events, event, sizeof *event, 1);
    ASSERT(taken == 1); /* one for each job, of which no more are without an answer than it has slots */
}

static void tell_result(struct replica *r, const struct snapshot_job *job, int result)
{
    struct snapshot_event event = {
        .kind = SNAPSHOT_EVENT_FAILED,
        .job = job->kind,
        .number = job->number,
        .chunk = job->chunk,
        .result = result,
    };

    if (result == 0)
        event.kind =
            job->kind == SNAPSHOT_JOB_REPAIR ? SNAPSHOT_EVENT_REPAIRED : SNAPSHOT_EVENT_TAKEN;
    tell(r, &event);
}

/* ---- one file being written ------------------------------------------------------------------- */

static void end_writing(struct persist_snapshot *p)
{
    ASSERT(p->writing != WRITING_NONE);
    p->writing = WRITING_NONE;
    if (p->begin.own)
        p->own_over = p->begin.start.index;
}

/* 0, or why the writing fails; -EAGAIN: not now. */
static int begin_writing(struct persist_snapshot *p, uint64_t now_ns)
{
    int result;

    ASSERT(p->writing == WRITING_WAITS);
    /* Raft begins another when the one that was READY is named, or not wanted any more: it may have said both
     * since the last poll. */
    if (p->change == NULL && snapshot_ready(p->snapshots) != NULL)
        snapshot_abandon(p->snapshots);
    p->begin.start.config = p->begin.config;
    result = snapshot_begin(p->snapshots, &p->begin.start);
    if (result == 0) {
        p->writing = WRITING_BEGUN;
        p->begun_ns = now_ns;
    }
    return result;
}

static bool is_unwanted(const struct replica *r, uint64_t number)
{
    return number <= published_get(&r->unwanted);
}

/* A file that was told to be READY, and is not wanted any more before any manifest names it. Raft takes back
 * the wish for none whose change it has given, and begins no other before that is done. */
static uint32_t drop_ready(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;

    ASSERT(p->writing == WRITING_NONE);
    if (p->change != NULL || snapshot_ready(p->snapshots) == NULL || !is_unwanted(r, p->begin.number))
        return 0;
    snapshot_abandon(p->snapshots);
    return 1;
}

/* What became of the file. */
static uint32_t follow_writing(struct replica *r, uint64_t now_ns)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    struct snapshot_event event = {
        .kind = SNAPSHOT_EVENT_READY, .job = SNAPSHOT_JOB_BEGIN, .number = p->begin.number};
    int failure = 0;

    if (p->writing == WRITING_NONE)
        return drop_ready(r);
    if (is_unwanted(r, p->begin.number)) {
        if (p->writing == WRITING_BEGUN)
            snapshot_abandon(p->snapshots);
        failure = -ECANCELED;
    } else if (p->writing == WRITING_WAITS) {
        failure = begin_writing(p, now_ns);
        if (failure == 0 || failure == -EAGAIN)
            return failure == 0;
    } else if (snapshot_failure(p->snapshots) != 0) {
        failure = snapshot_failure(p->snapshots);
    }
    event.took_ns = now_ns - p->begun_ns;
    const struct snapshot_header *ready = snapshot_ready(p->snapshots);
    const struct snapshot_header *current = snapshot_current(p->snapshots);
    if (failure != 0) {
        tell_result(r, &p->begin, failure);
    } else if (ready != NULL) {
        event.header = *ready;
        tell(r, &event);
    } else if (current != NULL && current->index == p->begin.start.index) {
        event.header = *current; /* it was damaged, and has been written anew */
        tell(r, &event);
    } else {
        return 0;
    }
    end_writing(p);
    return 1;
}

/* ---- jobs ------------------------------------------------------------------------------------- */

static int expect(struct replica *r, const struct snapshot_job *job)
{
    const uint32_t each = (uint32_t)sizeof(uint64_t);
    const uint32_t first = job->chunk * (r->options.snapshots.chunk_bytes / each);

    return snapshot_expect(r->persist.snapshot.snapshots, first, job->bytes, job->length / each);
}

/* A part of a pulled snapshot, or its end. 0 or -EAGAIN: not now; else it has failed. */
static int feed_writing(struct replica *r, const struct snapshot_job *job)
{
    struct persist_snapshot *p = &r->persist.snapshot;

    if (is_unwanted(r, job->number) || p->writing == WRITING_NONE || p->begin.number != job->number)
        return -ECANCELED;
    if (p->writing == WRITING_WAITS)
        return -EAGAIN;
    if (job->kind == SNAPSHOT_JOB_TABLE)
        return expect(r, job);
    return job->kind == SNAPSHOT_JOB_CHUNK ? snapshot_append(p->snapshots, job->bytes, job->length)
                                           : snapshot_end(p->snapshots);
}

static int follow_repair(struct persist_snapshot *p)
{
    int result;

    if (!p->repairing) {
        result = snapshot_repair(p->snapshots, p->job.chunk, p->job.bytes, p->job.length);
        p->repairing = result == 0;
        return p->repairing ? -EAGAIN : result;
    }
    result = snapshot_repair_result(p->snapshots);
    if (result == 1)
        return -EAGAIN;
    p->repairing = false;
    return result;
}

/* The job at hand. True: it is answered, or will be. */
static bool do_job(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    int result;

    ASSERT(p->has_job);
    if (p->job.kind == SNAPSHOT_JOB_BEGIN) {
        ASSERT(p->writing == WRITING_NONE); /* the one before is answered */
        p->begin = p->job;
        p->writing = WRITING_WAITS;
        return true;
    }
    result = p->job.kind == SNAPSHOT_JOB_REPAIR ? follow_repair(p) : feed_writing(r, &p->job);
    if (result == -EAGAIN)
        return false;
    tell_result(r, &p->job, result);
    return true;
}

static uint32_t take_jobs(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    uint32_t work = 0;

    while (work < SNAPSHOT_JOBS_MAX) {
        if (!p->has_job && spsc_pop(r->snapshot_jobs, &p->job, sizeof p->job, 1) == 0)
            break;
        p->has_job = true;
        if (!do_job(r))
            break;
        p->has_job = false;
        work++;
    }
    return work;
}

/* ---- what the store emits --------------------------------------------------------------------- */

/* True: its buffer is free again. */
static bool put_chunk(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    const struct snapshot_chunk *chunk = &p->chunk;
    const bool ours = p->writing != WRITING_NONE && p->begin.own &&
                      p->begin.start.index == chunk->index;
    int result;

    if (!ours)
        return chunk->index <= p->own_over; /* else its BEGIN is still on its way */
    if (p->writing == WRITING_WAITS)
        return false;
    result = snapshot_append(p->snapshots, chunk->bytes, chunk->length);
    if (result == 0 && chunk->last)
        result = snapshot_end(p->snapshots);
    return result != -EAGAIN; /* why it failed is told by follow_writing() */
}

static uint32_t take_chunks(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    uint32_t work = 0;

    while (work < SNAPSHOT_EMIT_BUFFERS) {
        if (!p->has_chunk && spsc_pop(r->emitted, &p->chunk, sizeof p->chunk, 1) == 0)
            break;
        p->has_chunk = true;
        if (!put_chunk(r))
            break;
        p->has_chunk = false;
        published_set(&r->chunks_done, published_get(&r->chunks_done) + 1);
        work++;
    }
    return work;
}

/* ---- reads ------------------------------------------------------------------------------------ */

/* Of each role one at a time. Our own store waits for its chunks; the peers have a share of the disk. */
static uint32_t begin_read(struct replica *r, struct snapshot_read **reading, struct spsc *from,
                           bool background)
{
    if (*reading != NULL || spsc_pop(from, reading, sizeof *reading, 1) == 0)
        return 0;
    (*reading)->background = background;
    const int begun = snapshot_read_begin(r->persist.snapshot.snapshots, *reading);
    ASSERT(begun == 0); /* none is under way */
    return 1;
}

static uint32_t finish_read(struct replica *r, struct snapshot_read **reading, struct spsc *to)
{
    if (*reading == NULL || !snapshot_read_poll(r->persist.snapshot.snapshots, *reading))
        return 0;
    const uint32_t taken = spsc_push(to, reading, sizeof *reading, 1);
    ASSERT(taken == 1); /* a role has no more of them under way than its ring has slots */
    *reading = NULL;
    return 1;
}

static uint32_t serve_reads(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;

    return begin_read(r, &p->store_reading, r->store_reads, false) +
           begin_read(r, &p->raft_reading, r->raft_reads, true) +
           finish_read(r, &p->store_reading, r->store_chunks) +
           finish_read(r, &p->raft_reading, r->raft_chunks);
}

/* ---- the base --------------------------------------------------------------------------------- */

int persist_snapshot_base(struct replica *r, const struct persist_item *item)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    const struct base_change *change = item->change;

    ASSERT(p->change == NULL); /* raft gives one when the one before is CURRENT */
    const int result = wal_set_base(r->persist.wal, &item->step, &change->base, change->cut);
    if (result == 0)
        p->change = change;
    return result;
}

static uint32_t follow_base(struct replica *r)
{
    struct persist_snapshot *p = &r->persist.snapshot;
    const struct snapshot_event event = {.kind = SNAPSHOT_EVENT_CURRENT};

    if (p->change == NULL || wal_base_changes(r->persist.wal))
        return 0;
    p->change = NULL;
    tell(r, &event);
    return 1;
}

uint32_t persist_snapshot_poll(struct replica *r, uint64_t now_ns)
{
    uint32_t work = snapshots_poll(r->persist.snapshot.snapshots, now_ns);

    work += take_jobs(r);
    work += take_chunks(r);
    work += follow_writing(r, now_ns);
    work += follow_base(r);
    return work + serve_reads(r);
}
