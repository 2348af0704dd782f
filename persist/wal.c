/* persist/wal.c: batches on their way: filled by wal_append(), written and flushed by wal_poll().
 *
 * The diagram of a batch's states is in wal_internal.h. The open batch goes out as soon as fewer than
 * options.flights batches are on their way, and when it is full; everything that was appended
 * meanwhile shares its flush. Batches get their place when they are submitted, in order, so the
 * chain of header checksums is the order on disk.
 */
#include "persist/snapshot_internal.h"
#include "persist/wal_internal.h"

#include "base/crc32c.h"
#include "base/planted.h"

#include <errno.h>
#include <string.h>

enum { CRCS_AT_ONCE = 64 };

static uint64_t align_up(uint64_t value)
{
    return (value + DISK_SECTOR - 1) & ~(uint64_t)(DISK_SECTOR - 1);
}

static void check_options(const struct wal_options *o)
{
    ASSERT(o->cluster != 0);
    ASSERT(o->incarnation != 0);
    ASSERT(o->boot > 0);
    ASSERT(o->node > 0);
    ASSERT(o->batch_bytes >= WAL_BATCH_BYTES_MIN);
    ASSERT(o->batch_bytes <= WAL_BATCH_BYTES_MAX);
    ASSERT(o->batch_bytes % DISK_SECTOR == 0);
    ASSERT(o->segment_bytes >= wal_segment_bytes_min(o));
    ASSERT(o->segment_bytes % DISK_SECTOR == 0);
    ASSERT(o->buffer_count >= 2);
    ASSERT(o->buffer_count <= WAL_BUFFERS_MAX);
    ASSERT(o->flights >= 1);
    ASSERT(o->segments_ahead >= 1);
    ASSERT(o->segments_ahead <= WAL_AHEAD_MAX);
    ASSERT(o->spares_max <= WAL_SPARES_MAX);
    ASSERT(o->zeros_bytes >= DISK_SECTOR);
    ASSERT(o->zeros_bytes % DISK_SECTOR == 0);
    ASSERT(o->zeros_bytes <= SHARE_BYTES_MAX);
}

/* The wal's memory, in this order; each part begins on a sector. */
struct layout {
    size_t buffers, window, headers, sector, zeros, names, run_first, run_term, config, end;
};

static struct layout layout_of(const struct wal_options *o)
{
    struct layout l;

    l.buffers = align_up(sizeof(struct wal));
    l.window = l.buffers + (size_t)o->buffer_count * o->batch_bytes;
    l.headers = l.window + WAL_BATCH_BYTES_MAX;
    l.sector = l.headers + SEGMENT_DATA_OFFSET;
    l.zeros = l.sector + DISK_SECTOR;
    l.names = l.zeros + o->zeros_bytes;
    l.run_first = l.names + align_up((WAL_SEGMENTS_MAX + 1) * (size_t)DISK_NAME_BYTES);
    l.run_term = l.run_first + align_up(RAFT_TERM_RUNS_MAX * sizeof(raft_index));
    l.config = l.run_term + align_up(RAFT_TERM_RUNS_MAX * sizeof(raft_term));
    l.end = l.config + align_up(WAL_CONFIGS_MAX * SEGMENT_CONFIG_BYTES_MAX);
    return l;
}

size_t wal_bytes(const struct wal_options *options)
{
    check_options(options);
    return layout_of(options).end;
}

struct wal *wal_init(void *memory, struct disk *disk, const struct wal_options *options)
{
    struct wal *w = memory;
    uint8_t *const bytes = memory;

    check_options(options);
    ASSERT((uintptr_t)memory % DISK_SECTOR == 0);
    const struct layout l = layout_of(options);
    memset(w, 0, sizeof *w);
    w->disk = disk;
    w->options = *options;
    for (uint32_t i = 0; i < options->buffer_count; i++)
        w->buffer[i].bytes = bytes + l.buffers + (size_t)i * options->batch_bytes;
    w->reader.window = bytes + l.window;
    w->prepare.headers = bytes + l.headers;
    w->prepare.zeros = bytes + l.zeros;
    memset(w->prepare.zeros, 0, options->zeros_bytes);
    share_init(&w->share, options->share_percent);
    w->base.sector = bytes + l.sector;
    w->slot_taken[0] = true; /* the superblock's */
    w->slot_taken[WAL_SLOT_SNAPSHOT] = true;
    w->slot_taken[WAL_SLOT_SNAPSHOT + 1] = true;
    w->names = (char(*)[DISK_NAME_BYTES])(bytes + l.names);
    w->view.run_first = (raft_index *)(bytes + l.run_first);
    w->view.run_term = (raft_term *)(bytes + l.run_term);
    w->config_payload = bytes + l.config;
    return w;
}

