/* raftcore/on_snapshot.c: how the transfer of a snapshot to a peer goes on, at the leader.
 *
 *   asked for (on_send.c) --- begun ---> running --- ended, ok: the peer is probed from behind it
 *    ^  |  ^                               |  |
 *    |  |  +------ ended, not ok ----------+  +--- gone: our lead is over, the peer has restarted,
 *    +--+ not begun within resend_ns               is no member any more, or has acknowledged
 *                                                  enough; or the log base has passed it
 *
 * The bytes are the caller's. A report about a transfer that is no longer ours to judge is late.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

/* The peer, if it waits for a snapshot. */
static struct raft_peer *waiting_peer(struct raft *r, raft_node node)
{
    struct raft_peer *p = raft_find_peer(r, node);

    ASSERT(node != r->options.node);
    if (r->role != RAFT_LEADER || p == NULL || p->state != RAFT_PEER_SNAPSHOT)
        return NULL;
    return p;
}

void raft_on_snapshot_begun(struct raft *r, const struct raft_event *ev)
{
    struct raft_peer *p = waiting_peer(r, ev->peer);

    ASSERT(ev->index <= r->commit);
    if (p == NULL || ev->index < r->log.base)
        return; /* raft_snapshot_to() tells the caller to end it */
    p->snapshot = ev->index;
}

void raft_on_snapshot_ended(struct raft *r, const struct raft_event *ev)
{
    struct raft_peer *p = waiting_peer(r, ev->peer);

    ASSERT(ev->index > 0);
    if (p == NULL || p->snapshot != ev->index)
        return;
    ASSERT(p->snapshot >= r->log.base);
    if (ev->ok) {
        /* It counts as acknowledged only when the peer says so to us: the probe asks. */
        raft_peer_probe(r, p, ev->index + 1);
        return;
    }
    p->snapshot = 0;
    p->snapshot_ns = r->now_ns + r->options.election_max_ns; /* whatever failed may need a while */
}

raft_index raft_snapshot_to(const struct raft *r, raft_node peer)
{
    const uint32_t place = raft_place_of(r, peer);

    ASSERT(place <= RAFT_MEMBERS_MAX);
    if (r->role != RAFT_LEADER || place == RAFT_MEMBERS_MAX)
        return 0;
    return r->peer[place].state == RAFT_PEER_SNAPSHOT ? r->peer[place].snapshot : 0;
}
