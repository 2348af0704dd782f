/* dataplane/rx.h: a receive role: bursts of frames from its links to the raft role's rings.
 *
 * Each received frame ends in exactly one counter: here, or, once handed over, with the raft role.
 * A full ring drops the frame (Raft sends again what matters). Buffers are lent to raft and come
 * back by `returned`, to be freed on this lcore. `returned` has at least the slots of the two other
 * rings together, so giving back never fails.
 *
 * Thread     The rx lcore only.
 */
#ifndef DATAPLANE_RX_H
#define DATAPLANE_RX_H

#include "base/spsc.h"
#include "dataplane/frame.h"

struct rx_item {
    struct frame frame; /* body points into buf */
    struct port_buf buf;
    uint32_t link;
};

struct rx {
    struct port *port;
    uint64_t cluster;
    uint32_t link_first, link_count; /* the links this role polls */
    uint32_t link_next;
    struct spsc *to_raft_control; /* struct rx_item */
    struct spsc *to_raft_data;    /* struct rx_item */
    struct spsc *returned;        /* struct rx_item; buf and link count */
    uint64_t verdict_count[FRAME_VERDICT_COUNT];
};

/* One turn: at most PORT_BURST_MAX frames of each link. Work done; 0: idle. */
uint32_t rx_poll(struct rx *rx);

#endif
