/* replica/open.c: all memory of a node laid out, its log recovered, its roles set up.
 *
 * The layout is walked twice by the same code: once to count, once to place.
 */
#include "base/prng.h"
#include "raftcore/joint.h"
#include "replica/config_record.h"
#include "replica/replica_internal.h"
#include "store/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct carve {
    uint8_t *base; /* NULL: only count */
    size_t used;
};

static void *carve(struct carve *c, size_t bytes, size_t align)
{
    const size_t begin = (c->used + align - 1) & ~(align - 1);

    c->used = begin + bytes;
    return c->base == NULL ? NULL : c->base + begin;
}

static struct spsc *carve_ring(struct carve *c, uint32_t slots, uint32_t item_bytes)
{
    void *memory = carve(c, spsc_bytes(slots, item_bytes), CACHE_LINE_BYTES);
    return c->base == NULL ? NULL : spsc_init(memory, slots, item_bytes);
}

static struct raft_options core_options(const struct replica_options *o)
{
    return (struct raft_options){
        .node = o->node,
        .incarnation = o->incarnation,
        .heartbeat_ns = o->heartbeat_ns,
        .election_min_ns = o->election_min_ns,
        .election_max_ns = o->election_max_ns,
        .resend_ns = o->resend_ns,
        .append_bytes_max = FRAME_BODY_BYTES_MAX,
        .inflight_msgs_max = o->inflight_msgs_max,
        .inflight_bytes_max = o->inflight_bytes_max,
        .window = o->window,
        .caught_up_lag = o->caught_up_lag,
        .promote_ns = o->promote_ns,
        .lease_reads = o->lease_reads,
    };
}

static struct store_options store_options(const struct replica_options *o)
{
    return (struct store_options){
        .quota_bytes = o->quota_bytes,
        .pin_bytes = o->pin_bytes == 0 ? o->quota_bytes : o->pin_bytes,
    };
}

/* The longest content that the store may emit. */
static uint64_t snapshot_bytes_max(const struct replica_options *o)
{
    const struct store_options store = store_options(o);

    return store_snapshot_bytes_max(&store);
}

struct areas {
    void *wal, *snapshots, *store;
};

static struct snapshots_options snapshots_options(const struct replica_options *o)
{
    const uint32_t block = SNAPSHOT_BLOCK_CHUNKS * o->snapshots.chunk_bytes;

    return (struct snapshots_options){
        .bytes_max = snapshot_bytes_max(o),
        .chunk_bytes = o->snapshots.chunk_bytes,
        .write_bytes = block < SHARE_BYTES_MAX ? block : SHARE_BYTES_MAX,
    };
}

static uint32_t record_max(const struct replica_options *o)
{
    return record_bytes(o->record_payload_bytes_max);
}

static void carve_peers(struct carve *c, struct replica *r, const struct replica_options *o)
{
    const uint32_t object = record_max(o);
    const uint32_t load = object > LOAD_BYTES_MIN ? object : LOAD_BYTES_MIN;

    for (uint32_t i = 0; i < o->members.count; i++) {
        uint8_t *load_bytes = carve(c, load, DISK_SECTOR);
        uint8_t *out = carve(c, object, CACHE_LINE_BYTES);
        uint8_t *record_in = carve(c, object, CACHE_LINE_BYTES);
        uint8_t *request_in = carve(c, object, CACHE_LINE_BYTES);
        if (c->base == NULL)
            continue;
        struct peer *peer = &r->raft.peer[i];
        peer->load.bytes = load_bytes;
        peer->load.size = load;
        peer->chunk_out.bytes = out;
        peer->record_in.bytes = record_in;
        peer->request_in.bytes = request_in;
    }
    uint8_t *store_load = carve(c, load, DISK_SECTOR);
    if (c->base != NULL) {
        r->raft.store_load.bytes = store_load;
        r->raft.store_load.size = load;
    }
}

static void carve_repair(struct carve *c, struct replica *r, const struct replica_options *o)
{
    const uint32_t object = record_max(o);
    const uint32_t step = wal_step_bytes_max(&o->wal);
    const uint32_t fill = object > LOAD_BYTES_MIN || step < LOAD_BYTES_MIN ? object : LOAD_BYTES_MIN;
    uint8_t *record = carve(c, object, CACHE_LINE_BYTES);
    uint8_t *serve = carve(c, object, CACHE_LINE_BYTES);
    uint8_t *fill_bytes = carve(c, fill, CACHE_LINE_BYTES);

    if (c->base == NULL)
        return;
    r->raft.repair.record = record;
    r->raft.repair.serve.bytes = serve;
    r->raft.repair.serve.size = object;
    r->raft.repair.fill = fill_bytes;
    r->raft.repair.fill_size = fill;
}

