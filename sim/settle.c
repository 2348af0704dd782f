/* sim/settle.c: phase two: after everything was healed, clients are served again, all agree, and what
 * disks had lost is good again. */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <inttypes.h>

enum {
    SETTLE_TIMEOUTS = 50, /* election timeouts until a client is served again */
    SETTLE_EVENTS_MAX = 4000000,
    READ_TIMEOUTS = 3, /* and until a read is answered: many rounds of heartbeats */
};

#define SNAPSHOT_TURN_NS UINT64_C(11000000000) /* the longest, and a second more */

/* A write by way of this node, again and again until one is answered OK. */
static bool keep_asking(struct sim *s, struct sim_node *n, uint64_t *call)
{
    if (*call != 0 && s->call[*call - 1].fate == HISTORY_OK)
        return true;
    if (*call == 0 || s->call[*call - 1].fate != HISTORY_OPEN)
        *call = workload_put(s, n, 0, call_value(s, SIM_VALUE_BYTES_MIN));
    return false;
}

/* How much the living have, all together, of the longest log there was. It has an end, so who only
 * waits for it to grow does not wait for ever. */
static raft_index stored_by_all(const struct sim *s, raft_index longest)
{
    raft_index sum = 0;

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica != NULL)
            sum += n->seen.last < longest ? n->seen.last : longest;
    }
    return sum;
}

static raft_index longest_log(const struct sim *s)
{
    raft_index longest = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->node[i].replica != NULL && s->node[i].seen.last > longest)
            longest = s->node[i].seen.last;
    return longest;
}

/* Steps until any node has served a write that began in phase two. With some dead the quorum may need
 * one that is thousands of entries behind: then those must come, some in each span of patience. */
static bool serve_one(struct sim *s, uint64_t patience_ns)
{
    uint64_t call[SIM_NODES_MAX] = {0};
    uint64_t deadline_ns = s->now_ns + patience_ns;
    const raft_index longest = longest_log(s);
    raft_index stored = stored_by_all(s, longest);

    while (s->now_ns < deadline_ns) {
        for (uint32_t i = 0; i < s->node_count; i++)
            if (keep_asking(s, &s->node[i], &call[i]))
                return true;
        if (!sim_step(s))
            return false;
        if (s->now_ns >= deadline_ns && stored_by_all(s, longest) > stored) {
            stored = stored_by_all(s, longest);
            deadline_ns = s->now_ns + patience_ns;
        }
    }
    return check_fail(&s->report, "progress",
                      "no write is served %u election timeouts after all was healed",
                      SETTLE_TIMEOUTS);
}

/* Who leads has a vote, in a configuration that is not joint any more. */
static bool leader_is_voter(const struct sim *s)
{
    const uint32_t leader = sim_leader(s);
    const struct raft_config *config = check_members_committed(s->members);

    if (leader == UINT32_MAX || config == NULL || config->joint)
        return false;
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].node == leader + 1)
            return config->member[i].voter;
    return false;
}

/* All living members have stored and applied all there is, and nobody waits for an answer. */
static bool at_rest(const struct sim *s)
{
    const raft_index last = check_log_last(s->log);

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica == NULL && n->down_until_ns != UINT64_MAX)
            return false;
        if (n->replica != NULL && n->who != SIM_ITSELF && sim_is_member(s, n))
            return false; /* somebody tells it to stop */
        if (sim_is_served(s, n) && (n->seen.applied != last || n->seen.last != last ||
                                    raft_durable_index(replica_raft(n->replica)) != last))
            return false;
    }
    return workload_open(s) == 0 && s->admin_open == 0 && leader_is_voter(s);
}

static raft_index applied_by_all(const struct sim *s)
{
    raft_index sum = 0;

    for (uint32_t i = 0; i < s->node_count; i++)
        sum += s->node[i].replica != NULL ? s->node[i].seen.applied : 0;
    return sum;
}

