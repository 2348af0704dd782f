/* raftcore/on_prevote.c: PreVote (section 9.6): "would you vote for me, if I asked?"
 *
 * No term rises at either side, no vote is spent, nothing waits for the disk.
 * A node that can't win, because its log is behind or a leader lives, thus disturbs nobody.
 */
#include "raftcore/raft_internal.h"

void raft_on_prevote(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->type == RAFT_MSG_PREVOTE);
    if (!raft_may_vote(r, m))
        return;
    const bool granted = m->term > r->term && !raft_leader_lives(r) && raft_is_newer_log(r, m);
    MARK_IF(m->term > r->term && raft_leader_lives(r), PREVOTE_UNDER_LEADER);
    if (m->term > r->term && !raft_is_newer_log(r, m)) {
        MARK(PREVOTE_OLD_LOG);
        r->asked = true; /* so we are a voter, in its configuration at least: may_campaign() */
    }
    struct raft_msg *reply = raft_emit(r, RAFT_MSG_PREVOTE_REPLY, m->from, fx);
    reply->reject = !granted;
    if (granted)
        reply->term = m->term;
}

void raft_on_prevote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_peer *peer = raft_find_peer(r, m->from);

    ASSERT(peer != NULL);
    if (r->role != RAFT_PRECANDIDATE)
        return;
    if (!m->reject && m->term != r->term + 1) {
        MARK(PREVOTE_REPLY_LATE);
        return; /* of an earlier attempt, or never asked for */
    }
    peer->vote = m->reject ? RAFT_VOTE_REFUSED : RAFT_VOTE_GRANTED;
    /* The disk may have got stuck since we began; then our term must not rise. */
    MARK_IF(raft_votes_win(r) && raft_disk_is_late(r, RAFT_LATE_TO_CAMPAIGN),
            PREVOTES_ON_LATE_DISK);
    if (raft_votes_win(r) && !raft_disk_is_late(r, RAFT_LATE_TO_CAMPAIGN))
        raft_become_candidate(r, false, fx);
}
