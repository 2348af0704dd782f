/* Goal:   cores among themselves elect, replicate, commit and confirm reads, and keep Raft's
 *         promises when messages are lost, doubled and reordered, disks are slow, and nodes crash.
 * Method: three or five cores with a toy disk (a queue of writes, flushed in order some time later,
 *         lost by a crash) and a toy network, all drawn from a seed. After every step: one leader a
 *         term, equal terms at every committed index, and no read confirmed below what any node
 *         had committed when it was asked. At the end everything is healed and must commit.
 *         A second campaign changes the members at random among five nodes, hands leadership over,
 *         and reads by lease with clocks that drift up to 4 %.
 *         In both, nodes move their log bases, leaders send snapshots, and what was below a base is
 *         overwritten, so that whoever looks there is found out.
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

/* Any set of voters and learners, some of which replace others. */
static void draw_config(struct raft_config *config)
{
    *config = (struct raft_config){.count = 0};
    for (uint32_t k = 0; k < cluster.count; k++) {
        struct raft_member *m = &config->member[config->count];
        if (prng_chance(&cluster.prng, 200000))
            continue;
        *m = (struct raft_member){.node = (raft_node)(k + 1),
                                  .incarnation = 100 + k,
                                  .priority = (uint8_t)prng_below(&cluster.prng, 2),
                                  .voter = prng_chance(&cluster.prng, 700000)};
        m->promote = !m->voter && prng_chance(&cluster.prng, 500000);
        if (m->promote && prng_chance(&cluster.prng, 500000))
            m->replaces = (raft_node)(1 + (k + 1) % cluster.count);
        config->count++;
    }
}

static void change(uint32_t i)
{
    struct raft_config config;

    if (!cluster.changes_on || !cluster.faults || raft_role(cluster.node[i].raft) != RAFT_LEADER)
        return;
    if (prng_chance(&cluster.prng, 3000)) {
        step(i, (struct raft_event){.type = RAFT_EV_TRANSFER,
                                    .peer = (raft_node)prng_below(&cluster.prng, NODES_MAX + 1)});
        cluster.transfers += fx.refusal == RAFT_REFUSAL_NONE;
    }
    if (prng_chance(&cluster.prng, 12000)) {
        draw_config(&config);
        step(i, (struct raft_event){.type = RAFT_EV_CHANGE,
                                    .config = &config,
                                    .forced = prng_chance(&cluster.prng, 300000)});
        cluster.changes += fx.refusal == RAFT_REFUSAL_NONE;
    }
}

static void bootstrap(uint32_t i)
{
    bool empty = i < cluster.config.count && raft_config(cluster.node[i].raft)->count == 0;

    for (uint32_t k = 0; k < cluster.config.count; k++)
        empty = empty && cluster.node[k].up && raft_last(cluster.node[k].raft) == 0;
    if (empty)
        step(i, (struct raft_event){.type = RAFT_EV_BOOTSTRAP, .config = &cluster.config});
}

