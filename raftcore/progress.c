/* raftcore/progress.c: how far one peer is, as its leader sees it.
 *
 *            accepted at or above match and our base: raft_peer_acked
 *   PROBE --------------------------------------------------> REPLICATE --+ accepted: acked
 *    ^  |                                                      |  |  ^    | a gap: rewind
 *    |  +-- refused: raft_peer_retreat, further back           |  |  +----+
 *    |                                                         |  |
 *    +---- a conflict: raft_peer_retreat ----------------------+  |
 *    +---- its restart, or resend_ns without progress: lost ------+
 *
 *   PROBE, REPLICATE --- refused, and nothing above our base is left to try: retreat ---> SNAPSHOT
 *   SNAPSHOT ----------- its restart: lost; transferred: raft_peer_probe ---------------> PROBE
 *   SNAPSHOT ----------- accepted at or above our base: raft_peer_acked ----------------> REPLICATE
 *
 * In PROBE `next` stays right behind the prev of the one append in flight, which may bring entries or
 * only ask (on_send.c); in REPLICATE it runs ahead.
 * In both it lies above our log base. Only the peer's own word, a refusal, sends it to SNAPSHOT: who
 * is merely away, or has more than it has acknowledged, is asked first. That costs a round trip
 * where a snapshot may cost hours.
 */
#include "raftcore/raft_internal.h"

static void inflight_clear(struct raft_peer *p)
{
    ASSERT(p->inflight != NULL);
    p->inflight_first = 0;
    p->inflight_count = 0;
    p->inflight_bytes = 0;
    p->large = false;
    p->load_alone = false;
}

void raft_peer_reset(struct raft *r, struct raft_peer *p)
{
    inflight_clear(p);
    p->state = RAFT_PEER_PROBE;
    p->match = 0;
    p->next = r->log.last + 1;
    p->commit_told = 0;
    p->close_ns = 0;
    p->heard_ns = r->now_ns; /* CheckQuorum gives a new leader its full time */
    p->progress_ns = r->now_ns;
    p->gap_next = 0;
    p->snapshot = 0;
    p->load_waiting = false;
    p->round = 0;
    p->read_waiting = 0;
    p->read_running = 0;
    ASSERT(p->next > 0);
}

void raft_peer_forgot(struct raft *r, struct raft_peer *p)
{
    raft_peer_reset(r, p);
    p->heard_ns = 0;
}

void raft_peer_probe(struct raft *r, struct raft_peer *p, raft_index next)
{
    ASSERT(next > p->match);
    ASSERT(next > r->log.base);
    inflight_clear(p);
    p->snapshot = 0;
    p->state = RAFT_PEER_PROBE;
    p->next = next;
    p->gap_next = 0;
    if (p->commit_told >= next)
        p->commit_told = next - 1; /* what said so may be lost */
}

/* The peer has told that it has nothing that agrees from `next` on. */
void raft_peer_retreat(struct raft *r, struct raft_peer *p, raft_index next)
{
    ASSERT(next > p->match);
    if (next > r->log.base) {
        raft_peer_probe(r, p, next);
        return;
    }
    inflight_clear(p);
    p->state = RAFT_PEER_SNAPSHOT;
    p->next = p->match + 1;
    p->snapshot = 0;
    p->snapshot_ns = r->now_ns;
}

/* Heard so lately that a load or a snapshot for it is not wasted. */
bool raft_peer_is_heard(const struct raft *r, const struct raft_peer *p)
{
    ASSERT(p->heard_ns <= r->now_ns);
    return r->now_ns - p->heard_ns <= r->options.election_max_ns;
}

bool raft_peer_has_room(const struct raft *r, const struct raft_peer *p, uint32_t bytes)
{
    ASSERT(p->inflight_count <= r->options.inflight_msgs_max);
    if (p->inflight_count == 0)
        return true; /* even if it is larger than all that may be in flight */
    if (p->large || p->state == RAFT_PEER_PROBE)
        return false;
    if (bytes > r->options.append_bytes_max) {
        MARK(LARGE_ALONE);
        return false; /* travels alone */
    }
    MARK_IF(p->inflight_count == r->options.inflight_msgs_max, INFLIGHT_FULL);
    return p->inflight_count < r->options.inflight_msgs_max &&
           p->inflight_bytes + bytes <= r->options.inflight_bytes_max;
}

