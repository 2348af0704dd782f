/* sim/scenario.c: what tests do to a cluster by hand. */
#include "base/assert.h"
#include "persist/batch.h"
#include "persist/segment.h"
#include "sim/sim_internal.h"

#include <errno.h>

enum { ELECT_TRIES = 64 };

static struct sim_node *node_of(struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return &s->node[node];
}

bool sim_run_ns(struct sim *s, uint64_t duration_ns)
{
    const uint64_t end_ns = s->now_ns + duration_ns;

    while (s->now_ns < end_ns && !s->over)
        if (!sim_step(s))
            return false;
    return true;
}

uint32_t sim_leader(const struct sim *s)
{
    uint32_t leader = UINT32_MAX;
    raft_term term = 0;

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica == NULL || n->seen.term <= term ||
            raft_role(replica_raft(n->replica)) != RAFT_LEADER)
            continue;
        leader = i;
        term = n->seen.term;
    }
    return leader;
}

/* A leader that is not wanted is paused until another one has taken over. */
bool sim_elect(struct sim *s, uint32_t node)
{
    const uint64_t timeout_ns = s->plan.options.election_max_ns;

    for (uint32_t i = 0; i < ELECT_TRIES; i++) {
        const uint32_t leader = sim_leader(s);
        if (leader == node)
            return true;
        if (leader != UINT32_MAX)
            s->node[leader].paused_until_ns = s->now_ns + 3 * timeout_ns;
        if (!sim_run_ns(s, 4 * timeout_ns))
            return false;
    }
    return false;
}

uint64_t sim_put(struct sim *s, uint32_t node, uint8_t key, uint32_t value_bytes)
{
    return workload_put(s, node_of(s, node), key, call_value(s, value_bytes));
}

uint64_t sim_get(struct sim *s, uint32_t node, uint8_t key)
{
    return workload_get(s, node_of(s, node), key);
}

bool sim_answered(const struct sim *s, uint64_t call)
{
    ASSERT(call >= 1);
    ASSERT(call <= s->call_count);
    return s->call[call - 1].fate == HISTORY_OK;
}

bool sim_refused(const struct sim *s, uint64_t call)
{
    ASSERT(call >= 1);
    ASSERT(call <= s->call_count);
    return s->call[call - 1].fate == HISTORY_REFUSED;
}

raft_index sim_call_index(const struct sim *s, uint64_t call)
{
    ASSERT(call >= 1);
    ASSERT(call <= s->call_count);
    return s->call[call - 1].index;
}

raft_term sim_term(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.term;
}

raft_index sim_commit(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.commit;
}

raft_index sim_applied(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.applied;
}

raft_index sim_last(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.last;
}

raft_index sim_base(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.base;
}

raft_index sim_snapshot(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].seen.snapshot;
}

uint64_t sim_disk_used(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return disk_sim_used(s->node[node].disk);
}

raft_index sim_promised(const struct sim *s, uint32_t node)
{
    return check_promise_last(s->promise, (raft_node)(node + 1));
}

void sim_crash(struct sim *s, uint32_t node, enum sim_crash_mode mode)
{
    struct sim_node *n = node_of(s, node);

    disk_sim_advance(n->disk, s->now_ns);
    cluster_crash(s, n, mode);
}

bool sim_restart(struct sim *s, uint32_t node)
{
    return cluster_start(s, node_of(s, node));
}

void sim_pause(struct sim *s, uint32_t node, bool paused)
{
    node_of(s, node)->paused_until_ns = paused ? UINT64_MAX : 0;
}

void sim_pause_with_clock(struct sim *s, uint32_t node)
{
    struct sim_node *n = node_of(s, node);

    ASSERT(n->replica != NULL);
    n->paused_until_ns = UINT64_MAX;
    n->clock_read_ns = sim_clock_local(&n->clock, s->now_ns);
    n->busy = true;
}

void sim_record(struct sim *s)
{
    net_record(s->net, true);
}

uint32_t sim_replay(struct sim *s, uint32_t count)
{
    uint32_t arrive = 0;

    for (uint32_t i = 0; i < count; i++)
        arrive += net_replay(s->net, &s->prng);
    return arrive;
}

