/* persist/reader.c: old records back from disk, for peers that are far behind and for a store that is
 * filled after a start.
 *
 * From the nearest known place the batches are walked forward, through one window that is kept
 * between reads (what is durable never changes), so a follower that catches up costs one disk read
 * per window and not per request. Who reads on where the last read ended has what follows read ahead.
 * Records that were replaced still stand there: what is served is the record with the index and the term
 * that were asked for, which is unique. Every header is checked against its place and every served record
 * by its own checksums. Damaged sectors are stepped over: they are the trouble of who wants what stands
 * there, not of his neighbours.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

enum {
    READ_BEHIND = 16 * DISK_SECTOR,
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
    if (r->read != NULL)
        return -EAGAIN;
    read->count = 0;
    read->length = 0;
    read->result = 0;
    r->read = read;
    r->reads_on = read->first == r->next;
    r->reads_ahead = r->reads_on && !read->background;
    r->next = read->first;
    r->damage = 0;
    r->careful = false;
    const struct wal_place left = r->left;
    r->left.segment = UINT32_MAX;
    const struct wal_fill *fill = wal_holes_find(&w->holes, read->first);
    r->last = wal_holes_limit(&w->holes, read->first, read->last);
    r->in_fill = fill != NULL;
    if (fill != NULL) { /* it stands in that batch and nowhere else */
        r->at = r->stop = fill->place;
        r->stop.offset += DISK_SECTOR;
    } else if (r->last < read->first) {
        read->result = -EBADMSG;
    } else if (read->first <= w->manifest.base_index ||
               !wal_places_find(&w->places, read->first, &r->at, &r->stop)) {
        read->result = -ENOENT;
    } else if (r->reads_on && wal_place_before(r->at, left) && wal_place_before(left, r->stop)) {
        r->at = left; /* what stands in front of it was looked at, and is older */
    }
    return 0;
}

static enum reader_step finish(struct wal_reader *r, int result)
{
    ASSERT(r->read != NULL);
    r->wants = false;
    if (result == -ENOENT && r->damage != 0)
        result = r->damage; /* it may have stood there */
    if (r->damage != 0 || result == -EBADMSG)
        wal_window_drop(&r->window); /* who asks again is told by the disk */
    /* What was found before the trouble is good; the next read meets the trouble first. */
    r->read->result = r->read->count > 0 ? 0 : result;
    /* Else r->at is behind everything, and the next read would look at nothing. */
    const bool reached = result == 0 || result == -ENOBUFS;
    if (r->read->count > 0 && reached && !r->in_fill)
        r->left = r->at;
    r->read = NULL;
    return READER_FINISHED;
}

/* The end of what is durable and alive in a segment. */
static uint64_t live_end(const struct wal *w, uint32_t segment)
{
    ASSERT(segment < w->segment_count);
    if (segment == w->durable_end.segment)
        return w->durable_end.offset;
    return segment < w->durable_end.segment ? w->segment[segment].end : 0;
}

void wal_reader_shift(struct wal *w)
{
    struct wal_reader *r = &w->reader;
    struct wal_window *v = &r->window;

    ASSERT(v->reading == 0);
    if (v->place.segment == 0)
        wal_window_begin(v, v->place);
    else
        v->place.segment--;
    if (r->left.segment == 0)
        r->left.segment = UINT32_MAX;
    else if (r->left.segment != UINT32_MAX)
        r->left.segment--;
    if (r->at.segment > 0)
        r->at.segment--;
    else if (r->read != NULL)
        r->read->result = -ENOENT; /* what is asked for has left the log meanwhile */
    if (r->stop.segment != UINT32_MAX && r->stop.segment > 0)
        r->stop.segment--;
}

static void end_share(struct wal *w)
{
    if (w->reader.shared)
        share_end(&w->share, SHARE_READS, w->now_ns);
    w->reader.shared = false;
}

/* Brings `length` bytes behind those in the window, or as many as there are. */
static void submit(struct wal *w, uint64_t length, bool background)
{
    struct wal_reader *r = &w->reader;
    struct wal_window *v = &r->window;
    struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = w->segment[v->place.segment].slot,
        .cookie = wal_cookie(WAL_OP_READ, 0),
    };

    ASSERT(!r->shared);
    r->wants = background && !share_take(&w->share, SHARE_READS, w->now_ns);
    if (r->wants)
        return;
    r->shared = background;
    if (wal_window_read(v, length, live_end(w, v->place.segment), &op) > 0 &&
        disk_submit(w->disk, &op) == 0) {
        disk_send(w->disk);
        return;
    }
    if (v->reading > 0)
        wal_window_on_read(v, false);
    end_share(w);
}

