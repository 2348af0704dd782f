/* raftcore/on_compact.c: the log base moves up: a snapshot holds what was below it (section 5.1). */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_on_compact(struct raft *r, raft_index index, struct raft_effects *fx)
{
    ASSERT(index <= r->commit);
    /* Nothing is promised by it, but what persist writes goes by its number. */
    fx->compact_seq = raft_step_seq(r);
    /* Others may have committed what our disk does not hold yet. */
    raft_log_compact(&r->log, raft_min(index, r->log.durable));
    if (r->role != RAFT_LEADER)
        return;
    for (uint32_t i = 0; i < raft_config_in_force(r)->count; i++) {
        if (i != r->self)
            raft_peer_compacted(r, &r->peer[i]);
    }
}

raft_index raft_keep_from(const struct raft *r)
{
    raft_index keep = r->log.last + 1;

    ASSERT(r->log.base <= r->log.last);
    for (uint32_t i = 0; i < raft_config_in_force(r)->count && r->role == RAFT_LEADER; i++) {
        const struct raft_peer *p = &r->peer[i];
        if (i == r->self)
            continue;
        if (p->state == RAFT_PEER_SNAPSHOT && p->snapshot != 0)
            keep = raft_min(keep, p->snapshot + 1);
        else if (raft_peer_is_heard(r, p))
            keep = raft_min(keep, raft_max(p->match, r->log.base) + 1);
    }
    return keep;
}
