/* sim/plan.h: everything a run draws before it begins: a swarm of choices from one seed.
 *
 * Each fault is on with probability 1/2 and draws its own rate, so that most runs combine a few
 * faults and each rate is seen with and without the others; one run in ten has none.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "replica/replica.h"
#include "sim/disk_harm.h"
#include "sim/disk_sim.h"
#include "sim/port_sim.h"

enum {
    PLAN_VALUE_BYTES_MAX = 12 << 10, /* a dozen chunks */
    PLAN_PAYLOAD_BYTES_MAX = 16 << 10,
    PLAN_SMALL_VALUE_BYTES = 4 << 10,
    PLAN_SMALL_PAYLOAD_BYTES = 6 << 10,
    PLAN_CLIENTS_MAX = 8, /* a node */
    PLAN_TURN_GAP_NS_MAX = 20000,
    PLAN_PRIORITY_MAX = 3,
};

/* Faults that strike at moments, each with its mean time between two. */
#define PLAN_STRIKE_LIST(X)                                                    \
    X(CRASH, "crash")             /* one process or machine dies */            \
    X(CRASH_ALL, "crash-all")     /* all at once */                            \
    X(PARTITION, "partition")     /* another set of cut links */               \
    X(LINK, "link")               /* one directed link stops or is back */     \
    X(FLAP, "flap")               /* one link, many times in a row */          \
    X(REPLAY, "replay")           /* frames of any age arrive again */         \
    X(PAUSE, "pause")             /* of one process */                         \
    X(CLOCK_STALL, "clock-stall") /* one clock stands still */                 \
    X(CLOCK_JUMP, "clock-jump")   /* one clock jumps, forward */               \
    X(HANG, "hang")               /* of one disk */                            \
    X(DISK_ERROR, "disk-error")   /* a write or flush of one disk fails */     \
    X(WIPE, "wipe")               /* a disk is emptied, its node's id lost */  \
    X(SWAP, "swap")               /* two disks change places */                \
    X(OLD_COPY, "old-copy")       /* an old copy of a disk runs for a while */ \
    X(CHANGE, "change")           /* of the members, by an operator */         \
    X(TRANSFER, "transfer")       /* of leadership, likewise */                \
    X(DISK_FULL, "disk-full")     /* no file can be made, for a while */       \
    X(ROT, "rot")                 /* a sector of one disk is not what it was */ \
    X(SIEGE, "siege")             /* the leader loses the others, not its clients */

/* Faults that are there all the time, or that others bring along, by a chance or a size. */
#define PLAN_RATE_LIST(X)                                                        \
    X(AMBUSH, "ambush")                 /* crashes just after a promise left */  \
    X(KILL, "kill")                     /* crashes that leave the cache alone */ \
    X(RECOVERY_CRASH, "recovery-crash") /* restarts that crash as well */        \
    X(LOSS, "loss")                                                              \
    X(DUPLICATE, "duplicate")                                                    \
    X(REORDER, "reorder")                                                        \
    X(CORRUPT, "corrupt")                                                        \
    X(FEW_BUFFERS, "few-buffers")   /* that a node's senders may hold */         \
    X(SHORT_QUEUES, "short-queues") /* frames that a link carries */             \
    X(SLOW_DISK, "slow-disk")       /* some operations take long */              \
    X(ROLE_SKIP, "role-skip")       /* roles are passed over, and stall */       \
    X(ASKER_SKIP, "asker-skip")     /* answers are left lying for a turn */      \
    X(DRIFT, "drift")               /* clocks do not go at the same pace */      \
    X(PRIORITIES, "priorities")     /* some nodes rather lead than others */     \
    X(LOST_WRITE, "lost-write")     /* reported, flushed, and never landed */    \
    X(ASTRAY_WRITE, "astray-write") /* landed at another place */                \
    X(READ_ERROR, "read-error")                                                  \
    X(READ_FLIP, "read-flip")         /* bits flip on the way from the disk */   \
    X(READ_STALE, "read-stale")       /* a read returns what once was */         \
    X(HARM_ANYWHERE, "harm-anywhere") /* not in a minority only: safety only */ \
    X(SNAPSHOTS, "snapshots")         /* no fault: logs are cut behind them */   \
    X(SNAPSHOT_AMBUSH, "snapshot-ambush") /* the power goes at one of its stages */ \
    X(SNAPSHOT_LOSS, "snapshot-loss") /* a node starts without its snapshot, or a part of it */ \
    X(FORGE, "forge")                 /* a node sends pieces of snapshots that are not true */