static void lend_memory(struct wal *w)
{
    static_assert(WAL_BUFFERS_MAX + 1 <= DISK_LENT_MAX, "the buffers and the reader's window");

    for (uint32_t i = 0; i < w->options.buffer_count; i++)
        disk_lend(w->disk, w->buffer[i].bytes, w->options.batch_bytes);
    disk_lend(w->disk, w->reader.window, w->options.batch_bytes);
}

int wal_open(struct wal **out, void *memory, struct disk *disk, const struct wal_options *options,
             struct wal_recovered *recovered)
{
    struct wal *w = wal_init(memory, disk, options);

    const int result = wal_recover(w, recovered);
    if (result == 0)
        lend_memory(w);
    *out = result == 0 ? w : NULL;
    return result;
}

void wal_fail(struct wal *w, int64_t result)
{
    if (w->failed == 0)
        w->failed = result < 0 ? (int)result : -EIO; /* short */
}

/* The buffer of the open batch, begun if it is not; NULL: all are in use. */
static struct wal_buffer *open_buffer(struct wal *w)
{
    if (w->open_number - w->oldest_number == w->options.buffer_count)
        return NULL;
    struct wal_buffer *b = wal_buffer_of(w, w->open_number);
    if (b->state == WAL_BUFFER_FILLING)
        return b;
    ASSERT(b->state == WAL_BUFFER_FREE);
    b->state = WAL_BUFFER_FILLING;
    b->has_steps = false;
    b->repairs = false;
    b->first_index = 0;
    b->fills = 0;
    b->header = (struct batch_header){.last_seq = w->last_seq};
    return b;
}

static void close_open_batch(struct wal *w, struct wal_buffer *b)
{
    ASSERT(b->state == WAL_BUFFER_FILLING);
    b->state = WAL_BUFFER_CLOSED;
    w->closed_bytes += batch_bytes(b->header.record_bytes);
    w->open_number++;
}

int wal_begin_batch(struct wal *w)
{
    struct wal_buffer *b = open_buffer(w);

    if (b == NULL)
        return -EAGAIN;
    if (!b->has_steps)
        return 0;
    if (w->open_number + 1 - w->oldest_number == w->options.buffer_count)
        return -EAGAIN;
    close_open_batch(w, b);
    b = open_buffer(w);
    ASSERT(b != NULL);
    return 0;
}

static bool is_filling(const struct wal *w)
{
    return w->open_number - w->oldest_number < w->options.buffer_count &&
           w->buffer[w->open_number % w->options.buffer_count].state == WAL_BUFFER_FILLING;
}

/* On disk, of everything that waits to be submitted. */
static uint64_t queued_bytes(const struct wal *w)
{
    const struct wal_buffer *b = &w->buffer[w->open_number % w->options.buffer_count];

    return w->closed_bytes + (is_filling(w) ? batch_bytes(b->header.record_bytes) : 0);
}

/* For steps without records when no segment can be prepared any more. */
static uint64_t reserve_bytes(const struct wal *w)
{
    const uint64_t part =
        w->options.segment_bytes / WAL_RESERVE_DIVISOR / DISK_SECTOR * DISK_SECTOR;

    ASSERT(part < w->options.segment_bytes);
    return part > WAL_RESERVE_BYTES_MIN ? part : WAL_RESERVE_BYTES_MIN;
}

