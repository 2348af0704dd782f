/* raftcore/on_read.c: ReadIndex and leases (section 6.4), for our own clients and for followers'.
 *
 * A round is one exchange of heartbeats that carry its number. When a quorum has echoed it, we
 * were the leader at some moment after it was sent, so the commit index of that time covers
 * everything that was acknowledged to any client before. All reads that waited when the round was
 * sent are confirmed by it; those that come later wait for the next. Reads are told apart by
 * ascending numbers, so two words an origin are enough: the highest that waits, and the highest
 * in the running round.
 *
 * On the wire, numbers are made unique over restarts by adding the first seq of the boot: an
 * answer to an earlier life is below everything we ask now.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

static bool reads_wait(const struct raft *r)
{
    const uint32_t count = raft_config_in_force(r)->count;

    ASSERT(!r->round_running); /* its reads are confirmed when it ends */
    if (r->read_wanted > r->read_confirmed)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        if (r->peer[i].read_waiting != 0)
            return true;
    }
    return false;
}

static void confirm_local(struct raft *r, uint64_t number, raft_index index, uint64_t until_ns,
                          struct raft_effects *fx)
{
    ASSERT(number <= r->read_wanted);
    if (number <= r->read_confirmed)
        return;
    r->read_confirmed = number;
    fx->read.number = number;
    fx->read.index = index;
    fx->read.until_ns = until_ns;
}

static void finish_round(struct raft *r, struct raft_effects *fx)
{
    const uint32_t count = raft_config_in_force(r)->count;

    ASSERT(r->round_running);
    ASSERT(r->round_index <= r->commit);
    r->round_running = false;
    r->lease_ns = r->round_ns;
    if (planted(PLANTED_READ_JOINS_ROUND))
        r->read_running = r->read_wanted;
    confirm_local(r, r->read_running, r->round_index, 0, fx);
    for (uint32_t i = 0; i < count; i++) {
        if (r->peer[i].read_running == 0 || planted(PLANTED_READ_UNANSWERED))
            continue;
        struct raft_msg *reply = raft_emit(r, RAFT_MSG_READ_INDEX_REPLY, r->peer[i].node, fx);
        reply->number = r->peer[i].read_running;
        reply->commit = r->round_index;
        r->peer[i].read_running = 0;
    }
}

static bool round_is_answered(const struct raft *r)
{
    uint64_t answered[RAFT_MEMBERS_MAX];

    ASSERT(r->role == RAFT_LEADER);
    for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        answered[i] = r->peer[i].round;
    if (r->self < RAFT_MEMBERS_MAX)
        answered[r->self] = r->round;
    if (planted(PLANTED_READ_OF_OLD_ROUND))
        return raft_quorum(r, answered) + 1 >= r->round;
    return raft_quorum(r, answered) >= r->round;
}

/* A single voter answers it by itself, so nobody is asked. */
static void start_round(struct raft *r, struct raft_effects *fx)
{
    const uint32_t count = raft_config_in_force(r)->count;

    ASSERT(!r->round_running);
    ASSERT(r->commit >= r->own_first);
    r->round++;
    r->round_running = true;
    r->round_ns = r->now_ns;
    r->round_index = r->commit;
    r->read_running = r->read_wanted;
    for (uint32_t i = 0; i < count; i++) {
        r->peer[i].read_running = r->peer[i].read_waiting;
        r->peer[i].read_waiting = 0;
    }
    if (round_is_answered(r))
        finish_round(r, fx);
    else
        raft_broadcast_heartbeat(r, fx);
}

/* Whatever can end or begin now does: at most one round ends, and one begins. */
void raft_read_turn(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    if (r->round_running && round_is_answered(r))
        finish_round(r, fx);
    /* Before our own first entry is committed we do not know what is (section 6.4, step 1). */
    const bool knows_commit = r->commit >= r->own_first || planted(PLANTED_READ_BEFORE_OWN_ENTRY);
    if (r->round_running || !knows_commit || !reads_wait(r))
        return;
    start_round(r, fx);
}

/* With lease reads each heartbeat begins a round, so that the lease never ends while a quorum
 * answers. True if this one did, and so has been sent. */
bool raft_lease_renew(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    if (!r->options.lease_reads || r->round_running || r->commit < r->own_first)
        return false;
    start_round(r, fx);
    return r->round_running;
}

/* Until when our lease holds; 0: it does not. Whoever answered a round refuses its vote to others
 * for the shortest election timeout from then on, and it was sent before that. A TIMEOUT_NOW takes
 * those promises back. */
static uint64_t lease_until_ns(const struct raft *r)
{
    const uint64_t refused_ns =
        r->options.election_min_ns * (planted(PLANTED_LEASE_TOO_LONG) ? 3 : 1);
    const uint64_t length = refused_ns - refused_ns / RAFT_LEASE_MARGIN_DIVISOR;
    const bool told = r->transfer_told && !planted(PLANTED_LEASE_AFTER_TRANSFER);

    ASSERT(r->role == RAFT_LEADER);
    if (!r->options.lease_reads || told || r->lease_ns == 0)
        return 0;
    return r->now_ns < r->lease_ns + length ? r->lease_ns + length : 0;
}

bool raft_reads_ask(const struct raft *r)
{
    ASSERT(r->read_confirmed <= r->read_wanted);
    return r->role != RAFT_LEADER && r->leader != 0 && r->read_wanted > r->read_confirmed;
}

void raft_read_ask(struct raft *r, struct raft_effects *fx)
{
    ASSERT(raft_reads_ask(r));
    r->read_asked_ns = r->now_ns;
    raft_emit(r, RAFT_MSG_READ_INDEX, r->leader, fx)->number =
        r->options.seq_first + r->read_wanted;
}

void raft_on_read(struct raft *r, uint64_t number, struct raft_effects *fx)
{
    ASSERT(number > 0);
    if (number <= r->read_wanted)
        return;
    r->read_wanted = number;
    if (r->role != RAFT_LEADER) {
        if (raft_reads_ask(r))
            raft_read_ask(r, fx);
        return;
    }
    const uint64_t until_ns = lease_until_ns(r);
    if (until_ns != 0) {
        MARK(READ_BY_LEASE);
        confirm_local(r, number, r->commit, until_ns, fx);
        return;
    }
    MARK_IF(r->round_running, READ_WAITS_FOR_ROUND);
    MARK_IF(r->commit < r->own_first, READ_WAITS_FOR_ENTRY);
    raft_read_turn(r, fx);
}

void raft_on_read_index(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    struct raft_peer *p = raft_find_peer(r, m->from);

    ASSERT(p != NULL);
    if (r->role != RAFT_LEADER || m->number == 0)
        return;
    if (m->number <= p->read_running) {
        MARK(READ_ALREADY_RUNNING);
        return; /* asked again: the running round covers it */
    }
    p->read_waiting = raft_max(p->read_waiting, m->number);
    raft_read_turn(r, fx);
}

void raft_on_read_index_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *fx)
{
    ASSERT(m->term == r->term);
    if (m->from != r->leader || m->number <= r->options.seq_first)
        return;
    const uint64_t number = m->number - r->options.seq_first;
    if (number > r->read_wanted)
        return; /* never asked in this boot */
    confirm_local(r, number, m->commit, 0, fx);
}
