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

enum {
    /* Control frames need no credit, so a sender's are bounded by time: one in RX_CONTROL_NS, and
     * RX_CONTROL_BURST at once. In one poll of its raft role a peer says to us at most a heartbeat or
     * its answer, a question for the read index or its answer, an acknowledgement of entries (those
     * that wait for the disk go as one), of pieces, of requests, two questions for a snapshot or a grant for
     * its pieces, and now and then a HELLO or a grant:
     * rounds of reads follow each other no closer than a round trip, and all the others share a
     * poll. Polls with so much to do take over 10 us: 500 000 frames a second, and this is twice
     * that. The burst is what waits in a port (1024 frames) for a role that was not polled. */
    RX_CONTROL_NS = 1000,
    RX_CONTROL_BURST = 1024,
};

struct rx_sender {
    raft_node node;
    uint64_t paid_ns; /* its frames so far take it to this time; ahead of now by the burst at most */
};

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
    uint32_t sender_count;        /* nodes that are named; all others are the one behind them */
    struct rx_sender sender[RAFT_MEMBERS_MAX + 1];
    uint64_t verdict_count[FRAME_VERDICT_COUNT];
};

/* One turn: at most PORT_BURST_MAX frames of each link. Work done; 0: idle. */
uint32_t rx_poll(struct rx *rx, uint64_t now_ns);

#endif
