/* raftcore/on_send.c: replication: what goes to which peer now, at most one append each.
 *
 * A peer's entries are packed into appends of at most append_bytes_max, ahead of acknowledgements
 * up to the caps in flight. A larger record travels alone: when nothing is in flight, and nothing
 * follows until it is acknowledged, because what carries it (chunks) may take long and be resent.
 * Entries the caller no longer has in memory are asked for by `load`, those that are gone by
 * `snapshot`. A peer never waits for another.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

enum send_kind { SEND_NOTHING, SEND_ENTRIES, SEND_EMPTY, SEND_LOAD, SEND_SNAPSHOT };

/* The entries of which the caller has the bytes and we have the length. */
static raft_index first_at_hand(const struct raft *r)
{
    ASSERT(r->log.sized_first > 0);
    return raft_max(r->memory_first, r->log.sized_first);
}

/* One append at a time asks whether our logs agree below `next`. It brings entries if it may as well:
 * small ones, at hand. To read others from disk, or to send a record in pieces, only to have it
 * refused would be a waste: an empty one asks first, at the price of a round trip. */
static enum send_kind kind_of_probe(const struct raft *r, const struct raft_peer *p)
{
    ASSERT(p->state == RAFT_PEER_PROBE);
    if (p->inflight_count > 0)
        return SEND_NOTHING;
    if (p->next > r->log.last) /* after its restart: is our last entry its last? */
        return SEND_EMPTY;
    if (p->next < first_at_hand(r))
        return SEND_EMPTY;
    return raft_log_entry_bytes(&r->log, p->next) > r->options.append_bytes_max ? SEND_EMPTY
                                                                                : SEND_ENTRIES;
}

static enum send_kind kind_of_load(const struct raft *r, const struct raft_peer *p)
{
    ASSERT(p->next <= r->log.last);
    if (p->load_waiting || !raft_peer_has_room(r, p, 1))
        return SEND_NOTHING;
    if (p->load_alone && p->inflight_count > 0)
        return SEND_NOTHING;
    if (!raft_peer_is_heard(r, p)) {
        MARK(LOAD_FOR_SILENT);
        return SEND_NOTHING; /* no disk is read for who does not answer */
    }
    return SEND_LOAD;
}

static enum send_kind kind_of_snapshot(const struct raft *r, const struct raft_peer *p)
{
    ASSERT(p->state == RAFT_PEER_SNAPSHOT);
    if (p->snapshot != 0 || r->now_ns < p->snapshot_ns || !raft_peer_is_heard(r, p))
        return SEND_NOTHING;
    return SEND_SNAPSHOT;
}

/* What the next append to this peer would be. */
static enum send_kind next_send(const struct raft *r, const struct raft_peer *p)
{
    enum send_kind kind = SEND_NOTHING;

    ASSERT(p->next > p->match);
    if (p->state == RAFT_PEER_SNAPSHOT)
        return kind_of_snapshot(r, p);
    ASSERT(p->next > r->log.base);
    if (p->state == RAFT_PEER_PROBE)
        return kind_of_probe(r, p);
    if (p->next <= r->log.last) {
        if (p->next < first_at_hand(r))
            kind = kind_of_load(r, p);
        else if (raft_peer_has_room(r, p, raft_log_entry_bytes(&r->log, p->next)))
            kind = SEND_ENTRIES;
    }
    /* Nothing is about to go, but it could commit more: a follower that must answer a client
     * should not wait for the heartbeat. */
    if (kind == SEND_NOTHING && !p->large && p->commit_told < raft_min(r->commit, p->next - 1))
        kind = SEND_EMPTY;
    return kind;
}

bool raft_more_to_send(const struct raft *r, uint32_t peers)
{
    const uint32_t count = raft_config_in_force(r)->count;

    ASSERT(r->role == RAFT_LEADER);
    for (uint32_t i = 0; i < count; i++) {
        if (i == r->self || (peers >> i & 1) == 0)
            continue;
        if (next_send(r, &r->peer[i]) != SEND_NOTHING)
            return true;
    }
    return false;
}

uint64_t raft_pack_limit(const struct raft *r, const struct raft_peer *p)
{
    const uint64_t room =
        r->options.inflight_bytes_max - raft_min(p->inflight_bytes, r->options.inflight_bytes_max);

    ASSERT(room <= r->options.inflight_bytes_max);
    return raft_min(room, r->options.append_bytes_max);
}

