/* persist/recycle.c: segments below the log's start are used again, or removed.
 *
 * A segment gets here when a durable manifest says that the log begins behind it; the segment in use
 * is never below the start. Used again are segments of the usual size that this process made. One of
 * an earlier boot is removed: a write of its dead process may still be on its way there, and must not
 * land among new batches. One segment a turn, since the table of places is moved with it.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <string.h>

static bool is_reusable(const struct wal *w, const struct wal_segment *s)
{
    ASSERT(w->options.spares_max <= WAL_SPARES_MAX);
    return s->own && s->bytes == w->options.segment_bytes &&
           w->recycle.spare_count < w->options.spares_max;
}

static bool submit_removal(struct wal *w, const struct wal_segment *s)
{
    struct disk_op op = {
        .kind = DISK_OP_REMOVE,
        .slot = s->slot,
        .cookie = wal_cookie(WAL_OP_REMOVE, s->slot),
    };

    segment_name(op.name, s->generation);
    return disk_submit(w->disk, &op) == 0;
}

/* The table begins with the next segment; whoever knows a place counts one less. */
static void shift(struct wal *w)
{
    ASSERT(w->segment_count > 1);
    ASSERT(w->durable_end.segment > 0);
    ASSERT(w->full_bytes >= w->segment[0].end);
    w->full_bytes -= w->segment[0].end;
    w->segment_count--;
    memmove(w->segment, w->segment + 1, w->segment_count * sizeof w->segment[0]);
    w->durable_end.segment--;
    for (uint64_t n = w->oldest_number; n < w->submit_number; n++)
        wal_buffer_of(w, n)->place.segment--;
    wal_places_shift(&w->places);
    wal_holes_shift(&w->holes);
    wal_reader_shift(w);
}

uint32_t wal_recycle_poll(struct wal *w)
{
    const struct wal_segment first = w->segment[0];

    ASSERT(w->segment_count > 0);
    const bool below = first.generation < w->recycle.below_generation ||
                       (planted(PLANTED_CURRENT_RECYCLED) && w->recycle.below_generation > 0);
    if (!below || w->reader.window.reading > 0)
        return 0;
    if (is_reusable(w, &first)) {
        w->recycle.spare[w->recycle.spare_count++] = first;
        w->counters.recycled++;
        w->prepare.retry_ns = 0; /* a file that there is room for already */
    } else {
        if (!submit_removal(w, &first))
            return 0;
        w->counters.removed++;
    }
    shift(w);
    return 1;
}

/* A file that could not be removed is dead all the same; the next start tries again. */
void wal_recycle_on_removed(struct wal *w, uint32_t slot)
{
    ASSERT(slot < DISK_FILES_MAX);
    ASSERT(w->slot_taken[slot]);
    w->slot_taken[slot] = false;
}

const struct wal_segment *wal_recycle_peek(const struct wal *w)
{
    ASSERT(w->recycle.spare_count <= WAL_SPARES_MAX);
    return w->recycle.spare_count > 0 ? &w->recycle.spare[w->recycle.spare_count - 1] : NULL;
}

bool wal_recycle_give_up(struct wal *w)
{
    const struct wal_segment *spare = wal_recycle_peek(w);

    ASSERT(spare != NULL);
    if (!submit_removal(w, spare))
        return false;
    wal_recycle_pop(w);
    w->counters.removed++;
    return true;
}

void wal_recycle_pop(struct wal *w)
{
    ASSERT(w->recycle.spare_count > 0);
    w->recycle.spare_count--;
}
