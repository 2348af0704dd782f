/* persist/snapshot_reader.c: chunks of the current snapshot back from disk, and put right again.
 *
 * The table of checksums was compared with the digest at the start, or follows from what was written. So
 * a chunk that has its checksum is the true one, whoever wrote the file since; and what is
 * brought to repair one is the true one likewise, whoever brings it.
 */
#include "persist/snapshot_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

/* 0, or why this can't be read. */
static int refusal(const struct snapshots *s, const struct snapshot_read *read)
{
    const struct snapshot_header *h = &s->current.header;

    ASSERT(read->index > 0);
    if (read->index != s->w->manifest.snapshot_index)
        return -ENOENT;
    if (s->condition != SNAPSHOT_WHOLE)
        return -EBADMSG;
    return read->chunk < snapshot_chunk_count(h->bytes, h->chunk_bytes) ? 0 : -ENOENT;
}

int snapshot_read_begin(struct snapshots *s, struct snapshot_read *read)
{
    struct snapshot_reader *r = &s->reader;

    ASSERT(read->index > 0);
    ASSERT(read->content != NULL);
    if (r->read != NULL || r->in_flight)
        return -EAGAIN;
    r->read = read;
    r->completed = false;
    read->length = 0;
    read->offset = 0;
    read->span = 0;
    read->result = 0;
    return 0;
}

uint32_t snapshot_reader_poll(struct snapshots *s)
{
    struct snapshot_reader *r = &s->reader;

    if (r->read == NULL || r->in_flight || r->completed || refusal(s, r->read) != 0)
        return 0;
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = s->current.slot,
        .offset = snapshot_chunk_offset(&s->current.header, r->read->chunk),
        .bytes = r->bytes,
        .length = snapshot_chunk_span(&s->current.header, r->read->chunk),
        .cookie = snapshot_cookie(SNAPSHOT_OP_READ),
    };
    ASSERT(op.length <= s->options.chunk_bytes);
    r->in_flight = snapshot_submit(s, &op);
    return r->in_flight ? 1 : 0;
}

void snapshot_reader_on_read(struct snapshots *s, int64_t result)
{
    struct snapshot_reader *r = &s->reader;

    ASSERT(r->in_flight);
    ASSERT(!r->completed);
    r->in_flight = false;
    r->completed = true;
    r->result = result;
}

/* The bytes of the chunk are in the buffer, if the disk could read them. */
static int judge(struct snapshots *s, struct snapshot_read *read)
{
    const struct snapshot_reader *r = &s->reader;
    const struct snapshot_header *h = &s->current.header;

    ASSERT(r->completed);
    read->offset = snapshot_chunk_offset(h, read->chunk);
    read->span = snapshot_chunk_span(h, read->chunk);
    if (r->result != (int64_t)read->span)
        return r->result < 0 ? (int)r->result : -EIO;
    if (snapshot_checksum(r->bytes, read->span) != s->current.checksum[read->chunk] &&
        !planted(PLANTED_SNAPSHOT_CHUNK_UNCHECKED))
        return -EBADMSG;
    read->length = snapshot_chunk_length(h, read->chunk);
    memcpy(read->content, r->bytes, read->length);
    return 0;
}

bool snapshot_read_poll(struct snapshots *s)
{
    struct snapshot_reader *r = &s->reader;
    struct snapshot_read *read = r->read;

    ASSERT(read != NULL);
    if (r->in_flight)
        return false;
    read->result = refusal(s, read); /* another one may be current by now */
    if (read->result == 0 && !r->completed)
        return false;
    if (read->result == 0) {
        read->result = judge(s, read);
        s->counters.chunks_damaged += read->result != 0;
    }
    r->read = NULL;
    return true;
}

int snapshot_repair(struct snapshots *s, uint32_t chunk, const uint8_t *content, uint32_t length)
{
    struct snapshot_repair *r = &s->repair;
    const struct snapshot_header *h = &s->current.header;

    ASSERT(length > 0);
    if (s->condition != SNAPSHOT_WHOLE || chunk >= snapshot_chunk_count(h->bytes, h->chunk_bytes))
        return -ENOENT;
    if (r->state != SNAPSHOT_MEND_NONE)
        return -EAGAIN;
    if (length != snapshot_chunk_length(h, chunk))
        return -EINVAL;
    r->slot = s->current.slot;
    r->offset = snapshot_chunk_offset(h, chunk);
    r->span = snapshot_chunk_span(h, chunk);
    memcpy(r->bytes, content, length);
    memset(r->bytes + length, 0, r->span - length);
    if (snapshot_checksum(r->bytes, r->span) != s->current.checksum[chunk])
        return -EINVAL;
    r->state = SNAPSHOT_MEND_UNWRITTEN;
    r->result = 0;
    return 0;
}

uint32_t snapshot_repair_poll(struct snapshots *s)
{
    struct snapshot_repair *r = &s->repair;
    const bool dsync = !s->w->options.sync_by_fsync;
    const bool writes = r->state == SNAPSHOT_MEND_UNWRITTEN;
    const struct disk_op op = {
        .kind = !writes ? DISK_OP_SYNC
                : dsync ? DISK_OP_WRITE_DSYNC
                        : DISK_OP_WRITE,
        .slot = r->slot,
        .offset = writes ? r->offset : 0,
        .bytes = writes ? r->bytes : NULL,
        .length = writes ? r->span : 0,
        .cookie = snapshot_cookie(SNAPSHOT_OP_REPAIR),
    };

    if ((!writes && r->state != SNAPSHOT_MEND_UNSYNCED) || !snapshot_submit(s, &op))
        return 0;
    ASSERT(r->slot == s->current.slot);
    r->state = writes ? SNAPSHOT_MEND_WRITING : SNAPSHOT_MEND_SYNCING;
    return 1;
}

void snapshot_repair_on_done(struct snapshots *s, int64_t result)
{
    struct snapshot_repair *r = &s->repair;
    const bool written = r->state == SNAPSHOT_MEND_WRITING;

    ASSERT(written || r->state == SNAPSHOT_MEND_SYNCING);
    if (result != (written ? (int64_t)r->span : 0)) {
        r->state = SNAPSHOT_MEND_NONE;
        r->result = snapshot_lacks_room(s, result) ? (int)result : -EIO;
        return;
    }
    if (written && s->w->options.sync_by_fsync) {
        r->state = SNAPSHOT_MEND_UNSYNCED;
        return;
    }
    r->state = SNAPSHOT_MEND_NONE;
    s->counters.chunks_repaired++;
}

int snapshot_repair_result(const struct snapshots *s)
{
    ASSERT(s->repair.result <= 0);
    return s->repair.state == SNAPSHOT_MEND_NONE ? s->repair.result : 1;
}