enum plan_fault {
#define PLAN_FAULT_ENUM(name, text) PLAN_##name,
    PLAN_STRIKE_LIST(PLAN_FAULT_ENUM) PLAN_STRIKE_COUNT,
    PLAN_RATE_FIRST = PLAN_STRIKE_COUNT - 1, /* so that the two lists have no gap between them */
    PLAN_RATE_LIST(PLAN_FAULT_ENUM)
#undef PLAN_FAULT_ENUM
        PLAN_FAULT_COUNT
};
static_assert(PLAN_FAULT_COUNT <= 64, "a set of faults is one word");

const char *plan_fault_name(enum plan_fault fault);
/* PLAN_FAULT_COUNT: there is no fault of that name. */
enum plan_fault plan_fault_named(const char *name);

#define PLAN_ALL_FAULTS UINT64_MAX

static inline uint64_t plan_fault_bit(enum plan_fault fault)
{
    return UINT64_C(1) << fault;
}

/* What the caller decides instead of the seed. Nothing that is switched off, and no number given,
 * changes what the seed draws for the rest: so a failure can be shrunk. */
struct plan_choice {
    uint64_t seed;
    uint64_t events;  /* that must fit on the disks */
    uint64_t without; /* a set of faults that are off */
    uint32_t nodes;   /* initial voters; 0: by the seed */
    uint32_t clients; /* a node; 0: by the seed */
    const struct replica_snapshots *snapshots; /* NULL: by the seed */
};

struct plan {
    uint64_t seed;
    bool brisk;                     /* little happens between two elections */
    bool snapshots;                 /* logs are cut behind snapshots */
    bool crowded;                   /* many requests at once, and little room for them */
    uint32_t nodes;                 /* initial voters */
    uint32_t spares;                /* nodes that may be made and added later */
    bool priorities;                /* of nodes, as leaders */
    struct replica_options options; /* of every node, but for who it is and its rings */
    struct net_faults net;
    uint32_t net_tx_buffers, net_queue_frames;
    struct disk_sim_options disk; /* seed is each node's own */
    struct disk_harm_rates harm;  /* of the nodes in `harmed` */
    uint32_t harmed;              /* a set: nodes whose disks may be harmed, bit 0 the first */
    uint64_t on;                  /* the set of faults that this run has */
    uint64_t every_ns[PLAN_STRIKE_COUNT]; /* mean time between two; 0: never */
    uint64_t down_ns;        /* mean time that a node stays down, paused or hung, a cut in place */
    uint32_t ambush;         /* per million crashes: at the moment after a promise left the node */
    uint32_t snapshot_ambush; /* per million changes of a snapshot's stage: the power is cut */
    uint32_t snapshot_loss;   /* per million starts of who may be harmed */
    uint32_t forge;          /* per million pieces of snapshots that `forger` sends: not what it has */
    uint32_t forger;
    bool forge_tables;       /* also those of their tables */
    uint32_t kill;           /* per million crashes: the machine and its cache live on */
    uint32_t recovery_crash; /* per million restarts: recovery crashes as well */
    uint32_t role_skip;      /* per million: a role is passed over, and stalls for a while */
    uint64_t role_stall_ns;  /* at most so long */
    uint64_t turn_gap_ns;    /* between two turns of a busy node */
    uint32_t drift_ppm_max;
    uint32_t clients;        /* a node */
    uint64_t think_ns;       /* mean, between an answer and the next request */
    uint32_t large_values;   /* per million puts */
    uint32_t value_bytes_max; /* of those */
    uint32_t reads;          /* per million requests; a third of them local */
    uint32_t ring_shift_max; /* rings of 2^1 .. 2^this slots */
    uint32_t door_slots;
    uint32_t asker_skip; /* per million: answers are left in the ring for a turn */
};

void plan_draw(struct plan *plan, const struct plan_choice *choice);

#endif
