/* persist/base.c: the log gets another base.
 *
 *   NONE --wal_set_base--> WAITS --compose--> UNWRITTEN --> WRITING --> UNWRITTEN (the other copy) ... NONE
 *   with sync_by_fsync:                       WRITING --> UNSYNCED --> SYNCING --> as above
 *
 * The manifest goes into the header of the segment in use, one copy after the other, so that one is
 * whole at any time. It is composed when all batches before the change are durable: where the log
 * begins, and up to which batch it is cut, are then facts that no crash takes back. The batch that
 * carries the step, and all behind it, wait for the first copy: so whoever waits for the step's seq
 * waits for the manifest, and no batch on the disk supposes a base that is not there.
 *
 * Segments below the new start are given up only when both copies name it.
 */
#include "persist/snapshot_internal.h"
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

bool wal_base_holds(const struct wal *w, uint64_t number)
{
    return w->base.barrier != 0 && number >= w->base.barrier &&
           !planted(PLANTED_BASE_BEFORE_BATCHES);
}

static void begin(struct wal *w, uint64_t number, const struct wal_base *base, bool cut)
{
    struct segment_manifest *m = &w->base.manifest;

    ASSERT(w->base.state == WAL_BASE_NONE);
    ASSERT(base->config_bytes <= SEGMENT_CONFIG_BYTES_MAX);
    *m = (struct segment_manifest){
        .base_index = base->index,
        .base_term = base->term,
        .base_chain = base->chain,
        .snapshot_index = base->snapshot_index,
        .snapshot_bytes = base->snapshot_bytes,
        .snapshot_digest = base->snapshot_digest,
        .config_index = base->config_index,
        .config_bytes = base->config_bytes,
    };
    if (base->config_bytes > 0)
        memcpy(m->config, base->config, base->config_bytes);
    w->base.state = WAL_BASE_WAITS;
    w->base.barrier = number;
    w->base.cut = cut;
}

/* What the caller says of the entry at the base, where the log knows it. What it doesn't know it
 * compares at the next start, with the record behind the base, and would refuse. */
static void check_chain(const struct wal *w, const struct wal_base *base, bool cut)
{
    const struct segment_manifest *m = &w->manifest;
    const bool stays = base->index == m->base_index;
    const bool at_end = !cut && base->index == w->view.last;

    ASSERT(!stays || (base->chain == m->base_chain && base->term == m->base_term));
    ASSERT(!at_end || (base->chain == w->view.last_chain && base->term == w->view.last_term));
}

static void check_change(const struct wal *w, const struct wal_step *step,
                         const struct wal_base *base, bool cut)
{
    const struct segment_manifest *m = &w->manifest;

    ASSERT(step->first > step->last);
    ASSERT(base->index >= m->base_index);
    ASSERT(base->snapshot_index >= m->snapshot_index);
    ASSERT(base->index > m->base_index || base->snapshot_index > m->snapshot_index);
    ASSERT(base->index <= base->snapshot_index);
    ASSERT(step->commit >= base->snapshot_index);
    ASSERT(!cut || base->index == base->snapshot_index);
    ASSERT(step->term >= base->term);
    /* A start demands that the log reaches its snapshot. */
    ASSERT(cut || base->snapshot_index <= w->view.last);
    check_chain(w, base, cut);
    ASSERT(w->snapshots == NULL || snapshot_is_there(w->snapshots, base));
}

int wal_set_base(struct wal *w, const struct wal_step *step, const struct wal_base *base, bool cut)
{
    check_change(w, step, base, cut);
    if (w->failed != 0)
        return -EIO;
    if (w->base.state != WAL_BASE_NONE)
        return -EAGAIN;
    const int result = wal_begin_batch(w);
    if (result != 0)
        return result;
    begin(w, w->open_number, base, cut);
    if (cut) {
        wal_view_begin(&w->view, base->index, base->term, base->chain);
        w->places.count = 0;
        w->holes.hole_count = 0;
        w->holes.fill_count = 0;
    }
    wal_holes_rebase(&w->holes, base->index);
    const int appended = wal_append(w, step);
    ASSERT(appended == 0); /* there is a batch for it, and it brings no records */
    return 0;
}

bool wal_base_changes(const struct wal *w)
{
    ASSERT(w->base.state != WAL_BASE_NONE || w->base.barrier == 0);
    return w->base.state != WAL_BASE_NONE;
}

