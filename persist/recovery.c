/* persist/recovery.c: what a start makes of the files it finds; the table is docs/recovery.md.
 *
 *   find the chain of segments -> walk it batch by batch -> judge where the walk ends: torn or
 *   damaged -> copy what lies above the durable mark into a new segment, flush -> write its header,
 *   flush -> write the mark, flush -> remove what is off the chain.
 *
 * Nothing that was found is written to, and nothing is reported that this process has not flushed or
 * that a durable mark does not vouch for.
 */
#include "persist/recovery_internal.h"

#include "base/planted.h"

#include <errno.h>
#include <string.h>

static bool header_is_next(struct recovery *r, uint64_t limit, struct batch_header *h)
{
    return recovery_header_at(r, r->at, limit, h) && h->number == r->number &&
           h->previous_crc == r->previous_crc;
}

/* 1 when the batch at r->at is good, 0 when not; its records are at *records until the next read. */
static int good_batch(struct recovery *r, uint64_t limit, struct batch_header *h,
                      struct batch_body *body, const uint8_t **records)
{
    ASSERT(r->number > 0);
    if (!header_is_next(r, limit, h))
        return 0;
    /* Our own limits have nothing to do with whether it is good: the settings may have been others. */
    if (batch_bytes(h->record_bytes) > r->scan.window.size)
        return REFUSE(r, -EFBIG,
                      "batch %llu has %u bytes of records: more than buffer_count * "
                      "batch_bytes as they are now configured can hold",
                      (unsigned long long)h->number, h->record_bytes);
    const uint8_t *bytes = wal_scan_at(&r->scan, r->at, batch_bytes(h->record_bytes), limit);
    if (bytes == NULL)
        return 0;
    *records = bytes + BATCH_HEADER_BYTES;
    return batch_check_body(h, *records, r->w->options.cluster, body) ? 1 : 0;
}

/* Nothing is left above the base. */
static void cut_to_base(struct wal *w)
{
    ASSERT(w->view.last >= w->view.base);
    wal_holes_cut(&w->holes, w->view.base, w->view.base_chain);
    wal_view_cut(&w->view, w->view.base);
}

static int skip_to(struct recovery *r, const struct wal_end *end)
{
    ASSERT(end->term_known || r->lost);
    r->lost = false;
    if (end->index <= r->w->view.base) { /* what is missing is in the snapshot */
        cut_to_base(r->w);
        return 0;
    }
    const int result = wal_holes_skip(r->w, end);
    if (result == -EOVERFLOW)
        return REFUSE(r, result, "the log is damaged in more than %d places", WAL_HOLES_MAX);
    if (result != 0)
        return REFUSE(r, result, "the log ends with entry %llu, and %llu are committed",
                      (unsigned long long)end->index, (unsigned long long)r->w->commit);
    return 0;
}

/* Batches before this one are lost: what it says of the end of the log in front of it. */
static int find_lost_end(struct recovery *r, const struct batch_header *h, const uint8_t *records)
{
    struct wal_end end = {h->last_index, h->last_chain, h->last_term, true};

    ASSERT(r->lost);
    if (h->record_count > 0 && (h->flags & BATCH_FILLS) == 0) {
        const struct record_header *record = record_at(records);
        end = (struct wal_end){record->index - 1, record->chain, record->term, false};
    }
    return skip_to(r, &end);
}

/* What is not above the base says nothing, but that what stood above it was replaced too. */
static int add_record(struct recovery *r, const struct record_header *record)
{
    struct wal_view *v = &r->w->view;

    ASSERT(record->index > 0);
    if (record->index > v->last + 1)
        return REFUSE(r, -EBADMSG, "the log has no entries between %llu and %llu",
                      (unsigned long long)v->last, (unsigned long long)record->index);
    if (record->index <= v->base) {
        cut_to_base(r->w);
        return 0;
    }
    if (record->index <= v->last)
        wal_holes_cut(&r->w->holes, record->index - 1, record->chain);
    const int added = wal_view_add(v, record);
    if (added != 0)
        return REFUSE(r, added, "the log has more than %d term runs", RAFT_TERM_RUNS_MAX);
    return 0;
}