uint32_t raft_pack(const uint32_t bytes[RAFT_APPEND_ENTRIES_MAX], uint32_t count, uint64_t limit,
                   uint32_t *sum)
{
    uint32_t packed = 1; /* the first always goes: it was found to have room */

    ASSERT(count > 0);
    ASSERT(count <= RAFT_APPEND_ENTRIES_MAX);
    *sum = bytes[0];
    while (packed < count && (uint64_t)*sum + bytes[packed] <= limit)
        *sum += bytes[packed++];
    return packed;
}

void raft_send_append(struct raft *r, struct raft_peer *p, uint32_t count, uint32_t bytes,
                      struct raft_effects *fx)
{
    const raft_index last = p->next - 1 + count;

    ASSERT(last <= r->log.last);
    ASSERT((count == 0) == (bytes == 0));
    struct raft_msg *m = raft_emit(r, RAFT_MSG_APPEND, p->node, fx);
    m->prev_index = p->next - 1;
    m->prev_term = raft_log_term(&r->log, m->prev_index);
    m->commit = r->commit;
    m->count = (uint16_t)count;
    m->bytes = bytes;
    p->commit_told = raft_max(p->commit_told, raft_min(r->commit, last));
    if (count > 0 || p->state == RAFT_PEER_PROBE)
        raft_peer_sent(r, p, last, bytes);
}

static void send_entries(struct raft *r, struct raft_peer *p, struct raft_effects *fx)
{
    uint32_t bytes[RAFT_APPEND_ENTRIES_MAX];
    uint32_t count = 0;
    uint32_t sum = 0;

    ASSERT(p->next <= r->log.last);
    while (count < RAFT_APPEND_ENTRIES_MAX && p->next + count <= r->log.last) {
        bytes[count] = raft_log_entry_bytes(&r->log, p->next + count);
        sum += bytes[count++];
        if (sum > r->options.append_bytes_max)
            break; /* no more than these could be packed */
    }
    count = raft_pack(bytes, count, raft_pack_limit(r, p), &sum);
    raft_send_append(r, p, count, sum, fx);
}

static void ask_for_load(struct raft *r, struct raft_peer *p, struct raft_effects *fx)
{
    ASSERT(fx->load_count < RAFT_MEMBERS_MAX);
    ASSERT(p->next > r->log.base);
    fx->load[fx->load_count].peer = p->node;
    fx->load[fx->load_count].first = p->next;
    fx->load[fx->load_count].term = raft_log_term(&r->log, p->next);
    fx->load[fx->load_count].last = raft_log_run_last(&r->log, p->next);
    fx->load_count++;
    p->load_waiting = true;
    p->load_ns = r->now_ns;
}

static void ask_for_snapshot(struct raft *r, struct raft_peer *p, struct raft_effects *fx)
{
    ASSERT(fx->snapshot_count < RAFT_MEMBERS_MAX);
    ASSERT(p->snapshot == 0);
    fx->snapshot[fx->snapshot_count].peer = p->node;
    fx->snapshot[fx->snapshot_count].index = r->log.base;
    fx->snapshot_count++;
    p->snapshot_ns = r->now_ns + r->options.resend_ns;
}

void raft_on_send(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    const uint32_t count = raft_config_in_force(r)->count;

    ASSERT(count <= RAFT_MEMBERS_MAX);
    r->memory_first = ev->memory_first;
    if (r->role != RAFT_LEADER)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct raft_peer *p = &r->peer[i];
        if (i == r->self || (ev->peers >> i & 1) == 0)
            continue;
        switch (next_send(r, p)) {
        case SEND_NOTHING:
            break;
        case SEND_ENTRIES:
            send_entries(r, p, fx);
            break;
        case SEND_EMPTY:
            MARK_IF(p->state == RAFT_PEER_REPLICATE, COMMIT_SENT_ALONE);
            raft_send_append(r, p, 0, 0, fx);
            break;
        case SEND_LOAD:
            ask_for_load(r, p, fx);
            break;
        case SEND_SNAPSHOT:
            ask_for_snapshot(r, p, fx);
            break;
        }
    }
}