/* The oldest segment that holds anything alive. */
static uint32_t oldest_alive(const struct wal *w)
{
    const struct wal_base_change *c = &w->base;
    struct wal_place at = {.segment = 0};
    struct wal_place next;

    /* The newest batch is the hard state, so its segment always stays. */
    if (c->cut || c->manifest.base_index == w->view.last)
        return w->durable_end.segment;
    if (!wal_places_find(&w->places, c->manifest.base_index + 1, &at, &next))
        return 0;
    /* An entry that is still queued has no place yet; what is found then lies before it. */
    ASSERT(at.segment <= w->durable_end.segment);
    return at.segment;
}

/* The segment where a start, which knows the base and nothing below it, can begin: not one that goes on
 * above the base, with entries that were replaced later, nor one whose beginning is damaged. */
static uint32_t start_segment(const struct wal *w)
{
    const raft_index next = w->base.manifest.base_index + 1;
    uint32_t i = oldest_alive(w);

    ASSERT(i < w->segment_count);
    /* Up to the cut all is dead and passed over; the oldest segment is where the log began so far. */
    while (i > 0 && (w->segment[i].first_number == 0 || w->segment[i].goes_on == 0 ||
                     (w->segment[i].goes_on > next && !w->base.cut)))
        i--;
    return i;
}

static void compose(struct wal *w)
{
    struct wal_base_change *c = &w->base;
    const struct wal_segment *start = &w->segment[start_segment(w)];

    ASSERT(w->oldest_number == c->barrier || planted(PLANTED_BASE_BEFORE_BATCHES));
    ASSERT(start->first_number > 0);
    c->manifest.number = w->manifest.number + 1;
    c->manifest.start_generation = start->generation;
    c->manifest.start_number = start->first_number;
    c->manifest.start_crc = start->first_crc;
    c->manifest.cut_number = c->cut ? c->barrier - 1 : w->manifest.cut_number;
    c->header = w->header;
    c->header.manifest = c->manifest;
    c->slot = wal_current(w)->slot;
    c->copy = 0;
    c->state = WAL_BASE_UNWRITTEN;
    segment_seal(&c->header);
    segment_encode(c->sector, &c->header);
    if (planted(PLANTED_CUT_BEFORE_MANIFEST))
        w->recycle.below_generation = c->manifest.start_generation;
}

static uint32_t write_copy(struct wal *w)
{
    struct wal_base_change *c = &w->base;
    const struct disk_op op = {
        .kind = w->options.sync_by_fsync ? DISK_OP_WRITE : DISK_OP_WRITE_DSYNC,
        .slot = c->slot,
        .offset = (uint64_t)c->copy * DISK_SECTOR,
        .bytes = c->sector,
        .length = DISK_SECTOR,
        .cookie = wal_cookie(WAL_OP_BASE, 0),
    };

    ASSERT(c->copy < SEGMENT_COPIES);
    if (disk_submit(w->disk, &op) != 0)
        return 0;
    c->state = WAL_BASE_WRITING;
    return 1;
}

static uint32_t sync_copy(struct wal *w)
{
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->base.slot,
        .cookie = wal_cookie(WAL_OP_BASE, 0),
    };

    ASSERT(w->options.sync_by_fsync);
    if (disk_submit(w->disk, &op) != 0)
        return 0;
    w->base.state = WAL_BASE_SYNCING;
    return 1;
}

uint32_t wal_base_poll(struct wal *w)
{
    struct wal_base_change *c = &w->base;

    switch (c->state) {
    case WAL_BASE_WAITS:
        if (w->oldest_number < c->barrier)
            return 0;
        compose(w);
        return write_copy(w);
    case WAL_BASE_UNWRITTEN:
        return write_copy(w);
    case WAL_BASE_UNSYNCED:
        return sync_copy(w);
    default:
        return 0;
    }
}

static void on_copy_durable(struct wal *w)
{
    struct wal_base_change *c = &w->base;

    w->manifest = c->manifest;
    c->barrier = 0;
    if (wal_current(w)->slot == c->slot)
        w->header = c->header;
    c->copy++;
    if (c->copy < SEGMENT_COPIES) {
        c->state = WAL_BASE_UNWRITTEN;
        return;
    }
    c->state = WAL_BASE_NONE;
    w->recycle.below_generation =
        c->manifest.start_generation + (planted(PLANTED_RECYCLED_TOO_EARLY) ? 1 : 0);
    if (w->snapshots != NULL)
        snapshot_on_manifest(w->snapshots);
}

void wal_base_on_done(struct wal *w, int64_t result)
{
    struct wal_base_change *c = &w->base;
    const bool written = c->state == WAL_BASE_WRITING;

    ASSERT(written || c->state == WAL_BASE_SYNCING);
    if (result != (written ? DISK_SECTOR : 0)) {
        wal_fail(w, result);
        return;
    }
    if (written && w->options.sync_by_fsync)
        c->state = WAL_BASE_UNSYNCED;
    else
        on_copy_durable(w);
}
