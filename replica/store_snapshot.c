/* replica/store_snapshot.c: the store role's side of snapshots: one that it emits, or one that it loads.
 *
 * Emission, between the slices of other work, and never waited for by any of it:
 *
 *   NONE --a point is applied--> PINNED --raft publishes `emit`--> chunks to persist, while it has buffers
 *   PINNED --the last chunk, `unpin`, cut off by its cap--> what was kept is given back --> NONE
 *
 * Load, for which everything else waits:
 *
 *   DUE, from a start with a snapshot on; or NONE --LOAD from raft--> CHUNKS --all is taken in--> NONE
 *   CHUNKS --a chunk can't be read--> MENDS --`snapshot_mended` has changed--> CHUNKS
 *   CHUNKS --it is not the current one any more--> DUE, for a newer one is
 *
 * A chunk that persist hands out has its checksum, yet its content is judged like any bytes from a disk. If the
 * whole is not what the store can take for a state, the snapshot counts as lost, like one without a file.
 */
#include "replica/replica_internal.h"
#include "store/snapshot.h"

#include <errno.h>

/* ---- a snapshot of ours ----------------------------------------------------------------------- */

void store_snapshot_on_point(struct replica *r)
{
    struct store *store = r->store.store;

    if (!store_pin(store)) {
        MARK(PIN_PASSED_OVER);
        return;
    }
    r->store.snapshot.filled = 0;
    published_set(&r->pinned_bytes, store_pinned_bytes(store));
    published_set(&r->pinned, store_pinned(store));
}

/* The pin ends; what it kept is given back in slices. */
static uint32_t let_go(struct replica *r, uint32_t budget)
{
    if (store_unpin(r->store.store, budget))
        published_set(&r->pinned, 0);
    return 1;
}

static uint32_t emit(struct replica *r, uint32_t budget)
{
    struct store *store = r->store.store;
    struct store_snapshot *s = &r->store.snapshot;
    const uint32_t chunk_bytes = r->options.snapshots.chunk_bytes;
    const uint64_t lent = s->emitted - published_get(&r->chunks_done);
    struct snapshot_chunk chunk = {.index = store_pinned(store)};

    ASSERT(lent <= SNAPSHOT_EMIT_BUFFERS);
    if (lent == SNAPSHOT_EMIT_BUFFERS)
        return 0;
    uint8_t *bytes = s->emit_bytes + (s->emitted % SNAPSHOT_EMIT_BUFFERS) * chunk_bytes;
    s->filled += store_emit(store, bytes + s->filled, chunk_bytes - s->filled, budget);
    chunk.last = store_emitted(store);
    if (s->filled < chunk_bytes && !chunk.last)
        return 1;
    chunk.bytes = bytes;
    chunk.length = s->filled;
    const uint32_t taken = spsc_push(r->emitted, &chunk, sizeof chunk, 1);
    ASSERT(taken == 1); /* the ring has a slot for each buffer */
    s->emitted++;
    s->filled = 0;
    if (!chunk.last)
        return 1;
    published_set(&r->emit_ended, chunk.index);
    return planted(PLANTED_UNPIN_FORGOTTEN) ? 1 : let_go(r, budget);
}

static uint32_t pin_poll(struct replica *r, uint32_t budget)
{
    const uint64_t pinned = published_get(&r->pinned);

    if (pinned == 0)
        return 0;
    if (store_pinned(r->store.store) == 0 || published_get(&r->unpin) >= pinned)
        return let_go(r, budget);
    ASSERT(store_pinned(r->store.store) == pinned);
    return published_get(&r->emit) == pinned ? emit(r, budget) : 0;
}

/* ---- a snapshot to begin with ------------------------------------------------------------------ */

/* All chunks that are asked for have come back. From the beginning, or from the one that was damaged. */
static void read_from(struct replica *r, uint32_t chunk)
{
    struct store_snapshot *s = &r->store.snapshot;

    ASSERT(s->lent == 0);
    s->loading = LOADING_CHUNKS;
    s->chunk = chunk;
    s->asked = chunk;
    s->used = 0;
    s->mended_seen = published_get(&r->snapshot_mended);
}

void store_snapshot_begin_load(struct replica *r, const struct store_item *item)
{
    struct store_snapshot *s = &r->store.snapshot;

    ASSERT(s->loading == LOADING_NONE || s->loading == LOADING_DUE);
    ASSERT(item->load > store_applied(r->store.store));
    ASSERT(item->load_chunk_bytes <= r->options.snapshots.chunk_bytes);
    s->load = *item;
    s->chunk_count = snapshot_chunk_count(item->load_bytes, item->load_chunk_bytes);
    store_load_begin(r->store.store, item->load);
    published_set(&r->pinned, 0); /* that pin went with all keys */
    read_from(r, 0);
}

