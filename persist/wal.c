/* persist/wal.c: the log's turn: completions first, then what can be submitted. */
#include "persist/snapshot_internal.h"
#include "persist/wal_internal.h"

#include <errno.h>
#include <string.h>

void wal_fail(struct wal *w, int64_t result)
{
    if (w->failed == 0)
        w->failed = result < 0 ? (int)result : -EIO; /* short */
}

void wal_on_done(struct wal *w, const struct disk_done *done)
{
    const uint64_t number = done->cookie & ((1ull << WAL_OP_SHIFT) - 1);

    switch ((enum wal_op)(done->cookie >> WAL_OP_SHIFT)) {
    case WAL_OP_BATCH_WRITE:
        wal_on_batch_written(w, wal_buffer_of(w, number), done->result);
        return;
    case WAL_OP_BATCH_SYNC:
        wal_on_batch_synced(w, wal_buffer_of(w, number), done->result);
        return;
    case WAL_OP_PREPARE:
        wal_prepare_on_done(w, done->result);
        return;
    case WAL_OP_ZEROS:
        wal_prepare_on_zeros(w, done->result);
        return;
    case WAL_OP_READ:
        wal_reader_on_done(w, done->result);
        return;
    case WAL_OP_BASE:
        wal_base_on_done(w, done->result);
        return;
    case WAL_OP_REMOVE:
        wal_recycle_on_removed(w, (uint32_t)number);
        return;
    case WAL_OP_SNAPSHOT:
        snapshots_on_done(w->snapshots, number, done->result);
        return;
    case WAL_OP_RESERVE:
        reserve_on_look(w->reserve, done->result);
        return;
    }
    ASSERT(false); /* nobody else submits to our disk */
}

static bool is_idle(struct wal *w)
{
    return w->oldest_number == w->open_number && !wal_is_filling(w);
}

uint32_t wal_poll(struct wal *w, uint64_t now_ns)
{
    struct disk_done done[WAL_REAP_MAX];

    ASSERT(now_ns >= w->now_ns);
    w->now_ns = now_ns;
    if (w->failed != 0)
        return 0;
    const uint32_t reaped = disk_reap(w->disk, done, WAL_REAP_MAX);
    for (uint32_t i = 0; i < reaped; i++)
        wal_on_done(w, &done[i]);
    if (w->failed != 0)
        return reaped;

    uint32_t work = reaped;
    work += wal_submit_syncs(w);
    work += wal_base_poll(w);
    work += wal_submit_batches(w);
    /* Without room it only waits for the next segment: what makes that has the disk for itself. */
    if ((w->flights > 0 || wal_queued_bytes(w) > 0) && wal_has_room(w))
        share_log_at_work(&w->share, now_ns);
    work += wal_prepare_poll(w);
    work += wal_recycle_poll(w);
    /* A mark is not worth the reserve. */
    if (w->mark_wanted && is_idle(w) && wal_free_bytes(w) > wal_reserve_bytes(w) &&
        now_ns - w->idle_since_ns >= WAL_IDLE_MARK_NS)
        work += wal_submit_mark(w);
    disk_send(w->disk); /* all that this poll submitted, in one call */
    return work;
}

int wal_failed(const struct wal *w)
{
    return w->failed;
}

uint64_t wal_next_ns(const struct wal *w)
{
    const uint64_t prepare = wal_prepare_next_ns(w);
    const uint64_t reader = wal_reader_next_ns(w);
    const uint64_t background = prepare < reader ? prepare : reader;
    const bool marks = w->mark_wanted && wal_free_bytes(w) > wal_reserve_bytes(w);
    const uint64_t mark = marks ? w->idle_since_ns + WAL_IDLE_MARK_NS : UINT64_MAX;

    ASSERT(w->segment_count > 0);
    return mark < background ? mark : background;
}

const struct wal_counters *wal_counters(const struct wal *w)
{
    return &w->counters;
}

struct share *wal_share(struct wal *w)
{
    ASSERT(w->share.percent > 0);
    return &w->share;
}

struct wal_span wal_span(const struct wal *w)
{
    ASSERT(w->segment_count > 0);
    ASSERT(w->segment_count < WAL_SEGMENTS_MAX);
    return (struct wal_span){
        .segments = w->segment_count,
        .bytes = w->full_bytes + w->segment[w->segment_count - 1].end,
    };
}

void wal_report(const struct wal *w, struct wal_recovered *out)
{
    ASSERT(w->view.run_count > 0 || w->view.last == w->view.base);
    out->last = w->view.last;
    out->last_term = w->view.last_term;
    out->last_chain = w->view.last_chain;
    out->run_count = w->view.run_count;
    out->run_first = w->view.run_first;
    out->run_term = w->view.run_term;
    out->hole_count = w->holes.hole_count;
    memcpy(out->hole, w->holes.hole, sizeof out->hole);
}
