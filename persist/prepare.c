/* persist/prepare.c: the next segments are there before they are needed.
 *
 *   NONE --begin_creating--> CREATING --> ZEROING --> FLUSHING --> NAMING --> UNWRITTEN
 *   NONE --begin_naming, a spare--> NAMING --> UNWRITTEN
 *   UNWRITTEN --write_header--> WRITING --> (ready) --wal_roll--> in use
 *   with sync_by_fsync:         WRITING --> UNSYNCED --> SYNCING --> (ready)
 *   no room, in a new file:     CREATING --> NONE; ZEROING, FLUSHING, NAMING --> DROPPING --> NONE
 *
 * One is made at a time, until options.segments_ahead are ready. A file gets its name when all of it is
 * written and flushed; before that it has one by which a start removes it. So whatever has the name of a
 * segment is whole, and a crash in front of that leaves nothing. The header is written and flushed
 * here, long before the first batch goes there, so a roll waits for nothing. The header names the
 * segment it follows but not where that one ends: the batches tell.
 *
 * Zeros are written since a first write to a block that is merely allocated takes twice as long. They go
 * to the disk as the share of the background allows (share.h), a write at a time. They are pressed, and
 * go without a pause, while what is left to fill, and half a segment, is more than the log has room for:
 * so a log that writes faster than its background share pays for its segments by as many bytes as it
 * writes, evenly, and has half a segment left when the next one is ready.
 *
 * A file for which the disk has no room is dropped and tried again later with a new one. A spare whose
 * name could not be changed may have either: it is left alone, and the next start removes it. Any other
 * error, or a header that can't be written, is a failure of the log: the disk under the batches is the
 * same.
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
    ASSERT(w->prepare.state != next);
    if (disk_submit(w->disk, op) != 0)
        return 0;
    w->prepare.state = next;
    return 1;
}

static void start_making(struct wal *w, uint32_t slot, uint64_t spare)
{
    struct wal_prepare *p = &w->prepare;

    ASSERT(p->state == WAL_PREPARE_NONE);
    p->making.segment = (struct wal_segment){
        .generation = w->generation_next++,
        .bytes = w->options.segment_bytes,
        .end = SEGMENT_DATA_OFFSET,
        .slot = slot,
        .own = true,
    };
    p->in_flight = false;
    p->zeroed = 0;
    p->spare = spare;
}

static uint32_t begin_naming(struct wal *w, const struct wal_segment *spare)
{
    ASSERT(spare->bytes == w->options.segment_bytes);
    start_making(w, spare->slot, spare->generation);
    wal_recycle_pop(w);
    w->prepare.state = WAL_PREPARE_NAMING;
    return 1;
}

static uint32_t begin_creating(struct wal *w)
{
    const uint32_t slot = slot_free(w);
    struct disk_op op = {
        .kind = DISK_OP_CREATE,
        .bare = true,
        .slot = slot,
        .length = w->options.segment_bytes,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };

    if (slot == 0)
        return 0;
    segment_name_unfinished(op.name, w->generation_next);
    if (disk_submit(w->disk, &op) != 0)
        return 0;
    start_making(w, slot, 0);
    w->prepare.state = WAL_PREPARE_CREATING;
    w->slot_taken[slot] = true;
    return 1;
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
    return spare == NULL ? begin_creating(w) : begin_naming(w, spare);
}

/* What the state says; on_done finds in_flight. */
static uint32_t submit_part(struct wal *w, const struct disk_op *op)
{
    ASSERT(!w->prepare.in_flight);
    w->prepare.in_flight = disk_submit(w->disk, op) == 0;
    return w->prepare.in_flight;
}

/* The log would soon wait for it: see above. */
static bool is_pressed(const struct wal *w)
{
    const struct wal_prepare *p = &w->prepare;
    const struct wal_segment *current = &w->segment[w->segment_count - 1];
    const uint64_t ready = p->ready_count * w->options.segment_bytes;

    ASSERT(p->zeroed <= p->making.segment.bytes);
    return p->making.segment.bytes - p->zeroed + w->options.segment_bytes / 2 >=
           current->bytes - current->end + ready;
}

/* The next write of zeros, or their flush: part of the background. */
static uint32_t submit_shared(struct wal *w, const struct disk_op *op)
{
    if (!share_take(&w->share, SHARE_ZEROS, is_pressed(w), w->now_ns))
        return 0;
    if (submit_part(w, op) > 0)
        return 1;
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    return 0;
}

/* Only for a planted bug. */
static void go_on_beside_zeros(struct wal *w)
{
    ASSERT(PLANTED_BUILD);
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    w->prepare.in_flight = false;
    w->prepare.zeroed = w->prepare.making.segment.bytes;
    w->prepare.state = WAL_PREPARE_NAMING;
}

static uint32_t write_zeros(struct wal *w)
{
    const struct wal_prepare *p = &w->prepare;
    const uint64_t left = p->making.segment.bytes - p->zeroed;
    const struct disk_op op = {
        .kind = DISK_OP_WRITE,
        .slot = p->making.segment.slot,
        .offset = p->zeroed,
        .bytes = p->zeros,
        .length = left < w->options.zeros_bytes ? left : w->options.zeros_bytes,
        .cookie = wal_cookie(WAL_OP_ZEROS, 0),
    };

    ASSERT(left > 0);
    const uint32_t work = submit_shared(w, &op);
    if (work > 0 && op.length == left && planted(PLANTED_ZEROS_IN_FLIGHT))
        go_on_beside_zeros(w);
    return work;
}

