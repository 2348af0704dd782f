/* dataplane/rx.c: see rx.h. */
#include "dataplane/rx.h"

#include "base/assert.h"
#include "base/mark.h"

static uint32_t take_back(struct rx *rx);
static uint32_t poll_link(struct rx *rx, uint32_t link, uint64_t now_ns);
static enum frame_verdict hand_over(struct rx *rx, struct rx_item *item, uint64_t now_ns);

uint32_t rx_poll(struct rx *rx, uint64_t now_ns)
{
    uint32_t work = take_back(rx);

    /* The first link polled rotates, so that no peer is always first at a ring that is full. */
    for (uint32_t i = 0; i < rx->link_count; i++) {
        const uint32_t offset = rx->link_next + i;
        const uint32_t place = offset < rx->link_count ? offset : offset - rx->link_count;
        work += poll_link(rx, rx->link_first + place, now_ns);
    }
    rx->link_next = rx->link_next + 1 < rx->link_count ? rx->link_next + 1 : 0;
    return work;
}

/* Frees what raft is done with: all that waits now, which the ring's size bounds. */
static uint32_t take_back(struct rx *rx)
{
    struct rx_item items[PORT_BURST_MAX];
    const uint32_t waiting = spsc_count(rx->returned, UINT32_MAX);
    uint32_t freed = 0;

    while (freed < waiting) {
        const uint32_t count = spsc_pop(rx->returned, items, sizeof items[0], PORT_BURST_MAX);
        ASSERT(count > 0);
        for (uint32_t i = 0; i < count; i++)
            port_free(rx->port, items[i].link, &items[i].buf, 1);
        freed += count;
    }
    return freed;
}

/* No more than the control ring has room for: what does not fit waits in the port. A peer sends its
 * control frames in the same order at each heartbeat, so a ring shorter than that would lose the same
 * one each time. One is always taken, lest a full ring stop everything. */
static uint32_t burst_size(struct rx *rx)
{
    const uint32_t room = spsc_room(rx->to_raft_control, PORT_BURST_MAX);

    if (room == 0)
        return 1;
    return room < PORT_BURST_MAX ? room : PORT_BURST_MAX;
}

static uint32_t poll_link(struct rx *rx, uint32_t link, uint64_t now_ns)
{
    struct port_buf burst[PORT_BURST_MAX];
    const uint32_t got = port_rx_burst(rx->port, link, burst, burst_size(rx));

    ASSERT(got <= PORT_BURST_MAX);
    for (uint32_t i = 0; i < got; i++) {
        struct rx_item item = {.buf = burst[i], .link = link};
        const enum frame_verdict verdict = hand_over(rx, &item, now_ns);
        rx->verdict_count[verdict]++;
        if (verdict != FRAME_OK_VERDICT)
            port_free(rx->port, link, &burst[i], 1);
    }
    return got;
}

/* A token bucket: the frame is paid for with the time behind all of its sender's before it. */
static bool speaks_too_often(struct rx *rx, raft_node source, uint64_t now_ns)
{
    uint32_t place = 0;

    ASSERT(rx->sender_count <= RAFT_MEMBERS_MAX);
    while (place < rx->sender_count && rx->sender[place].node != source)
        place++;
    uint64_t *const paid_ns = &rx->sender[place].paid_ns;
    const uint64_t after_ns = (*paid_ns > now_ns ? *paid_ns : now_ns) + RX_CONTROL_NS;
    if (after_ns - now_ns > RX_CONTROL_BURST * RX_CONTROL_NS)
        return true;
    *paid_ns = after_ns;
    return false;
}

/* A full ring is back-pressure, not an error: Raft sends again what matters. */
static enum frame_verdict hand_over(struct rx *rx, struct rx_item *item, uint64_t now_ns)
{
    const enum frame_verdict verdict =
        frame_decode(item->buf.bytes, item->buf.length, rx->cluster, &item->frame);
    if (verdict != FRAME_OK_VERDICT)
        return verdict;
    const bool control = frame_is_control(&item->frame);
    if (control && speaks_too_often(rx, item->frame.source, now_ns))
        return FRAME_TOO_OFTEN_VERDICT;
    struct spsc *const ring = control ? rx->to_raft_control : rx->to_raft_data;
    if (spsc_push(ring, item, sizeof *item, 1) == 1)
        return FRAME_OK_VERDICT;
    MARK(RX_RING_FULL);
    return FRAME_RING_FULL_VERDICT;
}
