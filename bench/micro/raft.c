/* bench/micro/raft.c: what the core itself costs: the steps that a frame of entries takes at a
 * follower and at the leader of three nodes, in the steady state, with no bytes moved and no disk.
 */
#include "bench/micro/benches.h"
#include "raftcore/raft.h"

#include <stdlib.h>

enum {
    ENTRIES_MAX = 8,
    RECORD_BYTES = 128,      /* 64 B of header and as much payload */
    TURN_NS = 1000,          /* how fast the core's clock goes */
    ELECTION_STEPS_MAX = 64, /* a generous bound; it takes about five */
    SENDS_MAX = 64,          /* appends of one turn */
    BATCH = 64,              /* steps between two readings of the clock */
    TERMS_MAX = 1000,        /* changes of leader in the recovered log */
    LOG_LENGTH = 1,          /* where it is not what is varied */
    WINDOW = 1 << 12,
    SELF = 1,
    OTHER = 2,
    THIRD = 3,
};

/* One node, the time it believes in, and what its last step asked for. */
struct bench_node {
    struct raft *raft;
    uint64_t now_ns;
    raft_seq flushed;
    struct raft_effects fx;
};

static const struct raft_config config = {
    .count = 3,
    .member = {{.incarnation = 11, .node = SELF, .voter = true},
               {.incarnation = 12, .node = OTHER, .voter = true},
               {.incarnation = 13, .node = THIRD, .voter = true}},
};

/* A node with `length` entries in its log, of many terms if they are many. */
static bool node_start(struct bench_node *n, uint64_t length, uint32_t window)
{
    static struct raft_run runs[TERMS_MAX];
    const uint32_t run_count = length < TERMS_MAX ? (uint32_t)length : TERMS_MAX;
    const struct raft_options options = {
        .node = SELF,
        .incarnation = 11,
        .seed = 1,
        .seq_first = (raft_seq)1 << RAFT_SEQ_COUNTER_BITS,
        .heartbeat_ns = 10000000,
        .election_min_ns = 100000000,
        .election_max_ns = 200000000,
        .resend_ns = 20000000,
        .append_bytes_max = ENTRIES_MAX * RECORD_BYTES,
        .inflight_msgs_max = 64,
        .inflight_bytes_max = 1 << 20,
        .window = window,
    };
    const struct raft_recovered recovered = {
        .term = run_count,
        .last = length,
        .commit = length,
        .run_count = run_count,
        .runs = runs,
        .config_count = 1,
        .configs = {{.index = 1, .config = config}},
    };
    for (uint32_t i = 0; i < run_count; i++)
        runs[i] = (struct raft_run){.first = 1 + i * (length / run_count), .term = i + 1};
    const size_t bytes = (raft_bytes(&options) + 63) & ~(size_t)63;
    void *const memory = aligned_alloc(64, bytes);

    if (memory == NULL)
        return false;
    *n = (struct bench_node){.now_ns = 1};
    n->raft = raft_init(memory, &options, &recovered, n->now_ns);
    n->flushed = raft_seq_last(n->raft);
    return true;
}

static void node_step(struct bench_node *n, struct raft_event ev)
{
    ev.now_ns = n->now_ns;
    ev.memory_first = 1;
    raft_step(n->raft, &ev, &n->fx);
}

static void node_receive(struct bench_node *n, const struct raft_msg *msg)
{
    node_step(n, (struct raft_event){.type = RAFT_EV_MESSAGE, .msg = msg});
}

static void node_flushed(struct bench_node *n)
{
    const raft_seq seq = raft_seq_last(n->raft);

    if (seq == n->flushed)
        return;
    n->flushed = seq;
    node_step(n, (struct raft_event){.type = RAFT_EV_DURABLE, .seq = seq});
}

/* The reply of a voter who agrees, if the last step asked OTHER for a vote. */
static bool voter_reply(const struct bench_node *n, struct raft_msg *reply)
{
    for (uint32_t i = 0; i < n->fx.send_count; i++) {
        const struct raft_msg *const ask = &n->fx.send[i].msg;
        if (ask->to != OTHER || (ask->type != RAFT_MSG_PREVOTE && ask->type != RAFT_MSG_VOTE))
            continue;
        *reply = (struct raft_msg){
            .type = ask->type == RAFT_MSG_VOTE ? RAFT_MSG_VOTE_REPLY : RAFT_MSG_PREVOTE_REPLY,
            .from = OTHER,
            .to = SELF,
            .incarnation = 12,
            .term = ask->term,
        };
        return true;
    }
    return false;
}

