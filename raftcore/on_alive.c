/* raftcore/on_alive.c: the leader was heard by something that is no message of the core: a piece of a
 * large record. It refreshes the election timer as its messages do, so that a record that takes
 * long to arrive is no reason for an election even if heartbeats are lost meanwhile. It teaches no
 * term and no leader: only messages do. */
#include "raftcore/raft_internal.h"

void raft_on_alive(struct raft *r, raft_node leader, raft_term term)
{
    if (term != r->term || leader != r->leader || r->role == RAFT_LEADER)
        return;
    ASSERT(r->role == RAFT_FOLLOWER); /* who campaigns knows no leader */
    raft_leader_heard(r);
}
