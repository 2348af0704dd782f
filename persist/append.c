/* persist/append.c: the open batch is filled.
 *
 * A batch is closed when it is full, and when it repairs the log; else its turn to be submitted closes
 * it (submit.c).
 */
#include "persist/wal_internal.h"

#include "base/crc32c.h"
#include "base/planted.h"

#include <errno.h>
#include <string.h>

enum { CRCS_AT_ONCE = 64 };

struct wal_buffer *wal_open_buffer(struct wal *w)
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
    struct wal_buffer *b = wal_open_buffer(w);

    if (b == NULL)
        return -EAGAIN;
    if (!b->has_steps)
        return 0;
    if (w->open_number + 1 - w->oldest_number == w->options.buffer_count)
        return -EAGAIN;
    close_open_batch(w, b);
    b = wal_open_buffer(w);
    ASSERT(b != NULL);
    return 0;
}

/* What was promised by wal_room() is kept though half of the reserve was used since. */
static bool takes(const struct wal *w, const struct wal_step *step)
{
    const uint64_t kept = step->from_reserve ? 0 : wal_reserve_bytes(w) / 2;

    ASSERT(step->length > 0);
    return batch_bytes(step->length) + kept <= wal_free_bytes(w);
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

void wal_state_to_header(const struct wal *w, struct batch_header *h)
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
    if (wal_is_filling(w))
        close_open_batch(w, wal_buffer_of(w, w->open_number));
    struct wal_buffer *b = wal_open_buffer(w);
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
    wal_state_to_header(w, &b->header);
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
    struct wal_buffer *b = wal_open_buffer(w);
    if (b != NULL &&
        BATCH_HEADER_BYTES + b->header.record_bytes + step->length > w->options.batch_bytes) {
        MARK(BATCH_CLOSED_FULL);
        close_open_batch(w, b);
        b = wal_open_buffer(w);
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
    wal_state_to_header(w, &b->header);
    if (keeps) {
        b->header.term = before.term;
        b->header.vote = before.vote;
    }
    return 0;
}
