/* persist/prepare.c: the next segment is there before it is needed.
 *
 *   NONE --wal_prepare_poll--> CREATING --> UNWRITTEN --> WRITING --> READY --wal_roll--> NONE
 *   with sync_by_fsync:                                  WRITING --> UNSYNCED --> SYNCING --> READY
 *
 * The disk's control thread makes the file of zeros and flushes it and the directory; the header is
 * written and flushed here, long before the first batch goes there, so a roll waits for nothing. The
 * header names the segment it follows but not where that one ends: the batches tell.
 *
 * A CREATE that fails (the disk is full) leaves nothing and is tried again later with a new file; a
 * header that can't be written is a failure of the log.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <string.h>

uint32_t wal_slot_free(const struct wal *w)
{
    bool taken[DISK_FILES_MAX] = {[0] = true};

    for (uint32_t i = 0; i < w->segment_count; i++)
        taken[w->segment[i].slot] = true;
    for (uint32_t slot = WAL_SLOT_FIRST; slot < DISK_FILES_MAX; slot++) {
        if (!taken[slot])
            return slot;
    }
    ASSERT(false); /* the table of segments has fewer entries than there are slots */
    return 0;
}

static uint32_t submit(struct wal *w, const struct disk_op *op, enum wal_prepare_state next)
{
    ASSERT(op->cookie == wal_cookie(WAL_OP_PREPARE, 0));
    if (disk_submit(w->disk, op) != 0)
        return 0;
    w->prepare.state = next;
    return 1;
}

static uint32_t begin(struct wal *w)
{
    struct wal_segment *s = &w->prepare.segment;

    ASSERT(w->prepare.state == WAL_PREPARE_NONE);
    if (w->segment_count == WAL_SEGMENTS_MAX - 1 || w->now_ns < w->prepare.retry_ns)
        return 0;
    *s = (struct wal_segment){
        .generation = w->generation_next,
        .bytes = w->options.segment_bytes,
        .end = DISK_SECTOR,
        .slot = wal_slot_free(w),
    };
    struct disk_op op = {
        .kind = DISK_OP_CREATE,
        .slot = s->slot,
        .length = s->bytes,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };
    segment_name(op.name, s->generation);
    const uint32_t work = submit(w, &op, WAL_PREPARE_CREATING);
    w->generation_next += work;
    return work;
}

static uint32_t write_header(struct wal *w)
{
    const struct wal_segment *s = &w->prepare.segment;
    struct segment_header h = {
        .kind = SEGMENT_ROLL,
        .cluster = w->options.cluster,
        .incarnation = w->options.incarnation,
        .boot = w->options.boot,
        .node = w->options.node,
        .generation = s->generation,
        .segment_bytes = s->bytes,
        .continues_generation = wal_current(w)->generation,
        .manifest = w->manifest,
    };

    ASSERT(w->prepare.state == WAL_PREPARE_UNWRITTEN);
    ASSERT(w->prepare.segment.generation > wal_current(w)->generation);
    segment_seal(&h);
    memset(w->prepare.header, 0, DISK_SECTOR);
    memcpy(w->prepare.header, &h, sizeof h);
    const struct disk_op op = {
        .kind = w->options.sync_by_fsync || planted(PLANTED_SEGMENT_HEADER_UNFLUSHED)
                    ? DISK_OP_WRITE
                    : DISK_OP_WRITE_DSYNC,
        .slot = s->slot,
        .bytes = w->prepare.header,
        .length = DISK_SECTOR,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };
    return submit(w, &op, WAL_PREPARE_WRITING);
}

static uint32_t sync_header(struct wal *w)
{
    ASSERT(w->options.sync_by_fsync);
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->prepare.segment.slot,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };
    return submit(w, &op, WAL_PREPARE_SYNCING);
}

uint32_t wal_prepare_poll(struct wal *w)
{
    switch (w->prepare.state) {
    case WAL_PREPARE_NONE:
        return begin(w);
    case WAL_PREPARE_UNWRITTEN:
        return write_header(w);
    case WAL_PREPARE_UNSYNCED:
        return sync_header(w);
    default:
        return 0;
    }
}

static void on_created(struct wal *w, int64_t result)
{
    if (result == (int64_t)w->prepare.segment.bytes) {
        w->prepare.state = WAL_PREPARE_UNWRITTEN;
        return;
    }
    if (planted(PLANTED_CREATE_FAILURE_STOPS))
        wal_fail(w, result);
    w->prepare.state = WAL_PREPARE_NONE;
    w->prepare.retry_ns = w->now_ns + WAL_PREPARE_RETRY_NS;
}

void wal_prepare_on_done(struct wal *w, int64_t result)
{
    switch (w->prepare.state) {
    case WAL_PREPARE_CREATING:
        on_created(w, result);
        return;
    case WAL_PREPARE_WRITING:
        if (result != DISK_SECTOR && !planted(PLANTED_SEGMENT_HEADER_FAILURE))
            wal_fail(w, result);
        w->prepare.state = w->options.sync_by_fsync && !planted(PLANTED_SEGMENT_HEADER_UNFLUSHED)
                               ? WAL_PREPARE_UNSYNCED
                               : WAL_PREPARE_READY;
        return;
    case WAL_PREPARE_SYNCING:
        if (result != 0)
            wal_fail(w, result);
        w->prepare.state = WAL_PREPARE_READY;
        return;
    default:
        ASSERT(false); /* nothing of ours is in flight in the other states */
    }
}

uint64_t wal_prepare_next_ns(const struct wal *w)
{
    const bool waits = w->prepare.state == WAL_PREPARE_NONE && w->prepare.retry_ns > w->now_ns;
    return waits ? w->prepare.retry_ns : UINT64_MAX;
}

void wal_roll(struct wal *w)
{
    ASSERT(w->prepare.state == WAL_PREPARE_READY);
    ASSERT(w->segment_count < WAL_SEGMENTS_MAX);
    w->segment[w->segment_count++] = w->prepare.segment;
    w->counters.segments++;
    w->prepare.state = WAL_PREPARE_NONE;
    w->prepare.retry_ns = 0;
}
