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

static uint64_t table_bytes(const struct snapshots *s)
{
    const struct snapshot_header *h = &s->current.header;

    ASSERT(h->bytes > 0);
    return snapshot_table_bytes(h->bytes, h->chunk_bytes);
}

/* 0, or why this can't be read. */
static int refusal(const struct snapshots *s, const struct snapshot_read *read)
{
    const struct snapshot_header *h = &s->current.header;

    ASSERT(read->index > 0);
    if (read->index != s->w->manifest.snapshot_index)
        return -ENOENT;
    if (s->condition != SNAPSHOT_WHOLE)
        return -EBADMSG;
    const uint64_t bytes = read->table ? table_bytes(s) : h->bytes;
    return read->chunk < snapshot_chunk_count(bytes, h->chunk_bytes) ? 0 : -ENOENT;
}

static struct snapshot_reader *reader_of(struct snapshots *s, const struct snapshot_read *read)
{
    ASSERT(read->index > 0);
    return read->background ? &s->reader : &s->load;
}

static bool is_in_flight(const struct snapshot_window *w)
{
    return w->state == SNAPSHOT_WINDOW_READING || w->state == SNAPSHOT_WINDOW_FORGOTTEN;
}

static void forget(struct snapshot_reader *r)
{
    ASSERT(r->window_count > 0);
    for (uint32_t i = 0; i < r->window_count; i++) {
        struct snapshot_window *w = &r->window[i];
        w->state = is_in_flight(w) ? SNAPSHOT_WINDOW_FORGOTTEN : SNAPSHOT_WINDOW_EMPTY;
    }
}

int snapshot_read_begin(struct snapshots *s, struct snapshot_read *read)
{
    struct snapshot_reader *r = reader_of(s, read);

    ASSERT(read->content != NULL);
    if (r->read != NULL)
        return -EAGAIN;
    r->read = read;
    read->length = 0;
    read->offset = 0;
    read->span = 0;
    read->result = 0;
    if (read->table)
        return 0;
    r->reads_on = read->chunk == r->next;
    r->next = read->chunk + 1;
    if (!r->reads_on)
        forget(r); /* who asks for a chunk again means the disk */
    r->careful = false;
    return 0;
}

/* The one that has this chunk, or will have it; NULL: none. */
static struct snapshot_window *window_of(struct snapshot_reader *r, uint32_t chunk)
{
    ASSERT(r->window_count <= SNAPSHOT_WINDOWS);
    for (uint32_t i = 0; i < r->window_count; i++) {
        struct snapshot_window *w = &r->window[i];
        const bool counts =
            w->state == SNAPSHOT_WINDOW_READING || w->state == SNAPSHOT_WINDOW_READ;
        if (counts && chunk >= w->first && chunk - w->first < w->count)
            return w;
    }
    return NULL;
}

/* Bytes of the file that a window reads. */
static uint32_t window_span(const struct snapshots *s, const struct snapshot_window *w)
{
    const struct snapshot_header *h = &s->current.header;

    ASSERT(w->count > 0);
    return (w->count - 1) * h->chunk_bytes + snapshot_chunk_span(h, w->first + w->count - 1);
}

/* Chunks from `first` on come into the window: as many as it holds for who reads on. */
static uint32_t fetch(struct snapshots *s, struct snapshot_reader *r, uint32_t i, uint32_t first)
{
    const struct snapshot_header *h = &s->current.header;
    struct snapshot_window *w = &r->window[i];
    const uint32_t rest = snapshot_chunk_count(h->bytes, h->chunk_bytes) - first;
    const uint32_t holds =
        r->reads_on && !r->careful ? s->options.write_bytes / h->chunk_bytes : 1;

    ASSERT(!is_in_flight(w));
    w->first = first;
    w->count = holds < rest ? holds : rest;
    w->state = SNAPSHOT_WINDOW_EMPTY;
    const bool loads = r == &s->load;
    const enum snapshot_op number = !loads   ? SNAPSHOT_OP_READ
                                    : i == 0 ? SNAPSHOT_OP_LOAD
                                             : SNAPSHOT_OP_LOAD_AHEAD;
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = s->current.slot,
        .offset = snapshot_chunk_offset(h, first),
        .bytes = w->bytes,
        .length = window_span(s, w),
        .cookie = snapshot_cookie(number),
    };
    ASSERT(op.length <= s->options.write_bytes);
    const bool submitted = loads ? disk_submit(s->w->disk, &op) == 0 : snapshot_submit(s, &op);
    if (submitted)
        w->state = SNAPSHOT_WINDOW_READING;
    return submitted;
}

