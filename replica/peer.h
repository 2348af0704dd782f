/* replica/peer.h: what the raft role knows of one other node: who it is, what it may send and be sent,
 * and what is under way in pieces. A new boot of the peer resets all but its identity.
 *
 * Thread     The raft role only; `bytes` of a load is lent to persist while READING.
 */
#ifndef REPLICA_PEER_H
#define REPLICA_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/credit.h"
#include "dataplane/frame.h"
#include "raftcore/raft_types.h"
#include "replica/digests.h"
#include "replica/transfer.h"

enum {
    CHUNK_WINDOW = 64, /* unacknowledged chunks under way; the width of an acknowledgement's map */
    CHUNKS_MAX = ((2 << 20) + 4096) / FRAME_CHUNK_BYTES + 1,
    LOAD_BYTES_MIN = 256 << 10,
};

/* Old entries read back from the log, for a peer that lags or for the store.
 *
 *   IDLE --load_start()--> WANTED --ring to persist--> READING --loaded ring--> READY
 *   READY --all used--> IDLE  (the store's: DRAINING until store has applied what was handed over)
 */
enum load_state { LOAD_IDLE, LOAD_WANTED, LOAD_READING, LOAD_READY, LOAD_DRAINING };

struct load {
    enum load_state state;
    raft_index first, last; /* wanted; when READY: first not used yet, last that was read */
    raft_term term;         /* of all of them */
    bool asked;             /* the core waits for them; it asks again for each message */
    uint8_t *bytes;
    uint32_t size;
    uint32_t length; /* read */
    uint32_t used;   /* offset of entry `first` */
    int result;
    uint64_t mark;   /* DRAINING: until the store's count of runs gets there */
};

/* A large record or request on its way out. */
struct chunk_send {
    bool active;
    struct frame_chunk key; /* offset is not used */
    uint8_t *bytes;         /* a copy of the object */
    uint32_t count;         /* of chunks */
    uint32_t first_missing; /* all below are acknowledged */
    uint32_t next;          /* never sent yet */
    uint64_t bitmap;        /* acknowledged beyond first_missing */
    uint64_t progress_ns;   /* last acknowledgement that told something new, or resend */
    uint64_t holes_ns;      /* last time gaps were filled */
};

/* A large record or request on its way in: one slot a sender and kind. */
struct chunk_receive {
    bool active;
    bool ack_due;
    bool complete; /* handed on; only acknowledgements are left to repeat */
    struct frame_chunk key;
    uint8_t *bytes;
    uint32_t count;
    uint32_t first_missing;
    uint64_t arrived[CHUNKS_MAX / 64 + 1];
};

struct peer {
    raft_node node;
    uint32_t link; /* UINT32_MAX: none, it is this node */
    uint64_t incarnation; /* 0: not learned yet */
    bool member;          /* of the configuration in force, which names the incarnation */
    uint64_t retired;     /* a configuration named it, a later one left it out; 0: no such thing */
    uint32_t boot;        /* highest seen; 0: never heard since our own start */
    bool no_room;         /* it said so last: see room.c */
    bool refuses_writes;  /* likewise, as a leader */
    bool wants_snapshot;  /* likewise: see trigger.c */
    bool corrupt;         /* likewise: see digests.h */
    struct state_digest digest; /* what it has at the index of our inquiry */
    bool log_empty;       /* said so to this life of ours */
    bool heard_hello;     /* of this boot: until then nothing else of it counts */
    raft_term boot_term;   /* ours, when we first heard this boot */
    raft_index boot_match; /* what it and earlier boots had acknowledged to us by then, as the leader
                              of that term */
    uint32_t convicted_boot; /* this boot has lost what it acknowledged: it does not count; 0: none */
    uint32_t liar_boot;   /* this boot broke its word: nothing of it is heard; 0: none */
    bool hello_due;       /* an answer */
    bool hello_ask;       /* this round's question has not left yet */
    uint32_t accused_boot; /* an earlier boot of it that still talks; 0: none */
    bool refused;         /* another incarnation talks in its name */
    bool outdated;        /* it talks to an earlier boot of ours */
    bool left;            /* it is no member any more, or speaks as one and is none: to be told */
    struct credit_send credit_out;
    struct credit_receive credit_in;
    bool probe_due;       /* a credit probe has not left yet */
    struct load load;
    struct chunk_send chunk_out;    /* a record to a follower, or a request to the leader */
    struct chunk_receive record_in;
    struct chunk_receive request_in;
    /* of our snapshot: transfer.h */
    bool offer_due;
    struct serve_ask ask[SERVE_ASKS_MAX];
    uint64_t snapshot_asked_ns; /* last question */
    /* requests this peer forwards to us as the leader of forward_term */
    raft_term forward_term;
    uint64_t forward_next;
    bool forward_ack_due;
};

#endif
