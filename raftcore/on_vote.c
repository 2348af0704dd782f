/* raftcore/on_vote.c: RequestVote and its reply (Figure 2; section 3.4). */
#include "raftcore/raft_internal.h"

/* One vote a term, for a node in one incarnation: a wiped node with the same id is another. */
static bool vote_is_free(const struct raft *r, const struct raft_msg *m)
{
    ASSERT(m->term == r->term);
    if (planted(PLANTED_VOTE_TWICE))
        return true;
    return r->vote == 0 || (r->vote == m->from && r->vote_incarnation == m->incarnation);
}

void raft_on_vote(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->type == RAFT_MSG_VOTE);
    if (!raft_may_vote(r, m))
        return;
    if (m->term < r->term || (raft_leader_lives(r) && !m->transfer)) {
        /* Under a live leader not even our term rises (section 4.2.3), unless that leader wants it:
         * then it answers no read by its lease any more. */
        MARK_IF(m->term > r->term, VOTE_UNDER_LEADER);
        raft_emit(r, RAFT_MSG_VOTE_REPLY, m->from, fx)->reject = true;
        return;
    }
    MARK_IF(raft_leader_lives(r), VOTE_BY_TRANSFER);
    if (m->term > r->term)
        raft_become_follower(r, m->term, 0, fx);

    if (!vote_is_free(r, m) || !raft_is_newer_log(r, m)) {
        MARK_IF(!vote_is_free(r, m), VOTE_SPENT);
        MARK_IF(!raft_is_newer_log(r, m), VOTE_OLD_LOG);
        raft_emit(r, RAFT_MSG_VOTE_REPLY, m->from, fx)->reject = true;
        return;
    }
    MARK_IF(r->vote != 0, VOTE_REPEATED);
    if (r->vote == 0) {
        r->vote = m->from;
        r->vote_incarnation = m->incarnation;
        raft_emit_hard_state(r, fx);
    }
    raft_timer_restart(r); /* give the one we voted for its time */
    raft_emit(r, RAFT_MSG_VOTE_REPLY, m->from, fx);
    if (!planted(PLANTED_VOTE_REPLY_UNGATED))
        raft_emit_after(raft_hard_after(r), fx);
}

void raft_on_vote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_peer *peer = raft_find_peer(r, m->from);

    ASSERT(peer != NULL);
    ASSERT(m->term >= r->term);
    if (r->role != RAFT_CANDIDATE || m->term != r->term)
        return;
    peer->vote = m->reject ? RAFT_VOTE_REFUSED : RAFT_VOTE_GRANTED;
    if (raft_votes_win(r))
        raft_become_leader(r, fx);
}
