/* sim/look.c: what a run tells about itself. */
#include "base/assert.h"
#include "sim/sim_internal.h"

#include <stdio.h>

const char *sim_happening_text(enum sim_happening happening)
{
    static const char *const text[] = {
#define SIM_HAPPENING_TEXT(name, words) [SIM_##name] = words,
        SIM_HAPPENING_LIST(SIM_HAPPENING_TEXT)
#undef SIM_HAPPENING_TEXT
    };
    ASSERT(happening < SIM_HAPPENING_COUNT);
    return text[happening];
}

const struct check_report *sim_report(const struct sim *s)
{
    return &s->report;
}

uint64_t sim_events(const struct sim *s)
{
    return s->events;
}

uint64_t sim_now_ns(const struct sim *s)
{
    return s->now_ns;
}

uint64_t sim_hash(const struct sim *s)
{
    return s->hash;
}

uint64_t sim_count(const struct sim *s, enum sim_happening happening)
{
    ASSERT(happening < SIM_HAPPENING_COUNT);
    return s->happened[happening];
}

uint64_t sim_search_count(const struct sim *s, enum linear_count count)
{
    return check_linear_count(s->linear, count);
}

const struct plan *sim_plan(const struct sim *s)
{
    return &s->plan;
}

const struct net_counters *sim_net(const struct sim *s)
{
    return net_counters(s->net);
}

static void print_verdicts(const struct replica_counters *counters)
{
    for (uint32_t i = 0; i < FRAME_VERDICT_COUNT; i++) {
        const uint64_t count = published_get(&counters->frames[i]);
        const uint64_t raft_count = published_get(&counters->raft_frames[i]);
        if (count + raft_count > 0)
            printf(" %s %llu+%llu", frame_verdict_name((enum frame_verdict)i),
                   (unsigned long long)count, (unsigned long long)raft_count);
    }
}

/* Voters plainly, learners in brackets, who leaves with a minus; the old half of a joint one behind
 * a slash. */
static void print_config(const struct raft *raft)
{
    const struct raft_config *config = raft_config(raft);

    printf(" config %llu:", (unsigned long long)raft_config_index(raft));
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *m = &config->member[i];
        printf(m->voter ? " %u" : m->leaves ? " -%u" : " (%u)", m->node);
        if (m->replaces != 0)
            printf("=%u", m->replaces);
    }
    for (uint32_t i = 0; config->joint && i < config->count; i++)
        if (config->member[i].voter_old)
            printf(" /%u", config->member[i].node);
}

void sim_print_nodes(const struct sim *s)
{
    static const char *const roles[] = {"follower", "precandidate", "candidate", "leader"};

    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->replica == NULL) {
            printf("node %u: dead\n", sim_id(n));
            continue;
        }
        const struct raft *raft = replica_raft(n->replica);
        printf("node %u: boot %u %s of term %llu, leader %u, last %llu durable %llu commit %llu "
               "applied %llu promised %llu unflushed since %llu;",
               sim_id(n), n->boot, roles[raft_role(raft)], (unsigned long long)raft_term_now(raft),
               raft_leader(raft), (unsigned long long)raft_last(raft),
               (unsigned long long)raft_durable_index(raft), (unsigned long long)raft_commit(raft),
               (unsigned long long)store_applied(replica_store(n->replica)),
               (unsigned long long)check_promise_last(s->promise, sim_id(n)),
               (unsigned long long)wal_oldest_unflushed_ns(replica_wal(n->replica)));
        print_verdicts(n->counters);
        print_config(raft);
        putchar('\n');
    }
}
