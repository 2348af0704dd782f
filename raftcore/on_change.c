/* raftcore/on_change.c: changes of the members (section 4.3), at the leader.
 *
 *   simple --- RAFT_EV_CHANGE, other voters: start ---> joint --- committed: raft_change_turn --+
 *    ^  |                                                                                       |
 *    |  +-- RAFT_EV_CHANGE, the same voters: start, without a joint one (quorums stay the same)  |
 *    +------------------------------------------------------------------------------------------+
 *
 * Each arrow appends one CONFIG entry, in force from then on. One at a time: the next begins when
 * the entry of the last is committed. A new leader finds a joint configuration in its log and goes
 * on from there.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

bool raft_is_caught_up(const struct raft *r, const struct raft_peer *p)
{
    ASSERT(r->role == RAFT_LEADER);
    return p->match > 0 && p->match + r->options.caught_up_lag >= r->commit;
}

/* One append a step; the window and the indexes have their ends. */
static bool has_room(const struct raft *r, const struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    return fx->append.first > fx->append.last && raft_log_room(&r->log) > 0 &&
           raft_config_room(r) > 0 && r->log.last < RAFT_WORD_MAX;
}

static void append_config(struct raft *r, const struct raft_config *config, struct raft_effects *fx)
{
    ASSERT(raft_config_is_sound(config));
    ASSERT(raft_log_term(&r->log, r->log.last) == r->term); /* our own first entry, at least */
    raft_log_append(&r->log, r->term, raft_config_bytes(config), raft_step_seq(r));
    raft_config_append(r, r->log.last, config);
    raft_emit_append(r, r->log.last, r->term, fx);
    fx->append.empty = true;
    fx->append.config = true;
}

static bool is_settled(const struct raft *r)
{
    const struct raft_config_at *top = &r->configs[r->config_count - 1];

    ASSERT(r->config_count > 0);
    return top->index <= r->commit && !top->config.joint;
}

/* Can the new voters go on without anybody's help? A voter that we do not feed yet can't vouch for
 * itself. */
static bool is_healthy(struct raft *r, const struct raft_config *config)
{
    uint32_t voters = 0;
    uint32_t healthy = 0;

    ASSERT(!config->joint);
    for (uint32_t i = 0; i < config->count; i++) {
        if (!config->member[i].voter)
            continue;
        voters++;
        const struct raft_peer *p = raft_find_peer(r, config->member[i].node);
        if (config->member[i].node == r->options.node)
            healthy += !raft_disk_is_late(r, RAFT_LATE_TO_CAMPAIGN);
        else if (p != NULL)
            healthy +=
                r->now_ns - p->heard_ns < r->options.election_min_ns && raft_is_caught_up(r, p);
    }
    return healthy > voters / 2;
}

static bool keeps_incarnations(const struct raft_config *from, const struct raft_config *to)
{
    ASSERT(to->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < to->count; i++) {
        const struct raft_member *old = raft_config_find(from, to->member[i].node);
        if (to->member[i].incarnation == 0 ||
            (old != NULL && old->incarnation != to->member[i].incarnation))
            return false;
    }
    return true;
}

/* Appends what leads to `to`, or says why not. */
static enum raft_refusal start(struct raft *r, const struct raft_config *to, bool forced,
                               struct raft_effects *fx)
{
    const struct raft_config *from = raft_config_in_force(r);
    struct raft_config joint;

    if (r->role != RAFT_LEADER)
        return RAFT_REFUSAL_NOT_LEADER;
    if (r->transfer_to != 0)
        return RAFT_REFUSAL_TRANSFER;
    if (!is_settled(r) || r->commit < r->own_first)
        return RAFT_REFUSAL_PENDING;
    if (to->joint || !raft_config_is_sound(to))
        return RAFT_REFUSAL_MALFORMED;
    if (!keeps_incarnations(from, to))
        return RAFT_REFUSAL_INCARNATION;
    if (raft_config_is_equal(from, to))
        return RAFT_REFUSAL_UNCHANGED;
    if (!raft_config_join(from, to, &joint))
        return RAFT_REFUSAL_TOO_MANY;
    if (!forced && !is_healthy(r, to))
        return RAFT_REFUSAL_UNHEALTHY;
    if (!has_room(r, fx))
        return RAFT_REFUSAL_NO_ROOM;
    MARK_IF(raft_config_has_same_voters(from, to), CHANGE_SAME_VOTERS);
    const bool simple =
        raft_config_has_same_voters(from, to) || planted(PLANTED_CHANGE_IN_ONE_STEP);
    append_config(r, simple ? to : &joint, fx);
    return RAFT_REFUSAL_NONE;
}

void raft_on_change(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    ASSERT(ev->config != NULL);
    fx->refusal = start(r, ev->config, ev->forced, fx);
    MARK_IF(fx->refusal == RAFT_REFUSAL_PENDING, CHANGE_PENDING);
    MARK_IF(fx->refusal == RAFT_REFUSAL_UNHEALTHY, CHANGE_UNHEALTHY);
}

void raft_change_turn(struct raft *r, struct raft_effects *fx)
{
    const struct raft_config_at *top = &r->configs[r->config_count - 1];
    struct raft_config after;

    ASSERT(r->role == RAFT_LEADER);
    if (!top->config.joint || top->index > r->commit || !has_room(r, fx))
        return;
    if (top->index < r->own_first && planted(PLANTED_JOINT_LEFT_BY_STARTER))
        return;
    MARK(JOINT_LEFT);
    MARK_IF(top->index < r->own_first, JOINT_LEFT_LATER);
    raft_config_leave(&top->config, &after);
    append_config(r, &after, fx);
}

/* The configuration in force, with learner `place` a voter in the place of the one it replaces. */
static void promoted(const struct raft *r, uint32_t place, struct raft_config *out)
{
    const struct raft_config *config = raft_config_in_force(r);

    ASSERT(place < config->count);
    *out = (struct raft_config){.count = 0};
    for (uint32_t i = 0; i < config->count; i++) {
        struct raft_member *m = &out->member[out->count];
        *m = config->member[i];
        if (i == place) {
            m->voter = true;
            m->promote = false;
            m->replaces = 0;
        }
        out->count += m->node != config->member[place].replaces;
    }
}

/* Close enough for long enough: a learner that keeps up is worth a vote. */
static bool is_due(struct raft *r, uint32_t i)
{
    struct raft_peer *p = &r->peer[i];

    ASSERT(i < RAFT_MEMBERS_MAX);
    if (!raft_config_in_force(r)->member[i].promote || i == r->self)
        return false;
    if (!raft_is_caught_up(r, p) || r->now_ns - p->heard_ns >= r->options.election_min_ns) {
        p->close_ns = 0;
        return false;
    }
    if (p->close_ns == 0)
        p->close_ns = r->now_ns;
    return r->now_ns - p->close_ns >= r->options.promote_ns;
}

void raft_change_tick(struct raft *r, struct raft_effects *fx)
{
    const uint32_t count = raft_config_in_force(r)->count;
    struct raft_config config;

    ASSERT(r->role == RAFT_LEADER);
    raft_change_turn(r, fx); /* there may have been no room when it was committed */
    for (uint32_t i = 0; i < count && is_settled(r); i++) {
        if (!is_due(r, i))
            continue;
        promoted(r, i, &config);
        if (start(r, &config, false, fx) == RAFT_REFUSAL_NONE) {
            MARK(LEARNER_PROMOTED);
            return;
        }
        r->peer[i].close_ns = r->now_ns; /* not now: again after as long */
    }
}
