/* persist/reader.c: old records back from disk, for peers that are far behind.
 *
 * From the nearest known place the batches are walked forward, through one window that is kept
 * between reads (what is durable never changes), so a follower that catches up costs one disk read
 * per window and not per request. Records that were replaced still stand there: what is served is
 * the record with the index and the term that were asked for, which is unique. Every header is
 * checked against its place and every served record by its own checksums. Damaged sectors are stepped
 * over: they are the trouble of who wants what stands there, not of his neighbours.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

enum {
    READ_AHEAD = 16 * DISK_SECTOR,
    /* For who reads on where the last read ended, as a store does that is filled after a start: as fast
     * as the device reads at all, and a flush that comes behind it waits some 1.5 ms at most. */
    READ_ON = 256 * DISK_SECTOR,
};

enum reader_step { READER_FINISHED, READER_WAITS, READER_GOES_ON };

int wal_read_begin(struct wal *w, struct wal_read *read)
{
    struct wal_reader *r = &w->reader;

    ASSERT(read->first > 0);
    ASSERT(read->first <= read->last);
    if (r->read != NULL || r->in_flight)
        return -EAGAIN;
    read->count = 0;
    read->length = 0;
    read->result = 0;
    r->read = read;
    r->reads_on = read->first == r->next;
    r->next = read->first;
    r->damage = 0;
    r->careful = false;
    const struct wal_fill *fill = wal_holes_find(&w->holes, read->first);
    r->last = wal_holes_limit(&w->holes, read->first, read->last);
    if (fill != NULL) { /* it stands in that batch and nowhere else */
        r->at = r->stop = fill->place;
        r->stop.offset += DISK_SECTOR;
    } else if (r->last < read->first) {
        read->result = -EBADMSG;
    } else if (read->first <= w->manifest.base_index ||
               !wal_places_find(&w->places, read->first, &r->at, &r->stop)) {
        read->result = -ENOENT;
    }
    return 0;
}

static enum reader_step finish(struct wal_reader *r, int result)
{
    ASSERT(r->read != NULL);
    ASSERT(!r->in_flight);
    r->wants = false;
    if (result == -ENOENT && r->damage != 0)
        result = r->damage; /* it may have stood there */
    if (r->damage != 0 || result == -EBADMSG)
        r->window_bytes = 0; /* who asks again is told by the disk */
    /* What was found before the trouble is good; the next read meets the trouble first. */
    r->read->result = r->read->count > 0 ? 0 : result;
    r->read = NULL;
    return READER_FINISHED;
}

/* The end of what is durable and alive in the segment of r->at. */
static uint64_t live_end(const struct wal *w, const struct wal_reader *r)
{
    ASSERT(r->at.segment < w->segment_count);
    if (r->at.segment == w->durable_end.segment)
        return w->durable_end.offset;
    return r->at.segment < w->durable_end.segment ? w->segment[r->at.segment].end : 0;
}

void wal_reader_shift(struct wal *w)
{
    struct wal_reader *r = &w->reader;

    ASSERT(!r->in_flight);
    if (r->window_place.segment == 0)
        r->window_bytes = 0;
    else
        r->window_place.segment--;
    if (r->read == NULL)
        return;
    if (r->at.segment == 0)
        r->read->result = -ENOENT; /* what is asked for has left the log meanwhile */
    else
        r->at.segment--;
    if (r->stop.segment != UINT32_MAX && r->stop.segment > 0)
        r->stop.segment--;
}

static const uint8_t *window_at(const struct wal_reader *r, uint64_t need)
{
    ASSERT(!r->in_flight);
    ASSERT(need % DISK_SECTOR == 0);
    if (r->at.segment != r->window_place.segment || r->at.offset < r->window_place.offset)
        return NULL;
    const uint64_t skip = r->at.offset - r->window_place.offset;
    return skip + need <= r->window_bytes ? r->window + skip : NULL;
}

static void end_share(struct wal *w)
{
    if (w->reader.shared)
        share_end(&w->share, SHARE_READS, w->now_ns);
    w->reader.shared = false;
}

/* False: not now. */
static bool submit(struct wal *w, const struct disk_op *op)
{
    struct wal_reader *r = &w->reader;

    ASSERT(!r->shared);
    r->wants = r->read->background && !share_take(&w->share, SHARE_READS, w->now_ns);
    if (r->wants)
        return false;
    r->shared = r->read->background;
    if (disk_submit(w->disk, op) == 0)
        return true;
    end_share(w);
    return false;
}

/* Brings the batch at r->at, or the beginning of it, into the window. */
static enum reader_step fetch(struct wal *w, uint64_t need)
{
    struct wal_reader *r = &w->reader;
    const uint64_t rest = live_end(w, r) - r->at.offset;
    uint64_t length = (uint64_t)r->read->size / DISK_SECTOR * DISK_SECTOR + READ_AHEAD;