/* Waits for the election timeout and wins with OTHER's votes. */
static bool node_elect(struct bench_node *n)
{
    for (uint32_t i = 0; i < ELECTION_STEPS_MAX && raft_role(n->raft) != RAFT_LEADER; i++) {
        struct raft_msg reply;

        if (voter_reply(n, &reply)) {
            /* What the vote asked for may only leave when our own vote is durable. */
            node_flushed(n);
            node_receive(n, &reply);
        } else {
            n->now_ns = raft_next_tick(n->raft);
            node_step(n, (struct raft_event){.type = RAFT_EV_TICK});
        }
    }
    node_flushed(n);
    return raft_role(n->raft) == RAFT_LEADER;
}

static void entries_fill(struct raft_entry *entries, raft_term term)
{
    for (uint32_t i = 0; i < ENTRIES_MAX; i++)
        entries[i] = (struct raft_entry){.term = term, .bytes = RECORD_BYTES};
}

/* A frame of entries arrives, is appended, answered and flushed. */
void bench_raft_follower(struct gbench_state *state)
{
    const uint16_t count = (uint16_t)gbench_arg(state);
    struct raft_entry entries[ENTRIES_MAX];
    struct bench_node n;
    uint64_t turns = 0;

    if (!node_start(&n, LOG_LENGTH, WINDOW)) {
        gbench_skip(state, "no memory");
        return;
    }
    entries_fill(entries, 2);
    struct raft_msg append = {
        .type = RAFT_MSG_APPEND,
        .from = OTHER,
        .to = SELF,
        .incarnation = 12,
        .count = count,
        .bytes = count * RECORD_BYTES,
        .term = 2,
        .prev_index = 1,
        .prev_term = 1,
        .commit = 1,
        .entries = entries,
    };
    for (; gbench_next(state, 1); turns++) {
        n.now_ns += TURN_NS;
        node_receive(&n, &append);
        node_flushed(&n);
        append.commit = append.prev_index;
        append.prev_index += count;
        append.prev_term = 2;
    }
    if (raft_last(n.raft) != 1 + turns * count)
        gbench_skip(state, "the follower did not take all entries");
    gbench_count_items(state, turns * count);
    free(n.raft);
}

static void leader_send(struct bench_node *n)
{
    for (uint32_t i = 0; i < SENDS_MAX; i++) {
        node_step(n, (struct raft_event){.type = RAFT_EV_SEND, .peers = 0x7});
        if (!n->fx.more)
            return;
    }
}

static void leader_acknowledged(struct bench_node *n, raft_node from)
{
    const struct raft_msg reply = {
        .type = RAFT_MSG_APPEND_REPLY,
        .from = from,
        .to = SELF,
        .incarnation = from == OTHER ? 12 : 13,
        .term = raft_term_now(n->raft),
        .match = raft_last(n->raft),
        .last = raft_last(n->raft),
    };
    node_receive(n, &reply);
}

/* Entries are proposed, sent to two followers, flushed here, acknowledged by both, committed. */
void bench_raft_leader(struct gbench_state *state)
{
    const uint32_t count = (uint32_t)gbench_arg(state);
    struct raft_entry entries[ENTRIES_MAX];
    struct bench_node n;
    uint64_t turns = 0;

    if (!node_start(&n, LOG_LENGTH, WINDOW)) {
        gbench_skip(state, "no memory");
        return;
    }
    if (!node_elect(&n)) {
        gbench_skip(state, "no leader was elected");
        free(n.raft);
        return;
    }
    entries_fill(entries, raft_term_now(n.raft));
    leader_send(&n);
    leader_acknowledged(&n, OTHER);
    leader_acknowledged(&n, THIRD);
    const struct raft_event propose = {.type = RAFT_EV_PROPOSE, .entries = entries, .count = count};
    for (; gbench_next(state, 1); turns++) {
        n.now_ns += TURN_NS;
        node_step(&n, propose);
        leader_send(&n);
        node_flushed(&n);
        leader_acknowledged(&n, OTHER);
        leader_acknowledged(&n, THIRD);
    }
    /* The configuration, the leader's empty entry, and ours. */
    if (raft_commit(n.raft) != 2 + turns * count)
        gbench_skip(state, "the leader did not commit all entries");
    gbench_count_items(state, turns * count);
    free(n.raft);
}

