/* replica/making.h: how this node comes to its own snapshots, and cuts its log behind them.
 *
 *   IDLE --the store holds a pin: take_pin--> PINNED --its turn has come: begin--> WRITING
 *   WRITING --READY: follow_writing--> READY --our log is durable so far: name--> NAMING --CURRENT--> IDLE
 *   PINNED --the store let go, or making_give_up()--> IDLE
 *   WRITING --FAILED--> IDLE
 *   WRITING --the store let go, or making_give_up()--> GIVEN_UP --READY or FAILED--> IDLE
 *   READY --making_give_up()--> IDLE
 *
 * Point      A SNAPSHOT record, which the leader proposes (trigger.c): every store pins its state there, so
 *            all nodes make the same one. A store that holds a pin already passes the point over.
 * Turn       Writing takes a share of the disk, and the same of all disks at once would slow every
 *            majority. So the members begin one after the other, in another order at each point.
 * Naming     The manifest's change goes among the log's steps, when all that the snapshot covers is
 *            durable here: a log that ends below its snapshot would be refused by the next start. And when
 *            it was handed to the store, which could not get it from the log any more.
 * Failure    Stops nothing: the pin is let go, and after a while, longer each time, this node asks the leader
 *            for another point.
 * Others     A snapshot that a peer sends is written by the same writer; receive.c asks making_writer_free(),
 *            takes its numbers from making_next_number(), and has the log changed by making_ready().
 * Thread     The raft role only; `change` is lent to persist while a change is under way.
 */
#ifndef REPLICA_MAKING_H
#define REPLICA_MAKING_H

#include "replica/snapshot_items.h"

struct replica;

enum making_state {
    MAKING_IDLE,
    MAKING_PINNED,
    MAKING_WRITING,
    MAKING_READY,
    MAKING_NAMING,
    MAKING_GIVEN_UP,
};

struct making {
    enum making_state state;
    raft_index index;    /* of what is being made; 0 in IDLE */
    uint64_t number;     /* of the newest BEGIN, our own or for a peer's */
    uint64_t turn_ns;    /* PINNED: when writing begins */
    uint64_t last_ns;    /* how long the writing before took; 0: none since the start */
    struct snapshot_header ready;   /* READY, NAMING */
    struct snapshot_header current; /* what the manifest names, and is whole; index 0: none */
    struct base_change change;
    bool changing;       /* `change` is lent */
    uint32_t failures;   /* in a row */
    uint64_t failed;     /* all of them */
    uint64_t retry_ns;   /* after a failure: when another point is asked for; 0: none failed */
    uint64_t owed;       /* jobs and changes without an answer */

    raft_index proposed; /* the newest SNAPSHOT record that this node proposed */
    uint64_t proposed_ns;
    bool wants;          /* another point: said in each frame */
};

void making_open(struct replica *r);
/* Once a poll of the raft role. Work done. */
uint32_t making_poll(struct replica *r);
uint64_t making_next_ns(const struct replica *r);
/* Nothing is being made or pinned, and no point that this node proposed is on its way. */
bool making_is_idle(const struct replica *r);

/* For whoever writes a file, or changes the base, on behalf of a peer. */
bool making_writer_free(const struct replica *r);
uint64_t making_next_number(struct replica *r);
/* False: too many jobs have no answer yet. */
bool making_give_job(struct replica *r, const struct snapshot_job *job);
/* What is being made is not wanted any more, nor the store's pin. Not while NAMING. */
void making_give_up(struct replica *r);
/* That file is READY, and our commit index is not below it: the log gets a base for it. While the writer is free. */
void making_ready(struct replica *r, const struct snapshot_header *header);

/* trigger.c: when there is to be another point. Once a poll: */
void trigger_poll(struct replica *r);
uint64_t trigger_next_ns(const struct replica *r);
/* The leader proposes one now: its index; 0: there is no room for it, or we don't lead. */
raft_index trigger_propose(struct replica *r);

#endif
