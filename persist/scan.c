/* persist/scan.c: reading whole segments at a start, through one large window.
 *
 * A read that fails concerns just the sectors that fail: they are tried one by one, are zeros if they
 * can't be read, and are counted, because a start must not take them for the end of the log.
 */
#include "persist/wal_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

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

static void read_by_sector(struct wal_scan *s, struct disk_op op, struct wal_place place,
                           uint64_t length)
{
    ASSERT(length <= s->window_bytes_max);
    op.length = DISK_SECTOR;
    for (uint64_t at = 0; at < length; at += DISK_SECTOR) {
        if (wal_do(s->wal, &op) != DISK_SECTOR) {
            memset(op.bytes, 0, DISK_SECTOR);
            note_unreadable(s, (struct wal_place){place.segment, op.offset});
        }
        op.bytes += DISK_SECTOR;
        op.offset += DISK_SECTOR;
    }
}

static void fill(struct wal_scan *s, struct wal_place place, uint64_t length)
{
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = s->wal->segment[place.segment].slot,
        .offset = place.offset,
        .bytes = s->window,
        .length = length,
    };

    ASSERT(length > 0);
    ASSERT(length <= s->window_bytes_max);
    if (wal_do(s->wal, &op) != (int64_t)length)
        read_by_sector(s, op, place, length);
    s->place = place;
    s->bytes = length;
    s->bytes_read += length;
}

uint8_t *wal_scan_at(struct wal_scan *s, struct wal_place place, uint64_t need, uint64_t limit)
{
    ASSERT(place.offset % DISK_SECTOR == 0);
    ASSERT(limit % DISK_SECTOR == 0);
    if (place.offset > limit || need > limit - place.offset || need > s->window_bytes_max)
        return NULL;
    const bool inside = s->bytes > 0 && place.segment == s->place.segment &&
                        place.offset >= s->place.offset &&
                        place.offset + need <= s->place.offset + s->bytes;
    if (!inside) {
        const uint64_t rest = limit - place.offset;
        fill(s, place, rest < s->window_bytes_max ? rest : s->window_bytes_max);
    }
    return s->window + (place.offset - s->place.offset);
}

void wal_scan_forget(struct wal_scan *s)
{
    s->bytes = 0;
}
