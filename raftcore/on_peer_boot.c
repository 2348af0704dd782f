/* raftcore/on_peer_boot.c: a peer has restarted. What it acknowledged is durable and stays; what
 * was in flight to it is lost, and so is whatever it had asked for. A peer whose directory turns out
 * to be older than what it acknowledged counts for nothing, neither for the commit index nor for a
 * quorum that is heard, until it acknowledges anew. */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_on_peer_boot(struct raft *r, raft_node node, bool forgot)
{
    struct raft_peer *p = raft_find_peer(r, node);

    ASSERT(node != r->options.node);
    if (r->role != RAFT_LEADER || p == NULL)
        return; /* who becomes leader knows nothing of its peers anyway */
    if (forgot) {
        raft_peer_forgot(r, p);
        return;
    }
    MARK_IF(p->inflight_count > 0, PEER_BOOT_IN_FLIGHT);
    raft_peer_lost(r, p);
    p->load_waiting = false;
    p->read_waiting = 0;
    p->read_running = 0;
}