/* A node far behind may take its time, but something must move within each span of patience. */
static bool come_to_rest(struct sim *s, uint64_t patience_ns)
{
    const uint64_t events_max = s->events + SETTLE_EVENTS_MAX;
    uint64_t deadline_ns = s->now_ns + patience_ns + 2 * s->plan.options.request_timeout_ns;
    raft_index applied = applied_by_all(s);

    while (!at_rest(s)) {
        if (!sim_step(s))
            return false;
        if (s->now_ns <= deadline_ns && s->events <= events_max)
            continue;
        if (applied_by_all(s) == applied || s->events > events_max)
            return !repaired_lacks(s) &&
                   check_fail(&s->report, "progress",
                              "%u calls open, nodes still differ long after all was healed",
                              workload_open(s));
        applied = applied_by_all(s);
        deadline_ns = s->now_ns + patience_ns;
    }
    return true;
}

/* It was asked, and must answer: a change that goes on by itself, as a learner's promotion, may have removed it
 * since. */
static bool owes_answer(const struct sim *s, uint32_t node, uint64_t call)
{
    return call != 0 && sim_is_served(s, &s->node[node]);
}

/* The first node with a call that is open, or that was not answered OK; node_count: there is none. */
static uint32_t first_open(const struct sim *s, const uint64_t call[SIM_NODES_MAX])
{
    uint32_t i = 0;

    while (i < s->node_count &&
           !(owes_answer(s, i, call[i]) && s->call[call[i] - 1].fate == HISTORY_OPEN))
        i++;
    return i;
}

static uint32_t first_refused(const struct sim *s, const uint64_t call[SIM_NODES_MAX])
{
    uint32_t i = 0;

    while (i < s->node_count && (!owes_answer(s, i, call[i]) || sim_answered(s, call[i])))
        i++;
    return i;
}

/* From when on no clock stands still: a node whose clock does asks nobody again. */
static uint64_t clocks_run_ns(const struct sim *s)
{
    uint64_t latest_ns = s->now_ns;

    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->node[i].clock.start_ns > latest_ns)
            latest_ns = s->node[i].clock.start_ns;
    return latest_ns;
}

/* A read at each member, all at once. Nothing fails any more, so that as long as the same node leads each
 * waits for the round of heartbeats that runs and for the next one. */
static bool serve_reads(struct sim *s, uint64_t patience_ns)
{
    const uint64_t begun_ns = clocks_run_ns(s);
    const uint32_t leader = sim_leader(s);
    const raft_term term = leader == UINT32_MAX ? 0 : sim_term(s, leader);
    uint64_t call[SIM_NODES_MAX] = {0};
    bool leads = leader != UINT32_MAX;

    for (uint32_t i = 0; i < s->node_count; i++) {
        if (!sim_is_served(s, &s->node[i]))
            continue;
        call[i] = workload_get(s, &s->node[i], 0);
        if (call[i] == 0)
            return check_fail(&s->report, "reads-answered", "node %u at rest takes no read", i + 1);
    }
    for (uint32_t i; (i = first_open(s, call)) < s->node_count;) {
        const uint64_t limit_ns = leads ? READ_TIMEOUTS * s->plan.options.election_max_ns
                                        : patience_ns + 2 * s->plan.options.request_timeout_ns;
        if (s->now_ns > begun_ns + limit_ns)
            return check_fail(&s->report, "reads-answered", "a read waits at node %u", i + 1);
        if (!sim_step(s))
            return false;
        leads = leads && sim_leader(s) == leader && sim_term(s, leader) == term;
    }
    const uint32_t refused = first_refused(s, call);
    return !leads || refused == s->node_count ||
           check_fail(&s->report, "reads-answered", "a read is refused at node %u, node %u leads",
                      refused + 1, leader + 1);
}

