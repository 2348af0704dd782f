/* raftcore/on_durable.c: persist has flushed everything up to a seq. */
#include "raftcore/raft_internal.h"

/* Our vote for ourselves is a vote like any other: it counts when it can't be forgotten. */
static void count_own_vote(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_CANDIDATE);
    ASSERT(r->vote == r->options.node);
    if (r->hard_seq > r->seq_durable || r->self == RAFT_MEMBERS_MAX)
        return;
    r->peer[r->self].vote = RAFT_VOTE_GRANTED;
    if (raft_votes_win(r))
        raft_become_leader(r, fx);
}

void raft_on_durable(struct raft *r, raft_seq seq, struct raft_effects *fx)
{
    ASSERT(seq <= r->seq_last);
    if (seq <= r->seq_durable)
        return;
    r->seq_durable = seq;
    if (r->flush_seq <= seq) { /* what is owed now was not written before the last that was */
        r->flush_seq = r->seq_last;
        r->flush_ns = r->now_ns;
    }
    raft_log_flushed(&r->log, seq);
    if (r->role == RAFT_CANDIDATE)
        count_own_vote(r, fx);
    else if (r->role == RAFT_LEADER)
        raft_commit_by_count(r, fx);
}
