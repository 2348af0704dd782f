/* raftcore/step.c: the one door: one event in, one set of effects out.
 *
 * Messages are judged here for sense before any state changes: numbers that could wrap, senders
 * that are no members, replies of another term. What remains are messages a correct peer may send,
 * and contradictions, which the file of the message convicts.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

/* Nobody asks, leads or votes in term 0; who has just begun may only refuse a vote there. */
static bool has_term(const struct raft_msg *m)
{
    ASSERT(m->from != 0);
    return m->term > 0 ||
           (m->reject && (m->type == RAFT_MSG_PREVOTE_REPLY || m->type == RAFT_MSG_VOTE_REPLY));
}

static bool words_are_sane(const struct raft_msg *m)
{
    ASSERT(RAFT_WORD_MAX < UINT64_MAX / 2);
    if (!has_term(m) || m->term > RAFT_WORD_MAX || m->prev_term > m->term)
        return false;
    if (m->prev_index > RAFT_WORD_MAX || m->commit > RAFT_WORD_MAX)
        return false;
    if (m->match > RAFT_WORD_MAX || m->last > RAFT_WORD_MAX)
        return false;
    return m->hint_term <= RAFT_WORD_MAX && m->hint_index <= RAFT_WORD_MAX;
}

/* Terms in a log never fall, and none is above its leader's. */
static bool entries_are_sane(const struct raft_msg *m)
{
    raft_term before = m->prev_term;

    ASSERT(m->type == RAFT_MSG_APPEND);
    if (m->count > RAFT_APPEND_ENTRIES_MAX || (m->count > 0 && m->entries == NULL))
        return false;
    if (m->prev_index + m->count > RAFT_WORD_MAX)
        return false;
    if ((m->prev_index == 0) != (m->prev_term == 0))
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_entry *entry = &m->entries[i];
        if (entry->term == 0 || entry->term < before || entry->term > m->term)
            return false;
        if (entry->bytes == 0 || (entry->config != NULL && !raft_config_is_sound(entry->config)))
            return false;
        before = entry->term;
    }
    return true;
}

static bool is_sane(const struct raft *r, const struct raft_msg *m)
{
    ASSERT(m != NULL);
    if (m->from == 0 || m->from == r->options.node || m->to != r->options.node)
        return false;
    if (!words_are_sane(m))
        return false;
    return m->type != RAFT_MSG_APPEND || entries_are_sane(m);
}

/* A member counts in the incarnation that the configuration names. Leaders and candidates are heard
 * even if we do not know them as members: our configuration may be older than theirs, and they may
 * need our vote (section 4.1); a node without one learns it just so. The caller vouches for the
 * sender. Whoever was removed can't disturb: PreVote stops it. */
static bool may_speak(const struct raft *r, const struct raft_msg *m)
{
    const struct raft_config *config = raft_config_in_force(r);
    const struct raft_member *member = raft_config_find(config, m->from);

    ASSERT(m->from != 0);
    if (member != NULL)
        return member->incarnation == 0 || member->incarnation == m->incarnation;
    return config->count == 0 || m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT ||
           m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PREVOTE ||
           m->type == RAFT_MSG_TIMEOUT_NOW || m->type == RAFT_MSG_READ_INDEX_REPLY;
}

/* A message that answers one of ours, or asks us as the leader of its term. */
static void on_answer(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    const bool granted_prevote = m->type == RAFT_MSG_PREVOTE_REPLY && !m->reject;
    struct raft_peer *peer = raft_find_peer(r, m->from);

    ASSERT(m->type != RAFT_MSG_APPEND);
    if (m->term > r->term && !granted_prevote) {
        MARK_IF(r->role == RAFT_LEADER, LEADER_DEPOSED);
        raft_become_follower(r, m->term, 0, fx); /* Figure 2, all servers, second rule */
        return;
    }
    if (m->term < r->term)
        return; /* late: whatever it answers is over */
    if (m->type == RAFT_MSG_READ_INDEX_REPLY) {
        raft_on_read_index_reply(r, m, fx); /* a leader may have removed itself */
        return;
    }
    if (peer == NULL)
        return;
    if (r->role == RAFT_LEADER && m->term == r->term)
        peer->heard_ns = r->now_ns; /* for CheckQuorum */

    switch (m->type) {
    case RAFT_MSG_PREVOTE_REPLY:
        raft_on_prevote_reply(r, m, fx);
        break;
    case RAFT_MSG_VOTE_REPLY:
        raft_on_vote_reply(r, m, fx);
        break;
    case RAFT_MSG_APPEND_REPLY:
        raft_on_append_reply(r, m, fx);
        break;
    case RAFT_MSG_HEARTBEAT_REPLY:
        raft_on_heartbeat_reply(r, m, fx);
        break;
    case RAFT_MSG_READ_INDEX:
        raft_on_read_index(r, m, fx);
        break;
    default:
        r->ignored++;
        break;
    }
}

