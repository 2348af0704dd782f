/* replica/transfer.h: a snapshot on its way between nodes, at both ends.
 *
 * The receiver pulls. Who has a snapshot keeps no account of a transfer but what was asked for lately:
 * a question names the snapshot, a place and the pieces wanted there. So any node that has the same snapshot
 * can go on where another one left off, and nothing has to be told to the one that is left.
 *
 *   leader                               receiver                              (frames)
 *   the core asks: SNAPSHOT_OFFER  --->  receive_on_offer()
 *   transfer_on_ask()              <---  SNAPSHOT_ASK, the table first, then two chunks at a time
 *   SNAPSHOT_PIECE                 --->  pull_on_piece(), whole chunks to persist in order
 *   RAFT_EV_SNAPSHOT_BEGUN at the first question, _ENDED when none comes any more
 *
 *   IDLE --offer: receive_on_offer--> WAITS --the writer is free--> RECEIVES --last chunk taken--> ENDS
 *   ENDS --file whole, flushed, named--> READY --install.c--> INSTALLS --manifest durable--> IDLE
 *   WAITS, RECEIVES, ENDS --no use any more, silence, lies, failure--> DROPS --all jobs answered--> IDLE
 *   IDLE --a chunk of ours is damaged: mend.c--> MENDS --written in its place--> IDLE
 *
 * The receiver's side is in pull.h (chunks) and receive.c, install.c, mend.c (what becomes of them).
 *
 * Thread     The raft role only; chunk buffers are lent to persist until it answers.
 */
#ifndef REPLICA_TRANSFER_H
#define REPLICA_TRANSFER_H

#include "dataplane/frame.h"
#include "replica/snapshot_items.h"

enum {
    SERVE_ASKS_MAX = SNAPSHOT_PULL_BUFFERS, /* of one peer: as many chunks as it pulls at a time */
    SERVE_BURST = 16,      /* pieces that leave in one poll, to all peers: entries come first */
    SERVE_SILENT_ROUNDS = 8, /* resend times without a question: the transfer is over */
};

/* What a peer wants of one chunk of ours and was not sent since it asked. */
struct serve_ask {
    raft_index index; /* of the snapshot */
    bool table;       /* of its table, not of its content */
    uint64_t offset;
    uint64_t bitmap; /* 0: nothing */
    uint64_t asked_ns;
};

/* A chunk of the current snapshot, read for peers. */
struct serve_chunk {
    enum { SERVE_FREE, SERVE_READING, SERVE_READY } state;
    struct snapshot_read read; /* lent to persist while READING */
    uint64_t used_ns;
};

struct serve {
    struct serve_chunk chunk[SNAPSHOT_SERVE_BUFFERS];
    uint32_t peer_next; /* whose turn it is */
};

/* What our disk has lost of the snapshot that the manifest names. */
struct mend {
    bool lost;    /* all of it */
    bool damaged; /* the chunk */
    uint32_t chunk;
    raft_index index; /* of that snapshot */
    uint64_t bytes;
    uint64_t digest;
    uint64_t ask_ns; /* not before */
    uint32_t ask_first; /* the peer that is asked first, as in repair.h */
};

#endif
