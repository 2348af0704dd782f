/* Goal:   cores among themselves elect, replicate, commit and confirm reads, and keep Raft's
 *         promises when messages are lost, doubled and reordered, disks are slow, and nodes crash.
 * Method: three or five cores with a toy disk (a queue of writes, flushed in order some time later,
 *         lost by a crash) and a toy network, all drawn from a seed. After every step: one leader a
 *         term, equal terms at every committed index, and no read confirmed below what any node
 *         had committed when it was asked. At the end everything is healed and must commit.
 *         The simulator does all this with the shipped node; here it is only the core, and fast.
 */
#include "base/prng.h"
#include "raftcore/raft.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

enum {
    NODES_MAX = 5,
    LOG_MAX = 4096,
    TERMS_MAX = 4096,
    NET_MAX = 512,
    WRITES_MAX = 256,
    GATED_MAX = 1024,
    MS = 1000000,
    STEP_NS = MS / 4,
};

struct disk_entry {
    raft_term term;
    uint32_t bytes;
    bool config;
};

struct write {
    raft_seq seq;
    bool hard;
    raft_term term;
    raft_node vote;
    uint64_t vote_incarnation;
    raft_index commit; /* as of the step: a later one may speak of entries behind this write */
    raft_index first, last;
    struct disk_entry entry[RAFT_PROPOSE_MAX];
    uint64_t done_ns;
};

struct letter {
    struct raft_msg msg;
    struct raft_entry entry[RAFT_APPEND_ENTRIES_MAX];
    raft_seq after_seq;
    uint64_t arrive_ns;
};

struct node {
    struct raft *raft;
    void *memory;
    bool up, booted_to[NODES_MAX];
    uint32_t boot;
    struct disk_entry log[LOG_MAX]; /* as the running process sees it */
    struct disk_entry disk[LOG_MAX];
    raft_index disk_last, disk_commit;
    raft_term disk_term;
    raft_node disk_vote;
    uint64_t disk_vote_incarnation;
    struct write write[WRITES_MAX];
    uint32_t write_first, write_count;
    struct letter gated[GATED_MAX];
    uint32_t gated_count;
    raft_index commit, checked;
    uint64_t read_number;
    raft_index read_floor[64]; /* by number % 64 */
    uint64_t read_confirmed;
    uint64_t up_again_ns;
};

struct cluster {
    uint32_t count;
    bool faults;
    struct prng prng;
    uint64_t now_ns;
    struct node node[NODES_MAX];
    bool cut[NODES_MAX][NODES_MAX]; /* from, to: one-way */
    struct letter net[NET_MAX];
    uint32_t net_count;
    raft_node leader_of[TERMS_MAX];
    raft_term committed[LOG_MAX];
    raft_index commit_max;
    uint64_t reads, elections, crashes, loads;
    struct raft_config config;
};

static struct cluster cluster;
static struct raft_effects fx;
static uint64_t cluster_seed; /* CLUSTER_SEED=N in the environment runs just that one */

static const struct raft_options *options_of(uint32_t i)
{
    static struct raft_options options;

    options = (struct raft_options){
        .node = (raft_node)(i + 1),
        .incarnation = 100 + i,
        .seed = hash_u64(i, cluster.node[i].boot),
        .seq_first = (raft_seq)cluster.node[i].boot << RAFT_SEQ_COUNTER_BITS,
        .heartbeat_ns = 10 * MS,
        .election_min_ns = 100 * MS,
        .election_max_ns = 200 * MS,
        .resend_ns = 20 * MS,
        .append_bytes_max = 1000,
        .inflight_msgs_max = 4,
        .inflight_bytes_max = 3000,
        .window = 64,
    };
    return &options;
}

