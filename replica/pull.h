/* replica/pull.h: chunks of a snapshot, or one chunk, pulled from other nodes piece by piece.
 *
 * First comes the table of checksums, from which the digest that was offered follows, then the chunks. Two
 * are under way: while persist takes one, the other arrives. The pieces of a chunk come from one node, in any
 * order and more than once; what belongs to another snapshot, or comes from somebody else, is counted and forgotten.
 * Who is silent gives way to the next node that has the same snapshot, which goes on at the chunk where the
 * one before left off.
 *
 * Trust      In the digest alone. Persist compares the table with it, and each chunk with the table (in
 *            `receive_begin_mend` with that of our own file). What is refused is asked of another, and who
 *            sent it is not asked again in this pull: `liars`. When nobody else is left, the pull ends.
 * Memory     `pull_bytes` of the raft role: SNAPSHOT_PULL_BUFFERS chunks, lent to persist until it answers.
 * Thread     The raft role only.
 */
#ifndef REPLICA_PULL_H
#define REPLICA_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame.h"
#include "replica/snapshot_items.h"

struct replica;

enum {
    PULL_AGAIN_SHARE = 8,  /* pieces are asked for again after this part of the resend time, */
    PULL_AGAIN_DOUBLES = 3, /* which doubles so often while nothing comes */
    PULL_SOURCE_ROUNDS = 3, /* resend times without a piece: somebody else is asked */
    PULL_SILENT_ROUNDS = 32, /* and nobody has it any more */
    PULL_PIECES_MAX = FRAME_SNAPSHOT_CHUNK_BYTES_MAX / FRAME_CHUNK_BYTES, /* of a chunk */
};

/* The edges are in transfer.h. */
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
    raft_node from;  /* who sends it */
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
    bool table;           /* its table is pulled: the chunks are of that */
    raft_node table_from; /* who sent all of that so far; 0: several did */
    uint64_t liars;       /* a set: places of the peers that sent what is not true */
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

/* Both name the same content. */
bool pull_is(const struct frame_snapshot *a, const struct frame_snapshot *b);
/* All of `what` is wanted, and nothing has come: the table first, or without it for our own. */
void pull_reset(struct pull *p, bool table);
/* That node is asked from now on, and its silence counts. */
void pull_from(struct replica *r, raft_node source);
bool pull_believes(const struct replica *r, raft_node source);

void pull_on_piece(struct replica *r, const struct frame *f);
/* The next chunks get the buffers that are free. */
void pull_place_chunks(struct replica *r);
/* The next whole chunk to persist, which has one at a time. */
void pull_give_chunk(struct replica *r);
/* It has answered for that one. False: it is not the true one, and nobody is left who is believed. */
bool pull_on_answer(struct replica *r, const struct snapshot_event *event);
/* Persist has taken all of it. */
bool pull_is_whole(const struct pull *p);
/* What is missing is asked for, if it is time. False: nobody has it any more. */
bool pull_ask_chunks(struct replica *r);
/* Who is asked for nothing now hears that it goes on: a disk may take its time. */
void pull_stay_alive(struct replica *r);
/* Who sent pieces in this poll is told of its credit, if no question has done so. */
void pull_grant(struct replica *r);
uint64_t pull_next_ns(const struct replica *r);

/* A job of the receiver's; receive_on_event() gets its answer. */
void pull_give_job(struct replica *r, const struct snapshot_job *job);

#endif