/* Chunks ahead of the one that is being taken in. */
static uint32_t ask(struct replica *r)
{
    struct store_snapshot *s = &r->store.snapshot;
    uint32_t asked = 0;

    while (s->asked < s->chunk_count && s->asked - s->chunk < SNAPSHOT_LOAD_BUFFERS) {
        const uint32_t i = s->asked % SNAPSHOT_LOAD_BUFFERS;
        struct snapshot_read *read = &s->read[i];
        *read = (struct snapshot_read){
            .index = s->load.load,
            .chunk = s->asked,
            .content = s->load_bytes + (size_t)i * r->options.snapshots.chunk_bytes,
        };
        const uint32_t taken = spsc_push(r->store_reads, &read, sizeof read, 1);
        ASSERT(taken == 1); /* the ring has more slots than there are buffers */
        s->is_lent[i] = true;
        s->lent++;
        s->asked++;
        asked++;
    }
    return asked;
}

static uint32_t take_back(struct replica *r)
{
    struct store_snapshot *s = &r->store.snapshot;
    struct snapshot_read *read;
    uint32_t taken = 0;

    while (spsc_pop(r->store_chunks, &read, sizeof read, 1) == 1) {
        const uint32_t i = read->chunk % SNAPSHOT_LOAD_BUFFERS;
        ASSERT(read == &s->read[i]);
        ASSERT(s->is_lent[i]);
        s->is_lent[i] = false;
        s->lent--;
        taken++;
    }
    return taken;
}

/* It waits until raft has put the chunk, or all of it, right. */
static void lack(struct replica *r, uint64_t lacks)
{
    MARK(STATE_DAMAGED);
    published_set(&r->snapshot_lacks, lacks);
    r->store.snapshot.loading = LOADING_MENDS;
}

static void end_load(struct replica *r)
{
    if (store_load_end(r->store.store) != STORE_LOAD_GOOD) {
        lack(r, SNAPSHOT_LACKS_ALL);
        return;
    }
    r->store.snapshot.loading = LOADING_NONE;
    store_role_digest(r);
}

/* A slice of the chunk that is here. */
static uint32_t take_in(struct replica *r, const struct snapshot_read *read)
{
    struct store_snapshot *s = &r->store.snapshot;
    struct store *store = r->store.store;

    ASSERT(read->chunk == s->chunk);
    ASSERT(read->length > s->used);
    s->used +=
        store_load(store, read->content + s->used, read->length - s->used, r->options.store_budget);
    const enum store_load_verdict verdict = store_load_verdict(store);
    if (verdict == STORE_LOAD_NO_ROOM)
        published_set(&r->store_failed, REPLICA_STOP_QUOTA);
    if (verdict == STORE_LOAD_MALFORMED)
        lack(r, SNAPSHOT_LACKS_ALL);
    if (verdict != STORE_LOAD_GOOD || s->used < read->length)
        return 1;
    s->used = 0;
    s->chunk++;
    if (s->chunk == s->chunk_count)
        end_load(r);
    return 1;
}

static uint32_t chunks_step(struct replica *r)
{
    struct store_snapshot *s = &r->store.snapshot;
    const uint32_t i = s->chunk % SNAPSHOT_LOAD_BUFFERS;
    const struct snapshot_read *read = &s->read[i];
    const uint32_t asked = ask(r);

    if (s->is_lent[i])
        return asked;
    if (read->result == 0)
        return asked + take_in(r, read);
    if (read->result == -ENOENT) {
        MARK(STATE_OVERTAKEN);
        s->loading = LOADING_DUE;
    } else {
        lack(r, (uint64_t)s->chunk + 1);
    }
    return asked + 1;
}

/* What was begun with other bytes can't be gone on with. */
static uint32_t mends_step(struct replica *r)
{
    struct store_snapshot *s = &r->store.snapshot;
    const bool begins_anew = published_get(&r->snapshot_lacks) == SNAPSHOT_LACKS_ALL;

    if (s->lent > 0 || published_get(&r->snapshot_mended) == s->mended_seen)
        return 0;
    published_set(&r->snapshot_lacks, 0);
    if (begins_anew)
        store_load_begin(r->store.store, s->load.load);
    read_from(r, begins_anew ? 0 : s->chunk);
    return 1;
}

static uint32_t load_poll(struct replica *r)
{
    struct store_snapshot *s = &r->store.snapshot;
    const uint32_t taken = take_back(r);

    switch (s->loading) {
    case LOADING_CHUNKS:
        return taken + chunks_step(r);
    case LOADING_MENDS:
        return taken + mends_step(r);
    default:
        ASSERT(s->loading == LOADING_DUE);
        return taken;
    }
}

bool store_snapshot_loads(const struct replica *r)
{
    return r->store.snapshot.loading != LOADING_NONE;
}

bool store_snapshot_is_due(const struct replica *r)
{
    return r->store.snapshot.loading == LOADING_DUE && r->store.snapshot.lent == 0;
}

uint32_t store_snapshot_poll(struct replica *r, bool is_busy)
{
    const uint32_t budget = r->options.store_budget;

    if (store_snapshot_loads(r))
        return load_poll(r);
    /* Who waits for an answer goes first, and the disk takes a snapshot no faster than that. */
    return pin_poll(r, is_busy && budget >= EMIT_SHARE ? budget / EMIT_SHARE : budget);
}