static uint32_t flush_zeros(struct wal *w)
{
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->prepare.making.segment.slot,
        .cookie = wal_cookie(WAL_OP_ZEROS, 0),
    };

    ASSERT(w->prepare.zeroed == w->prepare.making.segment.bytes);
    return submit_shared(w, &op);
}

static uint32_t give_name(struct wal *w)
{
    const struct wal_prepare *p = &w->prepare;
    struct disk_op op = {
        .kind = DISK_OP_RENAME,
        .slot = p->making.segment.slot,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };

    ASSERT(p->making.segment.generation > p->spare);
    if (p->spare > 0)
        segment_name(op.from, p->spare);
    else
        segment_name_unfinished(op.from, p->making.segment.generation);
    segment_name(op.name, p->making.segment.generation);
    if (planted(PLANTED_SEGMENT_UNNAMED) && p->spare == 0) {
        w->prepare.state = WAL_PREPARE_UNWRITTEN;
        return 1;
    }
    return submit_part(w, &op);
}

static uint32_t drop_file(struct wal *w)
{
    const struct wal_segment *s = &w->prepare.making.segment;
    struct disk_op op = {
        .kind = DISK_OP_REMOVE,
        .slot = s->slot,
        .cookie = wal_cookie(WAL_OP_REMOVE, s->slot), /* frees the slot */
    };

    ASSERT(w->prepare.spare == 0);
    segment_name_unfinished(op.name, s->generation);
    return submit(w, &op, WAL_PREPARE_NONE);
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
    if (w->prepare.in_flight)
        return 0;
    switch (w->prepare.state) {
    case WAL_PREPARE_NONE:
        return begin(w);
    case WAL_PREPARE_ZEROING:
        return write_zeros(w);
    case WAL_PREPARE_FLUSHING:
        return flush_zeros(w);
    case WAL_PREPARE_NAMING:
        return give_name(w);
    case WAL_PREPARE_DROPPING:
        return drop_file(w);
    case WAL_PREPARE_UNWRITTEN:
        return write_header(w);
    case WAL_PREPARE_UNSYNCED:
        return sync_header(w);
    default:
        return 0;
    }
}

/* The file of `making` can't be used, for an operation had this result. `next`: how to go on if it was
 * for want of room. */
static void give_up(struct wal *w, int64_t result, enum wal_prepare_state next)
{
    struct wal_prepare *p = &w->prepare;

    ASSERT(next == WAL_PREPARE_NONE || p->spare == 0);
    if (planted(PLANTED_CREATE_FAILURE_STOPS) ||
        (!disk_lacks_room(result) && !planted(PLANTED_CREATE_FAILURE_RETRIED))) {
        wal_fail(w, result);
        return;
    }
    p->state = next;
    p->retry_ns = w->now_ns + WAL_PREPARE_RETRY_NS;
}

static void on_created(struct wal *w, int64_t result)
{
    struct wal_prepare *p = &w->prepare;

    if (result == (int64_t)p->making.segment.bytes) {
        p->state = WAL_PREPARE_ZEROING;
        return;
    }
    w->slot_taken[p->making.segment.slot] = false; /* nothing was left there */
    give_up(w, result, WAL_PREPARE_NONE);
}

static void on_named(struct wal *w, int64_t result)
{
    w->prepare.in_flight = false;
    if (result == 0)
        w->prepare.state = WAL_PREPARE_UNWRITTEN;
    else
        give_up(w, result, w->prepare.spare > 0 ? WAL_PREPARE_NONE : WAL_PREPARE_DROPPING);
}

void wal_prepare_on_zeros(struct wal *w, int64_t result)
{
    struct wal_prepare *p = &w->prepare;
    const uint64_t left = p->making.segment.bytes - p->zeroed;
    const uint64_t piece = left < w->options.zeros_bytes ? left : w->options.zeros_bytes;

    if (planted(PLANTED_ZEROS_IN_FLIGHT) && p->state != WAL_PREPARE_ZEROING)
        return;
    ASSERT(p->in_flight);
    ASSERT(p->state == WAL_PREPARE_ZEROING || p->state == WAL_PREPARE_FLUSHING);
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    p->in_flight = false;
    if (result != (int64_t)piece) { /* none is left when they are flushed */
        give_up(w, result, WAL_PREPARE_DROPPING);
        return;
    }
    p->zeroed += piece;
    if (p->state == WAL_PREPARE_FLUSHING)
        p->state = WAL_PREPARE_NAMING;
    else if (p->zeroed == p->making.segment.bytes)
        p->state = WAL_PREPARE_FLUSHING;
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
        on_created(w, result);
        return;
    case WAL_PREPARE_NAMING:
        on_named(w, result);
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
    const struct wal_prepare *p = &w->prepare;

    if (p->state == WAL_PREPARE_NONE)
        return p->retry_ns > w->now_ns ? p->retry_ns : UINT64_MAX;
    if (p->in_flight)
        return UINT64_MAX;
    const bool shares = p->state == WAL_PREPARE_ZEROING || p->state == WAL_PREPARE_FLUSHING;
    return shares ? share_next_ns(&w->share) : UINT64_MAX;
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
