/* Goal:   cores among themselves elect, replicate, commit and confirm reads, and keep Raft's
 *         promises when messages are lost, doubled and reordered, disks are slow, and nodes crash.
 * Method: three or five cores with a toy disk (a queue of writes, flushed in order some time later,
 *         lost by a crash) and a toy network, all drawn from a seed. After every step: one leader a
 *         term, equal terms at every committed index, and no read confirmed below what any node
 *         had committed when it was asked. At the end everything is healed and must commit.
 *         The simulator does all this with the shipped node; here it is only the core, and fast.
 */
#include "tests/raftcore/toy.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t cluster_seed; /* CLUSTER_SEED=N in the environment runs just that one */

void deliver_later(const struct letter *letter)
{
    const uint32_t copies = cluster.faults && prng_chance(&cluster.prng, 50000) ? 2 : 1;

    for (uint32_t k = 0; k < copies && cluster.net_count < NET_MAX; k++) {
        if (cluster.faults && prng_chance(&cluster.prng, 50000))
            continue;
        if (cluster.faults && cluster.cut[letter->msg.from - 1][letter->msg.to - 1])
            continue;
        struct letter *to = &cluster.net[cluster.net_count++];
        *to = *letter;
        to->arrive_ns = cluster.now_ns + STEP_NS;
        if (cluster.faults)
            to->arrive_ns +=
                prng_below(&cluster.prng, prng_chance(&cluster.prng, 50000) ? 100 * MS : MS);
    }
}

static void receive(void)
{
    uint32_t k = 0;

    while (k < cluster.net_count) {
        if (cluster.net[k].arrive_ns > cluster.now_ns) {
            k++;
            continue;
        }
        struct letter letter = cluster.net[k];
        cluster.net[k] = cluster.net[--cluster.net_count];
        const uint32_t to = letter.msg.to - 1u;
        const uint32_t from = letter.msg.from - 1u;
        if (!cluster.node[to].up)
            continue;
        if (!cluster.node[to].booted_to[from]) {
            cluster.node[to].booted_to[from] = true;
            step(to, (struct raft_event){.type = RAFT_EV_PEER_BOOT, .peer = letter.msg.from});
        }
        letter.msg.entries = letter.entry;
        step(to, (struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &letter.msg});
    }
}

static void work(uint32_t i)
{
    struct node *n = &cluster.node[i];
    struct raft_entry entry[4];
    const uint32_t count = 1 + (uint32_t)prng_below(&cluster.prng, 4);

    bool empty = raft_config(n->raft)->count == 0;
    for (uint32_t k = 0; k < cluster.count; k++)
        empty = empty && cluster.node[k].up && raft_last(cluster.node[k].raft) == 0;
    if (empty)
        step(i, (struct raft_event){.type = RAFT_EV_BOOTSTRAP, .config = &cluster.config});
    if (prng_chance(&cluster.prng, 100000)) {
        n->read_number++;
        n->read_floor[n->read_number % 64] = cluster.commit_max;
        step(i, (struct raft_event){.type = RAFT_EV_READ, .number = n->read_number});
    }
    if (prng_chance(&cluster.prng, 200000) && raft_room(n->raft) >= count &&
        raft_last(n->raft) + count < LOG_MAX - 8) {
        for (uint32_t k = 0; k < count; k++)
            entry[k] = (struct raft_entry){.bytes = prng_chance(&cluster.prng, 20000) ? 5000 : 200};
        step(i, (struct raft_event){.type = RAFT_EV_PROPOSE, .entries = entry, .count = count});
    }
    if (cluster.faults && prng_chance(&cluster.prng, 1000))
        step(i, (struct raft_event){.type = RAFT_EV_CAMPAIGN});
    if (raft_next_tick(n->raft) <= cluster.now_ns)
        step(i, (struct raft_event){.type = RAFT_EV_TICK});
    /* Credit: not every peer may be sent entries in every turn. */
    const uint32_t peers = cluster.faults ? (uint32_t)prng_next(&cluster.prng) : UINT32_MAX;
    uint32_t turns = 0;
    do {
        const raft_index last = raft_last(n->raft);
        step(i, (struct raft_event){.type = RAFT_EV_SEND,
                                    .peers = peers,
                                    .memory_first = last > 20 ? last - 20 : 1});
        if (fx.load_count > 0) {
            load(i);
            break;
        }
        assert_true(++turns < 100);
    } while (fx.more);
}

static void cut_some(void)
{
    if (!cluster.faults || !prng_chance(&cluster.prng, 5000))
        return;
    const uint32_t cuts = prng_chance(&cluster.prng, 500000) ? 300000 : 0;
    for (uint32_t i = 0; i < NODES_MAX * NODES_MAX; i++)
        cluster.cut[i / NODES_MAX][i % NODES_MAX] = prng_chance(&cluster.prng, cuts);
}