uint32_t sim_join(struct sim *s)
{
    ASSERT(s->node_count < s->slot_count);
    struct sim_node *n = &s->node[s->node_count++];
    cluster_init(s, n);
    const bool started = cluster_start(s, n);
    ASSERT(started);
    return n->number;
}

void sim_wipe(struct sim *s, uint32_t node)
{
    struct sim_node *n = node_of(s, node);

    if (n->replica != NULL)
        sim_crash(s, node, SIM_LOSE_UNSYNCED);
    disks_empty(s, n, prng_next(&s->prng));
}

bool sim_ask(struct sim *s, uint32_t node, const struct admin_request *request)
{
    struct sim_node *n = node_of(s, node);

    return n->replica != NULL && n->admin.tag == 0 && members_ask(s, n, request);
}

bool sim_told(const struct sim *s, uint32_t node, struct sim_verdict *verdict)
{
    ASSERT(node < s->node_count);
    *verdict = s->node[node].admin.verdict;
    return s->node[node].admin.tag == 0;
}

const struct raft_config *sim_members(const struct sim *s)
{
    return check_members_committed(s->members);
}

void sim_cut(struct sim *s, uint32_t from, uint32_t to, bool cut)
{
    net_cut(s->net, from, to, cut);
}

void sim_isolate(struct sim *s, uint32_t node, bool isolated)
{
    for (uint32_t other = 0; other < s->node_count; other++) {
        if (other == node)
            continue;
        net_cut(s->net, node, other, isolated);
        net_cut(s->net, other, node, isolated);
    }
}

void sim_disk_hold(struct sim *s, uint32_t node, bool held)
{
    struct sim_node *n = node_of(s, node);

    disk_sim_advance(n->disk, s->now_ns);
    disk_sim_hold(n->disk, held);
    n->busy = n->replica != NULL;
}

void sim_disk_full(struct sim *s, uint32_t node, bool full)
{
    struct sim_node *n = node_of(s, node);

    disk_sim_advance(n->disk, s->now_ns);
    disk_sim_fail(n->disk, &(struct disk_sim_fault){.kind = DISK_OP_CREATE, .nth = full ? 1 : 0,
                                                    .result = -ENOSPC, .sticky = true});
}

static bool holds(const struct batch_header *h, const uint8_t *records, raft_index index)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < h->record_count; i++) {
        const struct record_header *record = record_at(records + at);
        if (record->index == index)
            return true;
        at += record_bytes(record->payload_bytes);
    }
    return false;
}

uint32_t sim_damage(struct sim *s, uint32_t node, raft_index index)
{
    static char names[DISK_FILES_MAX][DISK_NAME_BYTES];
    struct sim_node *n = node_of(s, node);
    uint32_t damaged = 0;

    ASSERT(n->replica == NULL);
    const int64_t count = disk_list(n->disk, SEGMENT_NAME_PREFIX, names, DISK_FILES_MAX);
    for (int64_t i = 0; i < count; i++) {
        uint64_t length;
        uint8_t *bytes = disk_sim_bytes(n->disk, names[i], &length);
        struct batch_place place = {.incarnation = n->incarnation,
                                    .node = sim_id(n),
                                    .generation = segment_generation(names[i]),
                                    .offset = DISK_SECTOR};
        for (; place.offset < length; place.offset += DISK_SECTOR) {
            struct batch_header h;
            if (!batch_check_header(bytes + place.offset, &place, &h) ||
                !holds(&h, bytes + place.offset + BATCH_HEADER_BYTES, index))
                continue;
            bytes[place.offset] ^= 1;
            damaged++;
        }
    }
    return damaged;
}

void sim_copy_disk(struct sim *s, uint32_t node)
{
    struct sim_node *n = node_of(s, node);

    disk_sim_advance(n->disk, s->now_ns);
    disks_make_copy(s, n, prng_next(&s->prng));
}

bool sim_start_copy(struct sim *s, uint32_t node)
{
    struct sim_node *n = node_of(s, node);

    disks_start_copy(s, n);
    return cluster_start(s, n);
}

uint32_t sim_boot(const struct sim *s, uint32_t node)
{
    ASSERT(node < s->node_count);
    return s->node[node].boot;
}

bool sim_is_faulty(const struct sim *s, uint32_t node)
{
    const struct sim_node *n = &s->node[node];

    return n->replica != NULL && published_get(&n->counters->holes) > 0;
}
