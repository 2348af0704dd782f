/* replica/replica.h: one whole node without threads, sockets, files or clock.
 *
 * It is what node runs and what sim runs. Its five roles are poll functions that share nothing but
 * SPSC rings and published words, so each may run on an lcore of its own or all on one, in any
 * order.
 *
 *   rx --frames--> raft --steps--> persist          doors (api, load, sim): requests in,
 *                   |  ^--durable, records read--'    answers out, by raft and store
 *                   |--messages--> tx
 *                   '--committed runs, reads--> store
 *
 * Thread     replica_poll(): each role by one lcore at a time. replica_open() before any of them.
 * Memory     replica_bytes() of it, lent, DISK_SECTOR aligned; zero-filled by the caller or fresh
 *            from mmap. Nothing is allocated later.
 * Budget     A poll does a bounded amount of work and never waits.
 * Errors     What stops the node for good is published in node_view.stop (enum replica_stop);
 *            after that every poll returns 0 and nothing leaves any more.
 */
#ifndef REPLICA_REPLICA_H
#define REPLICA_REPLICA_H

#include "base/request.h"
#include "dataplane/frame.h"
#include "dataplane/port.h"
#include "persist/snapshot.h"
#include "persist/wal.h"
#include "raftcore/raft.h"
#include "store/store.h"

struct replica;

enum replica_role {
    REPLICA_RX,
    REPLICA_RAFT,
    REPLICA_PERSIST,
    REPLICA_STORE,
    REPLICA_TX,
    REPLICA_ROLE_COUNT
};

/* Why the node must stop. The text is what the operator reads; docs/OPERATING.md has what to do. */
#define REPLICA_STOP_LIST(X)                                                                       \
    X(NONE, "running")                                                                             \
    X(LOG_FAILED, "a write or flush of the log failed")                                            \
    X(SUPERSEDED, "a peer has seen a later start of this data directory: this is a copy")          \
    X(STRANGER, "the cluster knows another incarnation of this node: its directory was replaced")  \
    X(TWO_LEADERS, "another leader in this leader's own term")                                     \
    X(QUOTA, "the cluster's quota is larger than store.quota_mib in this node's configuration")        \
    X(LOG_DAMAGED, "a record read back from the log is damaged")                                   \
    X(LOG_BEYOND_REPAIR, "the log is damaged in more places than can be repaired")                 \
    X(DIVERGED, "this node's state is another than that of a majority")

enum replica_stop {
#define REPLICA_STOP_ENUM(name, text) REPLICA_STOP_##name,
    REPLICA_STOP_LIST(REPLICA_STOP_ENUM)
#undef REPLICA_STOP_ENUM
};
const char *replica_stop_text(enum replica_stop stop);

/* What a receiver counted, for the status: by raft or rx role, each the only writer of its words. */
struct replica_counters {
    struct published frames[FRAME_VERDICT_COUNT]; /* RING_FULL and above it: rx; see rx.h */
    struct published raft_frames[FRAME_VERDICT_COUNT];
    struct published elections;  /* times this node became leader */
    struct published proposals;
    struct published forwards_sent, forwards_taken;
    struct published gate_held;  /* messages that waited for the disk */
    struct published flushes, flushed_bytes, flush_ns; /* persist; the last is of the newest */
    struct published holes;    /* raft; places of the log that can't be read and are being repaired */
    struct published repaired; /* raft; entries that came back from peers since the start */
    struct published no_room; /* persist; 1: no next segment is there, so no entries are taken */
    /* persist; what new files may take on the file system, and what should be left of it for the largest
     * snapshot and the next segments: persist/reserve.h. */
    struct published disk_free, disk_reserve;
    struct published below_reserve; /* persist; 1: the one is less than the other */
    struct published log_base;               /* raft; entries up to it are not in the log */
    struct published log_segments, log_bytes; /* persist; see struct wal_span */
    /* persist; the current snapshot: enum snapshot_condition, index, content. */
    struct published snapshot_condition, snapshot_index, snapshot_bytes;
    /* persist; the one that is being written, 0: none; what was taken of it, and the most there can be. */
    struct published writing_index, writing_bytes, writing_bytes_max;
    struct published writing_own; /* persist; 1: this node makes it, 0: a peer sends it */
    /* raft; the one that the store takes in, 0: none; persist; how much of its content was handed to it. */
    struct published loading_index, loading_bytes;
    struct published snapshots_written, snapshots_dropped; /* persist; since the start */
    struct published chunks_repaired, chunks_refused;      /* likewise: of ours, and of those that peers sent */
    struct published snapshots_failed; /* raft; likewise: those of this node's own that were to be */
    struct published writes_refused; /* raft; 1: for want of room, here or on a majority's disks */
    struct published foreign_sends; /* messages for a member that this node has no link to */
    struct published corrupt; /* raft; 1: the states of the members differ, and no majority agrees */
    struct published snapshot_lost; /* raft; 1: a part of our snapshot, or all, is awaited from peers */
    struct published convicted; /* raft; messages that contradict what their sender had promised */
    struct published left_out;  /* raft; 1: this node was removed, by what it knows or is told */
    struct published ignored;   /* raft; messages whose numbers make no sense, or of no member */
};

enum {
    DIGEST_EVERY = 4096, /* entries, after which the members compare their states */
    STORE_BUDGET = 256,  /* keys: a slice of the store's work is below 100 us */
};

