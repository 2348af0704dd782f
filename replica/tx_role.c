/* replica/tx_role.c: the seq gate, and the way out.
 *
 * The one place where a message waits for the disk: it leaves when the seq it promises is durable
 * (PROTOCOL: what each message waits for is the core's business, that it waits is ours). Of several
 * acknowledgements of one follower to one leader that become free together only the newest leaves,
 * since it says all that the older ones said.
 */
#include "replica/replica_internal.h"

static void leave(struct replica *r, const struct tx_item *item)
{
    tx_frame(&r->tx.tx, item->link, &item->frame);
}

static bool is_accepted_append(const struct tx_item *item)
{
    const struct raft_msg *m = &item->frame.raft;
    return item->frame.type == FRAME_RAFT && m->type == RAFT_MSG_APPEND_REPLY && !m->reject;
}

/* A later acknowledgement in the gate that is free as well and says at least as much. */
static bool is_superseded(const struct replica_tx *role, uint32_t position, raft_seq durable)
{
    const struct raft_msg *m = &role->gate[position].frame.raft;

    for (uint32_t i = position + 1; i < role->gate_count; i++) {
        const struct tx_item *later = &role->gate[i];
        if (later->after_seq <= durable && is_accepted_append(later) &&
            later->frame.raft.to == m->to && later->frame.raft.term == m->term &&
            later->frame.raft.match >= m->match) {
            MARK(GATE_SUPERSEDED);
            return true;
        }
    }
    return false;
}

/* The disk got further: what was waiting for that leaves, in order. */
static uint32_t open_gate(struct replica *r)
{
    struct replica_tx *role = &r->tx;
    const raft_seq durable = published_get(&r->options.view->durable);
    uint32_t kept = 0;
    uint32_t work = 0;

    if (role->gate_count == 0 || durable == role->durable_seen)
        return 0;
    role->durable_seen = durable;
    for (uint32_t i = 0; i < role->gate_count; i++) {
        const struct tx_item *item = &role->gate[i];
        if (item->after_seq > durable) {
            role->gate[kept++] = *item;
            continue;
        }
        /* The look-ahead ends at the next free acknowledgement nearly always. */
        if (!is_accepted_append(item) || !is_superseded(role, i, durable))
            leave(r, item);
        work++;
    }
    role->gate_count = kept;
    return work;
}

/* Holds it until the disk gets there. A full gate drops: the sender of what it answers repeats it. */
static void hold(struct replica *r, const struct tx_item *item)
{
    struct replica_tx *role = &r->tx;

    ASSERT(item->scratch_bytes == 0); /* promises have no body */
    MARK(GATE_HELD);
    MARK_IF(role->gate_count == role->gate_max, GATE_FULL);
    if (role->gate_count < role->gate_max)
        role->gate[role->gate_count++] = *item;
    else if (planted(PLANTED_GATE_FULL_LETS_GO))
        leave(r, item);
    role->held++;
}

uint32_t tx_role_poll(struct replica *r)
{
    struct replica_tx *role = &r->tx;
    struct tx_item item;
    uint32_t work = 0;

    if (published_get(&r->options.view->stop) != REPLICA_STOP_NONE)
        return 0;
    work += open_gate(r);
    for (uint32_t i = 0; i < TX_BURST; i++) {
        if (spsc_pop(r->to_tx, &item, sizeof item, 1) == 0)
            break;
        if (item.after_seq > published_get(&r->options.view->durable))
            hold(r, &item);
        else
            leave(r, &item);
        if (item.scratch_bytes > 0)
            byte_ring_release(&r->scratch, item.scratch_bytes);
        work++;
    }
    work += tx_flush(&role->tx);
    if (work > 0)
        published_set(&r->options.counters->gate_held, role->held);
    return work;
}
