/* raftcore/on_alive.c: the leader was heard by something that is no message of the core: a piece of a
 * large record. It refreshes the election timer as its messages do, so that a record that takes
 * long to arrive is no reason for an election even if heartbeats are lost meanwhile. It teaches no
 * term and no leader: only messages do.
 *
 * And: the clock was read anew since a leader was heard. A message is judged by a clock that was read
 * before it came. Whoever is paused between the two has heard the leader later than it thinks, and
 * its promise not to vote for others would end before the leader's lease that counts on it. */
#include "raftcore/raft_internal.h"

void raft_on_alive(struct raft *r, raft_node leader, raft_term term)
{
    if (term != r->term || leader != r->leader || r->role == RAFT_LEADER)
        return;
    ASSERT(r->role == RAFT_FOLLOWER); /* who campaigns knows no leader */
    raft_leader_heard(r);
}

bool raft_heard_leader(const struct raft *r)
{
    return r->heard;
}

void raft_on_renew(struct raft *r)
{
    if (!r->heard)
        return;
    r->heard = false;
    if (r->role == RAFT_LEADER || planted(PLANTED_PROMISE_NOT_RENEWED))
        return;
    ASSERT(r->promised_ns <= r->now_ns + r->options.election_min_ns);
    r->promised_ns = r->now_ns + r->options.election_min_ns;
    if (r->leader != 0)
        r->timer_ns = r->now_ns;
}