static void carve_rings(struct carve *c, struct replica *r, const struct replica_options *o)
{
    const struct replica_rings *n = &o->rings;
    struct spsc *control = carve_ring(c, n->control, sizeof(struct rx_item));
    struct spsc *data = carve_ring(c, n->data, sizeof(struct rx_item));
    /* All that the two rings can hold may be on its way back at once. */
    const uint32_t most = n->control > n->data ? n->control : n->data;
    struct spsc *returned = carve_ring(c, 2 * most, sizeof(struct rx_item));
    struct spsc *to_persist = carve_ring(c, n->persist, sizeof(struct persist_item));
    struct spsc *to_load = carve_ring(c, LOADS_MAX, sizeof(struct load *));
    struct spsc *loaded = carve_ring(c, LOADS_MAX, sizeof(struct load *));
    struct spsc *to_store = carve_ring(c, n->store, sizeof(struct store_item));
    struct spsc *late_reads = carve_ring(c, n->store, sizeof(struct read_slot));
    struct spsc *digests = carve_ring(c, DIGEST_RING_SLOTS, sizeof(struct state_digest));
    struct spsc *to_tx = carve_ring(c, n->tx, sizeof(struct tx_item));
    void *scratch = carve(c, SCRATCH_BYTES, CACHE_LINE_BYTES);

    static_assert(RAFT_MEMBERS_MAX + 2 <= LOADS_MAX, "a load for each peer, the store, repair");
    if (c->base == NULL)
        return;
    r->control = control;
    r->data = data;
    r->returned = returned;
    r->to_persist = to_persist;
    r->to_load = to_load;
    r->loaded = loaded;
    r->to_store = to_store;
    r->late_reads = late_reads;
    r->digests = digests;
    r->to_tx = to_tx;
    byte_ring_init(&r->scratch, scratch, SCRATCH_BYTES);
}

static uint8_t *carve_chunks(struct carve *c, const struct replica_options *o, uint32_t count)
{
    return carve(c, (size_t)count * o->snapshots.chunk_bytes, DISK_SECTOR);
}

static void carve_snapshots(struct carve *c, struct replica *r, const struct replica_options *o)
{
    const uint32_t pointer = sizeof(struct snapshot_read *);
    struct spsc *jobs = carve_ring(c, SNAPSHOT_JOBS_MAX, sizeof(struct snapshot_job));
    struct spsc *events = carve_ring(c, SNAPSHOT_JOBS_MAX, sizeof(struct snapshot_event));
    struct spsc *emitted = carve_ring(c, SNAPSHOT_EMIT_BUFFERS, sizeof(struct snapshot_chunk));
    struct spsc *store_reads = carve_ring(c, SNAPSHOT_READS_MAX, pointer);
    struct spsc *store_chunks = carve_ring(c, SNAPSHOT_READS_MAX, pointer);
    struct spsc *raft_reads = carve_ring(c, SNAPSHOT_READS_MAX, pointer);
    struct spsc *raft_chunks = carve_ring(c, SNAPSHOT_READS_MAX, pointer);
    uint8_t *emit_bytes = carve_chunks(c, o, SNAPSHOT_EMIT_BUFFERS);
    uint8_t *load_bytes = carve_chunks(c, o, SNAPSHOT_LOAD_BUFFERS);
    uint8_t *pull_bytes = carve_chunks(c, o, SNAPSHOT_PULL_BUFFERS);
    uint8_t *serve_bytes = carve_chunks(c, o, SNAPSHOT_SERVE_BUFFERS);

    if (c->base == NULL)
        return;
    r->snapshot_jobs = jobs;
    r->snapshot_events = events;
    r->emitted = emitted;
    r->store_reads = store_reads;
    r->store_chunks = store_chunks;
    r->raft_reads = raft_reads;
    r->raft_chunks = raft_chunks;
    r->store.snapshot.emit_bytes = emit_bytes;
    r->store.snapshot.load_bytes = load_bytes;
    r->raft.pull_bytes = pull_bytes;
    r->raft.serve_bytes = serve_bytes;
}

