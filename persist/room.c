/* persist/room.c: how much the log takes before it needs another segment.
 *
 * What waits to be submitted counts as placed, and a part of the last segment is kept for steps without
 * records: a node without room for entries still votes.
 */
#include "persist/wal_internal.h"

uint64_t wal_queued_bytes(const struct wal *w)
{
    const struct wal_buffer *b = &w->buffer[w->open_number % w->options.buffer_count];

    return w->closed_bytes + (wal_is_filling(w) ? batch_bytes(b->header.record_bytes) : 0);
}

uint64_t wal_reserve_bytes(const struct wal *w)
{
    const uint64_t part =
        w->options.segment_bytes / WAL_RESERVE_DIVISOR / DISK_SECTOR * DISK_SECTOR;

    ASSERT(part < w->options.segment_bytes);
    return part > WAL_RESERVE_BYTES_MIN ? part : WAL_RESERVE_BYTES_MIN;
}

uint64_t wal_free_bytes(const struct wal *w)
{
    const struct wal_segment *s = &w->segment[w->segment_count - 1];
    const uint64_t queued = wal_queued_bytes(w);
    uint64_t space = s->bytes - s->end;

    ASSERT(w->segment_count > 0);
    for (uint32_t i = 0; i < w->prepare.ready_count; i++) {
        /* The batch that does not fit any more leaves less than itself unused. */
        s = &w->prepare.ready[i].segment;
        space = space > w->options.batch_bytes ? space - w->options.batch_bytes : 0;
        space += s->bytes - s->end;
    }
    return space > queued ? space - queued : 0;
}

uint64_t wal_room(const struct wal *w)
{
    const uint64_t space = wal_free_bytes(w);
    const uint64_t reserve = wal_reserve_bytes(w);

    ASSERT(w->segment_count > 0);
    return space > reserve ? space - reserve : 0;
}

uint64_t wal_step_cost(uint32_t length)
{
    return batch_bytes(length);
}

bool wal_has_room(const struct wal *w)
{
    return wal_room(w) >= wal_step_cost(wal_step_bytes_max(&w->options));
}
