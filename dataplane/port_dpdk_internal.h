/* dataplane/port_dpdk_internal.h: a port and its links, shared by port_dpdk*.c only.
 *
 *            +------- connected, seen by look() -------+
 *            |                                         v
 *   start    |                                        ON (lcores poll)
 *  STOPPED --> STARTED, OFF                            |
 *     ^          ^  |                                  | memif unmaps: on_unmap(); or look()
 *     |          |  '-- still down after RETRY --> restart()
 *     '----------+--------------- start failed (no server yet) or stop
 */
#ifndef DATAPLANE_PORT_DPDK_INTERNAL_H
#define DATAPLANE_PORT_DPDK_INTERNAL_H

#include "base/published.h"
#include "dataplane/bell.h"
#include "dataplane/port_dpdk.h"

struct rte_mempool;

enum {
    PORT_DPDK_NAME_BYTES = 64, /* of an EAL device */
    PORT_DPDK_SOCKET_BYTES = 107 + 1,
    PORT_DPDK_DESCRIPTORS = 1024, /* a direction; memif's ring has as many slots */
    PORT_DPDK_RING_LOG2 = 10,
    PORT_DPDK_MBUF_BYTES = 2048, /* memif's bsize: what one slot holds */
};

struct port_link {
    /* Fixed once open. */
    alignas(64) uint16_t id; /* of the ethdev */
    raft_node peer;
    bool memif;
    bool server;
    char name[PORT_DPDK_NAME_BYTES];
    char socket[PORT_DPDK_SOCKET_BYTES];
    struct rte_mempool *rx_pool; /* rx lcore takes and frees */
    struct rte_mempool *tx_pool; /* tx lcore takes and frees */

    /* The interrupt thread's. */
    struct published on; /* 1: lcores may poll */
    struct published ups, downs, restarts;
    alignas(64) bool started;
    uint64_t restart_at_ns;

    /* The rx lcore's. */
    struct published rx_frames;

    /* The tx lcore's. */
    struct published tx_frames, tx_dropped, alloc_failed;
    alignas(64) bool sent; /* in this turn */

    /* The control thread's; the tx lcore rings the one that is published. */
    struct published bell_now; /* 0: none; else 1 + index */
    struct bell bell[2];
    uint64_t bell_ups; /* `ups` when it was last looked for */
};

struct port {
    uint32_t link_count;
    raft_node node;
    int lock; /* file */
    char run_directory[PORT_DPDK_PATH_BYTES_MAX + 1];
    uint64_t looked_ns;         /* control thread: when it last asked for a look */
    struct published now_ns;    /* control thread: the time of this look */
    struct published looks;     /* control thread: asked for */
    struct published looks_done; /* interrupt thread */
    struct published close;     /* control thread */
    struct port_link link[PORT_LINKS_MAX];
};

/* port_dpdk_eal.c: starts EAL with the devices of all links; their ports exist afterwards. */
int port_dpdk_eal_start(struct port *p, const struct port_dpdk_options *options, char *error,
                        size_t error_bytes);

/* port_dpdk_link.c: supervision, on the interrupt thread. */
void port_dpdk_on_unmap(void *port);
void port_dpdk_look(void *port);
/* ... and on the control thread. */
void port_dpdk_find_bells(struct port *p);

#endif
