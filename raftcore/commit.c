/* raftcore/commit.c: what a majority of the voters has, and the commit index. */
#include "raftcore/raft_internal.h"

static uint64_t quorum_of_half(const struct raft_config *config, bool old,
                               const uint64_t value[RAFT_MEMBERS_MAX])
{
    uint64_t sorted[RAFT_MEMBERS_MAX]; /* descending */
    uint32_t voters = 0;

    ASSERT(config->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->count; i++) {
        const bool votes = old ? config->member[i].voter_old : config->member[i].voter;
        if (!votes && !planted(PLANTED_LEARNER_COUNTS))
            continue;
        uint32_t place = voters++;
        for (; place > 0 && sorted[place - 1] < value[i]; place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = value[i];
    }
    return voters == 0 ? 0 : sorted[voters / 2]; /* voters / 2 + 1 of them are a majority */
}

/* The largest value that a majority of the voters has reached, of both halves if the configuration
 * is joint: a log index, a time, a round, or 1 for a vote. 0 without voters. */
uint64_t raft_quorum(const struct raft *r, const uint64_t value[RAFT_MEMBERS_MAX])
{
    const struct raft_config *config = raft_config_in_force(r);
    const uint64_t reached = quorum_of_half(config, false, value);

    ASSERT(r->self <= RAFT_MEMBERS_MAX);
    if (planted(PLANTED_JOINT_ONE_HALF))
        return reached;
    return config->joint ? raft_min(reached, quorum_of_half(config, true, value)) : reached;
}

void raft_commit_to(struct raft *r, raft_index index)
{
    ASSERT(index <= r->log.last);
    if (index <= r->commit)
        return;
    r->commit = index;
    raft_config_commit(r);
}

/* The leader's rule (Figure 2, leaders, fourth rule; section 3.6.2): only entries of its own term
 * are committed by counting. An acknowledgement means durable, and the leader counts itself by the
 * same measure, so its disk may be slower than a majority of the others. */
void raft_commit_by_count(struct raft *r, struct raft_effects *fx)
{
    uint64_t match[RAFT_MEMBERS_MAX];

    ASSERT(r->role == RAFT_LEADER);
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        match[i] = r->peer[i].match;
    const bool unflushed =
        planted(PLANTED_ACK_BEFORE_FLUSH) || planted(PLANTED_LEADER_COUNTS_UNFLUSHED);
    if (r->self < RAFT_MEMBERS_MAX)
        match[r->self] = unflushed ? r->log.last : r->log.durable;

    const raft_index reached = raft_quorum(r, match);
    if (reached <= r->commit)
        return;
    if (raft_log_term(&r->log, reached) != r->term && !planted(PLANTED_COMMIT_OLD_TERM)) {
        MARK(COMMIT_OLD_TERM);
        return;
    }
    const bool first = r->commit < r->own_first;
    const bool changes = raft_config_index(r) > r->commit;
    MARK_IF(reached > r->log.durable, COMMIT_AHEAD_OF_DISK);
    raft_commit_to(r, reached);
    raft_change_turn(r, fx);
    /* Reads may have waited for our own first entry, or for an answer of voters that a change has let
     * go: those say nothing more. */
    if (first || changes)
        raft_read_turn(r, fx);
}
