/* raftcore/convict.c: who contradicts what it has promised, or what its office promises.
 *
 * Its message is dropped and counted. It is named in the effects, so that the caller hears nothing
 * more from it; here it counts no longer as one that has acknowledged or was heard. Nothing that is
 * committed is touched, and nobody else stops: a single liar must not stop a cluster.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_convict(struct raft *r, raft_node sender, struct raft_effects *fx)
{
    struct raft_peer *p = raft_find_peer(r, sender);

    ASSERT(sender != r->options.node);
    r->convicted++;
    fx->convicted = sender;
    if (r->role == RAFT_LEADER && p != NULL)
        raft_peer_forgot(r, p);
}

/* Two leaders of one term: Election Safety is broken, and nobody can tell on which side. The leader
 * that sees it stops (the caller does that); everybody else goes on with the first. */
bool raft_convict_second_leader(struct raft *r, const struct raft_msg *m)
{
    ASSERT(m->term >= r->term);
    if (m->term > r->term || r->leader == 0 || r->leader == m->from)
        return false;
    r->rival = r->rival || r->role == RAFT_LEADER;
    r->convicted++;
    return true;
}