static void work(uint32_t i)
{
    struct node *n = &cluster.node[i];
    struct raft_entry entry[4];
    const uint32_t count = 1 + (uint32_t)prng_below(&cluster.prng, 4);

    bootstrap(i);
    change(i);
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
    if (raft_next_tick(n->raft) <= clock_of(i))
        step(i, (struct raft_event){.type = RAFT_EV_TICK});
    /* Credit: not every peer may be sent entries in every turn. */
    const uint32_t peers = cluster.faults ? (uint32_t)prng_next(&cluster.prng) : UINT32_MAX;
    uint32_t turns = 0;
    compact_some(i);
    do {
        const raft_index last = raft_last(n->raft);
        step(i, (struct raft_event){.type = RAFT_EV_SEND,
                                    .peers = peers,
                                    .memory_first = last > 20 ? last - 20 : 1});
        if (fx.snapshot_count > 0 || fx.load_count > 0) {
            const struct raft_effects asked = fx;
            begin_transfers(i);
            fx = asked;
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
    finish_transfers();
    for (uint32_t i = 0; i < cluster.count; i++) {
        if (!cluster.node[i].up)
            continue;
        flush(i);
        work(i);
        open_gate(i);
    }
}

/* `count` nodes, of which the first `members` are the first configuration. */
static void open_cluster(uint32_t count, uint32_t members, uint64_t seed, bool faults)
{
    void *memory[NODES_MAX];

    for (uint32_t i = 0; i < NODES_MAX; i++)
        memory[i] = cluster.node[i].memory;
    memset(&cluster, 0, sizeof cluster);
    cluster.count = count;
    cluster.faults = faults;
    cluster.now_ns = MS;
    prng_seed(&cluster.prng, seed);
    cluster.changes_on = members < count;
    for (uint32_t i = 0; i < count && cluster.changes_on; i++)
        cluster.drift_ppm[i] = (int64_t)prng_below(&cluster.prng, 80000) - 40000;
    cluster.config.count = members;
    for (uint32_t i = 0; i < members; i++)
        cluster.config.member[i] =
            (struct raft_member){.node = (raft_node)(i + 1), .incarnation = 100 + i, .voter = true};
    for (uint32_t i = 0; i < NODES_MAX; i++)
        cluster.node[i].memory = memory[i] != NULL ? memory[i] : malloc(raft_bytes(options_of(0)));
    for (uint32_t i = 0; i < count; i++)
        start(i);
}

/* The lowest commit index of those who should have it: the members, as the newest leader knows them. */
static raft_index slowest_commit(void)
{
    const struct raft *leader = NULL;
    raft_index slowest = UINT64_MAX;

    for (uint32_t i = 0; i < cluster.count; i++) {
        const struct node *n = &cluster.node[i];
        if (n->up && raft_role(n->raft) == RAFT_LEADER &&
            (leader == NULL || raft_term_now(n->raft) > raft_term_now(leader)))
            leader = n->raft;
    }
    if (leader == NULL || raft_config(leader)->joint)
        return 0;
    for (uint32_t k = 0; k < raft_config(leader)->count; k++) {
        const struct node *n = &cluster.node[raft_config(leader)->member[k].node - 1];
        const raft_index commit = n->up ? n->commit : 0;
        slowest = commit < slowest ? commit : slowest;
    }
    return slowest;
}

static void print_node(uint32_t i)
{
    const struct node *n = &cluster.node[i];
    const struct raft_config *config = raft_config(n->raft);

    print_message("node %u: up %d role %d term %" PRIu64 " leader %u last %" PRIu64
                  " commit %" PRIu64 " of %" PRIu64 ", members",
                  i + 1, n->up, raft_role(n->raft), raft_term_now(n->raft), raft_leader(n->raft),
                  raft_last(n->raft), n->commit, cluster.commit_max);
    for (uint32_t k = 0; k < config->count; k++)
        print_message(" %u%s%s%s", config->member[k].node, config->member[k].voter ? "v" : "",
                      config->member[k].voter_old ? "o" : "", config->member[k].leaves ? "x" : "");
    print_message("\n");
}

/* A healed cluster commits on every member within `turns`. */
static void must_commit(uint32_t turns)
{
    const raft_index before = cluster.commit_max;
    raft_index slowest = 0;

    cluster.faults = false;
    for (uint32_t k = 0; k < turns && slowest <= before; k++) {
        turn();
        slowest = slowest_commit();
    }
    for (uint32_t i = 0; i < cluster.count && slowest <= before; i++)
        print_node(i);
    assert_true(slowest > before);
}

static void perfect_network_commits(void **state)
{
    (void)state;
    open_cluster(3, 3, 1, false);
    for (uint32_t k = 0; k < 4000; k++)
        turn();
    assert_int_equal(cluster.elections, 1);
    assert_true(cluster.commit_max > 500);
    assert_true(cluster.reads > 500);
    must_commit(400);
}

static void run_seeds(bool changes)
{
    const char *only = getenv("CLUSTER_SEED");
    uint64_t elections = 0;
    uint64_t reads = 0;
    uint64_t crashes = 0;
    uint64_t loads = 0;
    uint64_t commits = 0;
    uint64_t changed = 0;
    uint64_t transfers = 0;
    uint64_t lease_reads = 0;
    uint64_t compactions = 0;
    uint64_t installs = 0;
    const char *seeds = getenv("CLUSTER_SEEDS");
    const uint64_t seed_count = seeds == NULL ? 300 : strtoull(seeds, NULL, 10);

    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        if (only != NULL && strtoull(only, NULL, 10) != seed)
            continue;
        cluster_seed = seed;
        if (changes)
            open_cluster(5, 1 + seed % 4, seed, true);
        else
            open_cluster(seed % 2 == 0 ? 3 : 5, seed % 2 == 0 ? 3 : 5, seed, true);
        for (uint32_t k = 0; k < 6000; k++)
            turn();
        must_commit(12000);
        elections += cluster.elections;
        reads += cluster.reads;
        crashes += cluster.crashes;
        loads += cluster.loads;
        commits += cluster.commit_max;
        changed += cluster.changes;
        transfers += cluster.transfers;
        lease_reads += cluster.lease_reads;
        compactions += cluster.compactions;
        installs += cluster.installs;
    }
    print_message("%" PRIu64 " commits, %" PRIu64 " elections, %" PRIu64 " reads, %" PRIu64
                  " crashes, %" PRIu64 " loads, %" PRIu64 " changes, %" PRIu64
                  " transfers, %" PRIu64 " reads by lease, %" PRIu64 " compactions, %" PRIu64
                  " installs\n",
                  commits, elections, reads, crashes, loads, changed, transfers, lease_reads,
                  compactions, installs);
    assert_true(getenv("CLUSTER_SEED") != NULL || seed_count < 100 || installs > seed_count / 10);
}

static void faulty_network_keeps_promises(void **state)
{
    (void)state;
    run_seeds(false);
}

static void changing_members_keep_promises(void **state)
{
    (void)state;
    run_seeds(true);
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
        cmocka_unit_test(changing_members_keep_promises),
    };
    return cmocka_run_group_tests(tests, NULL, close_cluster);
}
