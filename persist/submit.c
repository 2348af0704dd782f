/* persist/submit.c: batches get their place and are written and flushed.
 *
 * The open batch goes out as soon as fewer than options.flights batches are on their way, and when it is
 * full; everything that was appended meanwhile shares its flush. Batches get their place when they are
 * submitted, in order, so the chain of header checksums is the order on disk.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <string.h>

/* The place of the next batch of `bytes`; false: no segment is prepared for it. */
static bool place_next(struct wal *w, uint64_t bytes, struct wal_place *place)
{
    const struct wal_segment *s = wal_current(w);

    if (s->end + bytes > s->bytes) {
        if (w->prepare.ready_count == 0) {
            MARK(SEGMENT_AWAITED);
            return false;
        }
        MARK_IF(w->oldest_number < w->submit_number, ROLL_IN_FLIGHT);
        wal_roll(w);
        s = wal_current(w);
    }
    ASSERT(s->end + bytes <= s->bytes);
    *place = (struct wal_place){.segment = w->segment_count - 1, .offset = s->end};
    return true;
}

static void seal(struct wal *w, struct wal_buffer *b, uint64_t bytes)
{
    struct batch_header *h = &b->header;
    const uint64_t used = BATCH_HEADER_BYTES + h->record_bytes;

    ASSERT(b->place.segment < w->segment_count);
    ASSERT(w->durable_number < w->submit_number);
    h->kind = BATCH_NEW;
    h->incarnation = w->options.incarnation;
    h->boot = w->options.boot;
    h->node = w->options.node;
    h->generation = w->segment[b->place.segment].generation;
    h->offset = b->place.offset;
    h->number = w->submit_number;
    h->mark_seq = w->durable_seq;
    h->mark_number = planted(PLANTED_MARK_TOO_HIGH) ? w->submit_number - 1 : w->durable_number;
    h->previous_crc = w->previous_crc;
    batch_seal(h);
    memcpy(b->bytes, h, sizeof *h);
    memset(b->bytes + used, 0, bytes - used);
}

/* Places, seals and submits the batch submit_number; false: it can't go now. */
static bool submit_next(struct wal *w)
{
    struct wal_buffer *b = wal_buffer_of(w, w->submit_number);
    const uint64_t bytes = batch_bytes(b->header.record_bytes);

    ASSERT(w->submit_number <= w->open_number);
    if (!place_next(w, bytes, &b->place))
        return false;
    seal(w, b, bytes);
    const struct disk_op op = {
        .kind = w->options.sync_by_fsync || planted(PLANTED_DSYNC_LEFT_OUT) ? DISK_OP_WRITE
                                                                            : DISK_OP_WRITE_DSYNC,
        .slot = wal_current(w)->slot,
        .offset = b->place.offset,
        .bytes = b->bytes,
        .length = bytes,
        .cookie = wal_cookie(WAL_OP_BATCH_WRITE, w->submit_number),
    };
    if (disk_submit(w->disk, &op) != 0)
        return false; /* too many in flight: sealed anew when its turn comes again */

    if (b->state == WAL_BUFFER_CLOSED)
        w->closed_bytes -= bytes;
    else
        w->open_number++;
    b->state = WAL_BUFFER_WRITING;
    b->submitted_ns = w->now_ns;
    struct wal_segment *s = wal_current(w);
    if (s->first_number == 0) {
        s->first_number = w->submit_number;
        s->goes_on = wal_batch_goes_on(&b->header, b->bytes + BATCH_HEADER_BYTES);
        s->first_crc = w->previous_crc;
    }
    s->end += bytes;
    w->previous_crc = b->header.header_crc;
    w->submit_number++;
    w->flights += b->has_steps;
    w->counters.batches++;
    w->counters.bytes += bytes;
    if (b->first_index > 0)
        wal_places_add(&w->places, b->first_index, b->place);
    if (b->fills > 0)
        wal_holes_place(&w->holes, b->fills, b->place);
    return true;
}

static bool submit_due(struct wal *w)
{
    if (wal_base_holds(w, w->submit_number))
        return false;
    if (w->submit_number < w->open_number)
        return true; /* closed: full */
    return wal_is_filling(w) && w->flights < w->options.flights;
}

uint32_t wal_submit_batches(struct wal *w)
{
    uint32_t work = 0;

    ASSERT(w->failed == 0);
    while (submit_due(w) && submit_next(w))
        work++;
    return work;
}

bool wal_submit_mark(struct wal *w)
{
    ASSERT(w->oldest_number == w->open_number);
    struct wal_buffer *b = wal_open_buffer(w);
    ASSERT(b != NULL);
    ASSERT(!b->has_steps);
    wal_state_to_header(w, &b->header);
    MARK(IDLE_MARK);
    if (submit_next(w))
        return true;
    b->state = WAL_BUFFER_FREE;
    return false;
}

static uint32_t submit_sync(struct wal *w, uint64_t number)
{
    struct wal_buffer *b = wal_buffer_of(w, number);
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->segment[b->place.segment].slot,
        .cookie = wal_cookie(WAL_OP_BATCH_SYNC, number),
    };

    ASSERT(number < w->submit_number);
    const bool due = b->state == WAL_BUFFER_UNSYNCED ||
                     (planted(PLANTED_FLUSH_BESIDE_WRITE) && w->options.sync_by_fsync &&
                      b->state == WAL_BUFFER_WRITING);
    if (!due || disk_submit(w->disk, &op) != 0)
        return 0;
    b->state = WAL_BUFFER_SYNCING;
    return 1;
}

uint32_t wal_submit_syncs(struct wal *w)
{
    uint32_t work = 0;

    for (uint64_t number = w->oldest_number; number < w->submit_number; number++)
        work += submit_sync(w, number);
    return work;
}
