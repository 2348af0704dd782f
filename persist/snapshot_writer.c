/* persist/snapshot_writer.c: one file, from its first chunk to its name; or dropped.
 *
 * The diagram of the steps is in snapshot_internal.h. Chunks and the rows of the table are one stream,
 * written in blocks, in order, without flushes. The header comes when all of that has completed, then one
 * flush covers the whole file, and only then it gets the name by which a manifest may mean it. What has
 * not got so far is found by the next start under another name, and removed.
 */
#include "persist/snapshot_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

static bool may_begin(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;

    ASSERT(w->file.slot != s->current.slot);
    return w->step == SNAPSHOT_STEP_NONE && !w->submitted && s->old.state == SNAPSHOT_OLD_NONE &&
           s->repair.state == SNAPSHOT_MEND_NONE && s->now_ns >= w->retry_ns;
}

static void check_start(const struct snapshots *s, const struct snapshot_start *start)
{
    const struct segment_manifest *m = &s->w->manifest;
    const bool replaces = start->index == m->snapshot_index;

    ASSERT(start->index >= m->snapshot_index);
    ASSERT(start->term > 0);
    ASSERT(start->room > 0);
    ASSERT(start->config_bytes <= SNAPSHOT_CONFIG_BYTES_MAX);
    ASSERT(!replaces || s->condition != SNAPSHOT_NONE);
    ASSERT(!replaces || start->digest_known);
    ASSERT(!replaces || start->digest == m->snapshot_digest);
}

int snapshot_begin(struct snapshots *s, const struct snapshot_start *start)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;

    check_start(s, start);
    if (wal_failed(s->w) != 0 || !may_begin(s))
        return -EAGAIN;
    if (start->room > s->options.bytes_max)
        return -EFBIG;
    *h = (struct snapshot_header){
        .cluster = s->w->options.cluster,
        .index = start->index,
        .term = start->term,
        .chunk_bytes = s->options.chunk_bytes,
        .chain = start->chain,
        .config_index = start->config_index,
        .config_bytes = start->config_bytes,
    };
    if (start->config_bytes > 0)
        memcpy(h->config, start->config, start->config_bytes);
    w->may_be_named = false;
    w->is_last = false;
    w->ended = false;
    w->digest_known = start->digest_known;
    w->digest = start->digest;
    w->room = start->room;
    w->chunk_count = 0;
    w->row_next = 0;
    w->filling = 0;
    w->end = SNAPSHOT_DATA_OFFSET;
    w->failure = 0;
    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++)
        w->block[i] = (struct snapshot_block){.bytes = w->block[i].bytes};
    const bool clears =
        start->index == s->w->manifest.snapshot_index && s->condition != SNAPSHOT_MISSING;
    if (clears) /* whoever reads it is told that it is gone */
        s->condition = SNAPSHOT_MISSING;
    w->step = clears ? SNAPSHOT_STEP_CLEAR : SNAPSHOT_STEP_CREATE;
    return 0;
}

/* Room for `length` bytes at the end of the stream; NULL: both blocks are full. */
static uint8_t *block_take(struct snapshots *s, uint32_t length)
{
    struct snapshot_writer *w = &s->writer;
    const uint32_t size = s->options.write_bytes;
    struct snapshot_block *b = &w->block[w->filling];

    ASSERT(length <= size);
    if (b->state == SNAPSHOT_BLOCK_OPEN && b->length + length > size) {
        b->state = SNAPSHOT_BLOCK_CLOSED;
        w->filling = (w->filling + 1) % SNAPSHOT_BLOCKS;
        b = &w->block[w->filling];
    }
    if (b->state != SNAPSHOT_BLOCK_OPEN)
        return NULL;
    if (b->length == 0)
        b->offset = w->end;
    uint8_t *const bytes = b->bytes + b->length;
    b->length += length;
    w->end += length;
    return bytes;
}

static bool blocks_are_empty(const struct snapshot_writer *w)
{
    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++) {
        if (w->block[i].state != SNAPSHOT_BLOCK_OPEN || w->block[i].length > 0)
            return false;
    }
    return true;
}

static bool is_in_flight(const struct snapshot_writer *w)
{
    bool writes = w->submitted;

    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++)
        writes = writes || w->block[i].state == SNAPSHOT_BLOCK_WRITING;
    return writes;
}

/* It is not to be; the file goes when nothing is in flight to it any more. */
static void drop(struct snapshots *s, int failure)
{
    struct snapshot_writer *w = &s->writer;

    ASSERT(failure < 0);
    ASSERT(w->step != SNAPSHOT_STEP_NONE);
    if (w->step >= SNAPSHOT_STEP_DRAIN)
        return;
    w->failure = failure;
    w->dropped_at = w->step;
    w->step = SNAPSHOT_STEP_DRAIN;
}