static int add_records(struct recovery *r, const struct batch_header *h, const uint8_t *records)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < h->record_count; i++) {
        const struct record_header *record = record_at(records + at);
        const int added = add_record(r, record);
        if (added != 0)
            return added;
        at += record_bytes(record->payload_bytes);
    }
    return 0;
}

/* What fills a hole: nothing, if the damage was not there this time. */
static int fill_hole(struct recovery *r, const struct batch_header *h, const uint8_t *records)
{
    ASSERT(h->record_bytes > 0);
    const int filled = wal_holes_fill(r->w, records, h->record_bytes, r->at);

    if (filled == -EOVERFLOW)
        return REFUSE(r, filled, "the log was repaired in more than %d places", WAL_FILLS_MAX);
    return 0;
}

/* What the batch does to the log. */
static int take_content(struct recovery *r, const struct batch_header *h, const uint8_t *records)
{
    const struct wal_end end = {h->last_index, h->last_chain, h->last_term, true};
    const struct wal_view *v = &r->w->view;
    ASSERT(h->number == r->number);
    int result = r->lost ? find_lost_end(r, h, records) : 0;

    if (result == 0 && (h->flags & BATCH_FILLS) != 0)
        result = fill_hole(r, h, records);
    else if (result == 0 && (h->flags & BATCH_CUTS) != 0)
        result = skip_to(r, &end);
    else if (result == 0)
        result = add_records(r, h, records);
    if (result != 0)
        return result;
    if (h->last_index <= v->base && v->last == v->base)
        return 0; /* it ended within what the snapshot stands for */
    if (h->last_index != v->last || h->last_term != v->last_term || h->last_chain != v->last_chain)
        return REFUSE(r, -EBADMSG, "batch %llu and its records do not agree",
                      (unsigned long long)h->number);
    return 0;
}

/* What holds after the batch at r->at, by its header; the walk goes on behind it. */
static void pass_batch(struct recovery *r, const struct batch_header *h, raft_index first_index)
{
    struct wal *w = r->w;
    const bool fills = (h->flags & BATCH_FILLS) != 0;

    ASSERT(h->number == r->number);
    w->term = h->term;
    w->vote = h->vote;
    w->vote_incarnation = h->vote_incarnation;
    w->commit = h->commit;
    r->kept[h->number % KEPT_RING] = (struct kept){
        .number = h->number,
        .place = r->at,
        .bytes = batch_bytes(h->record_bytes),
        .last_seq = h->last_seq,
        .header_crc = h->header_crc,
        .first_index = fills ? 0 : first_index,
        .fills = fills ? first_index : 0,
    };
    if (h->mark_number > r->mark_number)
        r->mark_number = h->mark_number;
    r->last_seq = h->last_seq;
    r->previous_crc = h->header_crc;
    r->number++;
    r->at.offset += batch_bytes(h->record_bytes);
}

/* A good batch joins the log. */
static int keep_batch(struct recovery *r, const struct batch_header *h,
                      const struct batch_body *body, const uint8_t *records)
{
    struct wal *w = r->w;

    const raft_index goes_on = wal_batch_goes_on(h, records);
    ASSERT(h->number == r->number);
    ASSERT(h->previous_crc == r->previous_crc);
    if (r->at.offset == SEGMENT_DATA_OFFSET)
        w->segment[r->at.segment].goes_on = goes_on;
    if (h->boot >= w->options.boot)
        return REFUSE(r, -EINVAL, "the log was written in boot %u, and this is to be boot %u",
                      h->boot, w->options.boot);
    if (h->number <= w->manifest.cut_number) {
        r->lost = false; /* a snapshot was installed over what it and those before it brought */
        pass_batch(r, h, 0);
        return 0;
    }
    const int taken = take_content(r, h, records);
    if (taken != 0)
        return taken;
    if (body->first_index > 0 && (h->flags & BATCH_FILLS) == 0)
        wal_places_add(&w->places, body->first_index, r->at);
    pass_batch(r, h, body->first_index);
    r->kept[h->number % KEPT_RING].goes_on = goes_on;
    return 0;
}

