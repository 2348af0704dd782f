/* Goal:   the whole way of a write and of a read, on a net and disks without faults: three nodes
 *         elect a leader, every node takes writes and answers them with rising revisions, values
 *         of 1 MiB go through followers, reads on every node see what was acknowledged, also in
 *         several pieces, and after a restart of all nodes the store is what it was.
 * Method: three replicas over the simulated net and disks, all roles polled in turn, time moved in
 *         steps of 20 us; clients of the doors are the test itself. */
#include "base/record.h"
#include "persist/superblock.h"
#include "replica/replica.h"
#include "sim/disk_sim.h"
#include "sim/port_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NODES = 3, STEP_NS = 20000, MEMORY_BYTES = 1 << 30, DOOR_BYTES = 16 << 20, BIG = 1 << 20 };

struct client {
    uint64_t tag;
    struct answer answer;
    bool answered;
    uint64_t items_seen;
    uint32_t pieces;
    uint32_t value_bytes;
    uint8_t bytes[BIG + 256];
};

struct machine {
    struct disk *disk;
    struct replica *replica;
    struct request_door *door;
    void *memory, *door_memory;
    struct node_view view;
    struct replica_counters counters;
    struct client client;
};

struct world {
    struct net *net;
    uint64_t now_ns;
    struct machine machine[NODES];
};

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
        .cluster = 7,
        .incarnation = block->incarnation,
        .boot = block->boot,
        .node = (raft_node)(n + 1),
        .start_ns = w->now_ns,
        .members = {.count = NODES},
        .heartbeat_ns = 10000000,
        .election_min_ns = 100000000,
        .election_max_ns = 200000000,
        .resend_ns = 50000000,
        .request_timeout_ns = 7000000000,
        .quota_bytes = 64 << 20,
        .record_memory_bytes = 16 << 20,
        .record_payload_bytes_max = RECORD_PAYLOAD_BYTES_MAX,
        .window = 4096,
        .inflight_msgs_max = 64,
        .inflight_bytes_max = 1 << 20,
        .requests_max = 1024,
        .credit_window = 64,
        .gate_max = 256,
        .rings = {.control = 64, .data = 256, .persist = 64, .store = 64, .tx = 256},
        .wal = {.cluster = 7, .incarnation = block->incarnation, .segment_bytes = 16 << 20,
                .batch_bytes = 4 << 20, .boot = block->boot, .node = (raft_node)(n + 1),
                .buffer_count = 4, .flights = WAL_FLIGHTS_DEFAULT, .runs_max = 1024},
        .port = net_port(w->net, n),
        .disk = m->disk,
        .view = &m->view,
        .counters = &m->counters,
        .door_count = 1,
        .door = {m->door},
    };
    for (uint32_t i = 0; i < NODES; i++)
        o.members.member[i] = (struct raft_member){.node = (raft_node)(i + 1), .voter = true};
    return o;
}

static void start(struct world *w, uint32_t n)
{
    static _Alignas(DISK_SECTOR) uint8_t sector[DISK_SECTOR];
    struct machine *m = &w->machine[n];
    struct superblock block;
    char error[256] = "";

    memset(&m->view, 0, sizeof m->view);
    memset(&m->client, 0, sizeof m->client);
    assert_int_equal(madvise(m->memory, MEMORY_BYTES, MADV_DONTNEED), 0);
    m->door = request_door_init(m->door_memory, 1, 64, 8 << 20);
    assert_int_equal(superblock_read(m->disk, sector, &block), 0);
    assert_int_equal(superblock_boot(m->disk, sector, &block), 0);
    const struct replica_options o = options_of(w, n, &block);
    assert_true(replica_bytes(&o) <= MEMORY_BYTES);
    const int rc = replica_open(&m->replica, m->memory, &o, error, sizeof error);
    if (rc != 0)
        fail_msg("node %u: %s", n + 1, error);
}

/* Nobody listens on the wire here. */
static void ignore_frame(void *context, uint32_t node, const uint8_t *bytes, uint32_t length)
{
    (void)context;
    (void)node;
    (void)bytes;
    (void)length;
}

static struct world *world_open(void)
{
    static _Alignas(DISK_SECTOR) uint8_t sector[DISK_SECTOR];
    struct world *w = calloc(1, sizeof *w);

    w->now_ns = 1000000000;
    w->net = net_create();
    net_reset(w->net, NODES, 1, &(struct net_tap){.frame = ignore_frame});
    net_set_faults(w->net, &(struct net_faults){.delay_min_ns = 20000, .delay_max_ns = 20000});
    for (uint32_t n = 0; n < NODES; n++) {
        struct machine *m = &w->machine[n];
        m->memory = map(MEMORY_BYTES);
        m->door_memory = map(DOOR_BYTES);
        m->disk = disk_sim_new(&(struct disk_sim_options){.seed = n + 1, .latency_ns_min = 100000,
            .latency_ns_max = 200000, .create_ns_min = 1000, .create_ns_max = 2000});
        const struct superblock fresh = {.cluster = 7, .incarnation = 100 + n,
                                         .node = (uint16_t)(n + 1)};
        assert_int_equal(superblock_format(m->disk, sector, &fresh), 0);
        start(w, n);
    }
    return w;
}