static void start(uint32_t i)
{
    struct node *n = &cluster.node[i];
    struct raft_run runs[LOG_MAX];
    struct raft_recovered recovered = {.runs = runs, .term = n->disk_term, .vote = n->disk_vote};

    n->boot++;
    n->up = true;
    memcpy(n->log, n->disk, sizeof n->log);
    recovered.vote_incarnation = n->disk_vote_incarnation;
    recovered.last = n->disk_last;
    recovered.commit = n->disk_commit;
    for (raft_index k = 1; k <= n->disk_last; k++) {
        if (k == 1 || n->disk[k].term != n->disk[k - 1].term)
            runs[recovered.run_count++] = (struct raft_run){k, n->disk[k].term};
        if (n->disk[k].config) {
            recovered.config_index = k;
            recovered.config = cluster.config;
        }
    }
    n->raft = raft_init(n->memory, options_of(i), &recovered, cluster.now_ns);
    n->write_count = 0;
    n->gated_count = 0;
    n->commit = recovered.commit;
    n->read_number = 0;
    n->read_confirmed = 0;
    memset(n->booted_to, 0, sizeof n->booted_to);
}

static void deliver_later(const struct letter *letter)
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

/* Copies the bytes of what the core names: here only lengths and terms. */
static void send_all(uint32_t i, const struct raft_event *ev)
{
    struct node *n = &cluster.node[i];

    for (uint32_t k = 0; k < fx.send_count; k++) {
        struct letter letter = {.msg = fx.send[k].msg, .after_seq = fx.send[k].after_seq};
        uint32_t bytes = 0;
        for (uint32_t e = 0; e < letter.msg.count; e++) {
            const struct disk_entry *entry = &n->log[letter.msg.prev_index + 1 + e];
            letter.entry[e] = (struct raft_entry){.term = entry->term, .bytes = entry->bytes};
            letter.entry[e].config = entry->config ? &cluster.config : NULL;
            bytes += entry->bytes;
        }
        if (ev->type == RAFT_EV_LOADED)
            assert_true(fx.send[k].loaded);
        assert_int_equal(bytes, letter.msg.bytes);
        assert_true(n->gated_count < GATED_MAX);
        n->gated[n->gated_count++] = letter;
    }
}

static void persist(uint32_t i, const struct raft_event *ev)
{
    struct node *n = &cluster.node[i];
    const bool appends = fx.append.first <= fx.append.last;

    if (!appends && !fx.hard_state.set)
        return;
    assert_true(n->write_count < WRITES_MAX);
    struct write *w = &n->write[(n->write_first + n->write_count++) % WRITES_MAX];
    *w = (struct write){.seq = appends ? fx.append.seq : fx.hard_state.seq, .first = 1};
    assert_true(!appends || !fx.hard_state.set || fx.append.seq == fx.hard_state.seq);
    w->commit = raft_commit(cluster.node[i].raft);
    w->hard = fx.hard_state.set;
    w->term = fx.hard_state.term;
    w->vote = fx.hard_state.vote;
    w->vote_incarnation = fx.hard_state.vote_incarnation;
    w->done_ns = cluster.now_ns + STEP_NS;
    if (cluster.faults)
        w->done_ns +=
            prng_below(&cluster.prng, prng_chance(&cluster.prng, 5000) ? 400 * MS : 2 * MS);
    if (!appends)
        return;
    const struct raft_entry *given = ev->type == RAFT_EV_MESSAGE ? ev->msg->entries : ev->entries;
    const uint32_t given_count = ev->type == RAFT_EV_MESSAGE ? ev->msg->count : ev->count;
    const uint32_t count = (uint32_t)(fx.append.last - fx.append.first + 1);
    w->first = fx.append.first;
    w->last = fx.append.last;
    for (uint32_t k = 0; k < count; k++) {
        struct disk_entry entry = {fx.append.term, 64, fx.append.config};
        if (fx.append.config)
            entry.bytes = 64 + RAFT_CONFIG_HEAD_BYTES + cluster.count * RAFT_CONFIG_MEMBER_BYTES;
        if (!fx.append.empty) {
            const struct raft_entry *from = &given[given_count - count + k];
            entry.bytes = from->bytes;
            entry.config = from->config != NULL;
            if (entry.term == 0)
                entry.term = from->term;
        }
        assert_true(w->first + k < LOG_MAX);
        n->log[w->first + k] = entry;
        w->entry[k] = entry;
    }
}