static void crash_some(void)
{
    for (uint32_t i = 0; i < cluster.count; i++) {
        struct node *n = &cluster.node[i];
        if (n->up && cluster.faults && prng_chance(&cluster.prng, 1000)) {
            n->up = false;
            n->up_again_ns = cluster.now_ns + prng_below(&cluster.prng, 500 * MS);
            for (uint32_t k = 0; k < cluster.count; k++)
                cluster.node[k].booted_to[i] = false;
            cluster.crashes++;
        } else if (!n->up && (!cluster.faults || n->up_again_ns <= cluster.now_ns)) {
            start(i);
        }
    }
}

static void turn(void)
{
    cluster.now_ns += STEP_NS;
    crash_some();
    cut_some();
    receive();
    for (uint32_t i = 0; i < cluster.count; i++) {
        if (!cluster.node[i].up)
            continue;
        flush(i);
        work(i);
        open_gate(i);
    }
}

static void open_cluster(uint32_t count, uint64_t seed, bool faults)
{
    void *memory[NODES_MAX];

    for (uint32_t i = 0; i < NODES_MAX; i++)
        memory[i] = cluster.node[i].memory;
    memset(&cluster, 0, sizeof cluster);
    cluster.count = count;
    cluster.faults = faults;
    cluster.now_ns = MS;
    prng_seed(&cluster.prng, seed);
    cluster.config.count = count;
    for (uint32_t i = 0; i < count; i++)
        cluster.config.member[i] =
            (struct raft_member){.node = (raft_node)(i + 1), .incarnation = 100 + i, .voter = true};
    for (uint32_t i = 0; i < NODES_MAX; i++)
        cluster.node[i].memory = memory[i] != NULL ? memory[i] : malloc(raft_bytes(options_of(0)));
    for (uint32_t i = 0; i < count; i++)
        start(i);
}

/* A healed cluster commits on every node within `turns`. */
static void must_commit(uint32_t turns)
{
    const raft_index before = cluster.commit_max;
    raft_index slowest = 0;

    cluster.faults = false;
    for (uint32_t k = 0; k < turns && slowest <= before; k++) {
        turn();
        slowest = UINT64_MAX;
        for (uint32_t i = 0; i < cluster.count; i++) {
            const struct node *n = &cluster.node[i];
            const raft_index commit = n->up ? n->commit : 0;
            slowest = commit < slowest ? commit : slowest;
        }
    }
    for (uint32_t i = 0; i < cluster.count && slowest <= before; i++)
        print_message("node %u: up %d role %d term %" PRIu64 " leader %u last %" PRIu64
                      " commit %" PRIu64 " of %" PRIu64 "\n",
                      i + 1, cluster.node[i].up, raft_role(cluster.node[i].raft),
                      raft_term_now(cluster.node[i].raft), raft_leader(cluster.node[i].raft),
                      raft_last(cluster.node[i].raft), cluster.node[i].commit, cluster.commit_max);
    assert_true(slowest > before);
}

static void perfect_network_commits(void **state)
{
    (void)state;
    open_cluster(3, 1, false);
    for (uint32_t k = 0; k < 4000; k++)
        turn();
    assert_int_equal(cluster.elections, 1);
    assert_true(cluster.commit_max > 500);
    assert_true(cluster.reads > 500);
    must_commit(400);
}

static void faulty_network_keeps_promises(void **state)
{
    const char *only = getenv("CLUSTER_SEED");
    uint64_t elections = 0;
    uint64_t reads = 0;
    uint64_t crashes = 0;
    uint64_t loads = 0;
    uint64_t commits = 0;
    const char *seeds = getenv("CLUSTER_SEEDS");
    const uint64_t seed_count = seeds == NULL ? 300 : strtoull(seeds, NULL, 10);

    (void)state;
    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        if (only != NULL && strtoull(only, NULL, 10) != seed)
            continue;
        cluster_seed = seed;
        open_cluster(seed % 2 == 0 ? 3 : 5, seed, true);
        for (uint32_t k = 0; k < 6000; k++)
            turn();
        must_commit(8000);
        elections += cluster.elections;
        reads += cluster.reads;
        crashes += cluster.crashes;
        loads += cluster.loads;
        commits += cluster.commit_max;
    }
    print_message("%" PRIu64 " commits, %" PRIu64 " elections, %" PRIu64 " reads, %" PRIu64
                  " crashes, %" PRIu64 " loads\n",
                  commits, elections, reads, crashes, loads);
}

static int close_cluster(void **state)
{
    (void)state;
    print_message("last: CLUSTER_SEED=%" PRIu64 "\n", cluster_seed);
    for (uint32_t i = 0; i < NODES_MAX; i++)
        free(cluster.node[i].memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect_network_commits),
        cmocka_unit_test(faulty_network_keeps_promises),
    };
    return cmocka_run_group_tests(tests, NULL, close_cluster);
}
