/* raftcore/on_install.c: a snapshot takes the place of the log up to its last entry (section 5.3,
 * InstallSnapshot, receiver rules 6 to 8; the rules before those, the transfer, are the caller's).
 *
 * What it covers was committed, so nothing that is ours for good is lost, from whatever leader it
 * came. Departures:
 * - One at or below our commit index is refused: it could only take the state back.
 * - Log base, its term and the configuration switch in one step, which has one seq: persist makes
 *   all of it durable together or not at all, and the acknowledgement waits for that.
 * - It is acknowledged as an append is, up to the snapshot's index, to the leader of our term,
 *   whoever offered it. That is why our term must not be below the offer's: what was committed by
 *   then is in the log of every leader from that term on, and a leader deposed before may hold
 *   another entry in its place, which our acknowledgement would count for.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

static bool is_sane(const struct raft_event *ev)
{
    ASSERT(ev->config != NULL);
    if (ev->index == 0 || ev->index >= RAFT_WORD_MAX || ev->config_index > ev->index)
        return false;
    if (ev->term == 0 || ev->term > ev->leader_term || ev->leader_term > RAFT_WORD_MAX)
        return false;
    return raft_config_is_sound(ev->config);
}

static void emit_reply(struct raft *r, raft_index match, struct raft_effects *fx)
{
    struct raft_msg *reply = raft_emit(r, RAFT_MSG_APPEND_REPLY, r->leader, fx);

    ASSERT(fx->install.seq == r->seq_last); /* younger than the term's */
    reply->match = match;
    reply->last = r->log.last;
    raft_emit_after(planted(PLANTED_INSTALL_ACK_UNGATED) ? 0 : fx->install.seq, fx);
}

static void install(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    const struct raft_config_at at = {.index = ev->config_index, .config = *ev->config};
    const raft_seq seq = raft_step_seq(r);

    ASSERT(r->role != RAFT_LEADER);
    ASSERT(ev->index > r->commit);
    if (!raft_log_install(&r->log, ev->index, ev->term, seq))
        r->verified = 0; /* what it vouched for is gone */
    r->verified = raft_max(r->verified, ev->index);
    if (!planted(PLANTED_INSTALL_CONFIG_FORGOTTEN))
        raft_config_install(r, &at, ev->index);
    raft_commit_to(r, ev->index);
    fx->install.seq = seq;
    fx->install.index = ev->index;
    fx->install.term = ev->term;
    fx->install.last = r->log.last;
}

void raft_on_install(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    if (!is_sane(ev)) {
        r->ignored++;
        return;
    }
    /* Who leads that term is for heartbeats to tell: the snapshot may have been long on its way. */
    if (ev->leader_term > r->term)
        raft_become_follower(r, ev->leader_term, 0, fx);
    if (ev->index <= r->commit || r->role == RAFT_LEADER)
        return; /* we have it, as a leader by Leader Completeness */
    install(r, ev, fx);
    if (r->leader != 0)
        emit_reply(r, ev->index, fx);
}