static void check(uint32_t i)
{
    struct node *n = &cluster.node[i];
    const struct raft *r = n->raft;

    assert_int_equal(raft_convicted(r), 0);
    assert_int_equal(raft_ignored(r), 0);
    if (raft_role(r) == RAFT_LEADER) {
        raft_node *leader = &cluster.leader_of[raft_term_now(r) % TERMS_MAX];
        cluster.elections += *leader == 0;
        assert_true(*leader == 0 || *leader == i + 1);
        *leader = (raft_node)(i + 1);
    }
    assert_true(raft_commit(r) >= n->commit);
    for (raft_index k = n->commit + 1; k <= raft_commit(r); k++) {
        const raft_term term = raft_term_at(r, k, NULL);
        assert_int_equal(term, n->log[k].term);
        assert_true(cluster.committed[k] == 0 || cluster.committed[k] == term);
        cluster.committed[k] = term;
    }
    n->commit = raft_commit(r);
    if (n->commit > cluster.commit_max)
        cluster.commit_max = n->commit;
    if (fx.read.number == 0)
        return;
    for (uint64_t k = n->read_confirmed + 1; k <= fx.read.number; k++) {
        if (k + 64 > n->read_number)
            assert_true(fx.read.index >= n->read_floor[k % 64]);
    }
    n->read_confirmed = fx.read.number;
    cluster.reads++;
}

static void step(uint32_t i, struct raft_event ev)
{
    ev.now_ns = cluster.now_ns;
    memset(&fx, 0x5a, sizeof fx);
    raft_step(cluster.node[i].raft, &ev, &fx);
    persist(i, &ev);
    send_all(i, &ev);
    check(i);
}

static void load(uint32_t i)
{
    const struct node *n = &cluster.node[i];
    struct raft_entry entry[RAFT_MEMBERS_MAX][8];
    struct raft_event ev[RAFT_MEMBERS_MAX];
    const uint32_t count = fx.load_count;

    for (uint32_t k = 0; k < count; k++) {
        ev[k] = (struct raft_event){.type = RAFT_EV_LOADED,
                                    .peer = fx.load[k].peer,
                                    .first = fx.load[k].first,
                                    .entries = entry[k]};
        for (raft_index e = ev[k].first; e <= fx.load[k].last && ev[k].count < 8; e++) {
            entry[k][ev[k].count++] = (struct raft_entry){n->log[e].term, n->log[e].bytes, NULL};
            assert_int_equal(n->log[e].term, fx.load[k].term);
        }
    }
    for (uint32_t k = 0; k < count; k++) {
        if (cluster.faults && prng_chance(&cluster.prng, 100000))
            continue; /* the answer is lost */
        step(i, ev[k]);
        cluster.loads++;
    }
}

static void flush(uint32_t i)
{
    struct node *n = &cluster.node[i];

    while (n->write_count > 0 && n->write[n->write_first].done_ns <= cluster.now_ns) {
        const struct write *w = &n->write[n->write_first];
        const raft_seq seq = w->seq;
        if (w->hard) {
            n->disk_term = w->term;
            n->disk_vote = w->vote;
            n->disk_vote_incarnation = w->vote_incarnation;
        }
        for (raft_index k = w->first; k <= w->last; k++)
            n->disk[k] = w->entry[k - w->first];
        if (w->first <= w->last)
            n->disk_last = w->last;
        n->disk_commit = w->commit;
        assert_true(n->disk_commit <= n->disk_last);
        n->write_first = (n->write_first + 1) % WRITES_MAX;
        n->write_count--;
        step(i, (struct raft_event){.type = RAFT_EV_DURABLE, .seq = seq});
    }
}

static void open_gate(uint32_t i)
{
    struct node *n = &cluster.node[i];
    const raft_seq durable =
        n->write_count > 0 ? n->write[n->write_first].seq - 1 : raft_seq_last(n->raft);
    uint32_t kept = 0;

    for (uint32_t k = 0; k < n->gated_count; k++) {
        if (n->gated[k].after_seq > durable)
            n->gated[kept++] = n->gated[k];
        else
            deliver_later(&n->gated[k]);
    }
    n->gated_count = kept;
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