/* The window that is filled next: one without a chunk that is asked for. */
static uint32_t idle_window(const struct snapshot_reader *r, const struct snapshot_window *busy)
{
    uint32_t i = 0;

    while (i < r->window_count && (&r->window[i] == busy || is_in_flight(&r->window[i])))
        i++;
    return i;
}

uint32_t snapshot_reader_poll(struct snapshots *s, struct snapshot_reader *r)
{
    const struct snapshot_header *h = &s->current.header;

    if (r->read == NULL || r->read->table || refusal(s, r->read) != 0)
        return 0;
    const struct snapshot_window *w = window_of(r, r->read->chunk);
    const uint32_t idle = idle_window(r, w);
    if (idle == r->window_count)
        return 0;
    if (w == NULL)
        return fetch(s, r, idle, r->read->chunk);
    const uint32_t behind = w->first + w->count;
    const bool ahead = r->reads_on && !r->careful && window_of(r, behind) == NULL &&
                       behind < snapshot_chunk_count(h->bytes, h->chunk_bytes);
    return ahead && r->window_count > 1 ? fetch(s, r, idle, behind) : 0;
}

void snapshot_reader_on_read(struct snapshots *s, enum snapshot_op op, int64_t result)
{
    struct snapshot_window *w = op == SNAPSHOT_OP_READ   ? &s->reader.window[0]
                                : op == SNAPSHOT_OP_LOAD ? &s->load.window[0]
                                                         : &s->load.window[1];

    ASSERT(is_in_flight(w));
    w->result = result;
    w->state =
        w->state == SNAPSHOT_WINDOW_READING ? SNAPSHOT_WINDOW_READ : SNAPSHOT_WINDOW_EMPTY;
}

bool snapshot_readers_rest(const struct snapshots *s)
{
    bool rest = !is_in_flight(&s->reader.window[0]);

    for (uint32_t i = 0; i < SNAPSHOT_WINDOWS; i++)
        rest = rest && !is_in_flight(&s->load.window[i]);
    return rest;
}

void snapshot_readers_forget(struct snapshots *s)
{
    forget(&s->reader);
    forget(&s->load);
}

/* The bytes of the chunk are in the window. */
static int judge(struct snapshots *s, const struct snapshot_window *w, struct snapshot_read *read)
{
    const struct snapshot_header *h = &s->current.header;

    ASSERT(w->state == SNAPSHOT_WINDOW_READ);
    read->offset = snapshot_chunk_offset(h, read->chunk);
    read->span = snapshot_chunk_span(h, read->chunk);
    if (w->result != (int64_t)window_span(s, w))
        return w->result < 0 ? (int)w->result : -EIO;
    const uint8_t *bytes = w->bytes + (size_t)(read->chunk - w->first) * h->chunk_bytes;
    if (snapshot_checksum(bytes, read->span) != s->current.checksum[read->chunk] &&
        !planted(PLANTED_SNAPSHOT_CHUNK_UNCHECKED))
        return -EBADMSG;
    read->length = snapshot_chunk_length(h, read->chunk);
    memcpy(read->content, bytes, read->length);
    return 0;
}

static void copy_table(const struct snapshots *s, struct snapshot_read *read)
{
    const uint32_t chunk_bytes = s->current.header.chunk_bytes;
    const uint64_t first = (uint64_t)read->chunk * chunk_bytes;
    const uint64_t left = table_bytes(s) - first;

    ASSERT(read->table);
    read->length = left < chunk_bytes ? (uint32_t)left : chunk_bytes;
    memcpy(read->content, (const uint8_t *)s->current.checksum + first, read->length);
}

bool snapshot_read_poll(struct snapshots *s, struct snapshot_read *read)
{
    struct snapshot_reader *r = reader_of(s, read);

    ASSERT(r->read == read);
    read->result = refusal(s, read); /* another one may be current by now */
    if (read->result == 0 && read->table) {
        copy_table(s, read);
    } else if (read->result == 0) {
        struct snapshot_window *w = window_of(r, read->chunk);
        if (w == NULL || w->state == SNAPSHOT_WINDOW_READING)
            return false;
        read->result = judge(s, w, read);
        if (read->result != 0) /* who asks again is not answered from here */
            w->state = SNAPSHOT_WINDOW_EMPTY;
        /* The sector that can't be read may be one that nobody needs. */
        r->careful = read->result != 0 && w->count > 1;
        if (r->careful)
            return false;
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
    snapshot_readers_forget(s);
    s->counters.chunks_repaired++;
}

int snapshot_repair_result(const struct snapshots *s)
{
    ASSERT(s->repair.result <= 0);
    return s->repair.state == SNAPSHOT_MEND_NONE ? s->repair.result : 1;
}