int snapshot_append(struct snapshots *s, const uint8_t *content, uint32_t length)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;
    const uint32_t span = (length + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;

    ASSERT(length > 0);
    ASSERT(length <= s->options.chunk_bytes);
    if (snapshot_stage(s) != SNAPSHOT_TAKES)
        return -ECANCELED;
    ASSERT(!w->is_last);
    if (h->bytes + length > w->room) {
        drop(s, -EFBIG);
        return -EFBIG;
    }
    uint8_t *const bytes = block_take(s, span);
    if (bytes == NULL)
        return -EAGAIN;
    memcpy(bytes, content, length);
    memset(bytes + length, 0, span - length);
    w->file.checksum[w->chunk_count++] = snapshot_checksum(bytes, span);
    w->is_last = length < s->options.chunk_bytes;
    h->bytes += length;
    return 0;
}

/* All chunks are there, so the header is known. */
static void seal(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_header *h = &w->file.header;

    ASSERT(w->chunk_count == snapshot_chunk_count(h->bytes, h->chunk_bytes));
    snapshot_seal(h);
    h->digest = snapshot_digest(h, w->file.checksum);
    snapshot_seal(h);
}

int snapshot_end(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;

    if (snapshot_stage(s) != SNAPSHOT_TAKES)
        return -ECANCELED;
    ASSERT(w->chunk_count > 0);
    seal(s);
    if (w->digest_known && w->digest != w->file.header.digest) {
        drop(s, -EBADMSG);
        return -ECANCELED;
    }
    w->ended = true;
    if (w->step == SNAPSHOT_STEP_TAKE) /* else the file is not there yet: what was taken waits */
        w->step = SNAPSHOT_STEP_TABLE;
    return 0;
}

void snapshot_abandon(struct snapshots *s)
{
    const struct wal_base_change *c = &s->w->base;

    ASSERT(s->writer.step != SNAPSHOT_STEP_WAIT || c->state == WAL_BASE_NONE ||
           c->manifest.snapshot_index != s->writer.file.header.index);
    if (s->writer.step != SNAPSHOT_STEP_NONE)
        drop(s, -ECANCELED);
}

enum snapshot_stage snapshot_stage(const struct snapshots *s)
{
    switch (s->writer.step) {
    case SNAPSHOT_STEP_NONE:
        return SNAPSHOT_IDLE;
    case SNAPSHOT_STEP_CLEAR:
    case SNAPSHOT_STEP_CREATE:
    case SNAPSHOT_STEP_TAKE:
        return s->writer.ended ? SNAPSHOT_ENDS : SNAPSHOT_TAKES;
    case SNAPSHOT_STEP_TABLE:
    case SNAPSHOT_STEP_HEADER:
    case SNAPSHOT_STEP_SYNC:
    case SNAPSHOT_STEP_NAME:
        return SNAPSHOT_ENDS;
    case SNAPSHOT_STEP_WAIT:
        return SNAPSHOT_READY;
    case SNAPSHOT_STEP_DRAIN:
    case SNAPSHOT_STEP_DROP:
    case SNAPSHOT_STEP_DROP_NAMED:
        return SNAPSHOT_DROPS;
    }
    ASSERT(false);
    return SNAPSHOT_IDLE;
}

struct snapshot_progress snapshot_progress(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;

    ASSERT(w->file.header.bytes <= w->room);
    if (w->step == SNAPSHOT_STEP_NONE)
        return (struct snapshot_progress){0};
    return (struct snapshot_progress){
        .index = w->file.header.index,
        .bytes = w->file.header.bytes,
        .bytes_max = w->room,
    };
}

int snapshot_failure(const struct snapshots *s)
{
    return s->writer.failure;
}

const struct snapshot_header *snapshot_ready(const struct snapshots *s)
{
    return s->writer.step == SNAPSHOT_STEP_WAIT ? &s->writer.file.header : NULL;
}

/* Both copies of the table, one behind the other, as far as there is room in the blocks. */
static uint32_t put_rows(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const struct snapshot_header *h = &w->file.header;
    const uint32_t rows = snapshot_row_count(h->bytes, h->chunk_bytes);
    uint32_t put = 0;

    ASSERT(w->step == SNAPSHOT_STEP_TABLE);
    while (w->row_next < SNAPSHOT_COPIES * rows) {
        uint8_t *const sector = block_take(s, DISK_SECTOR);
        if (sector == NULL)
            break;
        snapshot_row_encode(sector, h, w->row_next % rows, w->file.checksum);
        w->row_next++;
        put++;
    }
    return put;
}

