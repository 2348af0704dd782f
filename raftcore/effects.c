/* raftcore/effects.c: filling the caller's arrays, and numbering what must reach the disk.
 *
 * One step has at most one seq, shared by its hard state and its entries: persist writes both in
 * one batch anyway, and a promise about either waits for the same flush.
 */
#include "raftcore/raft_internal.h"

#include <stddef.h>

void raft_effects_clear(struct raft_effects *fx)
{
    ASSERT(fx != NULL);
    /* Not the arrays: they are large, and nobody looks behind their counts. */
    fx->hard_state.set = false;
    fx->hard_state.seq = 0;
    fx->hard_state.term = 0;
    fx->hard_state.vote = 0;
    fx->hard_state.vote_incarnation = 0;
    fx->append.seq = 0;
    fx->append.first = 1;
    fx->append.last = 0;
    fx->append.term = 0;
    fx->append.empty = false;
    fx->append.config = false;
    fx->read.number = 0;
    fx->read.index = 0;
    fx->read.until_ns = 0;
    fx->refusal = RAFT_REFUSAL_NONE;
    fx->convicted = 0;
    fx->install.seq = 0;
    fx->install.index = 0;
    fx->install.term = 0;
    fx->install.last = 0;
    fx->compact_seq = 0;
    fx->load_count = 0;
    fx->snapshot_count = 0;
    fx->more = false;
    fx->send_count = 0;
}

struct raft_msg *raft_emit(struct raft *r, enum raft_msg_type type, raft_node to,
                           struct raft_effects *fx)
{
    ASSERT(fx->send_count < RAFT_FX_SENDS_MAX);
    ASSERT(to != 0);
    ASSERT(to != r->options.node);

    struct raft_send *send = &fx->send[fx->send_count++];
    *send = (struct raft_send){.msg = {.type = (uint8_t)type,
                                       .from = r->options.node,
                                       .to = to,
                                       .incarnation = r->options.incarnation,
                                       .term = r->term}};
    return &send->msg;
}

void raft_emit_after(raft_seq after_seq, struct raft_effects *fx)
{
    ASSERT(fx->send_count > 0);
    fx->send[fx->send_count - 1].after_seq = after_seq;
}

raft_seq raft_step_seq(struct raft *r)
{
    if (r->seq_step != 0)
        return r->seq_step;
    r->seq_last++;
    r->seq_step = r->seq_last;
    if (r->flush_seq <= r->seq_durable) { /* nothing was owed */
        r->flush_seq = r->seq_last;
        r->flush_ns = r->now_ns;
    }
    ASSERT(r->seq_last > r->seq_durable);
    return r->seq_step;
}

void raft_emit_hard_state(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->vote == 0 || r->term > 0);

    r->hard_seq = raft_step_seq(r);
    fx->hard_state.set = true;
    fx->hard_state.seq = r->hard_seq;
    fx->hard_state.term = r->term;
    fx->hard_state.vote = r->vote;
    fx->hard_state.vote_incarnation = r->vote_incarnation;
    if (planted(PLANTED_VOTE_NOT_PERSISTED)) {
        fx->hard_state.vote = 0;
        fx->hard_state.vote_incarnation = 0;
    }
}

void raft_emit_append(struct raft *r, raft_index first, raft_term term, struct raft_effects *fx)
{
    ASSERT(fx->append.first > fx->append.last); /* one append a step */
    ASSERT(first <= r->log.last);

    fx->append.seq = raft_step_seq(r);
    fx->append.first = first;
    fx->append.last = r->log.last;
    fx->append.term = term;
}

raft_seq raft_hard_after(const struct raft *r)
{
    ASSERT(r->hard_seq <= r->seq_last);
    if (planted(PLANTED_VOTE_NOT_PERSISTED))
        return 0;
    return r->hard_seq > r->seq_durable ? r->hard_seq : 0;
}

/* The age is counted from the oldest write known to be owed. When that one is flushed and others
 * are not, the next is counted from the time of that flush, so the age is never overstated. */
uint64_t raft_disk_late_ns(const struct raft *r, uint32_t timeouts)
{
    ASSERT(r->flush_seq <= r->seq_last);
    if (r->flush_seq <= r->seq_durable)
        return UINT64_MAX;
    return r->flush_ns + timeouts * r->options.election_max_ns + 1;
}

bool raft_disk_is_late(const struct raft *r, uint32_t timeouts)
{
    ASSERT(r->seq_durable <= r->seq_last);
    return r->now_ns >= raft_disk_late_ns(r, timeouts);
}
