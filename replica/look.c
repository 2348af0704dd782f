/* replica/look.c: what simulator and tests look at between polls. */
#include "replica/replica_internal.h"

const struct raft *replica_raft(const struct replica *r)
{
    return r->raft.raft;
}

const struct wal *replica_wal(const struct replica *r)
{
    return r->persist.wal;
}

const struct snapshots *replica_snapshots(const struct replica *r)
{
    return r->persist.snapshot.snapshots;
}

const struct store *replica_store(const struct replica *r)
{
    return r->store.store;
}

const struct record_header *replica_record(const struct replica *r, raft_index index)
{
    return record_memory_at(&r->raft.memory, index);
}

uint32_t replica_heard_boot(const struct replica *r, raft_node node)
{
    for (uint32_t i = 0; i < r->raft.peer_count; i++)
        if (r->raft.peer[i].node == node)
            return r->raft.peer[i].boot;
    return 0;
}

static uint64_t items_in_rings(const struct replica *r)
{
    struct spsc *const rings[] = {
        r->control,       r->data,            r->returned, r->to_persist,  r->to_load,
        r->loaded,        r->to_store,        r->late_reads, r->to_tx,
        r->snapshot_jobs, r->snapshot_events, r->emitted,  r->store_reads, r->store_chunks,
        r->raft_reads,    r->raft_chunks,
    };
    uint64_t items = 0;

    for (uint32_t i = 0; i < sizeof rings / sizeof rings[0]; i++)
        items += spsc_count(rings[i], UINT32_MAX);
    return items;
}

/* A pull, and peers that wait for pieces of ours. */
static uint64_t transfers(const struct replica *r)
{
    uint64_t count = r->raft.pull.state != PULL_IDLE;

    for (uint32_t i = 0; i < r->raft.peer_count; i++)
        count += transfer_serves(&r->raft.peer[i]);
    return count;
}

struct replica_held replica_held(const struct replica *r)
{
    const struct request_table *requests = &r->raft.requests;
    const struct read_table *reads = &r->raft.reads;
    const struct record_memory *memory = &r->raft.memory;
    struct replica_held held = {
        .requests = requests->tail - requests->head,
        .reads = reads->tail - reads->head,
        .admin = r->raft.admin.count,
        .gated = r->tx.gate_count,
        .ring_items = items_in_rings(r),
        .scratch_bytes = r->scratch.tail - published_get(&r->scratch.head),
        .pinned = published_get(&r->pinned),
        .transfers = transfers(r),
        .snapshot_jobs = r->raft.making.owed + r->store.snapshot.emitted - published_get(&r->chunks_done),
    };

    for (uint32_t i = 0; i < RECORD_READERS; i++)
        held.handoffs += memory->reader[i].given - published_get(memory->reader[i].done);
    return held;
}
