/* persist/scan.c: reading whole segments at a start, through one large window.
 *
 * While the caller looks at what is there, the next piece of the segment is read: checking a log takes a
 * quarter of the time that the disk needs for it. One read at a time is all that a disk gains from.
 *
 * A read that fails concerns just the sectors that fail: they are tried one by one, are zeros if they
 * can't be read, and are counted, because a start must not take them for the end of the log.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

enum { PIECES = 8 }; /* of the window: one is read at once */

int64_t wal_do(struct wal *w, const struct disk_op *op)
{
    ASSERT(disk_in_flight(w->disk) == 0);
    const int submitted = disk_submit(w->disk, op);
    if (submitted != 0)
        return submitted;
    const struct disk_done done = disk_wait(w->disk);
    ASSERT(done.cookie == op->cookie);
    return done.result;
}

int wal_do_write(struct wal *w, const struct disk_op *op)
{
    ASSERT(op->length > 0);
    struct disk_op write = *op;
    write.kind = w->options.sync_by_fsync ? DISK_OP_WRITE : DISK_OP_WRITE_DSYNC;
    const int64_t written = wal_do(w, &write);
    if (written != (int64_t)op->length)
        return written < 0 ? (int)written : -EIO;
    if (!w->options.sync_by_fsync)
        return 0;
    const struct disk_op sync = {.kind = DISK_OP_SYNC, .slot = op->slot};
    return (int)wal_do(w, &sync);
}

static void note_unreadable(struct wal_scan *s, struct wal_place place)
{
    ASSERT(place.offset % DISK_SECTOR == 0);
    if (planted(PLANTED_UNREADABLE_IS_EMPTY))
        return;
    s->unreadable++;
    if (place.offset >= SEGMENT_DATA_OFFSET && wal_place_before(s->unreadable_last, place))
        s->unreadable_last = place;
}

static void read_by_sector(struct wal_scan *s, uint32_t segment, struct disk_op op)
{
    const uint64_t end = op.offset + op.length;

    ASSERT(op.length % DISK_SECTOR == 0);
    for (op.length = DISK_SECTOR; op.offset < end; op.offset += DISK_SECTOR) {
        if (wal_do(s->wal, &op) != DISK_SECTOR) {
            memset(op.bytes, 0, DISK_SECTOR);
            note_unreadable(s, (struct wal_place){segment, op.offset});
        }
        op.bytes += DISK_SECTOR;
    }
}

void wal_scan_init(struct wal_scan *s, struct wal *w)
{
    *s = (struct wal_scan){
        .wal = w,
        .window = {.memory = w->buffer[0].bytes,
                   .size = (uint64_t)w->options.buffer_count * w->options.batch_bytes},
    };
    wal_scan_forget(s);
}

static struct disk_op read_of(const struct wal_scan *s, uint32_t segment)
{
    return (struct disk_op){
        .kind = DISK_OP_READ,
        .slot = s->wal->segment[segment].slot,
        .cookie = wal_cookie(WAL_OP_READ, 0),
    };
}

/* Begins to read what follows the window: at least what is missing of `need`. */
static void begin_read(struct wal_scan *s, uint64_t need, uint64_t limit)
{
    struct wal_window *v = &s->window;
    const uint64_t piece = v->size / PIECES / DISK_SECTOR * DISK_SECTOR;
    const uint64_t valid = wal_window_valid(v);
    const uint64_t missing = need > valid ? need - valid : 0;
    struct disk_op op = read_of(s, v->place.segment);

    if (wal_window_read(v, missing > piece ? missing : piece, limit, &op) == 0)
        return;
    ASSERT(op.length >= missing || op.offset + op.length == limit);
    const int submitted = disk_submit(s->wal->disk, &op);
    ASSERT(submitted == 0); /* nothing else is in flight at a start */
    disk_send(s->wal->disk);
}

void wal_scan_settle(struct wal_scan *s)
{
    struct wal_window *v = &s->window;

    if (v->reading == 0)
        return;
    const struct disk_done done = disk_wait(s->wal->disk);
    ASSERT(done.cookie == wal_cookie(WAL_OP_READ, 0));
    if (done.result != (int64_t)v->reading) {
        struct disk_op op = read_of(s, v->place.segment);
        op.offset = v->place.offset + wal_window_valid(v);
        op.bytes = v->memory + v->end;
        op.length = v->reading;
        read_by_sector(s, v->place.segment, op);
    }
    s->bytes_read += v->reading;
    wal_window_on_read(v, true);
}

void wal_scan_forget(struct wal_scan *s)
{
    if (s->window.reading > 0) {
        (void)disk_wait(s->wal->disk);
        wal_window_on_read(&s->window, false);
    }
    wal_window_begin(&s->window, (struct wal_place){.segment = UINT32_MAX});
}

uint8_t *wal_scan_at(struct wal_scan *s, struct wal_place place, uint64_t need, uint64_t limit)
{
    struct wal_window *v = &s->window;

    ASSERT(place.offset % DISK_SECTOR == 0);
    ASSERT(limit % DISK_SECTOR == 0);
    if (place.offset > limit || need > limit - place.offset || need > v->size)
        return NULL;
    if (!wal_window_pass(v, place)) {
        wal_scan_forget(s);
        wal_window_begin(v, place);
    }
    while (wal_window_at(v, place, need) == NULL) { /* twice: what is in flight, and the rest */
        if (v->reading == 0)
            begin_read(s, need, limit);
        wal_scan_settle(s);
    }
    if (v->reading == 0 && wal_window_is_low(v))
        begin_read(s, 0, limit);
    return wal_window_at(v, place, need);
}

void wal_scan_read(struct wal_scan *s, struct wal_place place, uint8_t *bytes, uint64_t length)
{
    struct disk_op op = read_of(s, place.segment);

    ASSERT(length % DISK_SECTOR == 0);
    wal_scan_settle(s);
    op.offset = place.offset;
    op.bytes = bytes;
    op.length = length;
    if (wal_do(s->wal, &op) != (int64_t)length)
        read_by_sector(s, place.segment, op);
    s->bytes_read += length;
}
