/* persist/inspect.c: see inspect.h. The chain of segments, and the second reading, are recovery's. */
#include "persist/inspect.h"

#include "persist/recovery_internal.h"

#include <errno.h>
#include <string.h>

enum {
    /* No batch is larger than the window, whoever configured its writer. */
    BUFFERS = WAL_BUFFERS_MAX,
};

struct inspect {
    struct wal *w;
    struct recovery recovery;
    struct inspect_report report;
    uint32_t next;         /* segment of the chain to be read */
    uint64_t number;       /* expected batch */
    uint32_t previous_crc; /* of the batch before it, if that is known */
    bool previous_known;
    struct batch_header last; /* newest good batch; number 0: none */
    /* A place where a batch should stand, and none does: damage if one follows. */
    bool gap;
    struct wal_place gap_at;
};

static struct wal_options options_of(const struct segment_owner *owner)
{
    return (struct wal_options){
        .cluster = owner->cluster,
        .incarnation = owner->incarnation,
        .node = owner->node,
        .segment_bytes = SEGMENT_DATA_OFFSET + 2ull * WAL_BATCH_BYTES_MAX,
        .batch_bytes = WAL_BATCH_BYTES_MAX,
        .boot = UINT32_MAX, /* later than all that wrote */
        .buffer_count = BUFFERS,
        .flights = WAL_FLIGHTS_DEFAULT,
        .segments_ahead = WAL_AHEAD_DEFAULT,
        .zeros_bytes = DISK_SECTOR,
        .share_percent = SHARE_PERCENT_DEFAULT,
    };
}

