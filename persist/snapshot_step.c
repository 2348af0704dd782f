/* persist/snapshot_step.c: the operations by which a file comes to its name, or goes; the diagram is in
 * snapshot_internal.h.
 */
#include "persist/snapshot_internal.h"

#include "base/planted.h"

#include <string.h>

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

/* Both copies of the table, one behind the other, as far as there is room in the blocks. */
static uint32_t put_rows(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const struct snapshot_header *h = &w->file.header;
    const uint32_t rows = snapshot_row_count(h->bytes, h->chunk_bytes);
    uint32_t put = 0;

    ASSERT(w->step == SNAPSHOT_STEP_TABLE);
    while (w->row_next < SNAPSHOT_COPIES * rows) {
        uint8_t *const sector = snapshot_block_take(s, DISK_SECTOR);
        if (sector == NULL)
            break;
        snapshot_row_encode(sector, h, w->row_next % rows, w->file.checksum);
        w->row_next++;
        put++;
    }
    return put;
}

static bool is_in_flight(const struct snapshot_writer *w)
{
    bool writes = w->submitted;

    for (uint32_t i = 0; i < SNAPSHOT_BLOCKS; i++)
        writes = writes || w->block[i].state == SNAPSHOT_BLOCK_WRITING;
    return writes;
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
        return snapshot_block_write(s);
    case SNAPSHOT_STEP_TABLE:
        work = put_rows(s) + snapshot_block_write(s);
        return snapshot_blocks_are_empty(w) ? work + end_table(w) : work;
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
        snapshot_writer_drop(s, (int)result);
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
