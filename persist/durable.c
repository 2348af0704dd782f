/* persist/durable.c: batches are written, flushed, and durable in their order. */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>

/* Durable is the end of the longest flushed prefix, never simply the newest flush. */
static void advance_durable(struct wal *w)
{
    while (w->oldest_number < w->submit_number) {
        struct wal_buffer *b = wal_buffer_of(w, w->oldest_number);
        if (b->state != WAL_BUFFER_FLUSHED)
            return;
        ASSERT(b->header.number == w->durable_number + 1);
        if (!planted(PLANTED_DURABLE_NEWEST)) {
            ASSERT(b->header.last_seq >= w->durable_seq);
            w->durable_seq = b->header.last_seq;
        }
        w->durable_number = w->oldest_number;
        w->durable_end = b->place;
        w->durable_end.offset += batch_bytes(b->header.record_bytes);
        w->repairs_durable += b->repairs;
        w->mark_wanted = b->has_steps; /* a mark is composed when all before it is flushed */
        w->idle_since_ns = w->now_ns;
        b->state = WAL_BUFFER_FREE;
        w->oldest_number++;
    }
}

static void on_flushed(struct wal *w, struct wal_buffer *b)
{
    ASSERT(w->flights >= b->has_steps);
    MARK_IF(b->header.number != w->oldest_number, FLUSHED_OUT_OF_ORDER);
    b->state = WAL_BUFFER_FLUSHED;
    w->flights -= b->has_steps;
    w->counters.flushes++;
    w->counters.flush_ns_last = w->now_ns - b->submitted_ns;
    if (planted(PLANTED_DURABLE_NEWEST) && b->header.last_seq > w->durable_seq)
        w->durable_seq = b->header.last_seq;
    advance_durable(w);
}

void wal_on_batch_written(struct wal *w, struct wal_buffer *b, int64_t result)
{
    if (planted(PLANTED_FLUSH_BESIDE_WRITE) && b->state != WAL_BUFFER_WRITING)
        return;
    ASSERT(b->state == WAL_BUFFER_WRITING);
    const bool whole = result == (int64_t)batch_bytes(b->header.record_bytes);
    if (!whole && !(planted(PLANTED_SHORT_WRITE_WHOLE) && result > 0)) {
        wal_fail(w, result); /* never retried: see wal.h */
        return;
    }
    if (w->options.sync_by_fsync && !planted(PLANTED_FLUSH_SKIPPED))
        b->state = WAL_BUFFER_UNSYNCED;
    else
        on_flushed(w, b);
}

void wal_on_batch_synced(struct wal *w, struct wal_buffer *b, int64_t result)
{
    ASSERT(b->state == WAL_BUFFER_SYNCING);
    /* Not in a start, which would wait for it for ever. */
    if (result != 0 && w->now_ns != 0 && planted(PLANTED_FLUSH_RETRIED)) {
        b->state = WAL_BUFFER_UNSYNCED;
        return;
    }
    if (result != 0) {
        wal_fail(w, result);
        return;
    }
    on_flushed(w, b);
}

raft_seq wal_durable(const struct wal *w)
{
    return w->durable_seq;
}

bool wal_durable_range(const struct wal *w, uint32_t back, struct wal_range *out)
{
    struct wal_place end = w->durable_end;

    /* By what is promised, not by what has completed: that these are the same is to be checked. */
    for (uint64_t number = w->oldest_number; number < w->submit_number; number++) {
        const struct wal_buffer *b = &w->buffer[number % w->options.buffer_count];
        if (b->has_steps && !b->repairs && b->header.first_seq <= w->durable_seq) {
            end = b->place;
            end.offset += batch_bytes(b->header.record_bytes);
        }
    }
    if (end.segment >= w->segment_count || back > end.segment)
        return false;
    const struct wal_segment *s = &w->segment[end.segment - back];
    const uint64_t to = back == 0 ? end.offset : s->end;
    ASSERT(to >= SEGMENT_DATA_OFFSET);
    *out = (struct wal_range){s->slot, SEGMENT_DATA_OFFSET, to - SEGMENT_DATA_OFFSET};
    return true;
}

uint64_t wal_oldest_unflushed_ns(const struct wal *w)
{
    ASSERT(w->oldest_number <= w->submit_number);
    if (w->oldest_number == w->submit_number)
        return 0;
    return w->buffer[w->oldest_number % w->options.buffer_count].submitted_ns;
}

uint64_t wal_repairs_durable(const struct wal *w)
{
    return w->repairs_durable;
}