static size_t own_bytes(void)
{
    return (sizeof(struct inspect) + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
}

size_t inspect_bytes(void)
{
    const struct segment_owner anybody = {.cluster = 1, .incarnation = 1, .node = 1};
    const struct wal_options options = options_of(&anybody);

    return own_bytes() + wal_bytes(&options);
}

static struct inspect_segment *segment_of(struct inspect *i, uint64_t generation)
{
    struct inspect_report *report = &i->report;
    uint32_t file = 0;

    while (file < report->segment_count &&
           segment_generation(report->segment[file].name) != generation)
        file++;
    ASSERT(file < report->segment_count); /* the chain is made of files that were listed */
    return &report->segment[file];
}

/* Both copies, a read each: one may be unreadable alone. */
static void read_header(struct wal *w, struct disk_op op, const struct segment_owner *owner,
                        struct inspect_segment *s)
{
    const uint64_t generation = segment_generation(s->name);
    struct segment_header h;

    ASSERT(op.length == DISK_SECTOR);
    memset(w->prepare.headers, 0, SEGMENT_DATA_OFFSET);
    for (uint32_t copy = 0; copy < SEGMENT_COPIES; copy++) {
        op.offset = (uint64_t)copy * DISK_SECTOR;
        op.bytes = w->prepare.headers + op.offset;
        if (wal_do(w, &op) != DISK_SECTOR)
            memset(op.bytes, 0, DISK_SECTOR);
        s->header_copies += segment_check_copy(op.bytes, owner, generation, &h) == SEGMENT_OK;
    }
    s->verdict = segment_check(w->prepare.headers, owner, generation, &s->header);
}

/* Whose header it has, whatever the chain makes of it. */
static int look_at_file(struct inspect *i, uint32_t file)
{
    struct wal *w = i->w;
    struct inspect_segment *s = &i->report.segment[file];
    const struct segment_owner owner = {w->options.cluster, w->options.incarnation,
                                        w->options.node};
    const struct disk_op op = {
        .kind = DISK_OP_READ,
        .slot = WAL_SLOT_FIRST + file,
        .length = DISK_SECTOR,
    };

    ASSERT(file < i->recovery.file_count);
    memcpy(s->name, w->names[file], DISK_NAME_BYTES);
    const int64_t size = disk_open(w->disk, s->name, op.slot);
    if (size < 0)
        return (int)size;
    s->file_bytes = (uint64_t)size;
    s->role = INSPECT_DEAD;
    s->verdict = SEGMENT_BAD;
    read_header(w, op, &owner, s);
    if (s->verdict == SEGMENT_BAD)
        s->role = INSPECT_UNFINISHED;
    return 0;
}

int inspect_open(struct inspect **out, void *memory, struct disk *disk,
                 const struct segment_owner *owner)
{
    struct inspect *i = memory;
    const struct wal_options options = options_of(owner);

    ASSERT((uintptr_t)memory % DISK_SECTOR == 0);
    memset(i, 0, sizeof *i);
    *out = i;
    i->w = wal_init((uint8_t *)memory + own_bytes(), disk, &options);
    recovery_begin(&i->recovery, i->w, &i->report.start);
    i->report.start_result = recovery_load_chain(&i->recovery);
    if (i->report.start_result != 0)
        i->w->segment_count = 0; /* there is no chain to be walked */
    i->report.segment_count = i->recovery.file_count;
    for (uint32_t file = 0; file < i->recovery.file_count; file++) {
        const int result = look_at_file(i, file);
        if (result != 0)
            return result;
    }
    for (uint32_t n = 0; n < i->w->segment_count; n++) {
        segment_of(i, i->w->segment[n].generation)->role = INSPECT_LIVE;
        i->report.bytes_total += i->w->segment[n].bytes;
    }
    const struct segment_manifest *m = &i->w->manifest;
    i->number = m->number > 0 ? m->start_number : 1;
    i->previous_crc = m->start_crc;
    i->previous_known = true; /* nothing comes before batch 1 */
    return i->report.segment_count == 0 && i->report.start_result != 0 ? i->report.start_result : 0;
}

static void add_fault(struct inspect *i, const struct inspect_fault *fault)
{
    struct inspect_report *report = &i->report;

    ASSERT(fault->first_number <= fault->last_number);
    if (report->fault_count < INSPECT_FAULTS_MAX)
        report->fault[report->fault_count] = *fault;
    report->fault_count++;
}

/* How many entries up to its last one a batch brings, by its header; 0: its records would have to be
 * seen, for they fill a hole, or replace each other. */
static uint64_t entries_at_end(const struct batch_header *h)
{
    ASSERT(h->number > 0);
    return (h->flags & BATCH_FILLS) == 0 && h->record_count <= h->last_index ? h->record_count : 0;
}

/* What stood where no batch stands, up to `behind`; NULL: nothing follows that could tell. */
static void add_gap(struct inspect *i, const struct batch_header *behind)
{
    struct inspect_fault fault = {
        .generation = i->w->segment[i->gap_at.segment].generation,
        .offset = i->gap_at.offset,
        .first_number = i->number,
        .last_number = i->number,
    };

    ASSERT(i->gap);
    if (behind == NULL) {
        fault.last_number = i->report.mark_number;
    } else {
        const raft_index last = behind->last_index - entries_at_end(behind);
        fault.last_number = behind->number - 1;
        if (last > i->last.last_index) {
            fault.first_index = i->last.last_index + 1;
            fault.last_index = last;
        }
    }
    add_fault(i, &fault);
    i->gap = false;
}

static void add_bad_batch(struct inspect *i, const struct batch_header *h)
{
    struct inspect_fault fault = {
        .generation = h->generation,
        .offset = h->offset,
        .first_number = h->number,
        .last_number = h->number,
        .header_valid = true,
    };

    ASSERT(h->number > 0);
    if (entries_at_end(h) > 0) {
        fault.first_index = h->last_index + 1 - entries_at_end(h);
        fault.last_index = h->last_index;
    }
    add_fault(i, &fault);
}

static void count_batch(struct inspect_segment *s, const struct batch_header *h,
                        const struct batch_body *body)
{
    ASSERT(h->number > 0);
    if (s->first_number == 0)
        s->first_number = h->number;
    s->last_number = h->number;
    s->batch_count++;
    s->record_count += h->record_count;
    s->end = h->offset + batch_bytes(h->record_bytes);
    if (h->record_count == 0)
        return;
    if (s->first_index == 0 || body->first_index < s->first_index)
        s->first_index = body->first_index;
    s->last_index = h->last_index;
    s->last_term = h->last_term;
}

/* Whether the batch whose header is valid here is whole and continues the one before. */
static bool batch_good(struct inspect *i, const struct batch_header *h, struct wal_place at,
                       uint64_t limit, struct inspect_segment *s)
{
    const uint64_t bytes = batch_bytes(h->record_bytes);
    struct batch_body body;

    ASSERT(h->number >= i->number);
    if (i->previous_known && h->number == i->number && h->previous_crc != i->previous_crc)
        return false;
    const uint8_t *batch = wal_scan_at(&i->recovery.scan, at, bytes, limit);
    if (batch == NULL ||
        !batch_check_body(h, batch + BATCH_HEADER_BYTES, i->w->options.cluster, &body))
        return false;
    if (s->first_term == 0 && h->record_count > 0)
        s->first_term = record_at(batch + BATCH_HEADER_BYTES)->term;
    count_batch(s, h, &body);
    return true;
}

/* What stands at `at`; how far it reaches. */
static uint64_t scan_at(struct inspect *i, struct wal_place at, uint64_t limit,
                        struct inspect_segment *s)
{
    struct batch_header h;

    ASSERT(at.offset + DISK_SECTOR <= limit);
    if (!recovery_header_at(&i->recovery, at, limit, &h) || h.number < i->number) {
        if (!i->gap)
            i->gap_at = at;
        i->gap = true;
        return DISK_SECTOR;
    }
    if (h.mark_number > i->report.mark_number)
        i->report.mark_number = h.mark_number;
    if (h.number > i->number) {
        if (!i->gap)
            i->gap_at = at;
        i->gap = true;
        add_gap(i, &h);
        i->previous_known = false;
    }
    i->gap = false;
    if (batch_good(i, &h, at, limit, s))
        i->last = h;
    else
        add_bad_batch(i, &h);
    i->number = h.number + 1;
    i->previous_crc = h.header_crc;
    i->previous_known = true;
    const uint64_t bytes = batch_bytes(h.record_bytes);
    return bytes < limit - at.offset ? bytes : limit - at.offset;
}

static void scan_segment(struct inspect *i, uint32_t segment)
{
    struct wal *w = i->w;
    struct inspect_segment *s = segment_of(i, w->segment[segment].generation);
    struct wal_place at = {.segment = segment, .offset = SEGMENT_DATA_OFFSET};
    uint64_t limit = w->segment[segment].bytes;

    ASSERT(s->role == INSPECT_LIVE);
    if (s->header.kind == SEGMENT_RECOVERY) {
        const uint64_t vouched = s->header.copied_number > s->header.continues_number
                                     ? s->header.copied_number
                                     : s->header.continues_number;
        if (vouched > i->report.mark_number)
            i->report.mark_number = vouched;
    }
    if (segment + 1 < w->segment_count) {
        const struct inspect_segment *next = segment_of(i, w->segment[segment + 1].generation);
        if (next->header.kind == SEGMENT_RECOVERY && next->header.continues_offset < limit)
            limit = next->header.continues_offset;
    }
    while (at.offset + DISK_SECTOR <= limit)
        at.offset += scan_at(i, at, limit, s);
    i->report.bytes_read += w->segment[segment].bytes;
}

/* The first reading is over: what is torn and what is damaged is known. */
static void judge_faults(struct inspect *i)
{
    struct inspect_report *report = &i->report;

    if (i->number <= report->mark_number) {
        if (!i->gap)
            i->gap_at = (struct wal_place){.segment = i->w->segment_count - 1};
        i->gap = true;
        add_gap(i, NULL);
    }
    const uint32_t kept =
        report->fault_count < INSPECT_FAULTS_MAX ? report->fault_count : INSPECT_FAULTS_MAX;
    for (uint32_t n = 0; n < kept; n++) {
        struct inspect_fault *fault = &report->fault[n];
        const bool damaged = fault->first_number <= report->mark_number;
        fault->kind = damaged ? INSPECT_DAMAGED : INSPECT_TORN;
        report->damaged_count += damaged;
    }
    ASSERT(report->damaged_count <= report->fault_count);
}

bool inspect_poll(struct inspect *i)
{
    ASSERT(i->next <= i->w->segment_count + 1);
    if (i->next < i->w->segment_count) {
        scan_segment(i, i->next++);
        return true;
    }
    if (i->next > i->w->segment_count || i->report.start_result != 0)
        return false;
    i->next++;
    judge_faults(i);
    i->report.start_result = recovery_read(&i->recovery);
    return true;
}

const struct inspect_report *inspect_report(const struct inspect *i)
{
    return &i->report;
}