/* Full blocks go out; at the end also the one that is not. */
static uint32_t write_block(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const uint32_t other = (w->filling + 1) % SNAPSHOT_BLOCKS;
    const bool older = w->block[other].state == SNAPSHOT_BLOCK_CLOSED;
    struct snapshot_block *b = &w->block[older ? other : w->filling];

    ASSERT(b->length <= s->options.write_bytes);
    if (b->state == SNAPSHOT_BLOCK_WRITING || b->length == 0)
        return 0;
    if (b->state == SNAPSHOT_BLOCK_OPEN && w->step != SNAPSHOT_STEP_TABLE)
        return 0;
    const struct disk_op op = {
        .kind = DISK_OP_WRITE,
        .slot = w->file.slot,
        .offset = b->offset,
        .bytes = b->bytes,
        .length = b->length,
        .cookie = snapshot_cookie(SNAPSHOT_OP_BLOCK),
    };
    if (!snapshot_submit(s, &op))
        return 0;
    if (b->state == SNAPSHOT_BLOCK_OPEN)
        w->filling = other;
    b->state = SNAPSHOT_BLOCK_WRITING;
    return 1;
}

void snapshot_writer_on_block(struct snapshots *s, int64_t result)
{
    struct snapshot_writer *w = &s->writer;
    struct snapshot_block *b = &w->block[0];

    if (b->state != SNAPSHOT_BLOCK_WRITING)
        b = &w->block[1];
    ASSERT(b->state == SNAPSHOT_BLOCK_WRITING);
    const bool whole = result == (int64_t)b->length;
    b->state = SNAPSHOT_BLOCK_OPEN;
    b->length = 0;
    if (!whole && snapshot_lacks_room(s, result))
        drop(s, (int)result);
}

/* The operation of a step; what it acts on is the file under its first name, unless it says so. */
static struct disk_op step_op(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;
    const struct snapshot_header *h = &w->file.header;
    struct disk_op op = {.slot = w->file.slot, .cookie = snapshot_cookie(SNAPSHOT_OP_STEP)};

    ASSERT(!w->submitted);
    memcpy(op.name, SNAPSHOT_NAME_MAKING, sizeof SNAPSHOT_NAME_MAKING);
    switch (w->step) {
    case SNAPSHOT_STEP_CLEAR:
        op.kind = DISK_OP_REMOVE;
        op.slot = s->current.slot;
        snapshot_name(op.name, h->index);
        break;
    case SNAPSHOT_STEP_CREATE:
        op.kind = DISK_OP_CREATE;
        op.bare = true;
        op.length = snapshot_file_bytes(w->room, s->options.chunk_bytes);
        break;
    case SNAPSHOT_STEP_HEADER:
        op.kind = DISK_OP_WRITE;
        op.bytes = w->headers;
        op.length = SNAPSHOT_DATA_OFFSET;
        break;
    case SNAPSHOT_STEP_SYNC:
        op.kind = DISK_OP_SYNC;
        break;
    case SNAPSHOT_STEP_NAME:
        op.kind = DISK_OP_RENAME;
        op.length = snapshot_file_bytes(h->bytes, h->chunk_bytes);
        memcpy(op.from, SNAPSHOT_NAME_MAKING, sizeof SNAPSHOT_NAME_MAKING);
        snapshot_name(op.name, h->index);
        break;
    case SNAPSHOT_STEP_DROP:
        op.kind = DISK_OP_REMOVE;
        break;
    case SNAPSHOT_STEP_DROP_NAMED:
        op.kind = DISK_OP_REMOVE;
        snapshot_name(op.name, h->index);
        break;
    default:
        ASSERT(false); /* the other steps have none */
    }
    return op;
}

static uint32_t submit_step(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const struct disk_op op = step_op(s);
    const bool shares = op.kind == DISK_OP_WRITE || op.kind == DISK_OP_SYNC;

    ASSERT(op.slot >= WAL_SLOT_SNAPSHOT);
    if (w->step == SNAPSHOT_STEP_CLEAR && !snapshot_readers_rest(s))
        return 0;
    w->submitted = shares ? snapshot_submit(s, &op) : disk_submit(s->w->disk, &op) == 0;
    if (!w->submitted)
        return 0;
    if (w->step == SNAPSHOT_STEP_NAME) {
        w->may_be_named = true;
        if (planted(PLANTED_SNAPSHOT_NAME_UNFLUSHED))
            w->step = SNAPSHOT_STEP_WAIT;
    }
    return 1;
}