/* Everything a node needs, in one walk. */
static struct replica *lay_out(struct carve *c, const struct replica_options *o, struct areas *areas)
{
    const struct raft_options core = core_options(o);
    const struct snapshots_options snapshots = snapshots_options(o);
    const struct store_options store = store_options(o);
    struct replica *r = carve(c, sizeof *r, CACHE_LINE_BYTES);

    if (r != NULL)
        memset(r, 0, sizeof *r);
    areas->wal = carve(c, wal_bytes(&o->wal), DISK_SECTOR);
    areas->snapshots = carve(c, snapshots_bytes(&snapshots), DISK_SECTOR);
    void *core_memory = carve(c, raft_bytes(&core), CACHE_LINE_BYTES);
    void *runs = carve(c, RAFT_TERM_RUNS_MAX * sizeof *r->raft.runs, CACHE_LINE_BYTES);
    carve_rings(c, r, o);
    carve_peers(c, r, o);
    carve_repair(c, r, o);
    carve_snapshots(c, r, o);
    void *records = carve(c, o->record_memory_bytes, DISK_SECTOR);
    void *table = carve(c, o->window * sizeof(uint64_t), CACHE_LINE_BYTES);
    void *requests = carve(c, o->requests_max * sizeof(struct request_slot), CACHE_LINE_BYTES);
    void *reads = carve(c, o->requests_max * sizeof(struct read_slot), CACHE_LINE_BYTES);
    void *gate = carve(c, o->gate_max * sizeof(struct tx_item), CACHE_LINE_BYTES);
    const uint32_t sink = sizeof(struct result_header) + COMMAND_ITEM_BYTES_MAX;
    void *sink_bytes = carve(c, sink, CACHE_LINE_BYTES);
    areas->store = carve(c, store_bytes(&store), DISK_SECTOR);
    if (r == NULL)
        return NULL;
    r->raft.core_memory = core_memory;
    r->raft.runs = runs;
    r->raft.memory.bytes = records;
    r->raft.memory.size = o->record_memory_bytes;
    r->raft.memory.table = table;
    r->raft.memory.table_mask = o->window - 1;
    r->raft.requests.slot = requests;
    r->raft.requests.mask = o->requests_max - 1;
    r->raft.reads.slot = reads;
    r->raft.reads.mask = o->requests_max - 1;
    /* From 1, since to the core a read's number 0 is no read. */
    r->raft.reads.head = r->raft.reads.confirmed = r->raft.reads.tail = 1;
    r->tx.gate = gate;
    r->tx.gate_max = o->gate_max;
    r->store.sink = (struct store_sink){.bytes = sink_bytes, .size = sink};
    r->store.store = store_init(areas->store, store_bytes(&store), &store);
    return r;
}

uint64_t replica_snapshot_file_bytes(const struct replica_options *options)
{
    return snapshot_file_bytes(snapshot_bytes_max(options), options->snapshots.chunk_bytes);
}

size_t replica_bytes(const struct replica_options *options)
{
    struct carve c = {.base = NULL};
    struct areas areas;

    lay_out(&c, options, &areas);
    return (c.used + DISK_SECTOR - 1) & ~(size_t)(DISK_SECTOR - 1);
}

static int check_options(const struct replica_options *o, char *error, size_t error_bytes)
{
    const char *wrong = NULL;

    if (o->members.count == 0 || o->members.count > RAFT_MEMBERS_MAX)
        wrong = "1 to 9 nodes can be named, members and others";
    else if (raft_config_find(&o->members, o->node) == NULL)
        wrong = "this node is not among those that are named";
    else if (record_max(o) > wal_step_bytes_max(&o->wal))
        wrong = "the largest record does not fit into a batch of the log";
    else if (o->record_memory_bytes < 4ull * (record_max(o) + STEP_BYTES_RESERVE))
        wrong = "record memory must hold four of the largest records";
    else if (o->record_payload_bytes_max < REQUEST_FRAME_RECORDS_BYTES)
        wrong = "the largest record must be larger than what a frame of requests becomes";
    else if (o->digest_every == 0 || (o->digest_every & (o->digest_every - 1)) != 0)
        wrong = "digests are compared at multiples of a power of two";
    else if (o->window < 2 * RAFT_PROPOSE_MAX)
        wrong = "the window must hold two full proposals";
    else if (o->snapshots.needed_bytes < o->snapshots.trailing_bytes)
        wrong = "of the log no less may be kept for peers that need it than for those that might";
    if (wrong == NULL)
        return 0;
    snprintf(error, error_bytes, "%s", wrong);
    return -EINVAL;
}

