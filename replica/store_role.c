/* replica/store_role.c: applies committed entries and serves reads, one thing at a time, in slices.
 *
 * The ring from raft holds runs of entries and confirmed reads in the order in which they must
 * happen. Between two things from it, reads that need no confirmation are taken from the doors.
 * Who waits for an entry stands in its record: our node and boot, and the asker's tag.
 */
#include "replica/config_record.h"
#include "replica/replica_internal.h"

#include <string.h>

/* Pushes the answer that was made, its bytes copied into the door's memory. False: no room now. */
static bool push_unsent(struct replica *r)
{
    struct replica_store *role = &r->store;
    struct answer *answer = &role->unsent;
    struct request_door *door = door_of(r, answer->tag);

    if (!role->has_unsent)
        return true;
    if (door != NULL) {
        if (spsc_room(door->from_store, 1) == 0) {
            MARK(ASKER_BEHIND);
            return false;
        }
        if (answer->length > 0) {
            uint8_t *bytes = byte_ring_reserve(door->answer_memory, answer->length);
            if (bytes == NULL)
                return false;
            memcpy(bytes, role->sink.bytes, answer->length);
            answer->bytes = bytes;
        }
        const uint32_t taken = spsc_push(door->from_store, answer, sizeof *answer, 1);
        ASSERT(taken == 1);
    }
    role->has_unsent = false;
    role->sink.used = 0;
    return true;
}

/* An answer from what the sink holds now: a piece, or the last word. */
static void make_answer(struct replica *r, bool more)
{
    struct replica_store *role = &r->store;

    role->unsent = (struct answer){
        .tag = role->tag,
        .index = store_applied(role->store),
        .revision = (uint64_t)store_revision(role->store),
        .length = role->sink.used,
        .status = ANSWER_OK,
        .more = more,
    };
    if (!more) { /* there is no outcome before the work is done */
        const struct store_outcome outcome = store_outcome(role->store);
        role->unsent.revision = (uint64_t)outcome.revision;
        role->unsent.refusal = (uint8_t)outcome.refusal;
    }
    role->has_unsent = true;
}

/* One slice of the work that was begun. True: the store is done with it. */
static bool work_slice(struct replica *r)
{
    struct replica_store *role = &r->store;
    const enum store_progress progress = store_work(role->store, &role->sink, r->options.store_budget);

    if (progress == STORE_DONE) {
        if (role->wanted)
            make_answer(r, false);
        role->working = false;
        return true;
    }
    if (progress == STORE_SINK_FULL)
        make_answer(r, true);
    return false;
}

/* What the state comes to here is told to the raft role. While its ring is full only the newest waits. */
static void tell_digest(struct replica *r)
{
    struct replica_store *role = &r->store;

    if (role->digest.index != 0 && spsc_push(r->digests, &role->digest, sizeof role->digest, 1) == 1)
        role->digest.index = 0;
}

void store_role_digest(struct replica *r)
{
    struct replica_store *role = &r->store;

    role->digest = (struct state_digest){store_applied(role->store), store_digest(role->store)};
    tell_digest(r);
}

static void entry_done(struct replica *r)
{
    struct replica_store *role = &r->store;

    if ((store_applied(role->store) & (r->options.digest_every - 1)) == 0 ||
        record_at(role->at)->type == RECORD_SNAPSHOT)
        store_role_digest(r);
    role->at += record_bytes(record_at(role->at)->payload_bytes);
    role->entries_left--;
    if (role->entries_left > 0)
        return;
    /* The last entry of a run gives its memory back. */
    published_set(&r->store_done, published_get(&r->store_done) + 1);
    role->at = NULL;
}

/* An entry that is no command: only what a configuration says of the store counts here. A quota
 * for which this node has not taken the memory ends it before it could apply differently. */
static void skip_entry(struct replica *r, const struct record_header *record)
{
    struct raft_config config;
    uint64_t quota_bytes;

    if (record->type == RECORD_CONFIG &&
        config_record_decode(record_payload(record), record->payload_bytes, &config,
                             &quota_bytes)) {
        if (quota_bytes > r->options.quota_bytes) {
            published_set(&r->store_failed, REPLICA_STOP_QUOTA);
            return;
        }
        store_set_quota(r->store.store, quota_bytes);
    }
    store_skip(r->store.store, record->index);
    if (record->type == RECORD_SNAPSHOT)
        store_snapshot_on_point(r);
    entry_done(r);
}

static void begin_entry(struct replica *r)
{
    struct replica_store *role = &r->store;
    const struct record_header *record = record_at(role->at);
    const bool ours = record->origin_node == r->options.node &&
                      (record->origin_boot == r->options.boot ||
                       planted(PLANTED_ANSWER_OF_EARLIER_BOOT));

    if (record->type != RECORD_COMMAND) {
        skip_entry(r, record);
        return;
    }
    role->tag = record->origin_request;
    role->wanted = ours;
    role->sink.used = 0;
    store_begin_apply(role->store, record->index, record_payload(record), record->payload_bytes,
                      role->wanted);
    role->working = true;
}

