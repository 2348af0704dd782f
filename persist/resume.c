/* persist/resume.c: a start goes on in a segment of its own (docs/recovery.md, steps 1 to 5).
 *
 * Copies first, their header after them: a valid header vouches for the copies, and an interrupted
 * start leaves a file without one, which the next start passes over.
 */
#include "persist/recovery_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

/* A start should not wait for the zeros of a whole segment. */
enum { RECOVERY_SEGMENT_DIVISOR = 8 };

/* The newest header may have been read from a cache: who wrote it was killed in front of its flush.
 * What this start writes will rely on it, so it must be on the disk first. Older headers were flushed
 * before the next segment was begun. */
static int flush_newest(struct recovery *r)
{
    const struct wal *w = r->w;

    if (w->segment_count == 0 || planted(PLANTED_NEWEST_UNFLUSHED))
        return 0; /* a first start */
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->segment[w->segment_count - 1].slot,
    };
    const int64_t result = wal_do(r->w, &op);
    if (result < 0)
        return REFUSE(r, (int)result, "the log can't be flushed: %s", strerror((int)-result));
    return 0;
}

/* The segment this boot writes to, without a header yet. */
static int create_segment(struct recovery *r, uint64_t copies_bytes, struct wal_segment *out)
{
    struct wal *w = r->w;
    const struct wal_options *o = &w->options;
    const uint64_t small = o->segment_bytes / RECOVERY_SEGMENT_DIVISOR / DISK_SECTOR * DISK_SECTOR;
    const uint64_t least = wal_segment_bytes_min(o);
    struct disk_op op = {
        .kind = DISK_OP_CREATE,
        .slot = WAL_SLOT_FIRST + r->file_count, /* the files found have the slots before it */
        .length = copies_bytes + (small > least ? small : least),
    };

    ASSERT(copies_bytes % DISK_SECTOR == 0);
    segment_name(op.name, w->generation_next);
    const int64_t created = wal_do(w, &op);
    if (created != (int64_t)op.length)
        return REFUSE(r, created < 0 ? (int)created : -EIO, "segment %s can't be made: %s", op.name,
                      strerror(created < 0 ? (int)-created : EIO));
    *out = (struct wal_segment){
        .generation = w->generation_next++,
        .bytes = op.length,
        .end = SEGMENT_DATA_OFFSET,
        .slot = op.slot,
        .own = true,
    };
    return 0;
}

/* Only for a planted bug. */
static int write_only(struct wal *w, const struct disk_op *op)
{
    struct disk_op write = *op;

    ASSERT(PLANTED_BUILD);
    write.kind = DISK_OP_WRITE;
    return wal_do(w, &write) == (int64_t)op->length ? 0 : -EIO;
}

/* The batch as the walk has found it; NULL: it is not there any more. Read anew, judged anew: the first
 * reading vouches for nothing. */
static uint8_t *read_kept(struct recovery *r, const struct kept *kept, struct batch_header *h)
{
    const struct batch_place place = wal_batch_place(r->w, kept->place);
    struct batch_body body;

    ASSERT(kept->bytes >= BATCH_HEADER_BYTES);
    for (uint32_t look = 0; look < RECOVERY_LOOKS; look++) {
        uint8_t *bytes =
            wal_scan_at(&r->scan, kept->place, kept->bytes, kept->place.offset + kept->bytes);
        if (bytes != NULL && batch_check_header(bytes, &place, h) &&
            h->header_crc == kept->header_crc &&
            batch_check_body(h, bytes + BATCH_HEADER_BYTES, r->w->options.cluster, &body))
            return bytes;
        wal_scan_forget(&r->scan);
    }
    return NULL;
}

/* Writes one batch above the mark anew, behind the others in the new segment. */
static int copy_batch(struct recovery *r, const struct kept *kept, const struct kept *mark,
                      struct wal_segment *to)
{
    struct wal *w = r->w;
    struct batch_header h;
    uint8_t *bytes = read_kept(r, kept, &h);

    ASSERT(kept->number > mark->number);
    ASSERT(to->end + kept->bytes <= to->bytes);
    if (bytes == NULL)
        return REFUSE(r, -EBADMSG, "batch %llu was good and is not any more",
                      (unsigned long long)kept->number);
    h.kind = BATCH_COPY;
    h.boot = w->options.boot;
    h.generation = to->generation;
    h.offset = to->end;
    h.mark_number = mark->number;
    h.mark_seq = mark->last_seq;
    h.previous_crc = w->previous_crc;
    batch_seal(&h);
    memcpy(bytes, &h, sizeof h);
    const struct disk_op op = {
        .slot = to->slot, .offset = to->end, .bytes = bytes, .length = kept->bytes};
    const int result =
        planted(PLANTED_COPIES_UNFLUSHED) ? write_only(w, &op) : wal_do_write(w, &op);
    wal_scan_forget(&r->scan); /* the window now holds what we made of it */
    if (result != 0)
        return REFUSE(r, result, "the log can't be written: %s", strerror(-result));
    w->previous_crc = h.header_crc;
    to->end += kept->bytes;
    return 0;
}

