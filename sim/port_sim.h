/* sim/port_sim.h: the simulator's network: dataplane/port.h over a seeded wire.
 *
 * Shape      One net for a cluster of `node_count` nodes, numbered from 0 (raft_node is one more).
 *            Each node has one port with a link to every other node, in the order of their numbers.
 *            Every directed link is a bounded queue ordered by the time of arrival.
 * Faults     Each frame that leaves draws its fate: lost, doubled, delayed out of order, with a few
 *            bits flipped. A cut directed link loses everything that is sent over it; what was
 *            under way arrives. Frames of a process that has died arrive as well. With
 *            net_record() frames are kept, so that net_replay() can deliver them much later.
 * Time       net_advance() moves the clock; a frame is received once its time has come.
 * Memory     All of it in net_create(); a run resets it. Frames come from one fixed pool.
 * Thread     The simulator's only one.
 */
#ifndef SIM_PORT_SIM_H
#define SIM_PORT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "dataplane/port.h"

struct net;

enum {
    NET_NODES_MAX = 9, /* as many as can be members at once */
    NET_QUEUE_MAX = 128,     /* frames under way on one directed link; more are lost */
    NET_TX_BUFFERS_MAX = 64, /* that one node's senders may hold */
    NET_RECORDS_MAX = 256,   /* frames kept for a replay */
};

/* Chances are per million frames. */
struct net_faults {
    uint32_t loss;
    uint32_t duplicate;
    uint32_t reorder;
    uint32_t corrupt;
    uint64_t delay_min_ns;
    uint64_t delay_max_ns;
    uint64_t late_max_ns; /* how much later a reordered or doubled frame may be */
};

struct net_counters {
    uint64_t sent, received, lost, cut, duplicated, reordered, corrupted, overflowed;
};

/* Sees every frame when it leaves a node, whatever becomes of it. One that is not lost may be changed then; NULL: none
 * is. */
struct net_tap {
    void (*frame)(void *context, uint32_t node, const uint8_t *bytes, uint32_t length);
    void (*change)(void *context, uint32_t node, uint8_t *bytes, uint32_t length);
    void *context;
};

struct net *net_create(void);
void net_destroy(struct net *net);
void net_reset(struct net *net, uint32_t node_count, uint64_t seed, const struct net_tap *tap);
void net_set_faults(struct net *net, const struct net_faults *faults);
/* Buffers a node's senders may hold and frames a directed link may carry; for runs in scarcity. */
void net_set_limits(struct net *net, uint32_t tx_buffers, uint32_t queue_frames);

void net_advance(struct net *net, uint64_t now_ns);
struct port *net_port(struct net *net, uint32_t node);
uint64_t net_next_arrival(const struct net *net, uint32_t node); /* UINT64_MAX: nothing under way */

void net_cut(struct net *net, uint32_t from, uint32_t to, bool cut);
void net_heal(struct net *net); /* no link is cut */
bool net_is_cut(const struct net *net, uint32_t from, uint32_t to);
/* Whether frames are kept from here on; each that leaves may take the place of an older one, so that
 * some of any age are there. */
void net_record(struct net *net, bool on);
/* One of them, whatever became of it then, arrives with a delay of now, seldom at another node than it
 * was meant for. How many did: 0 when none is kept or the queue is full. */
uint32_t net_replay(struct net *net, struct prng *p);
/* The process of that node is gone: its buffers return; what it sent is still under way, and what
 * had arrived for it is lost. */
void net_kill(struct net *net, uint32_t node);

const struct net_counters *net_counters(const struct net *net);
/* Buffers that neither the pool nor the wire has: 0 for a node that is at rest. */
uint32_t net_held(const struct net *net, uint32_t node);

#endif
