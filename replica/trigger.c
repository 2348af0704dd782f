/* replica/trigger.c: when there is to be another snapshot point.
 *
 * The leader proposes one when the log has grown, or the last is old, by its options; or at the wish of a
 * member, which says so in each of its frames: because its own writing failed, its log has half of the
 * segments that there can be, or its disk lacks room and a segment's worth of log could go. Wishes are
 * granted at most so often that writing takes a fifth of the time.
 *
 * While a peer pulls the leader's snapshot, as one that is behind or as one whose disk has lost it, the next one
 * waits: its file would take the place of that one, and the transfer begin anew. Not for ever: what the log
 * may keep for such a peer is the limit. Nor does a node that pulls wish for another.
 */
#include "replica/making.h"
#include "replica/replica_internal.h"

enum { WISH_PAUSE = 4 }; /* times the last writing took */

raft_index trigger_propose(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    const struct record_spec spec = {.type = RECORD_SNAPSHOT};

    if (raft_role(role->raft) != RAFT_LEADER || !step_can(r, record_bytes(0), 1, false))
        return 0;
    step_propose(r, &spec, 1);
    role->making.proposed = raft_last(role->raft);
    role->making.proposed_ns = role->now_ns;
    return role->making.proposed;
}

static uint64_t grown_bytes(const struct replica *r)
{
    const struct points *points = &r->raft.points;

    return points->fed.fed_bytes - points->newest_bytes;
}

/* By what the options say. */
static bool is_due(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct replica_snapshots *o = &r->options.snapshots;
    const raft_index entries = role->fed - role->points.newest;

    ASSERT(role->fed >= role->points.newest);
    if (o->log_bytes == 0 || entries == 0)
        return false;
    return grown_bytes(r) >= o->log_bytes || (o->entries > 0 && entries >= o->entries) ||
           (o->age_ns > 0 && role->now_ns - role->points.newest_ns >= o->age_ns);
}

/* This node alone has a reason. */
static bool wishes(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct making *m = &role->making;

    if (receive_writes(r)) /* what is pulled would be outdated by the next one, and begin anew */
        return false;
    if (role->mend.lost || repair_is_stuck(r)) /* whatever comes next takes the place of what is lost */
        return true;
    if (r->options.snapshots.log_bytes == 0 || m->state != MAKING_IDLE)
        return false;
    if (m->retry_ns != 0 && role->now_ns >= m->retry_ns)
        return true;
    if (role->fed == role->points.newest)
        return false;
    const uint64_t log_bytes = role->points.fed.fed_bytes - role->points.at[0].fed_bytes;
    /* Starts may have made many segments with little in them; for a full disk one must be there to go. */
    return published_get(&r->log_cramped) != 0 ||
           (points_log_is_cramped(r) && log_bytes >= r->options.wal.segment_bytes);
}

static bool somebody_wishes(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    bool wish = role->making.wants;

    for (uint32_t i = 0; i < role->peer_count; i++)
        wish = wish || (role->peer[i].member && role->peer[i].wants_snapshot);
    return wish;
}

static bool is_pulled(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    bool pulled = false;

    for (uint32_t i = 0; i < role->peer_count; i++)
        pulled = pulled || transfer_runs(r, &role->peer[i]);
    return pulled && grown_bytes(r) < r->options.snapshots.needed_bytes;
}

static bool wish_may_be_granted(const struct replica *r)
{
    const struct making *m = &r->raft.making;
    const uint64_t pause_ns = WISH_PAUSE * m->last_ns;
    const uint64_t fed_ns = r->raft.points.newest_ns;
    const uint64_t newest_ns = fed_ns > m->proposed_ns ? fed_ns : m->proposed_ns;

    return m->state == MAKING_IDLE &&
           r->raft.now_ns - newest_ns >= (pause_ns > SNAPSHOT_RETRY_NS ? pause_ns : SNAPSHOT_RETRY_NS);
}

/* The last one is still to come to the stores. Ours may wait for the very snapshot that another point is to
 * bring, and not get there before. */
static bool is_on_its_way(const struct replica *r)
{
    const raft_index proposed = r->raft.making.proposed;

    return feed_loads(r) ? raft_commit(r->raft.raft) < proposed : r->raft.fed < proposed;
}

void trigger_poll(struct replica *r)
{
    struct replica_raft *role = &r->raft;
    struct making *m = &role->making;

    m->wants = wishes(r);
    if (m->proposed > raft_last(role->raft))
        m->proposed = 0; /* it was truncated, and nobody knows when the log will be as long again */
    if (raft_role(role->raft) != RAFT_LEADER || is_on_its_way(r))
        return;
    const bool wish = somebody_wishes(r) && wish_may_be_granted(r);
    if ((wish || is_due(r)) && !is_pulled(r))
        trigger_propose(r);
}

uint64_t trigger_next_ns(const struct replica *r)
{
    const struct replica_raft *role = &r->raft;
    const struct replica_snapshots *o = &r->options.snapshots;

    if (raft_role(role->raft) != RAFT_LEADER || o->log_bytes == 0 || o->age_ns == 0 ||
        role->fed == role->points.newest)
        return UINT64_MAX;
    return role->points.newest_ns + o->age_ns;
}
