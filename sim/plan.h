/* sim/plan.h: everything a run draws before it begins: a swarm of choices from one seed.
 *
 * Each fault is on with probability 1/2 and draws its own rate, so that most runs combine a few
 * faults and each rate is seen with and without the others; one run in ten has none.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "replica/replica.h"
#include "sim/disk_sim.h"
#include "sim/port_sim.h"

enum {
    PLAN_VALUE_BYTES_MAX = 12 << 10, /* a dozen chunks */
    PLAN_PAYLOAD_BYTES_MAX = 16 << 10,
    PLAN_CLIENTS_MAX = 8, /* a node */
    PLAN_TURN_GAP_NS_MAX = 20000,
};

/* Mean times between faults; 0: never. */
struct plan_faults {
    uint64_t crash_ns;       /* of one node */
    uint64_t crash_all_ns;   /* of all nodes at once */
    uint64_t partition_ns;   /* another set of cut links */
    uint64_t pause_ns;       /* of one node */
    uint64_t hang_ns;        /* of one disk */
    uint64_t disk_error_ns;  /* a write or flush of one disk fails */
    uint64_t down_ns;        /* mean time that a node stays down, paused or hung, a cut in place */
    uint32_t ambush;         /* per million crashes: at the moment after a promise left the node */
    uint32_t power_cut;      /* per million crashes: the cache is lost too */
    uint32_t recovery_crash; /* per million restarts: recovery crashes as well */
};

struct plan {
    uint64_t seed;
    uint32_t nodes;
    struct replica_options options; /* of every node, but for who it is and its rings */
    struct net_faults net;
    uint32_t net_tx_buffers, net_queue_frames;
    struct disk_sim_options disk; /* seed is each node's own */
    struct plan_faults faults;
    bool faultless;
    uint32_t role_skip;     /* per million: a role is passed over, and stalls for a while */
    uint64_t role_stall_ns; /* at most so long */
    uint64_t turn_gap_ns;   /* between two turns of a busy node */
    uint32_t drift_ppm_max;
    uint32_t clients;        /* a node */
    uint64_t think_ns;       /* mean, between an answer and the next request */
    uint32_t large_values;   /* per million puts */
    uint32_t reads;          /* per million requests; a third of them local */
    uint32_t ring_shift_max; /* rings of 2^1 .. 2^this slots */
    uint32_t door_slots;
    uint32_t asker_skip; /* per million: answers are left in the ring for a turn */
};

/* `nodes` 0: three or five, by the seed. `events` bounds what must fit on a disk. */
void plan_draw(struct plan *plan, uint64_t seed, uint32_t nodes, uint64_t events);
/* The same without any fault, skip, drift or random client: for scenarios. */
void plan_calm(struct plan *plan);

#endif