/* Brings the batch at r->at, or the beginning of it, into the window. */
static enum reader_step fetch(struct wal *w, uint64_t need)
{
    struct wal_reader *r = &w->reader;
    uint64_t length = (uint64_t)r->read->size / DISK_SECTOR * DISK_SECTOR + READ_BEHIND;

    if (r->window.reading > 0) { /* and waits for that first */
        MARK_IF(r->reads_ahead, READ_AHEAD_AWAITED);
        return READER_WAITS;
    }
    if (!wal_window_pass(&r->window, r->at))
        wal_window_begin(&r->window, r->at);
    const uint64_t missing = need - wal_window_valid(&r->window);
    if (r->reads_on && (length < READ_ON || r->reads_ahead))
        length = READ_ON;
    length = length < w->options.batch_bytes ? length : w->options.batch_bytes;
    if (r->read->background && length > SHARE_BYTES_MAX)
        length = SHARE_BYTES_MAX;
    length = length > missing && !r->careful ? length : missing;
    ASSERT(missing > 0);
    ASSERT(missing <= need);
    r->needed_bytes = need;
    submit(w, length, r->read->background);
    return READER_WAITS; /* or, if it could not be submitted now, the next poll tries again */
}

/* What will be wanted next, while the caller is busy with what there is. */
static void read_ahead(struct wal *w)
{
    struct wal_reader *r = &w->reader;

    if (!r->reads_ahead || r->careful || r->window.reading > 0 ||
        !wal_window_pass(&r->window, r->at) || !wal_window_is_low(&r->window))
        return;
    submit(w, READ_ON < w->options.batch_bytes ? READ_ON : w->options.batch_bytes, false);
}

void wal_reader_on_done(struct wal *w, int64_t result)
{
    struct wal_reader *r = &w->reader;
    const bool whole = result == (int64_t)r->window.reading;

    end_share(w);
    wal_window_on_read(&r->window, whole);
    if (whole) {
        read_ahead(w);
    } else if (!r->careful) {
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
    while (r->at.segment < w->durable_end.segment && r->at.offset >= live_end(w, r->at.segment))
        r->at = (struct wal_place){.segment = r->at.segment + 1, .offset = SEGMENT_DATA_OFFSET};
    const bool past = r->read->count == 0 && !wal_place_before(r->at, r->stop);
    if (past || !wal_place_before(r->at, w->durable_end))
        return finish(r, -ENOENT);

    const uint8_t *bytes = wal_window_at(&r->window, r->at, DISK_SECTOR);
    if (bytes == NULL)
        return fetch(w, DISK_SECTOR);
    const struct batch_place place = wal_batch_place(w, r->at);
    if (!batch_check_header(bytes, &place, &h)) {
        r->damage = -EBADMSG;
        r->at.offset += DISK_SECTOR;
        return READER_GOES_ON;
    }
    const uint64_t total = batch_bytes(h.record_bytes);
    if (total > WAL_BATCH_BYTES_MAX || r->at.offset + total > live_end(w, r->at.segment))
        return finish(r, -EBADMSG);
    bytes = wal_window_at(&r->window, r->at, total);
    if (bytes == NULL)
        return fetch(w, total);
    return take_records(w, bytes + BATCH_HEADER_BYTES, &h);
}

uint64_t wal_reader_next_ns(const struct wal *w)
{
    ASSERT(!w->reader.wants || w->reader.window.reading == 0);
    return w->reader.wants ? share_next_ns(&w->share) : UINT64_MAX;
}

bool wal_read_poll(struct wal *w)
{
    struct wal_reader *r = &w->reader;

    ASSERT(r->read != NULL);
    if (r->read->result != 0)
        return finish(r, r->read->result) == READER_FINISHED;
    /* The window bounds the work of one poll. */
    enum reader_step next = READER_GOES_ON;
    while (next == READER_GOES_ON) {
        next = step(w);
        read_ahead(w);
    }
    return next == READER_FINISHED;
}