/* Batches of so many bytes in sum surely find their place in the segments that there are. */
static uint64_t free_bytes(const struct wal *w)
{
    const struct wal_segment *s = &w->segment[w->segment_count - 1];
    const uint64_t queued = queued_bytes(w);
    uint64_t space = s->bytes - s->end;

    ASSERT(w->segment_count > 0);
    for (uint32_t i = 0; i < w->prepare.ready_count; i++) {
        /* The batch that does not fit any more leaves less than itself unused. */
        s = &w->prepare.ready[i].segment;
        space = space > w->options.batch_bytes ? space - w->options.batch_bytes : 0;
        space += s->bytes - s->end;
    }
    return space > queued ? space - queued : 0;
}

/* What was promised by wal_room() is kept though half of the reserve was used since. */
static bool takes(const struct wal *w, const struct wal_step *step)
{
    const uint64_t kept = step->from_reserve ? 0 : reserve_bytes(w) / 2;

    ASSERT(step->length > 0);
    return batch_bytes(step->length) + kept <= free_bytes(w);
}

/* Takes the records that were just copied to `records` into the account of the batch; the last one. */
static const struct record_header *
account_records(struct wal_buffer *b, const struct wal_step *step, const uint8_t *records)
{
    uint32_t crcs[CRCS_AT_ONCE];
    uint32_t crc_count = 0;
    uint32_t at = 0;
    raft_index index = step->first;
    const struct record_header *record = NULL;

    while (at < step->length) {
        record = record_at(records + at);
        ASSERT(record->magic == RECORD_MAGIC);
        ASSERT(record->index == index);
        crcs[crc_count++] = record->header_crc;
        if (crc_count == CRCS_AT_ONCE) {
            b->header.records_crc = crc32c(b->header.records_crc, crcs, sizeof crcs);
            crc_count = 0;
        }
        index++;
        at += record_bytes(record->payload_bytes);
    }
    ASSERT(at == step->length);
    ASSERT(index == step->last + 1);
    b->header.records_crc = crc32c(b->header.records_crc, crcs, crc_count * sizeof crcs[0]);
    b->header.record_count += (uint32_t)(step->last - step->first + 1);
    b->header.record_bytes += step->length;
    return record;
}

/* The log goes on with records that were just copied to `records`. */
static void count_records(struct wal *w, struct wal_buffer *b, const struct wal_step *step,
                          const uint8_t *records)
{
    const struct record_header *const last = account_records(b, step, records);

    ASSERT(step->first <= w->view.last + 1);
    if (step->first <= w->view.last)
        wal_holes_cut(&w->holes, step->first - 1, record_at(records)->chain);
    else
        ASSERT(record_at(records)->chain == w->view.last_chain);
    w->view.last = step->last;
    w->view.last_chain = last->header_crc;
    w->view.last_term = last->term;
    if (b->first_index == 0 || step->first < b->first_index)
        b->first_index = step->first;
}

/* What holds after a batch. */
static void state_to_header(const struct wal *w, struct batch_header *h)
{
    h->term = w->term;
    h->vote = planted(PLANTED_VOTE_LEFT_OUT) ? 0 : w->vote;
    h->vote_incarnation = w->vote_incarnation;
    h->commit = w->commit;
    h->last_index = w->view.last;
    h->last_term = w->view.last_term;
    h->last_chain = w->view.last_chain;
}

/* What repairs the log goes in a batch of its own: its flag says how to read it. */
static int append_repair(struct wal *w, const struct wal_step *step)
{
    const bool cuts = step->kind == WAL_STEP_CUT;
    const struct wal_end end = {step->last, step->cut_chain, step->cut_term, true};
    const struct wal_place nowhere = {.segment = UINT32_MAX};

    ASSERT(cuts == (step->length == 0));
    ASSERT(!cuts || step->cut_term <= w->term);
    if (!cuts && !takes(w, step))
        return -ENOSPC;
    if (is_filling(w))
        close_open_batch(w, wal_buffer_of(w, w->open_number));
    struct wal_buffer *b = open_buffer(w);
    if (b == NULL)
        return -EAGAIN;
    const int result =
        cuts ? wal_holes_skip(w, &end) : wal_holes_fill(w, step->bytes, step->length, nowhere);
    if (result != 0) {
        b->state = WAL_BUFFER_FREE;
        return result;
    }
    if (!cuts) {
        memcpy(b->bytes + BATCH_HEADER_BYTES, step->bytes, step->length);
        (void)account_records(b, step, b->bytes + BATCH_HEADER_BYTES);
        b->fills = step->first;
    }
    b->repairs = true;
    b->has_steps = true;
    b->header.flags = cuts ? BATCH_CUTS : BATCH_FILLS;
    state_to_header(w, &b->header);
    close_open_batch(w, b);
    return 0;
}

