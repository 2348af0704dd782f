/* tests/replica/world.c: see world.h. */
#include "tests/replica/world.h"

#include "base/record.h"
#include "persist/superblock.h"
#include "sim/disk_sim.h"
#include "sim/forge.h"
#include "sim/port_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { CLUSTER = 7, STEP_NS = 20000, MEMORY_BYTES = 1 << 30, DOOR_BYTES = 16 << 20 };

static _Alignas(DISK_SECTOR) uint8_t sector[DISK_SECTOR];

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static struct replica_options options_of(struct world *w, uint32_t n, const struct superblock *block)
{
    struct machine *m = &w->machine[n];
    struct replica_options o = {
        .cluster = CLUSTER,
        .incarnation = block->incarnation,
        .boot = block->boot,
        .node = (raft_node)(n + 1),
        .start_ns = w->now_ns,
        .members = {.count = w->count},
        .heartbeat_ns = 10000000,
        .election_min_ns = 100000000,
        .election_max_ns = 200000000,
        .resend_ns = 50000000,
        .request_timeout_ns = 7000000000,
        .quota_bytes = 64 << 20,
        .record_memory_bytes = 16 << 20,
        .record_payload_bytes_max = RECORD_PAYLOAD_BYTES_MAX,
        .window = 4096,
        .caught_up_lag = 64,
        .store_budget = 256,
        .digest_every = 4,
        .promote_ns = 300000000,
        .lease_reads = w->lease_reads,
        .inflight_msgs_max = 64,
        .inflight_bytes_max = 1 << 20,
        .requests_max = 1024,
        .credit_window = 64,
        .gate_max = 256,
        .rings = {.control = 64, .data = 256, .persist = 64, .store = 64, .tx = 256},
        .wal = wal_options_default(),
        .snapshots = w->snapshots,
        .port = net_port(w->net, n),
        .disk = m->disk,
        .view = &m->view,
        .counters = &m->counters,
        .door_count = 1,
        .door = {m->door},
    };

    o.wal.cluster = o.cluster;
    o.wal.incarnation = o.incarnation;
    o.wal.boot = o.boot;
    o.wal.node = o.node;
    o.wal.segment_bytes = 16 << 20;
    o.wal.batch_bytes = 4 << 20;
    o.wal.segments_ahead = 1;
    o.wal.spares_max = 0;
    if (w->small_log) {
        o.record_payload_bytes_max = 8 << 10;
        o.record_memory_bytes = 256 << 10;
        o.quota_bytes = 1 << 20;
        o.wal.segment_bytes = 128 << 10;
        o.wal.batch_bytes = 32 << 10;
        o.snapshots.chunk_bytes = 4 << 10;
    }
    for (uint32_t i = 0; i < w->count; i++)
        o.members.member[i] =
            (struct raft_member){.node = (raft_node)(i + 1), .voter = i < w->initial};
    return o;
}

static void make_directory(struct machine *m, uint32_t n)
{
    static uint64_t incarnations = 100;
    const struct superblock fresh = {
        .cluster = CLUSTER, .incarnation = ++incarnations, .node = (uint16_t)(n + 1)};

    m->disk = disk_sim_new(&(struct disk_sim_options){.seed = incarnations,
        .latency_ns_min = 100000, .latency_ns_max = 200000, .create_ns_min = 1000,
        .create_ns_max = 2000});
    m->incarnation = fresh.incarnation;
    assert_int_equal(superblock_format(m->disk, sector, &fresh), 0);
}

void world_start(struct world *w, uint32_t n)
{
    struct machine *m = &w->machine[n];
    struct superblock block;
    char error[256] = "";

    assert_null(m->replica);
    if (m->disk == NULL)
        make_directory(m, n);
    disk_sim_advance(m->disk, w->now_ns);
    memset(&m->view, 0, sizeof m->view);
    memset(&m->client, 0, sizeof m->client);
    assert_int_equal(madvise(m->memory, MEMORY_BYTES, MADV_DONTNEED), 0);
    m->door = request_door_init(m->door_memory, 1, 64, 8 << 20);
    assert_int_equal(superblock_read(m->disk, sector, &block), 0);
    assert_int_equal(superblock_boot(m->disk, sector, &block), 0);
    m->boot = block.boot;
    const struct replica_options o = options_of(w, n, &block);
    assert_true(replica_bytes(&o) <= MEMORY_BYTES);
    const int rc = replica_open(&m->replica, m->memory, &o, error, sizeof error);
    if (rc != 0)
        fail_msg("node %u: %s", n + 1, error);
}