/* Nothing of node `n` is under way, in its port neither. */
static bool holds_nothing(const struct sim *s, const struct sim_node *n)
{
    const struct replica_held h = replica_held(n->replica);

    return h.requests + h.reads + h.admin + h.gated == 0 &&
           h.ring_items + h.handoffs + h.scratch_bytes == 0 && h.pinned + h.snapshot_jobs + h.transfers == 0 &&
           net_held(s->net, n->number) == 0;
}

/* At rest each node gives back, now and then, all that it has taken: but for heartbeats nothing is on its
 * way. A snapshot for which there was no room is tried again first, and one that is pinned may wait for
 * its turn among the members. */
static bool all_is_given_back(struct sim *s, uint64_t settle_ns)
{
    const uint64_t patience_ns = settle_ns + SNAPSHOT_RETRY_NS + SNAPSHOT_TURN_NS;

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        const uint64_t deadline_ns = s->now_ns + patience_ns;
        while (sim_is_served(s, n) && !holds_nothing(s, n)) {
            if (s->now_ns > deadline_ns) {
                const struct replica_held h = replica_held(n->replica);
                return check_fail(&s->report, "leak",
                                  "node %u at rest: %" PRIu64 " requests, %" PRIu64 " reads, %" PRIu64
                                  " of operators, %" PRIu64 " in the gate, %" PRIu64
                                  " in rings, %" PRIu64 " records handed over, %" PRIu64
                                  " bytes for tx, pinned %" PRIu64 ", %" PRIu64
                                  " snapshot jobs, %" PRIu64 " transfers, %u frames",
                                  sim_id(n), h.requests, h.reads, h.admin, h.gated, h.ring_items,
                                  h.handoffs, h.scratch_bytes, h.pinned, h.snapshot_jobs, h.transfers,
                                  net_held(s->net, n->number));
            }
            if (!sim_step(s))
                return false;
        }
    }
    return true;
}

static bool demand_repair(struct sim *s, uint64_t patience_ns)
{
    if (harm_victims(s) == 0)
        return true;
    s->happened[SIM_REPAIR_START] += repaired_restart(s);
    return come_to_rest(s, patience_ns) && repaired_check(s);
}

/* What phase two begins with: both kinds of faults, and both together, must occur in a campaign. */
static void count_harm(struct sim *s)
{
    const uint64_t others = s->happened[SIM_WIPE] + s->happened[SIM_SWAP] +
                            s->happened[SIM_OLD_COPY] + s->happened[SIM_CHANGE_DONE];
    const bool progress = faults_within_atlas(s);

    if (harm_victims(s) == 0)
        return;
    sim_happen(s, progress ? SIM_HARM_PROGRESS : SIM_HARM_SAFETY);
    if (others > 0)
        sim_happen(s, progress ? SIM_HARM_AND_OTHERS : SIM_HARM_AND_OTHERS_SAFETY);
}

/* Who had no room for a snapshot begins another a second later, which is long for the quickest elections of
 * runs; it may be whom all wait for. */
static uint64_t patience(const struct sim *s)
{
    const bool retries = s->plan.snapshots && s->happened[SIM_DISK_FULL] > 0;
    return SETTLE_TIMEOUTS * s->plan.options.election_max_ns + (retries ? SNAPSHOT_RETRY_NS : 0);
}

bool sim_settle(struct sim *s)
{
    const uint64_t patience_ns = patience(s);

    faults_heal(s);
    count_harm(s);
    if (!faults_within_atlas(s)) {
        workload_quiet(s);
        return sim_run_ns(s, patience_ns / 10) && check_linear_finish(s->linear);
    }
    if (!serve_one(s, patience_ns))
        return false;
    workload_quiet(s);
    /* Observed after the last turn of each: equal digests at the same index were checked there. */
    return come_to_rest(s, patience_ns) && demand_repair(s, patience_ns) &&
           serve_reads(s, patience_ns) && all_is_given_back(s, patience_ns) && check_linear_finish(s->linear);
}