int wal_append(struct wal *w, const struct wal_step *step)
{
    const bool has_records = step->first <= step->last;

    if (w->failed != 0)
        return -EIO; /* never one of the codes that mean: later */
    if (step->kind != WAL_STEP_NEXT)
        return append_repair(w, step);
    ASSERT(step->seq > w->last_seq);
    ASSERT(step->seq >> RAFT_SEQ_COUNTER_BITS == w->options.boot);
    ASSERT(has_records == (step->length > 0));
    ASSERT(step->length <= wal_step_bytes_max(&w->options));
    ASSERT(!step->from_reserve || step->length <= DISK_SECTOR - BATCH_HEADER_BYTES);
    ASSERT(step->term >= w->term);
    if (has_records && !takes(w, step))
        return -ENOSPC;
    struct wal_buffer *b = open_buffer(w);
    if (b != NULL &&
        BATCH_HEADER_BYTES + b->header.record_bytes + step->length > w->options.batch_bytes) {
        MARK(BATCH_CLOSED_FULL);
        close_open_batch(w, b);
        b = open_buffer(w);
    }
    if (b == NULL)
        return -EAGAIN;

    if (has_records) {
        uint8_t *const records = b->bytes + BATCH_HEADER_BYTES + b->header.record_bytes;
        memcpy(records, step->bytes, step->length);
        count_records(w, b, step, records);
        w->counters.records += step->last - step->first + 1;
    }
    w->last_seq = step->seq;
    w->term = step->term;
    w->vote = step->vote;
    w->vote_incarnation = step->vote_incarnation;
    w->commit = step->commit > w->commit ? step->commit : w->commit;
    const bool keeps = planted(PLANTED_HARD_STATE_OF_FIRST) && b->has_steps;
    if (!b->has_steps)
        b->header.first_seq = step->seq;
    b->has_steps = true;
    b->header.last_seq = step->seq;
    const struct batch_header before = b->header;
    state_to_header(w, &b->header);
    if (keeps) {
        b->header.term = before.term;
        b->header.vote = before.vote;
    }
    return 0;
}

/* The place of the next batch of `bytes`; false: no segment is prepared for it. */
static bool place_next(struct wal *w, uint64_t bytes, struct wal_place *place)
{
    const struct wal_segment *s = wal_current(w);

    if (s->end + bytes > s->bytes) {
        if (w->prepare.ready_count == 0) {
            MARK(SEGMENT_AWAITED);
            return false;
        }
        MARK_IF(w->oldest_number < w->submit_number, ROLL_IN_FLIGHT);
        wal_roll(w);
        s = wal_current(w);
    }
    ASSERT(s->end + bytes <= s->bytes);
    *place = (struct wal_place){.segment = w->segment_count - 1, .offset = s->end};
    return true;
}

static void seal(struct wal *w, struct wal_buffer *b, uint64_t bytes)
{
    struct batch_header *h = &b->header;
    const uint64_t used = BATCH_HEADER_BYTES + h->record_bytes;

    ASSERT(b->place.segment < w->segment_count);
    ASSERT(w->durable_number < w->submit_number);
    h->kind = BATCH_NEW;
    h->incarnation = w->options.incarnation;
    h->boot = w->options.boot;
    h->node = w->options.node;
    h->generation = w->segment[b->place.segment].generation;
    h->offset = b->place.offset;
    h->number = w->submit_number;
    h->mark_seq = w->durable_seq;
    h->mark_number = planted(PLANTED_MARK_TOO_HIGH) ? w->submit_number - 1 : w->durable_number;
    h->previous_crc = w->previous_crc;
    batch_seal(h);
    memcpy(b->bytes, h, sizeof *h);
    memset(b->bytes + used, 0, bytes - used);
}

