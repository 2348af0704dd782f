/* tests/replica/puppet.h: a peer of a real node that the test plays, frame by frame.
 *
 * A puppet takes the place of a node of world.h that does not run: it sends what it is told to send,
 * answers nothing by itself, and keeps what arrives for it until the test looks.
 */
#ifndef TESTS_REPLICA_PUPPET_H
#define TESTS_REPLICA_PUPPET_H

#include "base/record.h"
#include "tests/replica/world.h"

enum { PUPPET_FRAMES_MAX = 1024 };

struct puppet {
    struct world *w;
    uint32_t n;        /* the machine whose place it takes */
    uint64_t incarnation;
    uint32_t boot;
    uint64_t number;   /* last one used for a frame that needs credit */
    uint64_t granted;  /* by the newest frame of the real node */
    uint64_t grants;   /* what it grants in its frames; 0: nothing */
    uint32_t first, count; /* of what has arrived and was not looked at */
    struct frame frame[PUPPET_FRAMES_MAX];
    uint8_t body[PUPPET_FRAMES_MAX][FRAME_BODY_BYTES_MAX];
};

/* Whom a test with one real node, number 0, plays: nodes 2 and 3, members like node 1, and node 4,
 * which is none. */
struct puppets {
    struct world *w;
    struct puppet *two, *three, *four;
};

struct puppet *puppet_new(struct world *w, uint32_t n);
void puppet_delete(struct puppet *p);
/* Fills in names, boots, number and credit, and sends to the real node. */
void puppet_send(struct puppet *p, const struct frame *f);
/* The same with names and numbers as they stand in `f`. */
void puppet_send_as_it_is(struct puppet *p, const struct frame *f);
/* A message of the core; from, to and incarnation are filled in. */
void puppet_say(struct puppet *p, const struct raft_msg *m);
/* Looks at what has arrived, in order, for a frame of the type (for FRAME_RAFT of the message type
 * too; 0: any), and turns the world until there is one; NULL: none in `ms`. What came before it is
 * forgotten. Valid until the next call. */
const struct frame *puppet_next(struct puppet *p, uint32_t type, uint32_t raft_type, uint64_t ms);
/* Forgets all that has arrived. */
void puppet_drop(struct puppet *p);
/* Its next boot: numbers and credit begin anew. */
void puppet_restart(struct puppet *p);
/* HELLO, with the last index of its log, and the answer to it. */
void puppet_greet(struct puppet *p, raft_index last);
/* Heartbeats as the leader of `term`, for `ms`. */
void puppet_lead(struct puppet *p, raft_term term, uint64_t ms);
/* One record as an APPEND behind (prev_index, prev_term), in the term of `spec`'s sender. */
void puppet_append(struct puppet *p, raft_term term, const struct record_header *record,
                   raft_term prev_term, raft_index commit);

/* Three initial members, the first of them real and just started, for the second time. */
void puppets_open(struct puppets *s);
void puppets_close(struct puppets *s);
/* Both say that their logs are empty, so that the cluster begins. */
void puppets_begin(struct puppets *s);
/* And elect the real node, and acknowledge its first entry. */
void puppets_elect(struct puppets *s);
/* APPEND_REPLY: everything up to `match` is durable here. */
void puppet_acknowledge(struct puppet *p, raft_term term, raft_index match);

#endif
