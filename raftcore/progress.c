/* raftcore/progress.c: how far one peer is, as its leader sees it.
 *
 *            accepted at or above match: raft_peer_acked
 *   PROBE --------------------------------------------------> REPLICATE --+ accepted: acked
 *    ^  |                                                      |  |  ^    | a gap: rewind
 *    |  +-- refused: raft_peer_probe, further back             |  |  +----+
 *    |                                                         |  |
 *    +---- a conflict: raft_peer_probe ------------------------+  |
 *    +---- its restart, or resend_ns without progress: lost ------+
 *
 * In PROBE `next` stays at the first entry of the one append in flight; in REPLICATE it runs ahead.
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
    p->load_waiting = false;
    p->round = 0;
    p->read_waiting = 0;
    p->read_running = 0;
    ASSERT(p->next > 0);
}

void raft_peer_probe(struct raft_peer *p, raft_index next)
{
    ASSERT(next > p->match);
    inflight_clear(p);
    p->state = RAFT_PEER_PROBE;
    p->next = next;
    p->gap_next = 0;
    if (p->commit_told >= next)
        p->commit_told = next - 1; /* what said so may be lost */
}

bool raft_peer_has_room(const struct raft *r, const struct raft_peer *p, uint32_t bytes)
{
    ASSERT(p->inflight_count <= r->options.inflight_msgs_max);
    if (p->inflight_count == 0)
        return true; /* even if it is larger than all that may be in flight */
    if (p->large || p->state == RAFT_PEER_PROBE)
        return false;
    if (bytes > r->options.append_bytes_max)
        return false; /* travels alone */
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
    if (p->state == RAFT_PEER_PROBE) {
        inflight_clear(p);
        p->state = RAFT_PEER_REPLICATE;
        p->next = match + 1;
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
    if (next == p->gap_next && r->now_ns - p->gap_ns < r->options.resend_ns)
        return;
    inflight_clear(p);
    p->next = next;
    p->gap_next = next;
    p->gap_ns = r->now_ns;
    if (p->commit_told >= next)
        p->commit_told = next - 1;
}

void raft_peer_lost(struct raft_peer *p)
{
    ASSERT(p->next > p->match);
    /* In PROBE, match may be far below where we already are; starting there would send the whole
     * log again to a peer that was only away. */
    raft_peer_probe(p, p->state == RAFT_PEER_PROBE ? p->next : p->match + 1);
}

uint64_t raft_peer_due(const struct raft *r, const struct raft_peer *p)
{
    uint64_t due = UINT64_MAX;

    ASSERT(p->progress_ns <= r->now_ns);
    if (p->inflight_count > 0)
        due = raft_min(due, p->progress_ns + r->options.resend_ns);
    if (p->load_waiting)
        due = raft_min(due, p->load_ns + r->options.resend_ns);
    return due;
}

void raft_peer_tick(struct raft *r, struct raft_peer *p)
{
    ASSERT(r->role == RAFT_LEADER);
    if (p->inflight_count > 0 && r->now_ns >= p->progress_ns + r->options.resend_ns)
        raft_peer_lost(p);
    if (p->load_waiting && r->now_ns >= p->load_ns + r->options.resend_ns)
        p->load_waiting = false; /* the answer is lost: ask again */
}
