/* raftcore/on_loaded.c: entries that were no longer in memory are there, for one peer. As many as
 * fit one append are sent; what remains is asked for again by the next RAFT_EV_SEND. */
#include "raftcore/raft_internal.h"

#include <stddef.h>

/* The log may have changed since they were asked for: how many of them are still ours? */
static uint32_t count_ours(const struct raft *r, const struct raft_event *ev)
{
    uint32_t count = 0;

    ASSERT(ev->first > r->log.base);
    while (count < ev->count && count < RAFT_APPEND_ENTRIES_MAX &&
           raft_log_term(&r->log, ev->first + count) == ev->entries[count].term)
        count++;
    return count;
}

void raft_on_loaded(struct raft *r, const struct raft_event *ev, struct raft_effects *fx)
{
    struct raft_peer *p = raft_find_peer(r, ev->peer);
    uint32_t bytes[RAFT_APPEND_ENTRIES_MAX];
    uint32_t sum = 0;

    if (r->role != RAFT_LEADER || p == NULL)
        return;
    p->load_waiting = false;
    MARK_IF(ev->first != p->next, LOAD_OUTDATED);
    if (p->state != RAFT_PEER_REPLICATE || ev->first != p->next)
        return; /* it was asked for before the peer went back, or on, or was lost */
    const uint32_t count = count_ours(r, ev);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(ev->entries[i].bytes > 0);
        bytes[i] = ev->entries[i].bytes;
    }
    if (count == 0)
        return;
    if (!raft_peer_has_room(r, p, bytes[0])) {
        p->load_alone = bytes[0] > r->options.append_bytes_max;
        return;
    }
    const uint32_t packed = raft_pack(bytes, count, raft_pack_limit(r, p), &sum);
    raft_send_append(r, p, packed, sum, fx);
    fx->send[fx->send_count - 1].loaded = true;
}