/* Places, seals and submits the batch submit_number; false: it can't go now. */
static bool submit_next(struct wal *w)
{
    struct wal_buffer *b = wal_buffer_of(w, w->submit_number);
    const uint64_t bytes = batch_bytes(b->header.record_bytes);

    ASSERT(w->submit_number <= w->open_number);
    if (!place_next(w, bytes, &b->place))
        return false;
    seal(w, b, bytes);
    const struct disk_op op = {
        .kind = w->options.sync_by_fsync || planted(PLANTED_DSYNC_LEFT_OUT) ? DISK_OP_WRITE
                                                                            : DISK_OP_WRITE_DSYNC,
        .slot = wal_current(w)->slot,
        .offset = b->place.offset,
        .bytes = b->bytes,
        .length = bytes,
        .cookie = wal_cookie(WAL_OP_BATCH_WRITE, w->submit_number),
    };
    if (disk_submit(w->disk, &op) != 0)
        return false; /* too many in flight: sealed anew when its turn comes again */

    if (b->state == WAL_BUFFER_CLOSED)
        w->closed_bytes -= bytes;
    else
        w->open_number++;
    b->state = WAL_BUFFER_WRITING;
    b->submitted_ns = w->now_ns;
    struct wal_segment *s = wal_current(w);
    if (s->first_number == 0) {
        s->first_number = w->submit_number;
        s->goes_on = wal_batch_goes_on(&b->header, b->bytes + BATCH_HEADER_BYTES);
        s->first_crc = w->previous_crc;
    }
    s->end += bytes;
    w->previous_crc = b->header.header_crc;
    w->submit_number++;
    w->flights += b->has_steps;
    w->counters.batches++;
    w->counters.bytes += bytes;
    if (b->first_index > 0)
        wal_places_add(&w->places, b->first_index, b->place);
    if (b->fills > 0)
        wal_holes_place(&w->holes, b->fills, b->place);
    return true;
}

static bool submit_due(struct wal *w)
{
    if (wal_base_holds(w, w->submit_number))
        return false;
    if (w->submit_number < w->open_number)
        return true; /* closed: full */
    return is_filling(w) && w->flights < w->options.flights;
}

bool wal_submit_mark(struct wal *w)
{
    ASSERT(w->oldest_number == w->open_number);
    struct wal_buffer *b = open_buffer(w);
    ASSERT(b != NULL);
    ASSERT(!b->has_steps);
    state_to_header(w, &b->header);
    MARK(IDLE_MARK);
    if (submit_next(w))
        return true;
    b->state = WAL_BUFFER_FREE;
    return false;
}

static uint32_t submit_sync(struct wal *w, uint64_t number)
{
    struct wal_buffer *b = wal_buffer_of(w, number);
    const struct disk_op op = {
        .kind = DISK_OP_SYNC,
        .slot = w->segment[b->place.segment].slot,
        .cookie = wal_cookie(WAL_OP_BATCH_SYNC, number),
    };

    ASSERT(number < w->submit_number);
    const bool due = b->state == WAL_BUFFER_UNSYNCED ||
                     (planted(PLANTED_FLUSH_BESIDE_WRITE) && w->options.sync_by_fsync &&
                      b->state == WAL_BUFFER_WRITING);
    if (!due || disk_submit(w->disk, &op) != 0)
        return 0;
    b->state = WAL_BUFFER_SYNCING;
    return 1;
}

uint32_t wal_submit_syncs(struct wal *w)
{
    uint32_t work = 0;

    for (uint64_t number = w->oldest_number; number < w->submit_number; number++)
        work += submit_sync(w, number);
    return work;
}

/* Durable is the end of the longest flushed prefix, never simply the newest flush. */
static void advance_durable(struct wal *w)
{
    while (w->oldest_number < w->submit_number) {
        struct wal_buffer *b = wal_buffer_of(w, w->oldest_number);
        if (b->state != WAL_BUFFER_FLUSHED)
            return;
        ASSERT(b->header.number == w->durable_number + 1);
        if (!planted(PLANTED_DURABLE_NEWEST)) {
            ASSERT(b->header.last_seq >= w->durable_seq);
            w->durable_seq = b->header.last_seq;
        }
        w->durable_number = w->oldest_number;
        w->durable_end = b->place;
        w->durable_end.offset += batch_bytes(b->header.record_bytes);
        w->repairs_durable += b->repairs;
        w->mark_wanted = b->has_steps; /* a mark is composed when all before it is flushed */
        w->idle_since_ns = w->now_ns;
        b->state = WAL_BUFFER_FREE;
        w->oldest_number++;
    }
}

