/* replica/feed.c: committed entries and confirmed reads to the store, in log order; and old entries
 * back from the log for whoever needs them.
 *
 * The store gets runs of records that lie back to back, by address. Where the next committed entry
 * has left record memory (after a restart: everything), it is loaded from the log first.
 */
#include "replica/replica_internal.h"

#include <errno.h>

void load_start(struct load *load, raft_index first, raft_index last, raft_term term)
{
    load->asked = true;
    if (load->state == LOAD_READY && load->first == first && load->term == term)
        return; /* what is wanted is here */
    MARK_IF(load->state == LOAD_READING, LOAD_BUSY);
    if (load->state == LOAD_READING || load->state == LOAD_DRAINING)
        return; /* the core asks again */
    ASSERT(first <= last);
    load->state = LOAD_WANTED;
    load->first = first;
    load->last = last;
    load->term = term;
}

static uint32_t request_load(struct replica *r, struct load *load)
{
    if (load->state != LOAD_WANTED)
        return 0;
    load->state = LOAD_READING;
    const uint32_t taken = spsc_push(r->to_load, &load, sizeof load, 1);
    ASSERT(taken == 1); /* the ring holds all the loads there are */
    return 1;
}

static void take_loaded(struct replica *r, struct load *load)
{
    ASSERT(load->state == LOAD_READING);
    if (load == &r->raft.repair.serve) {
        repair_on_loaded(r);
        return;
    }
    if (load == &r->raft.store_load && load->first != r->raft.fed + 1) {
        load->state = LOAD_IDLE; /* a snapshot took the place of those entries */
        return;
    }
    if (load->result == -ENOENT || (load->result == 0 && load->length == 0)) {
        MARK(LOAD_GONE);
        load->state = LOAD_IDLE; /* truncated meanwhile; whoever still needs it asks again */
        return;
    }
    if (load->result != 0) {
        raft_role_stop(r, REPLICA_STOP_LOG_DAMAGED);
        return;
    }
    load->state = LOAD_READY;
    load->used = 0;
}

uint32_t loads_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct load *load;
    uint32_t work = 0;

    while (spsc_pop(r->loaded, &load, sizeof load, 1) == 1) {
        take_loaded(r, load);
        work++;
    }
    for (uint32_t i = 0; i < role->peer_count; i++)
        work += request_load(r, &role->peer[i].load);
    if (role->store_load.state == LOAD_DRAINING &&
        published_get(&r->store_done) >= role->store_load.mark)
        role->store_load.state = LOAD_IDLE;
    work += request_load(r, &role->store_load);
    work += request_load(r, &role->repair.serve);
    return work;
}

/* Passes over entries that follow `first` back to back in memory, up to `last`; tells whose they
 * are; returns how many. `end`: behind the last byte that may be looked at. */
static uint32_t run_length(struct replica *r, const uint8_t *bytes, const uint8_t *end,
                           raft_index last)
{
    struct replica_raft *role = &r->raft;
    const uint8_t *at = bytes;
    uint32_t count = 0;

    while (count < RUN_ENTRIES_MAX && at < end && role->fed + 1 + count <= last) {
        const struct record_header *record = record_at(at);
        requests_on_committed(r, record);
        points_on_fed(r, record);
        at += record_bytes(record->payload_bytes);
        count++;
    }
    return count;
}

/* The end of the entries that lie back to back in record memory from `index` on. */
static const uint8_t *memory_run_end(const struct record_memory *m, raft_index index,
                                     raft_index last)
{
    const uint8_t *end = (const uint8_t *)record_memory_at(m, index);

    for (uint32_t i = 0; i < RUN_ENTRIES_MAX && index + i <= last; i++) {
        const struct record_header *record = record_memory_at(m, index + i);
        if (record == NULL || (const uint8_t *)record != end)
            break;
        end += record_bytes(record->payload_bytes);
    }
    return end;
}

static void push_run(struct replica *r, const uint8_t *bytes, uint32_t count)
{
    const struct store_item item = {.bytes = bytes, .count = count};
    const uint32_t taken = spsc_push(r->to_store, &item, sizeof item, 1);

    ASSERT(taken == 1);
    r->raft.memory.reader[1].given++;
    r->raft.fed += count;
}

