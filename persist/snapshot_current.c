/* persist/snapshot_current.c: the snapshot that the manifest names, the one before it, and whose turn
 * it is among the operations of both and of the writer.
 *
 * What is READY becomes current when both copies of the manifest name it: until then a start may
 * find the older manifest, and needs the older file. Only after that is the older file removed.
 */
#include "persist/snapshot_internal.h"

#include "base/planted.h"

#include <errno.h>

bool snapshot_submit(struct snapshots *s, const struct disk_op *op)
{
    ASSERT(op->cookie >> WAL_OP_SHIFT == WAL_OP_SNAPSHOT);
    if (s->shared)
        return false;
    s->wants = !share_take(&s->w->share, SHARE_SNAPSHOT, s->now_ns);
    if (s->wants)
        return false;
    if (disk_submit(s->w->disk, op) != 0) {
        share_end(&s->w->share, SHARE_SNAPSHOT, s->now_ns);
        return false;
    }
    s->shared = true;
    s->shared_op = (enum snapshot_op)(op->cookie & ((1ull << WAL_OP_SHIFT) - 1));
    return true;
}

bool snapshot_lacks_room(struct snapshots *s, int64_t result)
{
    if (disk_lacks_room(result))
        return true;
    wal_fail(s->w, result);
    return false;
}

void snapshots_on_done(struct snapshots *s, uint64_t number, int64_t result)
{
    const enum snapshot_op op = (enum snapshot_op)number;

    ASSERT(s != NULL);
    if (s->shared && s->shared_op == op) {
        s->shared = false;
        share_end(&s->w->share, SHARE_SNAPSHOT, s->w->now_ns);
    }
    switch (op) {
    case SNAPSHOT_OP_STEP:
        snapshot_writer_on_step(s, result);
        return;
    case SNAPSHOT_OP_BLOCK:
        snapshot_writer_on_block(s, result);
        return;
    case SNAPSHOT_OP_REMOVE:
        /* Whatever came of it: nothing names the file, and the next start removes what is left. */
        ASSERT(s->old.state == SNAPSHOT_OLD_REMOVING);
        s->old.state = SNAPSHOT_OLD_NONE;
        return;
    case SNAPSHOT_OP_READ:
    case SNAPSHOT_OP_LOAD:
    case SNAPSHOT_OP_LOAD_AHEAD:
        snapshot_reader_on_read(s, op, result);
        return;
    case SNAPSHOT_OP_REPAIR:
        snapshot_repair_on_done(s, result);
        return;
    }
    ASSERT(false); /* no other cookie is given */
}

uint32_t snapshot_old_poll(struct snapshots *s)
{
    struct disk_op op = {
        .kind = DISK_OP_REMOVE,
        .slot = s->old.slot,
        .cookie = snapshot_cookie(SNAPSHOT_OP_REMOVE),
    };

    ASSERT(s->old.slot != s->current.slot || s->old.state == SNAPSHOT_OLD_NONE ||
           planted(PLANTED_SNAPSHOT_REMOVED_EARLY));
    /* A read or a repair in flight may still be about that file. */
    if (s->old.state != SNAPSHOT_OLD_THERE || s->shared || !snapshot_readers_rest(s))
        return 0;
    snapshot_name(op.name, s->old.index);
    if (disk_submit(s->w->disk, &op) != 0)
        return 0;
    s->old.state = SNAPSHOT_OLD_REMOVING;
    return 1;
}

uint64_t snapshot_held_bytes(const struct snapshots *s)
{
    const struct snapshot_writer *w = &s->writer;
    const bool drops = w->step >= SNAPSHOT_STEP_DRAIN;
    const enum snapshot_step step = drops ? w->dropped_at : w->step;
    const uint64_t old = s->old.state == SNAPSHOT_OLD_NONE ? 0 : s->old.file_bytes;

    ASSERT(step < SNAPSHOT_STEP_DRAIN);
    if (step <= SNAPSHOT_STEP_CREATE)
        return old;
    /* With its name it is cut to its length. */
    const uint64_t content = step == SNAPSHOT_STEP_WAIT ? w->file.header.bytes : w->room;
    return old + snapshot_file_bytes(content, s->options.chunk_bytes);
}

