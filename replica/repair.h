/* replica/repair.h: entries that this node's disk has lost, on their way back from the peers.
 *
 * A log that was opened with holes (persist/wal.h) makes a node that votes and applies what lies below
 * its lowest hole, and nothing else: it takes no entries and does not campaign. Meanwhile it asks
 * all peers for what is missing, from the top of a hole downwards, by index and header checksum. No leader
 * is needed for that, and who has holes of his own answers too.
 *
 *   ASKING --a whole record fits--> ASKING, one entry further down
 *   ASKING --fill is full, or the hole closed: give_fill--> WRITING
 *   ASKING --another entry is committed there, or the leader's log ends below: give_cut--> WRITING
 *   WRITING --durable, holes are left--> ASKING
 *   WRITING --durable, none is left: finish--> the core begins anew over the whole log
 *   ASKING --nobody answers: stuck--> ASKING, and a snapshot that covers the holes is wanted too
 *   ASKING --the log gets such a one as its base: install.c--> REBASING --durable--> as from WRITING
 *
 * Stuck      What the peers have cut away nobody brings back entry by entry. It stands in their snapshots:
 *            one at or above the place where the highest hole is still open makes all of them
 *            vanish, and the log goes on above it. Our own will do if it is new enough.
 *
 * Thread     The raft role only; `fill` is lent to persist while WRITING.
 */
#ifndef REPLICA_REPAIR_H
#define REPLICA_REPAIR_H

#include "dataplane/frame.h"
#include "persist/wal.h"
#include "replica/peer.h"

enum { REPAIR_STUCK_TRIES = 8 }; /* at each all peers are asked */

struct repair {
    bool active;
    bool writing;
    bool rebasing;        /* the log gets another base; nothing else is given to it meanwhile */
    uint32_t hole_count;
    struct wal_hole hole; /* the lowest; moves down as records arrive */
    raft_index top_next, top_last; /* of the highest one */
    raft_index limit;     /* entries up to it are what they were */
    uint32_t tries;       /* questions since the last answer */
    uint64_t given;       /* steps given to persist */
    raft_node from;       /* who answered last; 0: everybody is asked */
    uint64_t ask_ns;      /* not before */
    uint32_t ask_first;   /* the peer that is asked first: a small ring to tx may take no more */
    uint8_t *record;      /* the one that is arriving */
    uint32_t have, total; /* bytes of it; total 0: nothing yet */
    uint8_t *fill;        /* whole records, placed from its end downwards */
    uint32_t fill_size;
    uint32_t fill_at;
    raft_index fill_last;
    uint64_t entries; /* that came back, since the start */

    /* The other side: what a peer asked for, read from our log. */
    struct load serve;
    raft_node serve_to; /* 0: nobody waits */
    struct frame_repair serve_ask;
};

#endif