static void begin_read(struct replica_store *role, const struct request *read)
{
    role->tag = read->tag;
    role->wanted = true;
    role->sink.used = 0;
    store_begin_read(role->store, read->bytes, read->length);
    role->working = true;
}

/* A read that was confirmed by lease counts only if the lease was still good after the read had come:
 * whoever was paused in between may have been deposed. So it waits for the first poll whose clock was
 * read when it was here already; the state then is at least what was committed at that moment. Too
 * late: raft confirms it anew, under another number. True: it may be begun. */
static bool lease_holds(struct replica *r, uint64_t now_ns)
{
    struct replica_store *role = &r->store;
    const struct read_slot *read = &role->held.read;

    ASSERT(role->has_held);
    if (read->until_ns == 0 || planted(PLANTED_LEASE_NOT_RECHECKED))
        return true;
    if (role->popped > role->arrived && !planted(PLANTED_LEASE_BY_EARLIER_CLOCK))
        return false; /* it came after the clock was read */
    if (now_ns < read->until_ns)
        return true;
    if (spsc_push(r->late_reads, read, sizeof *read, 1) == 1)
        role->has_held = false;
    return false;
}

/* Something new to work on from raft's ring. */
static bool next_item(struct replica *r, uint64_t now_ns)
{
    struct replica_store *role = &r->store;
    struct store_item *item = &role->held;

    if (!role->has_held) {
        if (spsc_pop(r->to_store, item, sizeof *item, 1) == 0)
            return false;
        role->popped++;
        role->has_held = true;
    }
    if (item->bytes == NULL && !lease_holds(r, now_ns))
        return false;
    role->has_held = false;
    ASSERT(item->load != 0 || !store_snapshot_loads(r));
    if (item->load != 0) {
        store_snapshot_begin_load(r, item);
        return true;
    }
    if (item->bytes == NULL) {
        begin_read(role, &item->read.request);
        return true;
    }
    role->at = item->bytes;
    role->entries_left = item->count;
    return true;
}

/* A read that takes the state as it is here, if a door has one. */
static bool local_read(struct replica *r)
{
    struct replica_store *role = &r->store;
    struct request request;

    for (uint32_t i = 0; i < r->options.door_count; i++) {
        struct request_door *door = r->options.door[role->door_next];
        role->door_next = role->door_next + 1 < r->options.door_count ? role->door_next + 1 : 0;
        if (spsc_pop(door->to_store, &request, sizeof request, 1) == 1) {
            begin_read(role, &request);
            return true;
        }
    }
    return false;
}

/* False: nothing to do. */
static bool begin_next(struct replica *r, uint64_t now_ns)
{
    struct replica_store *role = &r->store;

    if (store_snapshot_loads(r))
        return store_snapshot_is_due(r) && next_item(r, now_ns);
    if (role->entries_left > 0) {
        begin_entry(r);
        return true;
    }
    /* In turns, so that neither starves the other. */
    role->local_next = !role->local_next;
    return role->local_next ? local_read(r) || next_item(r, now_ns)
                            : next_item(r, now_ns) || local_read(r);
}

/* One entry or read, or a slice of one. False: nothing to do, or no room for an answer. */
static bool one_piece(struct replica *r, uint64_t now_ns)
{
    struct replica_store *role = &r->store;

    if (!push_unsent(r))
        return false;
    if (!role->working && !begin_next(r, now_ns))
        return false;
    if (role->working && work_slice(r) && role->at != NULL)
        entry_done(r);
    push_unsent(r);
    return true;
}

static void publish(struct replica *r)
{
    const struct store *store = r->store.store;
    struct node_view *view = r->options.view;

    published_set(&view->revision, (uint64_t)store_revision(store));
    published_set(&view->store_bytes, store_logical_bytes(store));
    published_set(&view->digest, store_digest(store));
    published_set(&view->applied, store_applied(store));
}

uint32_t store_role_poll(struct replica *r, uint64_t now_ns)
{
    struct replica_store *role = &r->store;
    uint32_t work = 0;

    if (published_get(&r->options.view->stop) != REPLICA_STOP_NONE ||
        published_get(&r->store_failed) != REPLICA_STOP_NONE)
        return 0;
    while (work < STORE_BURST && one_piece(r, now_ns)) {
        work++;
        if (role->working || published_get(&r->store_failed) != REPLICA_STOP_NONE)
            break; /* a slice is all that one poll may take */
    }
    work += store_snapshot_poll(r, work > 0);
    if (r->options.lease_reads)
        role->arrived = role->popped + spsc_count(r->to_store, r->to_store->mask + 1);
    if (role->digest.index != 0)
        tell_digest(r);
    if (work > 0)
        publish(r);
    return work + role->has_held; /* what is held wants another poll soon */
}