/* What is to be written into the file before, and is not in flight, is of the past. */
static void forget_repair(struct snapshots *s)
{
    const enum snapshot_mend state = s->repair.state;

    ASSERT(s->repair.slot == 0 || s->repair.slot >= WAL_SLOT_SNAPSHOT);
    if (state != SNAPSHOT_MEND_UNWRITTEN && state != SNAPSHOT_MEND_UNSYNCED)
        return;
    s->repair.state = SNAPSHOT_MEND_NONE;
    s->repair.result = -ENOENT;
}

struct snapshot_old snapshot_old_of(const struct snapshots *s)
{
    const struct snapshot_header *h = &s->current.header;
    const bool known = s->condition == SNAPSHOT_WHOLE; /* else its header is not to be relied on */

    ASSERT(s->condition != SNAPSHOT_NONE);
    return (struct snapshot_old){
        .state = SNAPSHOT_OLD_THERE,
        .slot = s->current.slot,
        .index = h->index,
        .file_bytes = known ? snapshot_file_bytes(h->bytes, h->chunk_bytes) : 0,
    };
}

void snapshot_promote(struct snapshots *s)
{
    struct snapshot_writer *w = &s->writer;
    const struct snapshot_file before = s->current;

    ASSERT(w->file.slot != before.slot);
    ASSERT(w->step == SNAPSHOT_STEP_WAIT);
    forget_repair(s);
    if (s->condition == SNAPSHOT_WHOLE || s->condition == SNAPSHOT_DAMAGED) {
        ASSERT(s->old.state == SNAPSHOT_OLD_NONE || planted(PLANTED_SNAPSHOT_REMOVED_EARLY));
        if (!planted(PLANTED_SNAPSHOT_REMOVED_EARLY))
            s->old = snapshot_old_of(s);
    }
    s->current = w->file;
    snapshot_readers_forget(s);
    s->condition = SNAPSHOT_WHOLE;
    w->file = (struct snapshot_file){.slot = before.slot, .checksum = before.checksum};
    w->step = SNAPSHOT_STEP_NONE;
    s->counters.written++;
}

/* Both say the same of the entry at the snapshot's index, where the log begins. */
static bool header_is_of_base(const struct snapshot_header *h, const struct wal_base *base)
{
    ASSERT(h->index == base->snapshot_index);
    return base->index < h->index || (base->chain == h->chain && base->term == h->term);
}

bool snapshot_is_there(const struct snapshots *s, const struct wal_base *base)
{
    const struct segment_manifest *m = &s->w->manifest;
    const struct snapshot_header *ready = snapshot_ready(s);

    ASSERT(base->snapshot_index > 0);
    if (ready != NULL && ready->index == base->snapshot_index)
        return ready->bytes == base->snapshot_bytes && ready->digest == base->snapshot_digest &&
               header_is_of_base(ready, base);
    return m->snapshot_index == base->snapshot_index && m->snapshot_bytes == base->snapshot_bytes &&
           m->snapshot_digest == base->snapshot_digest;
}

void snapshot_on_manifest(struct snapshots *s)
{
    const struct snapshot_header *ready = snapshot_ready(s);

    ASSERT(s->w->base.state == WAL_BASE_NONE);
    if (ready != NULL && ready->index == s->w->manifest.snapshot_index)
        snapshot_promote(s);
}

const struct snapshot_header *snapshot_current(const struct snapshots *s)
{
    return s->condition == SNAPSHOT_WHOLE ? &s->current.header : NULL;
}

enum snapshot_condition snapshot_condition(const struct snapshots *s)
{
    return s->condition;
}

const struct snapshot_counters *snapshot_counters(const struct snapshots *s)
{
    return &s->counters;
}

uint32_t snapshots_poll(struct snapshots *s, uint64_t now_ns)
{
    uint32_t work = 0;

    ASSERT(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    s->wants = false;
    if (wal_failed(s->w) != 0)
        return 0;
    work += snapshot_reader_poll(s, &s->load);
    /* A reader waits for one chunk, a writer has many: they take turns. */
    if (s->read_first)
        work += snapshot_reader_poll(s, &s->reader);
    work += snapshot_repair_poll(s) + snapshot_writer_poll(s);
    if (!s->read_first)
        work += snapshot_reader_poll(s, &s->reader);
    s->read_first = s->shared ? s->shared_op != SNAPSHOT_OP_READ : s->read_first;
    work += snapshot_old_poll(s);
    if (work > 0)
        disk_send(s->w->disk);
    return work;
}

uint64_t snapshots_next_ns(const struct snapshots *s)
{
    ASSERT(!s->wants || !s->shared);
    return s->wants ? share_next_ns(&s->w->share) : UINT64_MAX;
}