static void open_peers(struct replica *r)
{
    const struct replica_options *o = &r->options;
    struct replica_raft *role = &r->raft;

    role->peer_count = o->members.count;
    for (uint32_t i = 0; i < o->members.count; i++) {
        struct peer *peer = &role->peer[i];
        peer->node = o->members.member[i].node;
        peer->link = UINT32_MAX;
        for (uint32_t link = 0; link < port_link_count(o->port); link++) {
            const raft_node end = port_link_peer(o->port, link);
            if (end == peer->node || (end == 0 && peer->link == UINT32_MAX))
                peer->link = link;
        }
        if (peer->node == o->node) {
            role->self = i;
            peer->incarnation = o->incarnation;
            peer->boot = o->boot;
        }
        credit_send_reset(&peer->credit_out);
        credit_receive_reset(&peer->credit_in, o->credit_window);
    }
}

void core_begin(struct replica *r, const struct wal_recovered *log, raft_seq seq_first)
{
    struct replica_raft *role = &r->raft;
    struct raft_options core = core_options(&r->options);

    const raft_index first = role->recovered.base + 1;
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->run_count; i++) {
        const bool below = i + 1 < log->run_count ? log->run_first[i + 1] <= first
                                                  : role->recovered.last < first;
        if (below)
            continue; /* the log had another base when it was walked */
        const raft_index begin = log->run_first[i] > first ? log->run_first[i] : first;
        role->runs[count++] = (struct raft_run){.first = begin, .term = log->run_term[i]};
    }
    role->recovered.runs = role->runs;
    role->recovered.run_count = count;
    if (role->raft != NULL) { /* it begins anew */
        role->convicted += raft_convicted(role->raft);
        role->ignored += raft_ignored(role->raft);
    }
    core.seq_first = seq_first;
    core.seed = hash_u64(hash_u64(r->options.cluster, r->options.node), seq_first);
    role->raft = raft_init(role->core_memory, &core, &role->recovered, role->now_ns);
    record_memory_init(&role->memory, role->recovered.last + 1);
    members_learn(r);
}

/* The log, and the snapshot that its manifest names. */
static int open_disk(struct replica *r, const struct areas *areas, struct wal_recovered *found,
                     char *error, size_t error_bytes)
{
    const struct replica_options *o = &r->options;
    const struct snapshots_options snapshots = snapshots_options(o);
    struct persist_snapshot *snapshot = &r->persist.snapshot;
    int rc = wal_open(&r->persist.wal, areas->wal, o->disk, &o->wal, found);

    if (rc != 0) {
        snprintf(error, error_bytes, "%s", found->refusal);
        return rc;
    }
    rc = snapshots_open(&snapshot->snapshots, areas->snapshots, r->persist.wal, &snapshots,
                        &snapshot->found);
    if (rc != 0)
        snprintf(error, error_bytes, "%s", snapshot->found.sentence);
    return rc;
}

/* The core over what the log said. */
static int open_core(struct replica *r, const struct wal_recovered *found, char *error,
                     size_t error_bytes)
{
    struct replica_raft *role = &r->raft;
    uint64_t quota_bytes;

    role->recovered = (struct raft_recovered){
        .term = found->term,
        .vote = found->vote,
        .vote_incarnation = found->vote_incarnation,
        .base = found->base.index,
        .base_term = found->base.term,
        .last = found->last,
        .commit = found->commit < found->last ? found->commit : found->last,
        .faulty = found->hole_count > 0,
        .config_count = found->config_count,
    };
    static_assert((int)WAL_CONFIGS_MAX == (int)RAFT_CONFIGS_MAX, "what may be undone can be recovered");
    for (uint32_t i = 0; i < found->config_count; i++) {
        const struct wal_config *at = &found->config[i];
        struct raft_config_at *config = &role->recovered.configs[i];
        config->index = at->index;
        if (!config_record_decode(at->payload, at->payload_bytes, &config->config, &quota_bytes)) {
            snprintf(error, error_bytes, "the configuration at index %" PRIu64 " can't be read",
                     at->index);
            return -EBADMSG;
        }
    }
    role->hard_term = found->term;
    role->hard_vote = found->vote;
    role->hard_vote_incarnation = found->vote_incarnation;
    role->log_was_empty = found->last == 0;
    role->last_chain = found->last_chain;
    core_begin(r, found, (raft_seq)r->options.boot << RAFT_SEQ_COUNTER_BITS);
    repair_open(r);
    return 0;
}