    if (r->reads_on && length < READ_ON)
        length = READ_ON;
    length = length < w->options.batch_bytes ? length : w->options.batch_bytes;
    if (r->read->background && length > SHARE_BYTES_MAX)
        length = SHARE_BYTES_MAX;
    length = length > need && !r->careful ? length : need;
    length = length < rest ? length : rest;
    ASSERT(length >= need);
    ASSERT(length <= WAL_BATCH_BYTES_MAX);
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = w->segment[r->at.segment].slot,
        .offset = r->at.offset,
        .bytes = r->window,
        .length = length,
        .cookie = wal_cookie(WAL_OP_READ, 0),
    };
    if (!submit(w, &op))
        return READER_WAITS; /* the next poll tries again */
    disk_send(w->disk);
    r->in_flight = true;
    r->window_bytes = 0;
    r->window_place = r->at;
    r->wanted_bytes = length;
    r->needed_bytes = need;
    return READER_WAITS;
}

void wal_reader_on_done(struct wal *w, int64_t result)
{
    struct wal_reader *r = &w->reader;

    ASSERT(r->in_flight);
    r->in_flight = false;
    end_share(w);
    if (result == (int64_t)r->wanted_bytes) {
        r->window_bytes = r->wanted_bytes;
    } else if (r->wanted_bytes > r->needed_bytes) {
        r->careful = true; /* the sector that can't be read may be one that nobody needs */
    } else if (r->read != NULL) {
        r->damage = result < 0 ? (int)result : -EIO;
        r->at.offset += r->needed_bytes;
    }
}

/* Serves the records of the batch at r->at that are wanted. */
static enum reader_step take_records(struct wal *w, const uint8_t *records,
                                     const struct batch_header *h)
{
    const uint32_t length = h->record_bytes;
    struct wal_reader *r = &w->reader;
    struct wal_read *read = r->read;
    uint32_t at = 0;
    uint32_t bytes;

    ASSERT(h->generation == w->segment[w->reader.at.segment].generation);
    for (; at < length; at += bytes) {
        const struct record_header *record = record_at(records + at);
        if (record_check_header(record, length - at, w->options.cluster) != RECORD_OK ||
            record_bytes(record->payload_bytes) > length - at) {
            r->damage = -EBADMSG; /* and so is what follows in this batch */
            break;
        }
        bytes = record_bytes(record->payload_bytes);
        MARK_IF(record->index == r->next && record->term != read->term, READ_REPLACED);
        const bool wanted_term = record->term == read->term || planted(PLANTED_READ_BY_INDEX);
        if (record->index == r->next && wanted_term) {
            if (record_check(record, bytes, w->options.cluster) != RECORD_OK)
                return finish(r, -EBADMSG);
            if (read->length + bytes > read->size)
                return finish(r, -ENOBUFS);
            memcpy(read->bytes + read->length, record, bytes);
            read->length += bytes;
            read->count++;
            if (r->next++ == r->last)
                return finish(r, 0);
        }
    }
    r->at.offset += batch_bytes(length);
    return READER_GOES_ON;
}

/* One batch, or one disk read on the way to it. */
static enum reader_step step(struct wal *w)
{
    struct wal_reader *r = &w->reader;
    struct batch_header h;

    ASSERT(w->reader.at.offset % DISK_SECTOR == 0);
    /* More than one may have been left empty, by starts that crashed after their header. */
    while (r->at.segment < w->durable_end.segment && r->at.offset >= live_end(w, r))
        r->at = (struct wal_place){.segment = r->at.segment + 1, .offset = SEGMENT_DATA_OFFSET};
    const bool past = r->read->count == 0 && !wal_place_before(r->at, r->stop);
    if (past || !wal_place_before(r->at, w->durable_end))
        return finish(r, -ENOENT);

    const uint8_t *bytes = window_at(r, DISK_SECTOR);
    if (bytes == NULL)
        return fetch(w, DISK_SECTOR);
    const struct batch_place place = wal_batch_place(w, r->at);
    if (!batch_check_header(bytes, &place, &h)) {
        r->damage = -EBADMSG;
        r->at.offset += DISK_SECTOR;
        return READER_GOES_ON;
    }
    const uint64_t total = batch_bytes(h.record_bytes);
    if (total > WAL_BATCH_BYTES_MAX || r->at.offset + total > live_end(w, r))
        return finish(r, -EBADMSG);
    bytes = window_at(r, total);
    if (bytes == NULL)
        return fetch(w, total);
    return take_records(w, bytes + BATCH_HEADER_BYTES, &h);
}

uint64_t wal_reader_next_ns(const struct wal *w)
{
    ASSERT(!w->reader.wants || !w->reader.in_flight);
    return w->reader.wants ? share_next_ns(&w->share) : UINT64_MAX;
}

bool wal_read_poll(struct wal *w)
{
    struct wal_reader *r = &w->reader;

    ASSERT(r->read != NULL);
    if (r->in_flight)
        return false;
    if (r->read->result != 0)
        return finish(r, r->read->result) == READER_FINISHED;
    /* The window bounds the work of one poll. */
    enum reader_step next = READER_GOES_ON;
    while (next == READER_GOES_ON)
        next = step(w);
    return next == READER_FINISHED;
}
