/* dataplane/port.h: the seam to the wire. port_dpdk.c is DPDK, sim/port_sim.c the simulator's net.
 *
 * Shape      A port has links; a link leads to one peer (memif: a cable) or to any (a switch). The
 *            code above sees links only.
 * Ownership  A received buffer is the receiver's until port_free(); a buffer from port_alloc() is
 *            the sender's until port_tx_burst(), which takes all it is given and frees what the
 *            wire did not take: frames are dropped and counted, never waited for.
 * Thread     port_rx_burst() and port_free() of received buffers: the rx lcore of that link.
 *            port_alloc() and port_tx_burst(): its tx lcore.
 */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "raftcore/raft_types.h"

enum {
    PORT_LINKS_MAX = 16,
    PORT_BURST_MAX = 32,
    PORT_FRAME_BYTES_MAX = 1500, /* Ethernet header included; memif corrupts above its bsize */
};

struct port;

struct port_buf {
    void *handle; /* the port's own */
    uint8_t *bytes; /* the frame, from its Ethernet header */
    uint32_t length;
};

struct port_link_counters {
    uint64_t rx_frames, tx_frames, tx_dropped, alloc_failed;
    uint64_t ups, downs, restarts;
};

uint32_t port_link_count(const struct port *p);
raft_node port_link_peer(const struct port *p, uint32_t link); /* 0: any */
bool port_link_up(const struct port *p, uint32_t link);
void port_link_counters(const struct port *p, uint32_t link, struct port_link_counters *out);

uint32_t port_rx_burst(struct port *p, uint32_t link, struct port_buf *bufs, uint32_t count);
void port_free(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count);
/* A buffer of PORT_FRAME_BYTES_MAX; false: none is free (counted). */
bool port_alloc(struct port *p, uint32_t link, struct port_buf *buf);
/* Returns how many the wire took. */
uint32_t port_tx_burst(struct port *p, uint32_t link, const struct port_buf *bufs, uint32_t count);
/* The end of a turn that sent: rings the peers' bells where they sleep. */
void port_tx_flush(struct port *p);

#endif