static int write_segment_header(struct recovery *r, const struct wal_segment *to,
                                const struct kept *mark)
{
    struct wal *w = r->w;
    struct segment_header h = wal_segment_header(w, to, SEGMENT_RECOVERY);

    ASSERT(to->generation + 1 == r->w->generation_next);
    h.copied_number = r->number - 1;
    if (mark->number > 0) {
        h.continues_generation = w->segment[mark->place.segment].generation;
        h.continues_offset = mark->place.offset + mark->bytes;
        h.continues_number = mark->number;
        h.continues_crc = mark->header_crc;
    }
    segment_seal(&h);
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++)
        segment_encode(w->prepare.headers + (size_t)copy * DISK_SECTOR, &h);
    const struct disk_op op = {
        .slot = to->slot, .bytes = w->prepare.headers, .length = SEGMENT_DATA_OFFSET};
    const int result = wal_do_write(w, &op);
    w->header = h;
    if (result != 0)
        return REFUSE(r, result, "the log can't be written: %s", strerror(-result));
    return 0;
}

/* From here on the chain ends with `mark` and goes on in the new segment. */
static void join_segment(struct recovery *r, const struct wal_segment *to, const struct kept *mark)
{
    struct wal *w = r->w;
    uint64_t offset = SEGMENT_DATA_OFFSET;

    w->segment_count = mark->number > 0 ? mark->place.segment + 1 : 0;
    if (mark->number > 0)
        w->segment[mark->place.segment].end = mark->place.offset + mark->bytes;
    const struct wal_place end = {.segment = w->segment_count, .offset = 0};
    w->segment[w->segment_count] = *to;
    w->segment[w->segment_count].first_number = mark->number + 1;
    w->segment[w->segment_count].first_crc = mark->header_crc;
    w->segment[w->segment_count].goes_on =
        mark->number + 1 < r->number ? r->kept[(mark->number + 1) % KEPT_RING].goes_on
                                     : w->view.last + 1; /* its first batch is the mark's */
    w->segment_count++;
    w->full_bytes = 0;
    for (uint32_t i = 0; i + 1 < w->segment_count; i++)
        w->full_bytes += w->segment[i].end;
    wal_places_cut(&w->places,
                   mark->number > 0
                       ? (struct wal_place){mark->place.segment, mark->place.offset + mark->bytes}
                       : end);
    for (uint64_t n = mark->number + 1; n < r->number; n++) {
        const struct kept *kept = &r->kept[n % KEPT_RING];
        const struct wal_place place = {.segment = w->segment_count - 1, .offset = offset};
        if (kept->first_index > 0)
            wal_places_add(&w->places, kept->first_index, place);
        if (kept->fills > 0)
            wal_holes_place(&w->holes, kept->fills, place);
        offset += kept->bytes;
    }
    ASSERT(offset == to->end);
}

/* Only for a planted bug: what was copied is removed before the copies count. */
static int remove_behind(struct recovery *r, const struct kept *mark)
{
    struct wal *w = r->w;

    ASSERT(PLANTED_BUILD);
    for (uint32_t i = mark->number > 0 ? mark->place.segment + 1 : 0; i < w->segment_count; i++) {
        struct disk_op op = {.kind = DISK_OP_REMOVE, .slot = w->segment[i].slot};
        segment_name(op.name, w->segment[i].generation);
        if (wal_do(w, &op) < 0)
            return -EIO;
    }
    return 0;
}

/* Who has which slot from here on. */
static void take_slots(struct wal *w)
{
    ASSERT(w->slot_taken[0]);
    for (uint32_t i = 0; i < w->segment_count; i++)
        w->slot_taken[w->segment[i].slot] = true;
}

/* True when the batches from `first` on are all known, and no more than marks and hard states. */
static bool only_states_from(const struct recovery *r, uint64_t first)
{
    ASSERT(first <= r->number);
    if (r->number - first >= KEPT_RING)
        return false; /* not all are known any more, and the one in front of them */
    for (uint64_t n = first; n < r->number; n++) {
        const struct kept *kept = &r->kept[n % KEPT_RING];
        if (kept->number != n || kept->bytes != DISK_SECTOR || kept->first_index > 0 ||
            kept->fills > 0)
            return false;
    }
    return true;
}

