/* persist/prepare.c: the next segments are there before they are needed.
 *
 *   NONE --begin_creating--> CREATING --> ZEROING --> FLUSHING --> NAMING --> UNWRITTEN
 *   NONE --begin_naming, a spare--> NAMING --> UNWRITTEN
 *   UNWRITTEN --write_header--> WRITING --> (ready) --wal_roll--> in use
 *   with sync_by_fsync:         WRITING --> UNSYNCED --> SYNCING --> (ready)
 *   no room, in a new file:     CREATING --> NONE; ZEROING, FLUSHING, NAMING --> DROPPING --> NONE
 *
 * One is made at a time, until options.segments_ahead are ready. A file gets its name when it is
 * allocated and flushed, with as many zeros as were written; before that it has one by which a start
 * removes it. So whatever has the name of a segment is whole, and a crash in front of that leaves
 * nothing. The header is written and flushed here, long before the first batch goes there, so a roll
 * waits for nothing. The header names the segment it follows but not where that one ends: the batches
 * tell.
 *
 * Allocated blocks read as zeros, so zeros are not needed: they are written since the flush of a first
 * write to a block that is merely allocated waits for the file system's journal too. They have the share
 * of the background (share.h), a write at a time, and are left out from where they do not pay: the log
 * comes near, or its batches are so large that the journal costs less than writing everything twice.
 * So the log never waits for zeros, and as they are over before the file is flushed and has its name,
 * none is on its way to a segment that has batches.
 *
 * A new file leaves the largest snapshot its room (reserve.h), or is not made, and tried again later.
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
    if (!reserve_grants(w->reserve, op.length)) {
        w->prepare.retry_ns = w->now_ns + WAL_PREPARE_RETRY_NS;
        return 0;
    }
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
    /* A file is not made beside the first write to a segment: that one waits for the journal too. */
    if (w->durable_end.segment + 1 < w->segment_count)
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

/* What a batch takes on disk, on average since the segment before the current one began. */
static uint64_t batch_bytes_mean(const struct wal *w)
{
    const struct wal_segment *s = &w->segment[w->segment_count - 1];
    uint64_t bytes = s->end - SEGMENT_DATA_OFFSET;

    ASSERT(w->segment_count > 0);
    if (w->segment_count > 1) {
        s--;
        bytes += s->end - SEGMENT_DATA_OFFSET;
    }
    if (s->first_number == 0)
        return 0; /* a start, with nothing to go by */
    ASSERT(s->first_number < w->submit_number);
    return bytes / (w->submit_number - s->first_number);
}

/* See above. */
static bool zeros_pay(const struct wal *w)
{
    const struct wal_segment *current = &w->segment[w->segment_count - 1];
    const bool wanted = w->prepare.ready_count == 0 && current->end >= current->bytes / 2;

    ASSERT(w->segment_count > 0);
    return !wanted && batch_bytes_mean(w) <= w->options.zeros_batch_bytes;
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
    if (!share_take(&w->share, SHARE_ZEROS, w->now_ns))
        return 0;
    if (submit_part(w, &op) > 0)
        return 1;
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    return 0;
}

static uint32_t flush_file(struct wal *w)
{
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->prepare.making.segment.slot,
        .cookie = wal_cookie(WAL_OP_PREPARE, 0),
    };

    ASSERT(w->prepare.zeroed <= w->prepare.making.segment.bytes);
    return submit_part(w, &op);
}

static uint32_t fill(struct wal *w)
{
    struct wal_prepare *p = &w->prepare;
    const bool filled = p->zeroed == p->making.segment.bytes;

    ASSERT(p->state == WAL_PREPARE_ZEROING);
    if (!filled && zeros_pay(w))
        return write_zeros(w);
    MARK_IF(!filled, ZEROS_LEFT_OUT);
    p->state = WAL_PREPARE_FLUSHING;
    return flush_file(w);
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

/* Only for a planted bug: the log is near, and what is in flight is not waited for. */
static bool leaves_zeros_behind(struct wal *w)
{
    if (!planted(PLANTED_ZEROS_IN_FLIGHT) || w->prepare.state != WAL_PREPARE_ZEROING ||
        zeros_pay(w))
        return false;
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    w->prepare.in_flight = false;
    return true;
}

uint32_t wal_prepare_poll(struct wal *w)
{
    if (w->prepare.in_flight && !leaves_zeros_behind(w))
        return 0;
    switch (w->prepare.state) {
    case WAL_PREPARE_NONE:
        return begin(w);
    case WAL_PREPARE_ZEROING:
        return fill(w);
    case WAL_PREPARE_FLUSHING:
        return flush_file(w);
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

/* The file was flushed, or got its name. */
static void on_part(struct wal *w, int64_t result, enum wal_prepare_state next)
{
    w->prepare.in_flight = false;
    if (result == 0)
        w->prepare.state = next;
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
    ASSERT(p->state == WAL_PREPARE_ZEROING);
    share_end(&w->share, SHARE_ZEROS, w->now_ns);
    p->in_flight = false;
    if (result == (int64_t)piece)
        p->zeroed += piece;
    else
        give_up(w, result, WAL_PREPARE_DROPPING);
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
    case WAL_PREPARE_FLUSHING:
        on_part(w, result, WAL_PREPARE_NAMING);
        return;
    case WAL_PREPARE_NAMING:
        on_part(w, result, WAL_PREPARE_UNWRITTEN);
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
    if (p->state == WAL_PREPARE_ZEROING && !p->in_flight)
        return share_next_ns(&w->share);
    return UINT64_MAX;
}

void wal_roll(struct wal *w)
{
    struct wal_prepare *p = &w->prepare;

    ASSERT(p->ready_count > 0);
    ASSERT(w->segment_count < WAL_SEGMENTS_MAX);
    w->full_bytes += wal_current(w)->end;
    w->segment[w->segment_count++] = p->ready[0].segment;
    w->header = p->ready[0].header;
    p->ready_count--;
    memmove(p->ready, p->ready + 1, p->ready_count * sizeof p->ready[0]);
    w->counters.segments++;
    p->retry_ns = 0;
}