/* The store begins with the snapshot, if there is one, and goes on behind it from the log. */
static void open_snapshots(struct replica *r, const struct wal_recovered *found)
{
    struct replica_raft *role = &r->raft;
    const struct snapshot_header *current = snapshot_current(r->persist.snapshot.snapshots);
    const raft_index index = found->base.snapshot_index;

    points_open(r, found, current);
    making_open(r);
    mend_open(r, &found->base, r->persist.snapshot.found.condition);
    role->fed = planted(PLANTED_RESTART_FROM_BASE) ? found->base.index : index;
    if (index == 0)
        return;
    ASSERT(index <= raft_commit(role->raft));
    role->fed_term = raft_term_at(role->raft, index, NULL);
    r->store.snapshot.loading = LOADING_DUE; /* no read finds a store without it */
    role->load_due = (struct store_item){
        .load = index,
        .load_bytes = found->base.snapshot_bytes,
        .load_chunk_bytes =
            current != NULL ? current->chunk_bytes : r->options.snapshots.chunk_bytes,
    };
}

static void open_roles(struct replica *r)
{
    const struct replica_options *o = &r->options;
    struct replica_raft *role = &r->raft;

    role->now_ns = o->start_ns;
    role->room_ns = o->start_ns;
    role->memory.reader[0].done = &r->persist_done;
    role->memory.reader[1].done = &r->store_done;
    role->reads.head = role->reads.confirmed = role->reads.tail = 1; /* 0 is no read's number */
    role->durable_seen = wal_durable(r->persist.wal);
    published_set(&o->view->durable, wal_durable(r->persist.wal));
    published_set(&o->view->stop, REPLICA_STOP_NONE);
    published_set(&r->disk_room, wal_room(r->persist.wal));
    r->rx = (struct rx){
        .port = o->port,
        .cluster = o->cluster,
        .link_count = port_link_count(o->port),
        .to_raft_control = r->control,
        .to_raft_data = r->data,
        .returned = r->returned,
        .sender_count = o->members.count,
    };
    for (uint32_t i = 0; i < o->members.count; i++)
        r->rx.sender[i].node = o->members.member[i].node;
    r->tx.tx.port = o->port;
    r->tx.tx.cluster = o->cluster;
    memcpy(r->tx.tx.route, o->route, sizeof o->route);
}

int replica_open(struct replica **out, void *memory, const struct replica_options *options,
                 char *error, size_t error_bytes)
{
    struct carve c = {.base = memory};
    struct areas areas;
    struct wal_recovered found;
    int rc = check_options(options, error, error_bytes);

    ASSERT(((uintptr_t)memory & (DISK_SECTOR - 1)) == 0);
    if (rc != 0)
        return rc;
    struct replica *r = lay_out(&c, options, &areas);
    r->options = *options;
    rc = open_disk(r, &areas, &found, error, error_bytes);
    if (rc != 0)
        return rc;
    reserve_open(&r->persist.reserve, r->persist.wal, replica_snapshot_file_bytes(options));
    open_peers(r);
    open_roles(r);
    rc = open_core(r, &found, error, error_bytes);
    if (rc != 0)
        return rc;
    open_snapshots(r, &found);
    *out = r;
    return 0;
}

uint32_t replica_poll(struct replica *r, enum replica_role role, uint64_t now_ns)
{
    switch (role) {
    case REPLICA_RX: {
        const uint32_t work = rx_poll(&r->rx, now_ns);
        if (work > 0)
            for (uint32_t i = 0; i < FRAME_VERDICT_COUNT; i++)
                published_set(&r->options.counters->frames[i], r->rx.verdict_count[i]);
        return work;
    }
    case REPLICA_RAFT:
        return raft_role_poll(r, now_ns);
    case REPLICA_PERSIST:
        return persist_role_poll(r, now_ns);
    case REPLICA_STORE:
        return store_role_poll(r, now_ns);
    case REPLICA_TX:
        return tx_role_poll(r);
    case REPLICA_ROLE_COUNT:
        break;
    }
    return 0;
}

uint64_t replica_next_timer(const struct replica *r, enum replica_role role)
{
    if (role == REPLICA_RAFT)
        return raft_role_next_timer(r);
    if (role == REPLICA_PERSIST)
        return persist_role_next_timer(r);
    return UINT64_MAX;
}
