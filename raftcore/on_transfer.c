/* raftcore/on_transfer.c: leadership transfer (section 3.10): by request, because this leader must not
 * lead on, or because a preferred node could.
 *
 * While it runs no proposals are taken, so the target catches up within a round trip; then
 * TIMEOUT_NOW makes it campaign at once. Leading goes on meanwhile, and in full if the target has
 * not taken over within the longest election timeout. TIMEOUT_NOW may be lost, so each heartbeat
 * repeats it; it may be late, which costs one more election and nothing else.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

static void begin(struct raft *r, raft_node target)
{
    ASSERT(r->role == RAFT_LEADER);
    ASSERT(target != r->options.node);
    r->transfer_to = target;
    r->transfer_ns = r->now_ns;
}

/* Voters that could take over now: connected ones. */
static bool is_candidate(const struct raft *r, uint32_t i)
{
    ASSERT(i < RAFT_MEMBERS_MAX);
    return i != r->self && raft_config_in_force(r)->member[i].voter &&
           r->now_ns - r->peer[i].heard_ns < r->options.election_min_ns;
}

static raft_node most_caught_up(const struct raft *r)
{
    const struct raft_config *config = raft_config_in_force(r);
    const struct raft_peer *best = NULL;
    uint8_t priority = 0;

    ASSERT(r->role == RAFT_LEADER);
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_peer *p = &r->peer[i];
        if (!is_candidate(r, i))
            continue;
        if (best != NULL && (p->match < best->match ||
                             (p->match == best->match && config->member[i].priority <= priority)))
            continue;
        best = p;
        priority = config->member[i].priority;
    }
    return best == NULL ? 0 : best->node;
}

void raft_on_transfer(struct raft *r, raft_node target, struct raft_effects *fx)
{
    ASSERT(fx->refusal == RAFT_REFUSAL_NONE);
    if (r->role != RAFT_LEADER || r->transfer_to != 0) {
        fx->refusal = r->role != RAFT_LEADER ? RAFT_REFUSAL_NOT_LEADER : RAFT_REFUSAL_TRANSFER;
        return;
    }
    const raft_node chosen = target != 0 ? target : most_caught_up(r);
    const struct raft_member *member = raft_config_find(raft_config_in_force(r), chosen);
    if (member == NULL || !member->voter || chosen == r->options.node) {
        fx->refusal = RAFT_REFUSAL_TARGET;
        return;
    }
    MARK(TRANSFER_ASKED);
    begin(r, chosen);
    raft_transfer_turn(r, fx);
}

void raft_transfer_turn(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    if (r->transfer_to == 0)
        return;
    const struct raft_peer *target = raft_find_peer(r, r->transfer_to);
    ASSERT(target != NULL); /* no change begins meanwhile, and one that ends keeps the new voters */
    if (target->match < r->log.last) {
        MARK(TRANSFER_WAITS);
        return; /* it could lose the election, or win it without what we acknowledged */
    }
    MARK_IF(r->transfer_told, TRANSFER_REPEATED);
    raft_emit(r, RAFT_MSG_TIMEOUT_NOW, r->transfer_to, fx);
    r->transfer_told = true;
}

/* A leader whose disk does not flush, or that is no voter of the committed configuration (section
 * 4.2.2), must not lead on. Not before its own first entry is committed: a learner is elected for what
 * it alone has. */
static bool must_go(const struct raft *r)
{
    const bool settled =
        r->configs[r->config_count - 1].index <= r->commit && r->own_first <= r->commit;

    ASSERT(r->role == RAFT_LEADER);
    return raft_disk_is_late(r, RAFT_LATE_TO_LEAD) || (settled && !raft_is_voter(r));
}

/* Priorities are a wish: only a peer that is connected and caught up is preferred, not before we
 * have led for a while, and not again for as long. */
static void prefer_another(struct raft *r)
{
    const struct raft_config *config = raft_config_in_force(r);
    raft_node best = 0;

    if (r->transfer_to != 0 || r->now_ns < r->prefer_ns || r->self == RAFT_MEMBERS_MAX)
        return;
    ASSERT(r->self < config->count);
    r->prefer_ns = r->now_ns + RAFT_PREFER_AFTER * r->options.election_max_ns;
    uint8_t priority = config->member[r->self].priority;
    for (uint32_t i = 0; i < config->count; i++) {
        if (!is_candidate(r, i) || config->member[i].priority <= priority ||
            !raft_is_caught_up(r, &r->peer[i]))
            continue;
        best = r->peer[i].node;
        priority = config->member[i].priority;
    }
    if (best != 0)
        begin(r, best);
}

bool raft_transfer_tick(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    if (r->transfer_to != 0 && r->now_ns >= r->transfer_ns + r->options.election_max_ns) {
        MARK(TRANSFER_ABORTED);
        r->transfer_to = 0; /* it did not take over: proposals go on */
    }
    if (!must_go(r)) {
        r->transfer_is_last = false;
        prefer_another(r);
        return true;
    }
    if (raft_disk_is_late(r, RAFT_LATE_TO_LEAD))
        r->shy_ns = r->now_ns + RAFT_DISK_SHY * r->options.election_max_ns;
    if (r->transfer_to != 0)
        return true;
    const raft_node target = r->transfer_is_last ? 0 : most_caught_up(r);
    MARK_IF(r->configs[r->config_count - 1].index <= r->commit && !raft_is_voter(r),
            LEADER_REMOVED);
    if (target == 0) {
        MARK(TRANSFER_WITHOUT_TARGET);
        raft_become_follower(r, r->term, 0, fx);
        return false;
    }
    MARK_IF(raft_disk_is_late(r, RAFT_LATE_TO_LEAD), TRANSFER_FOR_DISK);
    r->transfer_is_last = true;
    begin(r, target);
    return true;
}

uint64_t raft_transfer_due(const struct raft *r)
{
    ASSERT(r->role == RAFT_LEADER);
    if (r->transfer_to != 0)
        return r->transfer_ns + r->options.election_max_ns;
    return raft_disk_late_ns(r, RAFT_LATE_TO_LEAD);
}

void raft_on_timeout_now(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->type == RAFT_MSG_TIMEOUT_NOW);
    if (m->term < r->term)
        return; /* late: that leader is gone */
    if (raft_follow(r, m, fx))
        raft_take_over(r, fx);
}