/* The last batch that the new segment does not bring itself: the one that the mark names. But a segment
 * in which no entries stand is brought as a whole, as long as that is little, and falls off the chain: else
 * each start of a process that dies soon would leave one behind, until the table is full. */
static uint64_t last_not_copied(const struct recovery *r)
{
    const struct wal *w = r->w;

    if (w->segment_count == 0 || r->damaged || planted(PLANTED_READ_TRUSTED))
        return r->mark_number;
    const struct wal_segment *last = &w->segment[r->at.segment];
    ASSERT(last->first_number > 0);
    const uint64_t before = last->first_number - 1;
    if (before >= r->mark_number || last->generation == w->manifest.start_generation)
        return r->mark_number;
    return only_states_from(r, before + 1) ? before : r->mark_number;
}

/* Steps 1 to 3. */
static int go_on_in_new_segment(struct recovery *r)
{
    struct wal *w = r->w;
    struct wal_segment to;
    uint64_t copies_bytes = 0;
    struct kept mark = {0};

    if (planted(PLANTED_READ_TRUSTED))
        r->mark_number = r->number - 1;
    ASSERT(r->mark_number < r->number);
    const uint64_t last = last_not_copied(r);
    if (last > 0)
        mark = r->kept[last % KEPT_RING];
    if (r->number - 1 - r->mark_number > KEPT_MAX || mark.number != last)
        return REFUSE(r, -EBADMSG,
                      "%llu batches lie above the durable mark, more than there can be",
                      (unsigned long long)(r->number - 1 - r->mark_number));
    for (uint64_t n = mark.number + 1; n < r->number; n++)
        copies_bytes += r->kept[n % KEPT_RING].bytes;
    MARK_IF(copies_bytes > 0, BATCHES_COPIED);

    int result = create_segment(r, copies_bytes, &to);
    w->previous_crc = mark.header_crc;
    if (result == 0 && planted(PLANTED_HEADER_BEFORE_COPIES))
        result = write_segment_header(r, &to, &mark);
    for (uint64_t n = mark.number + 1; result == 0 && n < r->number; n++)
        result = copy_batch(r, &r->kept[n % KEPT_RING], &mark, &to);
    if (result == 0 && planted(PLANTED_REMOVED_TOO_EARLY))
        result = remove_behind(r, &mark);
    if (result == 0)
        result = write_segment_header(r, &to, &mark);
    if (result == 0) {
        join_segment(r, &to, &mark);
        take_slots(w);
    }
    return result;
}

static bool in_chain(const struct wal *w, uint64_t generation)
{
    ASSERT(w->segment_count > 0);
    for (uint32_t i = 0; i < w->segment_count; i++) {
        if (w->segment[i].generation == generation)
            return true;
    }
    return false;
}

/* Files that are not the log, and never again. */
static int remove_dead_files(struct recovery *r)
{
    struct wal *w = r->w;

    for (uint32_t i = 0; i < r->file_count; i++) {
        if (in_chain(w, segment_generation(w->names[i])))
            continue;
        MARK(DEAD_FILE_REMOVED);
        struct disk_op op = {.kind = DISK_OP_REMOVE, .slot = WAL_SLOT_FIRST + i};
        memcpy(op.name, w->names[i], DISK_NAME_BYTES);
        const int64_t result = wal_do(w, &op);
        if (result < 0 && !planted(PLANTED_REMOVED_TOO_EARLY))
            return REFUSE(r, (int)result, "%s can't be removed: %s", op.name,
                          strerror((int)-result));
    }
    return 0;
}

/* Step 4: the first batch of this boot vouches for everything before it. */
static int write_mark(struct recovery *r)
{
    struct wal *w = r->w;

    w->oldest_number = r->number;
    w->submit_number = r->number;
    w->open_number = r->number;
    w->durable_number = r->number - 1;
    w->last_seq = (raft_seq)w->options.boot << RAFT_SEQ_COUNTER_BITS;
    w->durable_seq = w->last_seq;
    const bool submitted = wal_submit_mark(w);
    ASSERT(submitted); /* nothing else is in flight, and the segment was made with room for it */
    while (w->failed == 0 && w->durable_number < r->number) {
        const struct disk_done done = disk_wait(w->disk);
        wal_on_done(w, &done);
        (void)wal_submit_syncs(w);
    }
    if (w->failed != 0)
        return REFUSE(r, w->failed, "the log can't be written: %s", strerror(-w->failed));
    return 0;
}

int recovery_resume(struct recovery *r)
{
    int result = flush_newest(r);

    if (result == 0)
        result = go_on_in_new_segment(r);
    if (result == 0)
        result = write_mark(r);
    if (result == 0)
        result = remove_dead_files(r);
    return result;
}
