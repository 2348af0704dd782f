/* persist/prepare.c: the next segments are there before they are needed.
 *
 *   NONE --begin--> CREATING --> UNWRITTEN --> WRITING --> (ready) --wal_roll--> in use
 *   with sync_by_fsync:          WRITING --> UNSYNCED --> SYNCING --> (ready)
 *
 * One is made at a time, until options.segments_ahead are ready. The disk's control thread makes the
 * file of zeros, or gives a spare its new name, with all flushes; the header is written and flushed
 * here, long before the first batch goes there, so a roll waits for nothing. The header names the
 * segment it follows but not where that one ends: the batches tell.
 *
 * A CREATE for which the disk has no room leaves nothing and is tried again later with a new file. A
 * spare whose name could not be changed may have either name: it is left alone, and the next start
 * removes it. Any other error, or a header that can't be written, is a failure of the log: the disk
 * under the batches is the same.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <string.h>

/* 0: none; slot 0 is the superblock's. */
static uint32_t slot_free(const struct wal *w)
{
    for (uint32_t slot = WAL_SLOT_FIRST; slot < DISK_FILES_MAX; slot++) {
        if (!w->slot_taken[slot])
            return slot;
    }
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

static uint32_t begin_renaming(struct wal *w, const struct wal_segment *spare)
{
    struct wal_segment *s = &w->prepare.making.segment;
    struct disk_op op = {
        .kind = DISK_OP_RENAME,
        .slot = spare->slot,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };

    ASSERT(spare->bytes == w->options.segment_bytes);
    *s = (struct wal_segment){
        .generation = w->generation_next,
        .bytes = spare->bytes,
        .end = SEGMENT_DATA_OFFSET,
        .slot = spare->slot,
        .own = true,
    };
    segment_name(op.from, spare->generation);
    segment_name(op.name, s->generation);
    const uint32_t work = submit(w, &op, WAL_PREPARE_CREATING);
    w->prepare.renames = true;
    w->generation_next += work;
    return work;
}

static uint32_t begin_creating(struct wal *w)
{
    struct wal_segment *s = &w->prepare.making.segment;
    const uint32_t slot = slot_free(w);
    struct disk_op op = {
        .kind = DISK_OP_CREATE,
        .slot = slot,
        .length = w->options.segment_bytes,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };

    if (slot == 0)
        return 0;
    *s = (struct wal_segment){
        .generation = w->generation_next,
        .bytes = op.length,
        .end = SEGMENT_DATA_OFFSET,
        .slot = slot,
        .own = true,
    };
    segment_name(op.name, s->generation);
    const uint32_t work = submit(w, &op, WAL_PREPARE_CREATING);
    w->prepare.renames = false;
    w->generation_next += work;
    w->slot_taken[slot] = work > 0;
    return work;
}

static uint32_t begin(struct wal *w)
{
    const struct wal_segment *spare = wal_recycle_peek(w);

    ASSERT(w->prepare.state == WAL_PREPARE_NONE);
    if (w->prepare.ready_count == w->options.segments_ahead || w->now_ns < w->prepare.retry_ns)
        return 0;
    /* One entry of the table is left for the recovery segment of the next start. */
    if (w->segment_count + w->prepare.ready_count >= WAL_SEGMENTS_MAX - 1)
        return 0;
    if (spare == NULL)
        return begin_creating(w);
    const uint32_t work = begin_renaming(w, spare);
    if (work > 0)
        wal_recycle_pop(w);
    return work;
}

struct segment_header wal_segment_header(const struct wal *w, const struct wal_segment *s,
                                         enum segment_kind kind)
{
    ASSERT(s->generation < w->generation_next);
    return (struct segment_header){
        .kind = (uint16_t)kind,
        .cluster = w->options.cluster,
        .incarnation = w->options.incarnation,
        .boot = w->options.boot,
        .node = w->options.node,
        .generation = s->generation,
        .segment_bytes = s->bytes,
        .manifest = w->manifest,
    };
}

static uint32_t write_header(struct wal *w)
{
    struct wal_prepare *p = &w->prepare;
    const struct wal_segment *before =
        p->ready_count > 0 ? &p->ready[p->ready_count - 1].segment : wal_current(w);

    ASSERT(p->state == WAL_PREPARE_UNWRITTEN);
    ASSERT(p->making.segment.generation > before->generation);
    p->making.header = wal_segment_header(w, &p->making.segment, SEGMENT_ROLL);
    p->making.header.continues_generation = before->generation;
    segment_seal(&p->making.header);
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
        segment_encode(p->headers + (size_t)copy * DISK_SECTOR, &p->making.header);
    const struct disk_op op = {
        .kind = w->options.sync_by_fsync || planted(PLANTED_SEGMENT_HEADER_UNFLUSHED)
                    ? DISK_OP_WRITE
                    : DISK_OP_WRITE_DSYNC,
        .slot = p->making.segment.slot,
        .bytes = p->headers,
        .length = SEGMENT_DATA_OFFSET,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };
    return submit(w, &op, WAL_PREPARE_WRITING);
}

static uint32_t sync_header(struct wal *w)
{
    ASSERT(w->options.sync_by_fsync);
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->prepare.making.segment.slot,
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

static void on_made(struct wal *w, int64_t result)
{
    struct wal_prepare *p = &w->prepare;
    const int64_t good = p->renames ? 0 : (int64_t)p->making.segment.bytes;

    if (result == good) {
        p->state = WAL_PREPARE_UNWRITTEN;
        return;
    }
    if (planted(PLANTED_CREATE_FAILURE_STOPS) ||
        (!disk_lacks_room(result) && !planted(PLANTED_CREATE_FAILURE_RETRIED))) {
        wal_fail(w, result);
        return;
    }
    if (!p->renames)
        w->slot_taken[p->making.segment.slot] = false;
    p->state = WAL_PREPARE_NONE;
    p->retry_ns = w->now_ns + WAL_PREPARE_RETRY_NS;
}

static void on_ready(struct wal *w)
{
    struct wal_prepare *p = &w->prepare;

    ASSERT(p->ready_count < w->options.segments_ahead);
    p->ready[p->ready_count++] = p->making;
    p->state = WAL_PREPARE_NONE;
}

void wal_prepare_on_done(struct wal *w, int64_t result)
{
    switch (w->prepare.state) {
    case WAL_PREPARE_CREATING:
        on_made(w, result);
        return;
    case WAL_PREPARE_WRITING:
        if (result != SEGMENT_DATA_OFFSET && !planted(PLANTED_SEGMENT_HEADER_FAILURE))
            wal_fail(w, result);
        if (w->options.sync_by_fsync && !planted(PLANTED_SEGMENT_HEADER_UNFLUSHED))
            w->prepare.state = WAL_PREPARE_UNSYNCED;
        else
            on_ready(w);
        return;
    case WAL_PREPARE_SYNCING:
        if (result != 0)
            wal_fail(w, result);
        on_ready(w);
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
    struct wal_prepare *p = &w->prepare;

    ASSERT(p->ready_count > 0);
    ASSERT(w->segment_count < WAL_SEGMENTS_MAX);
    w->segment[w->segment_count++] = p->ready[0].segment;
    w->header = p->ready[0].header;
    p->ready_count--;
    memmove(p->ready, p->ready + 1, p->ready_count * sizeof p->ready[0]);
    w->counters.segments++;
    p->retry_ns = 0;
}