/* What the header of a segment vouches for: what it continues, and what was copied into it. */
static void mark_by_header(struct recovery *r, const struct segment_header *h)
{
    if (h->kind == SEGMENT_RECOVERY && h->continues_number > r->mark_number)
        r->mark_number = h->continues_number;
    if (h->kind == SEGMENT_RECOVERY && h->copied_number > r->mark_number)
        r->mark_number = h->copied_number;
}

/* Where segment i ends at the latest, by the header of the one behind it. */
static int segment_limit(struct recovery *r, uint32_t segment, struct segment_header *next,
                         uint64_t *limit)
{
    struct wal *w = r->w;

    ASSERT(segment < r->w->segment_count);
    *limit = w->segment[segment].bytes;
    *next = (struct segment_header){0};
    if (segment + 1 == w->segment_count)
        return 0;
    const enum segment_verdict verdict = recovery_read_header(r, segment + 1, next);
    if (verdict != SEGMENT_OK)
        return recovery_refuse_header(r, w->segment[segment + 1].generation, verdict, next);
    if (next->kind != SEGMENT_RECOVERY)
        return 0;
    *limit = next->continues_offset < *limit ? next->continues_offset : *limit;
    mark_by_header(r, next);
    return 0;
}

/* True when the log goes on at the start of the segment behind the one the walk is in. */
static bool next_segment_goes_on(struct recovery *r, const struct segment_header *next)
{
    if (next->kind == SEGMENT_RECOVERY)
        return r->at.offset == next->continues_offset && r->number - 1 == next->continues_number &&
               r->previous_crc == next->continues_crc;
    if (next->kind != SEGMENT_ROLL)
        return false; /* there is none */
    const struct wal_place here = r->at;
    struct batch_header h;
    struct batch_body body;
    const uint8_t *records;
    r->at = (struct wal_place){.segment = here.segment + 1, .offset = SEGMENT_DATA_OFFSET};
    const int good = good_batch(r, r->w->segment[r->at.segment].bytes, &h, &body, &records);
    r->at = here;
    return good != 0; /* a refusal is met again there */
}

/* Reads the log from r->at as far as it is good: r->at is then the first place that is not. */
static int walk(struct recovery *r)
{
    struct wal *w = r->w;
    struct segment_header next;
    struct batch_header h;
    struct batch_body body;
    const uint8_t *records;
    uint64_t limit;

    for (uint32_t i = r->at.segment; i < w->segment_count; i++) {
        int result = segment_limit(r, i, &next, &limit);
        int good = 1;
        if (r->at.offset == SEGMENT_DATA_OFFSET) {
            w->segment[i].first_number = r->number;
            w->segment[i].first_crc = r->previous_crc;
        }
        while (result == 0 && good == 1) {
            good = good_batch(r, limit, &h, &body, &records);
            result = good == 1 ? keep_batch(r, &h, &body, records) : good;
        }
        if (result != 0)
            return result;
        w->segment[i].end = r->at.offset;
        if (!next_segment_goes_on(r, &next))
            return 0;
        r->at = (struct wal_place){.segment = i + 1, .offset = SEGMENT_DATA_OFFSET};
    }
    return 0;
}

/* Where it ends was read RECOVERY_LOOKS times. */
static int walk_again(struct recovery *r)
{
    uint64_t reached = 0;
    uint32_t looks = 0; /* at that place */
    int result = 0;

    ASSERT(r->number > 0);
    while (result == 0 && looks < RECOVERY_LOOKS) { /* all turns but these bring the walk forward */
        wal_scan_forget(&r->scan);
        if (!r->looked) /* from r->at on all is still to be read */
            r->scan.unreadable_last = (struct wal_place){0};
        result = walk(r);
        MARK_IF(looks > 0 && r->number > reached, LOOKED_AGAIN);
        looks = r->number > reached ? 1 : looks + 1;
        reached = r->number;
    }
    return result;
}