void world_kill(struct world *w, uint32_t n)
{
    assert_non_null(w->machine[n].replica);
    net_kill(w->net, n);
    disk_sim_power_cut(w->machine[n].disk);
    w->machine[n].replica = NULL;
}

void world_wipe(struct world *w, uint32_t n)
{
    assert_null(w->machine[n].replica);
    disk_sim_delete(w->machine[n].disk);
    w->machine[n].disk = NULL;
}

/* Nobody listens on the wire here. */
static void ignore_frame(void *context, uint32_t node, const uint8_t *bytes, uint32_t length)
{
    (void)context;
    (void)node;
    (void)bytes;
    (void)length;
}

static void tell_lies(void *context, uint32_t node, uint8_t *bytes, uint32_t length)
{
    struct world *w = context;
    struct frame f;

    if (w->lies[node] && frame_decode(bytes, length, CLUSTER, &f) == FRAME_OK_VERDICT &&
        f.type == FRAME_SNAPSHOT_PIECE)
        forge_piece(&f, bytes, CLUSTER, &w->lie_prng);
}

struct world *world_make(uint32_t count, uint32_t initial)
{
    struct world *w = calloc(1, sizeof *w);

    assert_true(count <= WORLD_NODES_MAX);
    w->now_ns = 1000000000;
    w->count = count;
    w->initial = initial;
    w->paused = count;
    w->net = net_create();
    net_reset(w->net, count, 1, &(struct net_tap){.frame = ignore_frame, .change = tell_lies, .context = w});
    prng_seed(&w->lie_prng, 1);
    net_set_faults(w->net, &(struct net_faults){.delay_min_ns = 20000, .delay_max_ns = 20000});
    for (uint32_t n = 0; n < count; n++) {
        w->machine[n].memory = map(MEMORY_BYTES);
        w->machine[n].door_memory = map(DOOR_BYTES);
    }
    w->resting = REPLICA_ROLE_COUNT;
    w->snapshots = replica_snapshots_default();
    w->snapshots.log_bytes = 0;
    return w;
}

struct world *world_open(uint32_t count, uint32_t initial)
{
    struct world *w = world_make(count, initial);

    for (uint32_t n = 0; n < initial; n++)
        world_start(w, n);
    return w;
}

void world_close(struct world *w)
{
    for (uint32_t n = 0; n < w->count; n++) {
        if (w->machine[n].disk != NULL)
            disk_sim_delete(w->machine[n].disk);
        munmap(w->machine[n].memory, MEMORY_BYTES);
        munmap(w->machine[n].door_memory, DOOR_BYTES);
    }
    net_destroy(w->net);
    free(w);
}

static void take_answers(struct machine *m)
{
    struct answer answer;

    while (spsc_pop(m->door->from_raft, &answer, sizeof answer, 1) == 1 ||
           spsc_pop(m->door->from_store, &answer, sizeof answer, 1) == 1) {
        if (answer.tag == m->client.tag) {
            m->client.answer = answer;
            m->client.answered = !answer.more;
            m->client.pieces++;
            if (answer.length > sizeof(struct result_header) + sizeof(struct result_item)) {
                const struct result_item *item =
                    (const void *)(answer.bytes + sizeof(struct result_header));
                m->client.items_seen++;
                m->client.value_bytes = item->value_bytes;
            }
        }
        request_door_release(m->door, &answer);
    }
}

void world_turn(struct world *w)
{
    w->now_ns += STEP_NS;
    net_advance(w->net, w->now_ns);
    for (uint32_t n = 0; n < w->count; n++) {
        struct machine *m = &w->machine[n];
        if (m->replica == NULL || n == w->paused)
            continue;
        disk_sim_advance(m->disk, w->now_ns);
        for (uint32_t role = 0; role < REPLICA_ROLE_COUNT; role++)
            if (n > 0 || role != w->resting)
                replica_poll(m->replica, (enum replica_role)role, w->now_ns);
        assert_true(w->may_stop || published_get(&m->view.stop) == REPLICA_STOP_NONE);
        take_answers(m);
    }
}

