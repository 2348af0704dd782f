/* A toy node: see toy.h. The checks of cluster.c are in check(). */
#include "tests/raftcore/toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct cluster cluster;
struct raft_effects fx;

const struct raft_options *options_of(uint32_t i)
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
        .caught_up_lag = 4,
        .promote_ns = 20 * MS,
        .lease_reads = cluster.changes_on,
    };
    return &options;
}

uint64_t clock_of(uint32_t i)
{
    return cluster.now_ns + (uint64_t)((int64_t)cluster.now_ns / MS * cluster.drift_ppm[i]);
}

/* The configurations above `commit`, and the newest at or below it. */
static void recover_configs(const struct node *n, struct raft_recovered *recovered)
{
    if (n->disk_base.config != 0)
        recovered->configs[recovered->config_count++] = (struct raft_config_at){
            n->disk_base.config_index, cluster.configs[n->disk_base.config]};
    for (raft_index k = n->disk_base.index + 1; k <= n->disk_last; k++) {
        if (n->disk[k].config == 0)
            continue;
        if (k <= n->disk_commit)
            recovered->config_count = 0;
        assert_true(recovered->config_count < RAFT_CONFIGS_MAX);
        recovered->configs[recovered->config_count++] =
            (struct raft_config_at){.index = k, .config = cluster.configs[n->disk[k].config]};
    }
}