/* Looks at everything from r->at on for marks; once is enough. */
static int look_behind(struct recovery *r)
{
    struct wal *w = r->w;
    struct segment_header next;
    struct batch_header h;
    struct wal_place at = r->at;
    uint64_t limit;

    ASSERT(r->at.segment < r->w->segment_count);
    for (uint32_t i = r->at.segment; i < w->segment_count && !r->looked; i++) {
        const int result = segment_limit(r, i, &next, &limit);
        if (result != 0)
            return result;
        while (at.offset + DISK_SECTOR <= limit) {
            const bool valid = recovery_header_at(r, at, limit, &h);
            at.offset += valid ? batch_bytes(h.record_bytes) : DISK_SECTOR;
            if (!valid)
                continue;
            r->highest_behind = h.number > r->highest_behind ? h.number : r->highest_behind;
            if (h.mark_number > r->mark_number)
                r->mark_number = h.mark_number;
        }
        at = (struct wal_place){.segment = i + 1, .offset = SEGMENT_DATA_OFFSET};
    }
    r->looked = true;
    return 0;
}

/* The walk goes on with batch `number`, which stands at `at`, behind what is lost. */
static void go_on_at(struct recovery *r, struct wal_place at, uint64_t number,
                     uint32_t previous_crc)
{
    ASSERT(number > r->number);
    r->kept[(number - 1) % KEPT_RING] = (struct kept){
        .number = number - 1, .place = at, .last_seq = r->last_seq, .header_crc = previous_crc};
    r->at = at;
    r->number = number;
    r->previous_crc = previous_crc;
    r->lost = number - 1 > r->w->manifest.cut_number;
}

/* The first header behind r->at in its segment that is of a later batch: the one behind the mark at most,
 * for what is lost in front of that was durable, and in front of any other it need not have been. */
static bool find_behind(struct recovery *r, uint64_t limit)
{
    struct wal_place at = r->at;
    struct batch_header h;

    ASSERT(r->number <= r->mark_number); /* else it is no damage */
    for (; at.offset + DISK_SECTOR <= limit; at.offset += DISK_SECTOR) {
        if (!recovery_header_at(r, at, limit, &h) || h.number <= r->number ||
            h.number > r->mark_number + 1)
            continue;
        go_on_at(r, at, h.number, h.previous_crc);
        return true;
    }
    return false;
}

/* What is at r->at was durable and is damaged: the walk goes on behind it. */
static int pass_damage(struct recovery *r)
{
    struct wal *w = r->w;
    struct segment_header next;
    struct batch_header h;
    uint64_t limit;

    ASSERT(r->number <= r->mark_number);
    r->damaged = true;
    for (uint32_t i = r->at.segment; i < w->segment_count; i++) {
        const int result = segment_limit(r, i, &next, &limit);
        if (result != 0)
            return result;
        if (header_is_next(r, limit, &h)) {
            const struct wal_end end = {h.last_index, h.last_chain, h.last_term, true};
            const int skipped = h.number > w->manifest.cut_number ? skip_to(r, &end) : 0;
            pass_batch(r, &h, 0);
            return skipped;
        }
        if (find_behind(r, limit))
            return 0;
        /* A RECOVERY segment says what it continues, which nothing in front of it says any more. */
        const struct wal_place behind = {.segment = i + 1, .offset = SEGMENT_DATA_OFFSET};
        if (next.kind == SEGMENT_RECOVERY && next.continues_number >= r->number) {
            r->at.offset = next.continues_offset;
            go_on_at(r, behind, next.continues_number + 1, next.continues_crc);
            r->kept[next.continues_number % KEPT_RING].place = (struct wal_place){i, limit};
            return 0;
        }
        r->at = behind;
    }
    return REFUSE(r, -EBADMSG,
                  "the log is damaged: batch %llu was durable (durable mark %llu) and can't be "
                  "read, nor can anything behind it: where the log ends is not known",
                  (unsigned long long)r->number, (unsigned long long)r->mark_number);
}

/* The walk has come to something that is not good: the end of the log, or damage, which must not be
 * taken for it. 1: damage. */
