/* base/request.h: the door between those who ask (api, a load generator, the simulator's clients)
 * and the replica that answers. It is all that api knows of a node.
 *
 * Way        requests: asker -> raft role (propose, read, admin) and asker -> store role (local read).
 *            answers: raft role -> asker (refusals), store role -> asker (results). All are SPSC
 *            rings of one struct request_door; each asker has a door of its own.
 * Names      `tag` is the asker's, never used twice in one boot of the node, and carries the door's
 *            number in its top REQUEST_DOOR_BITS bits. It goes into the record as
 *            origin.request, so the store knows whose answer an applied entry is.
 * Ownership  request.bytes stay the asker's and must not change until the final answer with that
 *            tag was popped. answer bytes lie in the door's answer memory: they are valid until
 *            the asker gives them back with request_door_release(), in order.
 * Fate       Every request that was pushed gets exactly one final answer (`more` false), whatever
 *            happens to leaders and links, unless the node stops; before it may come pieces of a
 *            large result (`more` true, in order). An asker that loses interest ignores it.
 * Back-pressure  A full ring takes nothing; the asker stops reading its clients.
 */
#ifndef BASE_REQUEST_H
#define BASE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/byte_ring.h"
#include "base/members_view.h"
#include "base/published.h"
#include "base/spsc.h"

enum {
    REQUEST_DOOR_BITS = 8,
    REQUEST_DOOR_SHIFT = 64 - REQUEST_DOOR_BITS,
    REQUEST_BYTES_MAX = (3 << 19) + 1024, /* etcd's 1.5 MiB and our command header */
    REQUEST_DOORS_MAX = 8,
};

enum request_kind {
    REQUEST_PROPOSE,    /* bytes: a command (store/command.h) for the log */
    REQUEST_READ,       /* bytes: a query (store/command.h), linearizable */
    REQUEST_READ_LOCAL, /* the same, served from what this node has applied; to store's ring */
    REQUEST_ADMIN,      /* bytes: a struct admin_request (base/admin.h) */
};

struct request {
    uint64_t tag;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t kind; /* enum request_kind */
};

#define ANSWER_STATUS_LIST(X)                                                                      \
    X(OK)                                                                                          \
    X(TIMED_OUT)  /* no leader took it in time; it will never be applied */                        \
    X(UNKNOWN)    /* its fate can't be known any more */                                           \
    X(BUSY)       /* refused: too many requests wait already; never applied */                     \
    X(NO_ROOM)    /* refused: a majority of disks is full */                                       \
    X(CORRUPT)    /* refused: the members' states differ, and no majority agrees */                \
    X(BAD)        /* refused: not a command or query */                                            \
    X(NOT_LEADER) /* ADMIN: another node leads */                                                  \
    X(REFUSED)    /* ADMIN: nothing has changed, and why */

enum answer_status {
#define ANSWER_STATUS_ENUM(name) ANSWER_##name,
    ANSWER_STATUS_LIST(ANSWER_STATUS_ENUM)
#undef ANSWER_STATUS_ENUM
};

struct answer {
    uint64_t tag;
    union {
        uint64_t index;  /* log index that was applied; for reads, applied when it was read */
        uint64_t leader; /* NOT_LEADER: the node that leads, 0: none known */
    };
    uint64_t revision; /* the store's head revision after it */
    const uint8_t *bytes; /* result (store/command.h) in answer memory; NULL: none */
    uint32_t length;
    uint8_t status; /* enum answer_status */
    uint8_t refusal; /* OK: enum store_refusal of store/command.h; REFUSED: enum admin_refusal */
    bool more;      /* pieces follow */
};

struct request_door {
    uint8_t number;
    struct spsc *to_raft;    /* struct request */
    struct spsc *to_store;   /* struct request */
    struct spsc *from_raft;  /* struct answer */
    struct spsc *from_store; /* struct answer */
    struct byte_ring *answer_memory; /* written by store, given back by the asker */
};

/* Bytes of one door with all its rings, and its making in such memory (cache-line aligned). */
size_t request_door_bytes(uint32_t slot_count, uint64_t answer_bytes);
struct request_door *request_door_init(void *memory, uint8_t number, uint32_t slot_count,
                                       uint64_t answer_bytes);

/* The asker, when it is done with the bytes of an answer: in the order they were popped. */
static inline void request_door_release(struct request_door *door, const struct answer *answer)
{
    if (answer->bytes != NULL)
        byte_ring_release(door->answer_memory, answer->length);
}

/* What everybody may look at: each word is published by the role named. */
struct node_view {
    struct published term;        /* raft */
    struct published leader;      /* raft; node id, 0: none known */
    struct published role;        /* raft; enum raft_role */
    struct published commit;      /* raft */
    struct members_view members;  /* raft; of the configuration in force */
    struct published last_index;  /* raft */
    struct published applied;     /* store */
    struct published revision;    /* store */
    struct published store_bytes; /* store; logical bytes of keys and values */
    struct published durable;     /* persist; a seq */
    struct published durable_index; /* raft; last log index on this node's disk */
    struct published digest;      /* store; of its content at `applied` */
    struct published stop;        /* raft, persist or store; not 0: the node must stop, and why */
};

#endif
