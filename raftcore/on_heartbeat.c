/* raftcore/on_heartbeat.c: the leader's sign of life, the commit index, and the number of the
 * confirmation round (section 6.4), in one small message that needs no credit.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_broadcast_heartbeat(struct raft *r, struct raft_effects *fx)
{
    const struct raft_config *config = raft_config_in_force(r);

    ASSERT(r->role == RAFT_LEADER);
    r->heartbeat_ns = r->now_ns;
    for (uint32_t i = 0; i < config->count; i++) {
        if (i == r->self)
            continue;
        struct raft_msg *m = raft_emit(r, RAFT_MSG_HEARTBEAT, config->member[i].node, fx);
        /* No prev is checked at the other side, so no more than it has acknowledged to us. */
        m->commit = raft_min(r->commit, r->peer[i].match);
        if (planted(PLANTED_COMMIT_BEYOND_VERIFIED))
            m->commit = r->commit;
        m->round = r->round;
    }
}

void raft_on_heartbeat(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->type == RAFT_MSG_HEARTBEAT);
    const bool stale = m->term < r->term;
    if (!stale && !raft_follow(r, m, fx))
        return;
    /* Its cap and ours agree, unless we were restarted: then ours is lower. */
    const raft_index known = planted(PLANTED_COMMIT_BEYOND_VERIFIED) ? r->log.last : r->verified;
    MARK_IF(!stale && m->commit > r->verified, HEARTBEAT_CAPPED);
    MARK_IF(stale, HEARTBEAT_STALE);
    if (!stale)
        raft_commit_to(r, raft_min(m->commit, known));

    struct raft_msg *reply = raft_emit(r, RAFT_MSG_HEARTBEAT_REPLY, m->from, fx);
    reply->last = r->log.last;
    reply->round = stale ? 0 : m->round;
}

void raft_on_heartbeat_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_peer *p = raft_find_peer(r, m->from);

    ASSERT(p != NULL);
    if (r->role != RAFT_LEADER)
        return;
    ASSERT(m->term == r->term);
    if (m->round > r->round) { /* answers what nobody asked */
        raft_convict(r, m->from, fx);
        return;
    }
    /* A probe far beyond its log would only be refused. */
    if (p->state == RAFT_PEER_PROBE && p->inflight_count == 0 && m->last + 1 < p->next) {
        MARK(PROBE_SHORTENED);
        raft_peer_retreat(r, p, raft_max(m->last, p->match) + 1);
    }
    if (m->round > p->round) {
        p->round = m->round;
        raft_read_turn(r, fx);
    }
}
