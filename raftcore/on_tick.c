/* raftcore/on_tick.c: what time alone brings about. */
#include "raftcore/raft_internal.h"

/* CheckQuorum (section 6.2): a leader that has not heard a quorum of the voters for the longest
 * election timeout steps down. By then every follower that hears nobody has had its timeout, so a
 * leader on the wrong side of a partition ends about when its successor begins, and its clients
 * learn of it. The shortest timeout would do as well but for a late reply; safety needs neither. */
static uint64_t quorum_lost_ns(const struct raft *r)
{
    uint64_t heard[RAFT_MEMBERS_MAX];

    ASSERT(r->role == RAFT_LEADER);
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        heard[i] = r->peer[i].heard_ns;
    if (r->self < RAFT_MEMBERS_MAX)
        heard[r->self] = r->now_ns;
    return raft_quorum(r, heard) + r->options.election_max_ns + 1;
}

static void tick_leader(struct raft *r, struct raft_effects *fx)
{
    const raft_node transfer_before = r->transfer_to;

    ASSERT(r->role == RAFT_LEADER);
    r->tick_ns = r->now_ns;
    if (r->now_ns >= quorum_lost_ns(r)) {
        MARK(QUORUM_LOST);
        raft_become_follower(r, r->term, 0, fx);
        return;
    }
    if (!raft_transfer_tick(r, fx))
        return;
    raft_change_tick(r, fx);
    const uint32_t count = raft_config_in_force(r)->count;
    for (uint32_t i = 0; i < count; i++) {
        if (i != r->self)
            raft_peer_tick(r, &r->peer[i]);
    }
    const bool due = r->now_ns >= r->heartbeat_ns + r->options.heartbeat_ns;
    if (due && !raft_lease_renew(r, fx))
        raft_broadcast_heartbeat(r, fx);
    if (due || r->transfer_to != transfer_before)
        raft_transfer_turn(r, fx);
}

void raft_on_tick(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->timer_ns <= r->now_ns);
    if (r->role == RAFT_LEADER) {
        tick_leader(r, fx);
        return;
    }
    if (r->now_ns >= r->timer_ns + r->timeout_ns)
        raft_campaign(r, fx);
    if (raft_reads_ask(r) && r->now_ns >= r->read_asked_ns + r->options.heartbeat_ns) {
        MARK(READ_ASKED_AGAIN);
        raft_read_ask(r, fx);
    }
}

uint64_t raft_next_tick(const struct raft *r)
{
    const uint32_t count = raft_config_in_force(r)->count;
    uint64_t due;

    if (r->role != RAFT_LEADER) {
        due = r->timer_ns + r->timeout_ns;
        if (raft_reads_ask(r))
            due = raft_min(due, r->read_asked_ns + r->options.heartbeat_ns);
        return due;
    }
    due = raft_min(raft_min(r->heartbeat_ns, r->tick_ns) + r->options.heartbeat_ns,
                   quorum_lost_ns(r));
    due = raft_min(due, raft_transfer_due(r));
    for (uint32_t i = 0; i < count; i++) {
        if (i != r->self)
            due = raft_min(due, raft_peer_due(r, &r->peer[i]));
    }
    ASSERT(due < UINT64_MAX);
    return due;
}