static void on_message(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m != NULL);
    if (!is_sane(r, m) || !may_speak(r, m)) {
        r->ignored++;
        return;
    }
    switch (m->type) {
    case RAFT_MSG_APPEND:
        raft_on_append(r, m, fx);
        break;
    case RAFT_MSG_HEARTBEAT:
        raft_on_heartbeat(r, m, fx);
        break;
    case RAFT_MSG_VOTE:
        raft_on_vote(r, m, fx);
        break;
    case RAFT_MSG_PREVOTE:
        raft_on_prevote(r, m, fx);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        raft_on_timeout_now(r, m, fx);
        break;
    default:
        on_answer(r, m, fx);
        break;
    }
}

static void on_event(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    ASSERT(ev->count <= RAFT_PROPOSE_MAX || ev->type != RAFT_EV_PROPOSE);
    switch (ev->type) {
    case RAFT_EV_TICK:
        raft_on_tick(r, fx);
        break;
    case RAFT_EV_MESSAGE:
        on_message(r, ev->msg, fx);
        break;
    case RAFT_EV_PROPOSE:
        raft_on_propose(r, ev, fx);
        break;
    case RAFT_EV_DURABLE:
        raft_on_durable(r, ev->seq, fx);
        break;
    case RAFT_EV_SEND:
        raft_on_send(r, ev, fx);
        break;
    case RAFT_EV_READ:
        raft_on_read(r, ev->number, fx);
        break;
    case RAFT_EV_LOADED:
        raft_on_loaded(r, ev, fx);
        break;
    case RAFT_EV_BOOTSTRAP:
        raft_on_bootstrap(r, ev->config);
        break;
    case RAFT_EV_PEER_BOOT:
        raft_on_peer_boot(r, ev->peer, ev->forced);
        break;
    case RAFT_EV_ALIVE:
        raft_on_alive(r, ev->peer, ev->term);
        break;
    case RAFT_EV_RENEW:
        raft_on_renew(r);
        break;
    case RAFT_EV_TRANSFER:
        raft_on_transfer(r, ev->peer, fx);
        break;
    case RAFT_EV_CHANGE:
        raft_on_change(r, ev, fx);
        break;
    case RAFT_EV_COMPACT:
        raft_on_compact(r, ev->index, fx);
        break;
    case RAFT_EV_SNAPSHOT_BEGUN:
        raft_on_snapshot_begun(r, ev);
        break;
    case RAFT_EV_SNAPSHOT_ENDED:
        raft_on_snapshot_ended(r, ev);
        break;
    case RAFT_EV_INSTALL:
        raft_on_install(r, ev, fx);
        break;
    }
}

static void check_state(const struct raft *r)
{
    ASSERT(r->commit <= r->log.last);
    ASSERT(r->commit >= r->log.base);
    ASSERT(r->verified <= r->log.last);
    ASSERT(r->hard_seq <= r->seq_last);
    ASSERT((r->role == RAFT_LEADER) == (r->leader == r->options.node));
    ASSERT_SLOW(raft_log_is_sound(&r->log));
    ASSERT_SLOW(raft_log_term(&r->log, r->log.last) <= r->term);
}

void raft_step(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    const raft_term term_before = r->term;
    const raft_index commit_before = r->commit;

    ASSERT(ev->now_ns >= r->now_ns);
    raft_effects_clear(fx);
    r->now_ns = ev->now_ns;
    r->seq_step = 0;

    on_event(r, ev, fx);

    if (r->role == RAFT_LEADER)
        fx->more = raft_more_to_send(r, ev->type == RAFT_EV_SEND ? ev->peers : UINT32_MAX);
    ASSERT(r->term >= term_before);
    ASSERT(r->commit >= commit_before);
    ASSERT(r->term == term_before || fx->hard_state.set);
    check_state(r);
}