static void on_flushed(struct wal *w, struct wal_buffer *b)
{
    ASSERT(w->flights >= b->has_steps);
    MARK_IF(b->header.number != w->oldest_number, FLUSHED_OUT_OF_ORDER);
    b->state = WAL_BUFFER_FLUSHED;
    w->flights -= b->has_steps;
    w->counters.flushes++;
    w->counters.flush_ns_last = w->now_ns - b->submitted_ns;
    if (planted(PLANTED_DURABLE_NEWEST) && b->header.last_seq > w->durable_seq)
        w->durable_seq = b->header.last_seq;
    advance_durable(w);
}

static void on_batch_written(struct wal *w, struct wal_buffer *b, int64_t result)
{
    if (planted(PLANTED_FLUSH_BESIDE_WRITE) && b->state != WAL_BUFFER_WRITING)
        return;
    ASSERT(b->state == WAL_BUFFER_WRITING);
    const bool whole = result == (int64_t)batch_bytes(b->header.record_bytes);
    if (!whole && !(planted(PLANTED_SHORT_WRITE_WHOLE) && result > 0)) {
        wal_fail(w, result); /* never retried: see wal.h */
        return;
    }
    if (w->options.sync_by_fsync && !planted(PLANTED_FLUSH_SKIPPED))
        b->state = WAL_BUFFER_UNSYNCED;
    else
        on_flushed(w, b);
}

static void on_batch_synced(struct wal *w, struct wal_buffer *b, int64_t result)
{
    ASSERT(b->state == WAL_BUFFER_SYNCING);
    /* Not in a start, which would wait for it for ever. */
    if (result != 0 && w->now_ns != 0 && planted(PLANTED_FLUSH_RETRIED)) {
        b->state = WAL_BUFFER_UNSYNCED;
        return;
    }
    if (result != 0) {
        wal_fail(w, result);
        return;
    }
    on_flushed(w, b);
}

void wal_on_done(struct wal *w, const struct disk_done *done)
{
    const uint64_t number = done->cookie & ((1ull << WAL_OP_SHIFT) - 1);

    switch ((enum wal_op)(done->cookie >> WAL_OP_SHIFT)) {
    case WAL_OP_BATCH_WRITE:
        on_batch_written(w, wal_buffer_of(w, number), done->result);
        return;
    case WAL_OP_BATCH_SYNC:
        on_batch_synced(w, wal_buffer_of(w, number), done->result);
        return;
    case WAL_OP_PREPARE:
        wal_prepare_on_done(w, done->result);
        return;
    case WAL_OP_ZEROS:
        wal_prepare_on_zeros(w, done->result);
        return;
    case WAL_OP_READ:
        wal_reader_on_done(w, done->result);
        return;
    case WAL_OP_BASE:
        wal_base_on_done(w, done->result);
        return;
    case WAL_OP_REMOVE:
        wal_recycle_on_removed(w, (uint32_t)number);
        return;
    case WAL_OP_SNAPSHOT:
        snapshots_on_done(w->snapshots, number, done->result);
        return;
    case WAL_OP_RESERVE:
        reserve_on_look(w->reserve, done->result);
        return;
    }
    ASSERT(false); /* nobody else submits to our disk */
}

static bool is_idle(struct wal *w)
{
    return w->oldest_number == w->open_number && !is_filling(w);
}

uint32_t wal_poll(struct wal *w, uint64_t now_ns)
{
    struct disk_done done[WAL_REAP_MAX];

    ASSERT(now_ns >= w->now_ns);
    w->now_ns = now_ns;
    if (w->failed != 0)
        return 0;
    const uint32_t reaped = disk_reap(w->disk, done, WAL_REAP_MAX);
    for (uint32_t i = 0; i < reaped; i++)
        wal_on_done(w, &done[i]);
    if (w->failed != 0)
        return reaped;

    uint32_t work = reaped + wal_submit_syncs(w) + wal_base_poll(w);
    while (submit_due(w) && submit_next(w))
        work++;
    /* Without room it only waits for the next segment: what makes that has the disk for itself. */
    if ((w->flights > 0 || queued_bytes(w) > 0) && wal_has_room(w))
        share_log_at_work(&w->share, now_ns);
    work += wal_prepare_poll(w) + wal_recycle_poll(w);
    /* A mark is not worth the reserve. */
    if (w->mark_wanted && is_idle(w) && free_bytes(w) > reserve_bytes(w) &&
        now_ns - w->idle_since_ns >= WAL_IDLE_MARK_NS)
        work += wal_submit_mark(w);
    disk_send(w->disk); /* all that this poll submitted, in one call */
    return work;
}

