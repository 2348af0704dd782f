/* replica/transfer.h: a snapshot on its way between nodes, at both ends.
 *
 * The receiver pulls. Who has a snapshot keeps no account of a transfer but what was asked for lately:
 * a question names the snapshot, a place and the pieces wanted there. So any node that has the same snapshot
 * can go on where another one left off, and nothing has to be told to the one that is left.
 *
 *   leader                               receiver                              (frames)
 *   the core asks: SNAPSHOT_OFFER  --->  receive_on_offer()
 *   transfer_on_ask()              <---  SNAPSHOT_ASK, two chunks at a time
 *   SNAPSHOT_PIECE                 --->  receive_on_piece(), whole chunks to persist in order
 *   RAFT_EV_SNAPSHOT_BEGUN at the first question, _ENDED when none comes any more
 *
 *   IDLE --offer: receive_on_offer--> WAITS --the writer is free--> RECEIVES --last chunk taken--> ENDS
 *   ENDS --file whole, flushed, named--> READY --install.c--> INSTALLS --manifest durable--> IDLE
 *   WAITS, RECEIVES, ENDS --no use any more, silence, failure--> DROPS --all jobs answered--> IDLE
 *   IDLE --a chunk of ours is damaged: mend.c--> MENDS --written in its place--> IDLE
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
    PULL_AGAIN_SHARE = 8,  /* pieces are asked for again after this part of the resend time, */
    PULL_AGAIN_DOUBLES = 3, /* which doubles so often while nothing comes */
    PULL_SOURCE_ROUNDS = 3, /* resend times without a piece: somebody else is asked */
    PULL_SILENT_ROUNDS = 32, /* and nobody has it any more */
    PULL_PIECES_MAX = FRAME_SNAPSHOT_CHUNK_BYTES_MAX / FRAME_CHUNK_BYTES, /* of a chunk */
};

/* What a peer wants of one chunk of ours and was not sent since it asked. */
struct serve_ask {
    raft_index index; /* of the snapshot */
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

enum pull_state {
    PULL_IDLE,
    PULL_WAITS,
    PULL_RECEIVES,
    PULL_ENDS,
    PULL_READY,
    PULL_INSTALLS,
    PULL_DROPS,
    PULL_MENDS
};

struct pull_chunk {
    bool used;       /* of what is pulled now */
    bool lent;       /* to persist */
    uint32_t number;
    uint32_t length;
    uint32_t missing; /* pieces */
    uint64_t arrived[PULL_PIECES_MAX / 64];
    uint64_t quiet_ns; /* last asked for, or last piece */
    uint32_t tries;    /* questions since the last piece */
};

struct pull {
    enum pull_state state;
    struct frame_snapshot what; /* as it was offered */
    uint8_t config[FRAME_SNAPSHOT_CONFIG_BYTES_MAX];
    uint32_t config_bytes;
    uint64_t number;      /* of its BEGIN; 0: none was given */
    uint32_t chunk_end;   /* behind the last one that is wanted */
    uint32_t chunk_next;  /* the next one that gets a buffer */
    uint32_t chunk_given; /* the next one for persist */
    struct pull_chunk chunk[SNAPSHOT_PULL_BUFFERS];
    uint32_t owed;        /* jobs that persist has not answered */
    raft_node source;     /* who is asked */
    uint64_t source_ns;   /* since when, or its last piece */
    uint64_t progress_ns; /* the last piece of anybody, or when none could come */
    uint64_t alive_ns;    /* when the source is told next that it goes on */
    raft_node grant_to;   /* sent pieces in this poll; 0: nobody */
    struct snapshot_header ready; /* READY and INSTALLS: of the file */
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
