/* sim/observe_members.c: what check_members.h is told: configurations that travel and that are in
 * force, who decided what under them, and who is a member as far as anybody can know. */
#include "base/assert.h"
#include "replica/config_record.h"
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <string.h>

void observe_config_record(struct sim *s, const struct record_header *header,
                           const uint8_t *payload)
{
    struct raft_config config;
    uint64_t quota_bytes;

    if (!config_record_decode(payload, header->payload_bytes, &config, &quota_bytes)) {
        check_fail(&s->report, "one-configuration",
                   "the configuration at %" PRIu64 "@%" PRIu64 " is none", header->index,
                   header->term);
        return;
    }
    check_members_record(s->members, header->index, header->term, &config);
}

/* Only what has changed is looked at: the log's end, or the configuration. */
void observe_config(struct sim *s, struct sim_node *n, const struct check_view *view)
{
    const struct raft *raft = replica_raft(n->replica);
    const raft_term last_term = raft_term_at(raft, view->last, NULL);
    const uint64_t changes = raft_config_changes(raft);
    struct sim_seen *seen = &n->seen;

    if (changes == seen->config_changes && view->last == seen->last && last_term == seen->last_term)
        return;
    if (n->who == SIM_IMPOSTOR) {
        if (view->last > 0)
            check_fail(&s->report, "one-configuration",
                       "node %u has entries, and nobody may count it", sim_id(n));
        return;
    }
    if (published_get(&n->counters->holes) != 0)
        return; /* terms in a hole are guesses, and a configuration may be among what is missing */
    /* A leader that is deposed in the turn in which it appends one is still who introduced it. */
    const raft_term config_term = raft_term_at(raft, raft_config_index(raft), NULL);
    const raft_term own_term = config_term == seen->office_term ? config_term : 0;
    const struct check_member_state state = {
        .node = sim_id(n),
        .term = raft_role(raft) == RAFT_LEADER ? raft_term_now(raft) : own_term,
        .commit = raft_commit(raft),
        .index = raft_config_index(raft),
        .config = raft_config(raft),
    };
    check_members_in_force(s->members, &state, view);
    if (changes != seen->config_changes && seen->config_changes != 0) {
        sim_happen(s, state.config->joint ? SIM_JOINT : SIM_CONFIG);
        if (state.index < seen->config_index)
            sim_happen(s, SIM_CONFIG_UNDONE);
    }
    seen->last_term = last_term;
    seen->config_changes = changes;
}

void observe_elected(struct sim *s, struct sim_node *n, raft_term term,
                     const struct check_view *view)
{
    uint32_t voters = check_promise_voters(s->promise, term, sim_id(n));

    /* Who needs nobody else sends no vote. */
    if (raft_vote(replica_raft(n->replica)) == sim_id(n) && n->who == SIM_ITSELF)
        voters |= 1U << n->number;
    if (!check_members_decides(s->members, view, n->seen.config_index, voters))
        check_fail(&s->report, "elected-by-quorum",
                   "node %u leads term %" PRIu64 " with the votes of nodes %#x only", sim_id(n),
                   term, voters);
}

void observe_candidate(struct sim *s, struct sim_node *n, raft_term term)
{
    const struct raft *raft = replica_raft(n->replica);
    const struct check_view view = observe_view(n);
    const struct raft_config *committed = check_members_committed(s->members);

    /* The vote waited for the disk: only while the node still wants it its log says why. */
    if (raft_role(raft) != RAFT_CANDIDATE || raft_term_now(raft) != term || committed == NULL)
        return;
    if (!check_members_votes(s->members, &view, 0, sim_id(n)) && !n->asked)
        check_fail(&s->report, "learners-do-not-vote",
                   "node %u campaigns in term %" PRIu64
                   ", it never was a voter and nobody took it for one",
                   sim_id(n), term);
}

bool observe_durable_quorum(struct sim *s, struct sim_node *n, raft_index index,
                            const struct check_entry *entry)
{
    const struct check_view view = observe_view(n);
    uint32_t holders = check_promise_holders(s->promise, index, entry->term);

    if (raft_durable_index(replica_raft(n->replica)) >= index && n->who == SIM_ITSELF)
        holders |= 1U << n->number;
    if (!check_members_decides(s->members, &view, n->seen.config_index, holders))
        return check_fail(&s->report, "durable-quorum",
                          "node %u commits %" PRIu64 "@%" PRIu64
                          " that only nodes %#x have on disk",
                          sim_id(n), index, entry->term, holders);
    return entry->type != RECORD_CONFIG || check_members_commit(s->members, index, entry->term);
}

bool sim_is_member(const struct sim *s, const struct sim_node *n)
{
    const struct raft_config *config = check_members_committed(s->members);

    if (config == NULL)
        return n->number < s->plan.nodes;
    for (uint32_t i = 0; i < config->count; i++)
        if (config->member[i].node == sim_id(n))
            return !config->member[i].leaves;
    return false;
}

bool sim_is_served(const struct sim *s, const struct sim_node *n)
{
    return n->replica != NULL && n->who == SIM_ITSELF && sim_is_member(s, n);
}
