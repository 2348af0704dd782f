/* raftcore/on_propose.c: the leader appends (Figure 2, leaders, second rule). Nothing is sent here:
 * RAFT_EV_SEND does, so that all proposals of one turn share frames, while the disk writes. */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_on_propose(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    ASSERT(ev->count <= RAFT_PROPOSE_MAX);
    if (r->role != RAFT_LEADER || ev->count == 0)
        return;
    ASSERT(ev->count <= raft_room(r)); /* the caller asked before it encoded them */

    const raft_index first = r->log.last + 1;
    const raft_seq seq = raft_step_seq(r);
    for (uint32_t i = 0; i < ev->count; i++) {
        const struct raft_entry *entry = &ev->entries[i];
        ASSERT(entry->bytes > 0);
        ASSERT(entry->config == NULL); /* RAFT_EV_CHANGE is for those */
        raft_log_append(&r->log, r->term, entry->bytes, seq);
    }
    raft_emit_append(r, first, r->term, fx);
    if (planted(PLANTED_ACK_BEFORE_FLUSH))
        raft_commit_by_count(r, fx);
}
