/* dataplane/port_dpdk.h: the port of a real node: DPDK ethdev behind the seam of port.h.
 *
 * Kind       memif, one DPDK port a link: shared memory between two processes of one host, with no
 *            root, no hugepages and no NIC. Chosen over vhost-user with virtio-user because it
 *            moves about twice the frames and, once guarded, came back from every one of several
 *            hundred kills, where vhost-user's recovery was not yet clean. The price is
 *            port_guard.c. Another `device` string (af_xdp, PCI) makes a port of that kind; the
 *            code above sees links only.
 * Roles      The lower node id is memif's server. All nodes of a host share one run directory;
 *            this node's files in it are held by a lock, so what is stale is unlinked before EAL
 *            starts. That a port really exists is checked by name afterwards, because EAL does not
 *            say when a device failed.
 * Death      Of a peer: frames to it are dropped and counted; the link is brought back by
 *            port_dpdk_supervise(). No lcore ever waits for a peer.
 * Thread     port_dpdk_open(), _supervise(), _close(): the control thread, no lcore, with all
 *            signals blocked before (EAL's interrupt thread inherits that). port.h says who may
 *            call the rest; port_link_up() and port_link_counters(): any thread.
 * Lcores     Each lcore that polls a link (rx or tx) is named by its bell word, and encloses each
 *            turn in bell_word_turn_begin/end. Its threads need not be known to EAL.
 * Memory     All taken in port_dpdk_open(); one port a process, since EAL is one a process.
 * Linking    The executable must export munmap, connect and sendmsg (port_guard.c); the meson dependency
 *            port_dpdk carries the link arguments.
 * Errors     0, or a negative errno with a sentence in `error`. EAL can't be started twice: after
 *            port_dpdk_close(), or a failure behind rte_eal_init(), the process must end.
 */
#ifndef DATAPLANE_PORT_DPDK_H
#define DATAPLANE_PORT_DPDK_H

#include <stddef.h>
#include <stdint.h>

#include "base/bell.h"
#include "dataplane/port.h"

enum {
    PORT_DPDK_LCORES_MAX = 16,
    PORT_DPDK_PATH_BYTES_MAX = 80, /* of run_directory: a socket's path ends at 107 bytes */
    PORT_DPDK_RX_HELD_MAX = 16384,
    PORT_DPDK_DEVICE_BYTES_MAX = 200,
};

struct port_dpdk_link {
    raft_node peer;     /* 0: any; needs a device */
    const char *device; /* NULL: memif. "net_...": a vdev of EAL; else a PCI address */
};

struct port_dpdk_options {
    raft_node node;
    const char *run_directory; /* exists, writable, shared by the nodes of this host */
    uint32_t link_count;
    struct port_dpdk_link link[PORT_LINKS_MAX];
    /* Received frames that may be lent out at one moment: slots of the control and the data ring
     * plus those of `returned`. The pools are sized so that data alone can't empty them. */
    uint32_t rx_held_max;
    uint32_t lcore_count; /* 0: nobody polls (tests) */
    const struct bell_word *lcore[PORT_DPDK_LCORES_MAX]; /* those that poll links; see above */
};

int port_dpdk_open(const struct port_dpdk_options *options, struct port **out, char *error,
                   size_t error_bytes);

/* Looks after the links: counts ups and downs, restarts one that stays down (at most five times a
 * second), finds the bells of peers. To be called every 20 to 50 ms. Never waits. */
void port_dpdk_supervise(struct port *p, uint64_t now_ns);

/* When no lcore polls any more. */
void port_dpdk_close(struct port *p);

#endif