/* raft_step() alone, for an append of one record at a follower. What the disk reports, one step for
 * BATCH of them, is in it. */
static void follower_append(struct gbench_state *state, uint64_t length, uint32_t window)
{
    struct bench_node n;
    uint64_t turns = 0;

    if (!node_start(&n, length, window)) {
        gbench_skip(state, "no memory");
        return;
    }
    const raft_term term = raft_term_now(n.raft) + 1;
    const struct raft_entry entry = {.term = term, .bytes = RECORD_BYTES};
    struct raft_msg append = {
        .type = RAFT_MSG_APPEND,
        .from = OTHER,
        .to = SELF,
        .incarnation = 12,
        .count = 1,
        .bytes = RECORD_BYTES,
        .term = term,
        .prev_index = length,
        .prev_term = term - 1,
        .commit = length,
        .entries = &entry,
    };
    for (; gbench_next(state, BATCH); turns += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            n.now_ns += TURN_NS;
            node_receive(&n, &append);
            append.commit = append.prev_index;
            append.prev_index++;
            append.prev_term = term;
        }
        node_flushed(&n);
    }
    if (raft_last(n.raft) != length + turns)
        gbench_skip(state, "the follower did not take all entries");
    gbench_count_items(state, turns);
    free(n.raft);
}

void bench_raft_append(struct gbench_state *state)
{
    follower_append(state, (uint64_t)gbench_arg(state), WINDOW);
}

void bench_raft_append_window(struct gbench_state *state)
{
    follower_append(state, LOG_LENGTH, (uint32_t)gbench_arg(state));
}

/* BATCH appends of one entry each are on their way to both, and durable here. */
static void leader_prepare(struct bench_node *n)
{
    const struct raft_entry entry = {.term = raft_term_now(n->raft), .bytes = RECORD_BYTES};

    for (uint32_t i = 0; i < BATCH; i++) {
        n->now_ns += TURN_NS;
        node_step(n, (struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &entry, .count = 1});
        leader_send(n);
    }
    node_flushed(n);
}

/* raft_step() alone, for an acknowledgement of one append that commits its entry. */
static void leader_acknowledge(struct gbench_state *state, uint64_t length, uint32_t window)
{
    struct bench_node n;
    uint64_t turns = 0;

    if (!node_start(&n, length, window)) {
        gbench_skip(state, "no memory");
        return;
    }
    if (!node_elect(&n)) {
        gbench_skip(state, "no leader was elected");
        free(n.raft);
        return;
    }
    leader_send(&n);
    leader_acknowledged(&n, OTHER);
    leader_acknowledged(&n, THIRD);
    struct raft_msg reply = {
        .type = RAFT_MSG_APPEND_REPLY,
        .from = OTHER,
        .to = SELF,
        .incarnation = 12,
        .term = raft_term_now(n.raft),
    };
    for (; gbench_next(state, BATCH); turns += BATCH) {
        gbench_pause(state);
        leader_prepare(&n);
        reply.match = raft_last(n.raft) - BATCH;
        gbench_resume(state);
        for (uint32_t i = 0; i < BATCH; i++) {
            reply.match++;
            reply.last = reply.match;
            node_receive(&n, &reply);
        }
        gbench_pause(state);
        leader_acknowledged(&n, THIRD);
        gbench_resume(state);
    }
    if (raft_commit(n.raft) != length + 1 + turns)
        gbench_skip(state, "the leader did not commit all entries");
    gbench_count_items(state, turns);
    free(n.raft);
}

void bench_raft_acknowledged(struct gbench_state *state)
{
    leader_acknowledge(state, (uint64_t)gbench_arg(state), WINDOW);
}

void bench_raft_acknowledged_window(struct gbench_state *state)
{
    leader_acknowledge(state, LOG_LENGTH, (uint32_t)gbench_arg(state));
}