void start(uint32_t i)
{
    struct node *n = &cluster.node[i];
    struct raft_run runs[LOG_MAX];
    struct raft_recovered recovered = {.runs = runs, .term = n->disk_term, .vote = n->disk_vote};

    n->boot++;
    n->up = true;
    memcpy(n->log, n->disk, sizeof n->log);
    recovered.vote_incarnation = n->disk_vote_incarnation;
    n->base = n->disk_base;
    recovered.base = n->base.index;
    recovered.base_term = n->base.term;
    recovered.last = n->disk_last;
    recovered.commit = n->disk_commit;
    for (raft_index k = n->base.index + 1; k <= n->disk_last; k++) {
        if (k == n->base.index + 1 || n->disk[k].term != n->disk[k - 1].term)
            runs[recovered.run_count++] = (struct raft_run){k, n->disk[k].term};
    }
    recover_configs(n, &recovered);
    n->raft = raft_init(n->memory, options_of(i), &recovered, clock_of(i));
    n->write_count = 0;
    n->gated_count = 0;
    n->commit = recovered.commit;
    n->read_number = 0;
    n->read_confirmed = 0;
    memset(n->booted_to, 0, sizeof n->booted_to);
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
            letter.entry[e].config = entry->config != 0 ? &cluster.configs[entry->config] : NULL;
            assert_true(entry->term != 0); /* not below the base */
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

    if (!appends && !fx.hard_state.set && fx.install.seq == 0 && fx.compact_seq == 0)
        return;
    assert_true(n->write_count < WRITES_MAX);
    struct write *w = &n->write[(n->write_first + n->write_count++) % WRITES_MAX];
    *w = (struct write){.seq = raft_seq_last(n->raft), .first = 1};
    assert_true(!appends || fx.append.seq == w->seq);
    assert_true(!fx.hard_state.set || fx.hard_state.seq == w->seq);
    assert_true(fx.install.seq == 0 || fx.install.seq == w->seq);
    assert_true(fx.compact_seq == 0 || fx.compact_seq == w->seq);
    w->commit = raft_commit(cluster.node[i].raft);
    w->hard = fx.hard_state.set;
    w->term = fx.hard_state.term;
    w->vote = fx.hard_state.vote;
    w->vote_incarnation = fx.hard_state.vote_incarnation;
    w->done_ns = cluster.now_ns + STEP_NS;
    if (cluster.faults)
        w->done_ns +=
            prng_below(&cluster.prng, prng_chance(&cluster.prng, 5000) ? 400 * MS : 2 * MS);
    if (fx.install.seq != 0) {
        w->install = (struct snapshot){
            .index = fx.install.index, .term = fx.install.term, .config_index = ev->config_index};
        w->install.config = (uint32_t)(ev->config - cluster.configs);
        w->install_last = fx.install.last;
        n->base = w->install;
        forget(n->log, n->base.index);
    }
    if (!appends)
        return;
    const struct raft_entry *given = ev->type == RAFT_EV_MESSAGE ? ev->msg->entries : ev->entries;
    const uint32_t given_count = ev->type == RAFT_EV_MESSAGE ? ev->msg->count : ev->count;
    const uint32_t count = (uint32_t)(fx.append.last - fx.append.first + 1);
    w->first = fx.append.first;
    w->last = fx.append.last;
    for (uint32_t k = 0; k < count; k++) {
        struct disk_entry entry = {fx.append.term, 64, 0};
        if (fx.append.config) {
            const struct raft_config *config = raft_config(n->raft);
            assert_true(++cluster.config_count < CONFIGS_MAX);
            cluster.configs[cluster.config_count] = *config;
            entry.config = cluster.config_count;
            entry.bytes = 64 + RAFT_CONFIG_HEAD_BYTES + config->count * RAFT_CONFIG_MEMBER_BYTES;
        }
        if (!fx.append.empty) {
            const struct raft_entry *from = &given[given_count - count + k];
            entry.bytes = from->bytes;
            if (from->config != NULL)
                entry.config = (uint32_t)(from->config - cluster.configs);
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
    if (!cluster.changes_on) /* who is no member any more still answers */
        assert_int_equal(raft_ignored(r), 0);
    if (raft_role(r) == RAFT_LEADER) {
        raft_node *leader = &cluster.leader_of[raft_term_now(r) % TERMS_MAX];
        cluster.elections += *leader == 0;
        assert_true(*leader == 0 || *leader == i + 1);
        *leader = (raft_node)(i + 1);
    }
    assert_true(raft_commit(r) >= n->commit);
    assert_int_equal(raft_base(r), n->base.index);
    for (raft_index k = n->commit + 1; k <= raft_commit(r); k++) {
        const raft_term term = raft_term_at(r, k, NULL);
        if (k < n->base.index)
            continue;
        assert_true(k == n->base.index || term == n->log[k].term);
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
    if (fx.read.until_ns != 0)
        assert_true(clock_of(i) < fx.read.until_ns);
    cluster.lease_reads += fx.read.until_ns != 0;
    n->read_confirmed = fx.read.number;
    cluster.reads++;
}

/* The manifest is durable at once: what it says was so before. */
static void cut_log(uint32_t i)
{
    struct node *n = &cluster.node[i];
    const raft_index base = raft_base(n->raft);

    if (base == n->base.index)
        return;
    for (raft_index k = n->base.index + 1; k <= base; k++) {
        if (n->log[k].config == 0)
            continue;
        n->base.config = n->log[k].config;
        n->base.config_index = k;
    }
    n->base.index = base;
    n->base.term = raft_term_at(n->raft, base, NULL);
    n->disk_base = n->base;
    n->disk_commit = n->disk_commit < base ? base : n->disk_commit;
    forget(n->log, base);
    forget(n->disk, base);
}

void step(uint32_t i, struct raft_event ev)
{
    ev.now_ns = clock_of(i);
    memset(&fx, 0x5a, sizeof fx);
    raft_step(cluster.node[i].raft, &ev, &fx);
    if (ev.type == RAFT_EV_COMPACT)
        cut_log(i);
    persist(i, &ev);
    send_all(i, &ev);
    check(i);
}

void load(uint32_t i)
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

void flush(uint32_t i)
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
        if (w->install.index != 0) {
            n->disk_base = w->install;
            n->disk_last = w->install_last;
            forget(n->disk, w->install.index);
        }
        n->disk_commit = w->commit;
        assert_true(n->disk_commit <= n->disk_last);
        n->write_first = (n->write_first + 1) % WRITES_MAX;
        n->write_count--;
        step(i, (struct raft_event){.type = RAFT_EV_DURABLE, .seq = seq});
    }
}

/* What an acknowledgement promises is on the disk when it leaves, unless a later leader has taken
 * it back since. */
static void check_promise(const struct node *n, const struct raft_msg *m)
{
    if (m->type != RAFT_MSG_APPEND_REPLY || m->reject)
        return;
    assert_true(m->term <= n->disk_term);
    assert_true(m->term < n->disk_term || m->match <= n->disk_last);
}

void open_gate(uint32_t i)
{
    struct node *n = &cluster.node[i];
    const raft_seq durable =
        n->write_count > 0 ? n->write[n->write_first].seq - 1 : raft_seq_last(n->raft);
    uint32_t kept = 0;

    for (uint32_t k = 0; k < n->gated_count; k++) {
        if (n->gated[k].after_seq > durable) {
            n->gated[kept++] = n->gated[k];
            continue;
        }
        check_promise(n, &n->gated[k].msg);
        deliver_later(&n->gated[k]);
    }
    n->gated_count = kept;
}