/* Slots of the rings; each a power of two, at least 2. */
struct replica_rings {
    uint32_t control, data;      /* rx -> raft */
    uint32_t persist;            /* raft -> persist */
    uint32_t store;              /* raft -> store */
    uint32_t tx;                 /* raft -> tx */
};

/* When the leader has everybody make a snapshot, and how much of the log stays below it. */
struct replica_snapshots {
    uint64_t log_bytes; /* of records since the last one; 0: never by itself */
    uint64_t entries;   /* or so many entries; 0: however many */
    uint64_t age_ns;    /* or so long ago, if anything was committed since; 0: however long */
    uint64_t trailing_bytes; /* of log kept below it, for peers that are a little behind */
    uint64_t needed_bytes;   /* kept by a leader for a peer that answers and needs it; at least trailing_bytes */
    uint32_t chunk_bytes;    /* SNAPSHOT_CHUNK_BYTES; the simulator takes less. The same on all nodes */
};

/* As a node has it that configures nothing of this. */
static inline struct replica_snapshots replica_snapshots_default(void)
{
    return (struct replica_snapshots){
        .log_bytes = 256ull << 20,
        .entries = 4000000,
        .age_ns = 3600ull * 1000 * 1000 * 1000,
        .trailing_bytes = 64ull << 20,
        .needed_bytes = 1024ull << 20,
        .chunk_bytes = SNAPSHOT_CHUNK_BYTES,
    };
}

struct replica_options {
    uint64_t cluster;
    uint64_t incarnation;
    uint32_t boot;
    raft_node node;
    uint64_t start_ns;          /* the time at replica_open() */
    /* The nodes that this one has links to and itself, ascending, incarnations 0: the voters are the
     * initial members, of which all must be there to begin; the others may become members later. */
    struct raft_config members;
    uint64_t heartbeat_ns, election_min_ns, election_max_ns, resend_ns;
    uint64_t request_timeout_ns; /* a request no leader took is answered TIMED_OUT after that */
    uint64_t quota_bytes;        /* of the store; proposed as the cluster's at bootstrap */
    uint64_t pin_bytes;          /* kept for a snapshot being written: store/snapshot.h; 0: quota_bytes */
    uint64_t record_memory_bytes; /* a power of two, at least 4 largest records */
    uint32_t record_payload_bytes_max; /* RECORD_PAYLOAD_BYTES_MAX; the simulator takes less */
    uint32_t window;             /* see raft.h; a power of two */
    uint32_t caught_up_lag;      /* see raft.h, and the next three */
    uint64_t promote_ns;
    bool lease_reads;
    uint32_t inflight_msgs_max, inflight_bytes_max; /* a peer */
    uint32_t store_budget;       /* keys that one slice of the store's work may touch: STORE_BUDGET */
    uint32_t digest_every;       /* entries: a power of two, DIGEST_EVERY; the simulator takes less */
    uint32_t requests_max;       /* waiting on this node; a power of two */
    uint32_t credit_window;      /* data frames a peer may have under way to us */
    uint32_t gate_max;           /* messages that may wait for the disk */
    struct replica_rings rings;
    struct wal_options wal;
    struct replica_snapshots snapshots;
    struct frame_route route[PORT_LINKS_MAX]; /* by link */
    struct port *port;
    struct disk *disk;
    struct node_view *view;
    struct replica_counters *counters;
    uint32_t door_count;
    struct request_door *door[REQUEST_DOORS_MAX];
};

/* What the file of the largest snapshot takes on disk. */
uint64_t replica_snapshot_file_bytes(const struct replica_options *options);
size_t replica_bytes(const struct replica_options *options);
/* Recovers the log (long for a large one) and takes the role of a follower. 0, or a negative errno
 * with a sentence in `error`. */
int replica_open(struct replica **out, void *memory, const struct replica_options *options,
                 char *error, size_t error_bytes);

/* One turn of a role. Work done; 0: idle. */
uint32_t replica_poll(struct replica *r, enum replica_role role, uint64_t now_ns);
/* When the role must be polled next even if nothing arrives. */
uint64_t replica_next_timer(const struct replica *r, enum replica_role role);

/* Simulator and tests, between polls: what the checkers look at. */
const struct raft *replica_raft(const struct replica *r);
const struct wal *replica_wal(const struct replica *r);
const struct snapshots *replica_snapshots(const struct replica *r);
const struct store *replica_store(const struct replica *r);
/* The record at `index`, while it is in memory; NULL: it is not. */
const struct record_header *replica_record(const struct replica *r, raft_index index);
/* What is under way, or waits for something that is to come. A node from which nobody wants anything gives
 * all of it back: between two heartbeats each of these is 0 now and then. */
struct replica_held {
    uint64_t requests, reads, admin; /* without an answer */
    uint64_t gated;                  /* messages that wait for the disk */
    uint64_t ring_items;
    uint64_t handoffs;               /* records that persist or store may still look at */
    uint64_t scratch_bytes;          /* bodies of frames on their way to tx */
    uint64_t pinned;                 /* the index that the store holds pinned */
    uint64_t transfers; /* a snapshot that is pulled; peers that wait for pieces of ours */
    uint64_t snapshot_jobs;          /* of persist, not answered; chunks that were emitted */
};
struct replica_held replica_held(const struct replica *r);
/* The newest boot of `node` that this start has heard; 0: none, or it has no link to it. */
uint32_t replica_heard_boot(const struct replica *r, raft_node node);

#endif