static void world_close(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++) {
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

static void turn(struct world *w)
{
    w->now_ns += STEP_NS;
    net_advance(w->net, w->now_ns);
    for (uint32_t n = 0; n < NODES; n++) {
        struct machine *m = &w->machine[n];
        disk_sim_advance(m->disk, w->now_ns);
        for (uint32_t role = 0; role < REPLICA_ROLE_COUNT; role++)
            replica_poll(m->replica, (enum replica_role)role, w->now_ns);
        assert_int_equal(published_get(&m->view.stop), REPLICA_STOP_NONE);
        take_answers(m);
    }
}

/* For the one who reads a failure. */
static void print_state(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++) {
        const struct node_view *v = &w->machine[n].view;
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

static uint32_t leader_of(struct world *w)
{
    for (uint64_t i = 0; i < 200000; i++) {
        for (uint32_t n = 0; n < NODES; n++)
            if (published_get(&w->machine[n].view.role) == RAFT_LEADER &&
                raft_commit(replica_raft(w->machine[n].replica)) > 0)
                return n;
        turn(w);
    }
    print_state(w);
    fail_msg("no leader within 4 s");
    return 0;
}

static void ask(struct world *w, uint32_t n, enum request_kind kind, const struct command *command)
{
    static uint64_t tags;
    struct machine *m = &w->machine[n];
    const uint64_t tag = 1ull << REQUEST_DOOR_SHIFT | ++tags;

    m->client.tag = tag;
    m->client.answered = false;
    m->client.items_seen = 0;
    m->client.pieces = 0;
    const struct request request = {
        .tag = tag,
        .bytes = m->client.bytes,
        .length = command_encode(command, m->client.bytes),
        .kind = (uint8_t)kind,
    };
    assert_int_equal(spsc_push(m->door->to_raft, &request, sizeof request, 1), 1);
    const uint64_t begun = w->now_ns;
    while (!m->client.answered) {
        turn(w);
        if (w->now_ns - begun > 3000000000) {
            print_state(w);
            fail_msg("node %u: no answer within 3 s", n + 1);
        }
    }
    assert_int_equal(m->client.answer.status, ANSWER_OK);
    assert_int_equal(m->client.answer.refusal, STORE_NONE);
}

static void put(struct world *w, uint32_t n, const char *key, const void *value, uint32_t length)
{
    ask(w, n, REQUEST_PROPOSE, &(struct command){.kind = COMMAND_PUT,
        .key = {(const uint8_t *)key, (uint32_t)strlen(key)}, .value = {value, length}});
}

static void read_is(struct world *w, uint32_t n, const char *key, uint32_t value_bytes)
{
    ask(w, n, REQUEST_READ, &(struct command){.kind = QUERY_RANGE,
        .key = {(const uint8_t *)key, (uint32_t)strlen(key)}});
    assert_int_equal(w->machine[n].client.items_seen, 1);
    assert_int_equal(w->machine[n].client.value_bytes, value_bytes);
}

/* A result larger than a piece comes in pieces, whole and in order. */
static void read_in_pieces(struct world *w, uint32_t n)
{
    struct client *c = &w->machine[n].client;

    ask(w, n, REQUEST_READ, &(struct command){.kind = QUERY_RANGE,
        .key = {(const uint8_t *)"large", 5}, .range_end = {(const uint8_t *)"largf", 5}});
    assert_true(c->pieces >= 2);
    assert_int_equal(c->answer.refusal, STORE_NONE);
}

static void restart_all(struct world *w)
{
    for (uint32_t n = 0; n < NODES; n++) {
        net_kill(w->net, n);
        disk_sim_power_cut(w->machine[n].disk);
    }
    for (uint32_t n = 0; n < NODES; n++)
        start(w, n);
}

static void writes_and_reads_on_every_node(void **state)
{
    struct world *w = world_open();
    static uint8_t big[BIG - 1024];
    uint64_t revision = 1;

    (void)state;
    const uint32_t leader = leader_of(w);
    for (uint32_t i = 0; i < 300; i++) {
        put(w, i % NODES, "key", big, i);
        assert_true(w->machine[i % NODES].client.answer.revision > revision);
        revision = w->machine[i % NODES].client.answer.revision;
    }
    assert_int_equal(revision, 301);
    for (uint32_t n = 0; n < NODES; n++)
        read_is(w, n, "key", 299);
    put(w, (leader + 1) % NODES, "large", big, sizeof big);
    put(w, leader, "large too", big, sizeof big);
    put(w, 2, "large three", big, sizeof big);
    for (uint32_t n = 0; n < NODES; n++) {
        read_is(w, n, "large", sizeof big);
        read_in_pieces(w, n);
    }

    restart_all(w);
    leader_of(w);
    for (uint32_t n = 0; n < NODES; n++) {
        read_is(w, n, "key", 299);
        read_is(w, n, "large too", sizeof big);
    }
    for (uint32_t n = 1; n < NODES; n++)
        assert_int_equal(store_digest(replica_store(w->machine[n].replica)),
                         store_digest(replica_store(w->machine[0].replica)));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_and_reads_on_every_node)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