static int judge(struct recovery *r)
{
    struct wal *w = r->w;

    if (w->segment_count == 0)
        return 0;
    const int result = look_behind(r);
    if (result != 0)
        return result;
    if (planted(PLANTED_LATER_BATCH_PROVES) && r->highest_behind > r->mark_number)
        r->mark_number = r->highest_behind;
    if (r->number <= r->mark_number)
        return 1;
    /* A mark for this batch may stand in a sector from here on that can't be read: then nobody knows if it
     * was durable. In front of it there is none: what stood there was older. */
    const struct wal_place unreadable = r->scan.unreadable_last;
    if (!wal_place_before(unreadable, r->at))
        return REFUSE(r, -EIO,
                      SEGMENT_NAME_PREFIX
                      "%016llx can't be read at offset %llu, behind the last batch "
                      "that is known: where the log ends is not known",
                      (unsigned long long)w->segment[unreadable.segment].generation,
                      (unsigned long long)unreadable.offset);
    if (r->lost)
        return REFUSE(r, -EBADMSG,
                      "the log is damaged: batch %llu was durable and can't be read, and what "
                      "follows it was never finished: where the log ends is not known",
                      (unsigned long long)r->number - 1);
    MARK_IF(r->highest_behind >= r->number, LOG_TORN);
    if (r->highest_behind >= r->number)
        r->out->torn_batches = (uint32_t)(r->highest_behind - r->number + 1);
    return 0;
}

/* The snapshot that the base stands for outlives what the batches knew when they were composed. */
static int check_base(struct recovery *r)
{
    struct wal *w = r->w;
    const struct segment_manifest *m = &w->manifest;

    /* Where something was lost, its replacement is judged by the chain of the hole. */
    const bool whole = w->holes.hole_count == 0 && w->holes.fill_count == 0;
    if ((whole && w->view.first_chain != m->base_chain) || w->view.last < m->snapshot_index)
        return REFUSE(r, -EBADMSG, "the log does not continue its base, entry %llu",
                      (unsigned long long)m->base_index);
    if (w->commit < m->snapshot_index)
        w->commit = m->snapshot_index;
    if (w->term < m->base_term) { /* a vote in this term would have been flushed with it */
        w->term = m->base_term;
        w->vote = 0;
        w->vote_incarnation = 0;
    }
    return 0;
}

void recovery_begin(struct recovery *r, struct wal *w, struct wal_recovered *out)
{
    ASSERT(w->segment_count == 0);
    *r = (struct recovery){
        .w = w,
        .out = out,
        .number = 1,
    };
    wal_scan_init(&r->scan, w);
    *out = (struct wal_recovered){0};
    w->generation_next = 1;
}

/* The manifest says where the log begins, and vouches for what it had seen. */
static void begin_at_start(struct recovery *r)
{
    const struct segment_manifest *m = &r->w->manifest;

    ASSERT(r->number == 1);
    wal_view_begin(&r->w->view, m->base_index, m->base_term, m->base_chain);
    if (m->number == 0)
        return;
    r->number = m->start_number;
    r->previous_crc = m->start_crc;
    r->mark_number = m->start_number > m->cut_number ? m->start_number : m->cut_number;
}

int recovery_read(struct recovery *r)
{
    struct segment_header first;
    int result = 1;

    begin_at_start(r);
    r->at = (struct wal_place){.segment = 0, .offset = SEGMENT_DATA_OFFSET};
    if (r->w->segment_count > 0 && recovery_read_header(r, 0, &first) == SEGMENT_OK)
        mark_by_header(r, &first);
    while (result == 1) { /* once for each damaged place: each brings the walk forward */
        result = walk_again(r);
        if (result == 0)
            result = judge(r);
        if (result == 1) {
            const int passed = pass_damage(r);
            result = passed != 0 ? passed : 1;
        }
    }
    wal_scan_settle(&r->scan);
    if (result == 0)
        result = check_base(r);
    if (result == 0)
        recovery_report(r);
    return result;
}

int wal_recover(struct wal *w, struct wal_recovered *out)
{
    struct recovery r;

    recovery_begin(&r, w, out);
    int result = recovery_load_chain(&r);
    if (result == 0)
        result = recovery_read(&r);
    if (result == 0)
        result = recovery_resume(&r);
    if (result == 0)
        result = recovery_report_configs(&r);
    return result;
}