void world_run_ms(struct world *w, uint64_t ms)
{
    for (uint64_t i = 0; i < ms * 1000000 / STEP_NS; i++)
        world_turn(w);
}

/* For the one who reads a failure. */
void world_print(const struct world *w)
{
    for (uint32_t n = 0; n < w->count; n++) {
        const struct node_view *v = &w->machine[n].view;
        if (w->machine[n].replica == NULL)
            continue;
        print_message("node %u: role %d term %d leader %d last %d durable %d commit %d applied %d\n",
                      n + 1, (int)published_get(&v->role), (int)published_get(&v->term),
                      (int)published_get(&v->leader), (int)published_get(&v->last_index),
                      (int)published_get(&v->durable_index), (int)published_get(&v->commit),
                      (int)published_get(&v->applied));
        for (int i = 0; i < FRAME_VERDICT_COUNT; i++)
            if (published_get(&w->machine[n].counters.raft_frames[i]) > 0)
                print_message("    %s %d\n", frame_verdict_name((enum frame_verdict)i),
                              (int)published_get(&w->machine[n].counters.raft_frames[i]));
    }
}

uint32_t world_leader(struct world *w)
{
    for (uint64_t i = 0; i < 200000; i++) {
        for (uint32_t n = 0; n < w->count; n++) {
            const struct machine *m = &w->machine[n];
            if (m->replica == NULL || published_get(&m->view.role) != RAFT_LEADER)
                continue;
            const struct raft *raft = replica_raft(m->replica);
            if (raft_term_at(raft, raft_commit(raft), NULL) == raft_term_now(raft))
                return n;
        }
        world_turn(w);
    }
    world_print(w);
    fail_msg("no leader within 4 s");
    return 0;
}

void world_push(struct world *w, uint32_t n, enum request_kind kind, const void *bytes,
                uint32_t length)
{
    static uint64_t tags;
    struct machine *m = &w->machine[n];
    const uint64_t tag = 1ull << REQUEST_DOOR_SHIFT | ++tags;

    m->client.tag = tag;
    m->client.answered = false;
    m->client.items_seen = 0;
    m->client.pieces = 0;
    assert_true(length <= sizeof m->client.bytes);
    memmove(m->client.bytes, bytes, length);
    const struct request request = {
        .tag = tag, .bytes = m->client.bytes, .length = length, .kind = (uint8_t)kind};
    struct spsc *ring = kind == REQUEST_READ_LOCAL ? m->door->to_store : m->door->to_raft;
    assert_int_equal(spsc_push(ring, &request, sizeof request, 1), 1);
}

const struct answer *world_ask(struct world *w, uint32_t n, enum request_kind kind,
                               const void *bytes, uint32_t length)
{
    const struct machine *m = &w->machine[n];
    const uint64_t begun = w->now_ns;

    world_push(w, n, kind, bytes, length);
    while (!m->client.answered) {
        world_turn(w);
        if (w->now_ns - begun > 8000000000) {
            world_print(w);
            fail_msg("node %u: no answer within 8 s", n + 1);
        }
    }
    return &m->client.answer;
}

static void ask_store(struct world *w, uint32_t n, enum request_kind kind,
                      const struct command *command)
{
    static uint8_t bytes[WORLD_BIG + 256];
    const struct answer *answer = world_ask(w, n, kind, bytes, command_encode(command, bytes));

    assert_int_equal(answer->status, ANSWER_OK);
    assert_int_equal(answer->refusal, STORE_NONE);
}

void world_put(struct world *w, uint32_t n, const char *key, const void *value, uint32_t length)
{
    ask_store(w, n, REQUEST_PROPOSE, &(struct command){.kind = COMMAND_PUT,
        .key = {(const uint8_t *)key, (uint32_t)strlen(key)}, .value = {value, length}});
}

void world_read_is(struct world *w, uint32_t n, const char *key, uint32_t value_bytes)
{
    ask_store(w, n, REQUEST_READ, &(struct command){.kind = QUERY_RANGE,
        .key = {(const uint8_t *)key, (uint32_t)strlen(key)}});
    assert_int_equal(w->machine[n].client.items_seen, 1);
    assert_int_equal(w->machine[n].client.value_bytes, value_bytes);
}