/* The next run from what was loaded. True: something was handed over. */
static bool feed_loaded(struct replica *r, raft_index commit)
{
    struct replica_raft *role = &r->raft;
    struct load *load = &role->store_load;

    /* Only what lies below record memory is loaded, and that never comes back into it: so what was
     * loaded stays next. */
    ASSERT(load->state != LOAD_READY || load->first == role->fed + 1);
    ASSERT(role->fed + 1 < role->memory.first);
    if (load->state == LOAD_IDLE) {
        const raft_index below = role->memory.first - 1;
        raft_index last;
        const raft_term term = raft_term_at(role->raft, role->fed + 1, &last);
        last = last < commit ? last : commit;
        MARK_IF(below < last, LOAD_MEETS_MEMORY);
        load_start(load, role->fed + 1, last < below ? last : below, term);
        return false;
    }
    if (load->state != LOAD_READY)
        return false;
    const uint8_t *bytes = load->bytes + load->used;
    const uint32_t count = run_length(r, bytes, load->bytes + load->length, commit);
    for (uint32_t i = 0; i < count; i++)
        load->used += record_bytes(record_at(load->bytes + load->used)->payload_bytes);
    load->first += count;
    MARK(STORE_FED_FROM_LOG);
    push_run(r, bytes, count);
    if (load->used == load->length) {
        load->state = LOAD_DRAINING;
        load->mark = role->memory.reader[1].given;
    }
    return count > 0;
}

static bool feed_entries(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const raft_index limit = role->repair.active ? role->repair.limit : RAFT_WORD_MAX;
    const raft_index known = raft_commit(role->raft);
    const raft_index commit = known < limit ? known : limit;

    if (role->fed >= commit)
        return false;
    const uint8_t *bytes = (const uint8_t *)record_memory_at(&role->memory, role->fed + 1);
    if (bytes == NULL)
        return feed_loaded(r, commit);
    const uint8_t *end = memory_run_end(&role->memory, role->fed + 1, commit);
    push_run(r, bytes, run_length(r, bytes, end, commit));
    return true;
}

static bool feed_read(struct replica *r)
{
    struct read_table *reads = &r->raft.reads;

    if (reads->head == reads->confirmed)
        return false;
    const struct read_slot *slot = &reads->slot[reads->head & reads->mask];
    if (slot->index > r->raft.fed && !planted(PLANTED_READ_BEFORE_APPLY))
        return false;
    const struct store_item item = {.read = *slot};
    const uint32_t taken = spsc_push(r->to_store, &item, sizeof item, 1);
    ASSERT(taken == 1);
    reads->head++;
    return true;
}

bool feed_loads(const struct replica *r)
{
    return r->raft.load_due.load != 0 || r->raft.loading != 0;
}

void feed_pass_over(struct replica *r, const struct snapshot_header *header)
{
    struct replica_raft *role = &r->raft;
    const enum load_state load = role->store_load.state;

    ASSERT(header->index > role->fed);
    requests_on_pass_over(r, header->term);
    points_begin_at(r, header);
    role->fed = header->index;
    if (planted(PLANTED_LOAD_SKIPPED))
        return;
    role->load_due = (struct store_item){
        .load = header->index,
        .load_bytes = header->bytes,
        .load_chunk_bytes = header->chunk_bytes,
    };
    if (load == LOAD_WANTED || load == LOAD_READY)
        role->store_load.state = LOAD_IDLE;
}

/* A snapshot for the store goes in front of everything, as soon as it is the current one; and until it has
 * taken it in nothing follows: a later one may have to take its place. True: the store is ready for more. */
static bool feed_load(struct replica *r)
{
    struct replica_raft *role = &r->raft;

    if (role->making.state == MAKING_NAMING && role->fed < role->making.ready.index)
        return false; /* what it has not got is passed over when that one is current */
    if (role->load_due.load != 0) {
        if (role->making.current.index != role->load_due.load ||
            spsc_push(r->to_store, &role->load_due, sizeof role->load_due, 1) == 0)
            return false;
        role->pushes++;
        role->loading = role->load_due.load;
        role->load_due.load = 0;
    }
    if (role->loading != 0 && published_get(&r->options.view->applied) >= role->loading)
        role->loading = 0;
    return role->loading == 0;
}

uint32_t feed_poll(struct replica *r)
{
    uint32_t work = 0;

    if (!feed_load(r))
        return 0;
    while (spsc_room(r->to_store, 1) > 0 && (feed_read(r) || feed_entries(r)))
        work++;
    return work;
}