void raft_peer_sent(struct raft *r, struct raft_peer *p, raft_index last, uint32_t bytes)
{
    ASSERT(raft_peer_has_room(r, p, bytes));
    ASSERT(last + 1 >= p->next);

    if (p->inflight_count == 0)
        p->progress_ns = r->now_ns;
    uint32_t place = p->inflight_first + p->inflight_count;
    if (place >= r->options.inflight_msgs_max)
        place -= r->options.inflight_msgs_max;
    p->inflight[place] = (struct raft_inflight){.last = last, .bytes = bytes};
    p->inflight_count++;
    p->inflight_bytes += bytes;
    p->large = bytes > r->options.append_bytes_max;
    p->load_alone = false;
    if (p->state == RAFT_PEER_REPLICATE)
        p->next = last + 1;
}

void raft_peer_acked(struct raft *r, struct raft_peer *p, raft_index match)
{
    ASSERT(match >= p->match);
    ASSERT(match <= r->log.last);

    if (match > p->match)
        p->progress_ns = r->now_ns;
    p->match = match;
    if (p->state == RAFT_PEER_SNAPSHOT)
        p->next = match + 1;
    if (p->state != RAFT_PEER_REPLICATE && match < r->log.base)
        return; /* late: what follows it is gone */
    if (p->state != RAFT_PEER_REPLICATE) {
        inflight_clear(p);
        p->state = RAFT_PEER_REPLICATE;
        p->next = match + 1;
        p->snapshot = 0;
        return;
    }
    /* Every turn frees one of at most inflight_msgs_max. */
    while (p->inflight_count > 0 && p->inflight[p->inflight_first].last <= match) {
        p->inflight_bytes -= p->inflight[p->inflight_first].bytes;
        p->inflight_count--;
        p->inflight_first++;
        if (p->inflight_first == r->options.inflight_msgs_max)
            p->inflight_first = 0;
    }
    if (p->inflight_count == 0)
        p->large = false;
    p->next = raft_max(p->next, match + 1);
    ASSERT(p->inflight_count > 0 || p->inflight_bytes == 0);
}

/* A gap: what was in flight is lost from `next` on. All that was sent behind the loss is refused
 * too, one refusal each; only the first of them makes us send again. If that is lost as well, the
 * resend timeout finds out. */
void raft_peer_rewind(struct raft *r, struct raft_peer *p, raft_index next)
{
    ASSERT(p->state == RAFT_PEER_REPLICATE);
    ASSERT(next > p->match);
    ASSERT(next > r->log.base);
    if (next == p->gap_next && r->now_ns - p->gap_ns < r->options.resend_ns) {
        MARK(GAP_REPEATED);
        return;
    }
    MARK(GAP_REWOUND);
    inflight_clear(p);
    p->next = next;
    p->gap_next = next;
    p->gap_ns = r->now_ns;
    if (p->commit_told >= next)
        p->commit_told = next - 1;
}

void raft_peer_lost(struct raft *r, struct raft_peer *p)
{
    const raft_index known = raft_max(p->match, r->log.base);

    ASSERT(p->next > p->match);
    /* In PROBE, match may be far below where we already are; starting there would send the whole
     * log again to a peer that was only away. */
    raft_peer_probe(r, p, p->state == RAFT_PEER_PROBE ? p->next : known + 1);
}

/* The log base has moved up. */
void raft_peer_compacted(struct raft *r, struct raft_peer *p)
{
    ASSERT(p->next > p->match);
    if (p->state != RAFT_PEER_SNAPSHOT) {
        if (p->next <= r->log.base)
            raft_peer_probe(r, p, r->log.base + 1);
        return;
    }
    if (p->snapshot != 0 && p->snapshot < r->log.base) {
        p->snapshot = 0; /* of no use any more: what comes behind it is gone */
        p->snapshot_ns = r->now_ns;
    }
}

uint64_t raft_peer_due(const struct raft *r, const struct raft_peer *p)
{
    uint64_t due = UINT64_MAX;

    ASSERT(p->progress_ns <= r->now_ns);
    if (p->inflight_count > 0)
        due = raft_min(due, p->progress_ns + r->options.resend_ns);
    if (p->load_waiting)
        due = raft_min(due, p->load_ns + r->options.resend_ns);
    if (p->state == RAFT_PEER_SNAPSHOT && p->snapshot == 0 && p->snapshot_ns > r->now_ns)
        due = raft_min(due, p->snapshot_ns); /* then RAFT_EV_SEND asks */
    return due;
}

void raft_peer_tick(struct raft *r, struct raft_peer *p)
{
    ASSERT(r->role == RAFT_LEADER);
    if (p->inflight_count > 0 && r->now_ns >= p->progress_ns + r->options.resend_ns) {
        MARK(RESENT);
        raft_peer_lost(r, p);
    }
    if (p->load_waiting && r->now_ns >= p->load_ns + r->options.resend_ns)
        p->load_waiting = false; /* the answer is lost: ask again */
}