static uint32_t end_table(struct snapshot_writer *w)
{
    const struct snapshot_header *h = &w->file.header;

    ASSERT(w->end == snapshot_file_bytes(h->bytes, h->chunk_bytes));
    for (uint32_t copy = 0; copy < SNAPSHOT_COPIES; copy++)
        snapshot_encode(w->headers + (size_t)copy * DISK_SECTOR, h);
    w->step = SNAPSHOT_STEP_HEADER;
    return 1;
}

uint32_t snapshot_writer_poll(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    uint32_t work = 0;

    if (w->submitted)
        return 0;
    switch (w->step) {
    case SNAPSHOT_STEP_NONE:
    case SNAPSHOT_STEP_WAIT:
        return 0;
    case SNAPSHOT_STEP_TAKE:
        return write_block(s);
    case SNAPSHOT_STEP_TABLE:
        work = put_rows(s) + write_block(s);
        return blocks_are_empty(w) ? work + end_table(w) : work;
    case SNAPSHOT_STEP_DRAIN:
        if (is_in_flight(w))
            return 0;
        w->step = SNAPSHOT_STEP_DROP;
        return 1;
    default:
        return submit_step(s);
    }
}

/* Like segments, a file is removed whatever comes of that: what is left goes at the next start. */
static void end_drop(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;

    ASSERT(w->failure != 0);
    if (w->step == SNAPSHOT_STEP_DROP && w->may_be_named) {
        w->step = SNAPSHOT_STEP_DROP_NAMED;
        return;
    }
    w->step = SNAPSHOT_STEP_NONE;
    w->retry_ns = w->failure == -ECANCELED ? 0 : s->w->now_ns + SNAPSHOT_RETRY_NS;
    s->counters.dropped++;
}

static void on_named(struct snapshots *s)
{
    ASSERT(s->writer.may_be_named);
    s->writer.step = SNAPSHOT_STEP_WAIT;
    if (planted(PLANTED_SNAPSHOT_REMOVED_EARLY) && s->condition == SNAPSHOT_WHOLE)
        s->old = snapshot_old_of(s);
    /* The manifest names it already: it takes the place of one that was damaged. */
    if (s->writer.file.header.index == s->w->manifest.snapshot_index)
        snapshot_promote(s);
}

/* Whether the operation of a step did all of it. A file that goes is no part of the next one. */
static bool step_is_whole(const struct snapshots *s, enum snapshot_step step, int64_t result)
{
    switch (step) {
    case SNAPSHOT_STEP_CLEAR:
        return true;
    case SNAPSHOT_STEP_CREATE:
        return result == (int64_t)snapshot_file_bytes(s->writer.room, s->options.chunk_bytes);
    case SNAPSHOT_STEP_HEADER:
        return result == SNAPSHOT_DATA_OFFSET;
    default:
        return result == 0;
    }
}

/* Only for a planted bug, which does not wait for the name. */
static bool planted_past_name(const struct snapshot_writer *w)
{
    ASSERT(w->step != SNAPSHOT_STEP_TABLE);
    return planted(PLANTED_SNAPSHOT_NAME_UNFLUSHED) &&
           (w->step == SNAPSHOT_STEP_WAIT || w->step == SNAPSHOT_STEP_NONE);
}

void snapshot_writer_on_step(struct snapshots *s, int64_t result)
{
    struct snapshot_writer *w = &s->writer;

    ASSERT(w->submitted);
    w->submitted = false;
    if (w->step == SNAPSHOT_STEP_DROP || w->step == SNAPSHOT_STEP_DROP_NAMED) {
        end_drop(s);
        return;
    }
    if (planted_past_name(w))
        return;
    const bool drains = w->step == SNAPSHOT_STEP_DRAIN;
    const bool whole = step_is_whole(s, drains ? w->dropped_at : w->step, result);
    /* A disk that breaks is told also of a file that is not wanted any more. */
    if (!whole && snapshot_lacks_room(s, result) && !drains)
        drop(s, (int)result);
    if (!whole || drains)
        return;
    switch (w->step) {
    case SNAPSHOT_STEP_CLEAR:
        w->step = SNAPSHOT_STEP_CREATE;
        return;
    case SNAPSHOT_STEP_CREATE:
        w->step = w->ended ? SNAPSHOT_STEP_TABLE : SNAPSHOT_STEP_TAKE;
        return;
    case SNAPSHOT_STEP_HEADER:
        w->step = planted(PLANTED_SNAPSHOT_UNFLUSHED) ? SNAPSHOT_STEP_NAME : SNAPSHOT_STEP_SYNC;
        return;
    case SNAPSHOT_STEP_SYNC:
        w->step = SNAPSHOT_STEP_NAME;
        return;
    case SNAPSHOT_STEP_NAME:
        on_named(s);
        return;
    default:
        ASSERT(false); /* the other steps have no operation */
    }
}