raft_seq wal_durable(const struct wal *w)
{
    return w->durable_seq;
}

bool wal_durable_range(const struct wal *w, uint32_t back, struct wal_range *out)
{
    struct wal_place end = w->durable_end;

    /* By what is promised, not by what has completed: that these are the same is to be checked. */
    for (uint64_t number = w->oldest_number; number < w->submit_number; number++) {
        const struct wal_buffer *b = &w->buffer[number % w->options.buffer_count];
        if (b->has_steps && !b->repairs && b->header.first_seq <= w->durable_seq) {
            end = b->place;
            end.offset += batch_bytes(b->header.record_bytes);
        }
    }
    if (end.segment >= w->segment_count || back > end.segment)
        return false;
    const struct wal_segment *s = &w->segment[end.segment - back];
    const uint64_t to = back == 0 ? end.offset : s->end;
    ASSERT(to >= SEGMENT_DATA_OFFSET);
    *out = (struct wal_range){s->slot, SEGMENT_DATA_OFFSET, to - SEGMENT_DATA_OFFSET};
    return true;
}

int wal_failed(const struct wal *w)
{
    return w->failed;
}

uint64_t wal_room(const struct wal *w)
{
    const uint64_t space = free_bytes(w);
    const uint64_t reserve = reserve_bytes(w);

    ASSERT(w->segment_count > 0);
    return space > reserve ? space - reserve : 0;
}

uint64_t wal_step_cost(uint32_t length)
{
    return batch_bytes(length);
}

bool wal_has_room(const struct wal *w)
{
    return wal_room(w) >= wal_step_cost(wal_step_bytes_max(&w->options));
}

uint64_t wal_next_ns(const struct wal *w)
{
    const uint64_t prepare = wal_prepare_next_ns(w);
    const uint64_t reader = wal_reader_next_ns(w);
    const uint64_t background = prepare < reader ? prepare : reader;
    const bool marks = w->mark_wanted && free_bytes(w) > reserve_bytes(w);
    const uint64_t mark = marks ? w->idle_since_ns + WAL_IDLE_MARK_NS : UINT64_MAX;

    ASSERT(w->segment_count > 0);
    return mark < background ? mark : background;
}

uint64_t wal_oldest_unflushed_ns(const struct wal *w)
{
    ASSERT(w->oldest_number <= w->submit_number);
    if (w->oldest_number == w->submit_number)
        return 0;
    return w->buffer[w->oldest_number % w->options.buffer_count].submitted_ns;
}

const struct wal_counters *wal_counters(const struct wal *w)
{
    return &w->counters;
}

struct share *wal_share(struct wal *w)
{
    ASSERT(w->share.percent > 0);
    return &w->share;
}

struct wal_span wal_span(const struct wal *w)
{
    ASSERT(w->segment_count > 0);
    ASSERT(w->segment_count < WAL_SEGMENTS_MAX);
    return (struct wal_span){
        .segments = w->segment_count,
        .bytes = w->full_bytes + w->segment[w->segment_count - 1].end,
    };
}

uint64_t wal_repairs_durable(const struct wal *w)
{
    return w->repairs_durable;
}

void wal_report(const struct wal *w, struct wal_recovered *out)
{
    ASSERT(w->view.run_count > 0 || w->view.last == w->view.base);
    out->last = w->view.last;
    out->last_term = w->view.last_term;
    out->last_chain = w->view.last_chain;
    out->run_count = w->view.run_count;
    out->run_first = w->view.run_first;
    out->run_term = w->view.run_term;
    out->hole_count = w->holes.hole_count;
    memcpy(out->hole, w->holes.hole, sizeof out->hole);
}
