/* raftcore/on_append_reply.c: what a follower answers to AppendEntries (Figure 2, leaders). */
#include "raftcore/raft_internal.h"

#include <stddef.h>

/* The highest prev that may match, given the run of the follower's log that did not (section 3.5).
 * Its entries of that term begin at hint_index. If we have the term too, our logs agree up to the
 * end of the shorter run, unless ours ends before its begins. If we do not, its whole run is of no
 * use. Either way one round trip settles one term. */
static raft_index back_up(const struct raft *r, const struct raft_msg *m)
{
    const raft_index limit = raft_min(m->prev_index - 1, r->log.last);
    const raft_index ours = raft_log_back_up(&r->log, limit, m->hint_term);

    ASSERT(m->prev_index > 0);
    if (raft_log_term(&r->log, ours) == m->hint_term) {
        MARK(BACK_UP_IN_TERM);
        return ours;
    }
    MARK(BACK_UP_OVER_RUN);
    return m->hint_index > 0 ? raft_min(ours, m->hint_index - 1) : ours;
}

static void on_refused(struct raft *r, struct raft_peer *p, const struct raft_msg *m)
{
    ASSERT(p->match < p->next);
    if (p->state == RAFT_PEER_SNAPSHOT)
        return; /* late: nothing was sent since */
    if (m->prev_index <= p->match) {
        MARK(REFUSAL_LATE);
        return; /* it has acknowledged more since */
    }
    if (m->prev_index >= p->next) {
        MARK(REFUSAL_OVERTAKEN);
        return; /* refuses what we sent before we went back */
    }
    if (p->state == RAFT_PEER_PROBE && m->prev_index != p->next - 1)
        return; /* not the probe that is in flight */

    if (m->prev_index > m->last) { /* a gap: it lacks what came before */
        const raft_index next = raft_max(m->last, p->match) + 1;
        if (p->state == RAFT_PEER_PROBE || next <= r->log.base)
            raft_peer_retreat(r, p, next);
        else
            raft_peer_rewind(r, p, next);
        return;
    }
    MARK_IF(p->state == RAFT_PEER_PROBE, BACK_UP_AGAIN);
    const raft_index agrees = m->prev_index > r->log.base ? back_up(r, m) : 0;
    raft_peer_retreat(r, p, raft_max(agrees, p->match) + 1);
}

void raft_on_append_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_peer *p = raft_find_peer(r, m->from);

    ASSERT(p != NULL);
    if (r->role != RAFT_LEADER)
        return;
    ASSERT(m->term == r->term);
    if (m->reject) {
        on_refused(r, p, m);
        return;
    }
    if (m->match > r->log.last) { /* acknowledges what nobody sent */
        raft_convict(r, m->from, fx);
        return;
    }
    if (m->match < p->match) {
        MARK(ACK_OVERTAKEN);
        return; /* overtaken by a later one */
    }
    raft_peer_acked(r, p, m->match);
    if (m->match > r->commit)
        raft_commit_by_count(r, fx);
    if (m->from == r->transfer_to)
        raft_transfer_turn(r, fx);
}
