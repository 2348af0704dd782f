/* raftcore/raft_types.h: the words of the protocol, for everybody who carries or stores them. */
#ifndef RAFTCORE_RAFT_TYPES_H
#define RAFTCORE_RAFT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t raft_index; /* 1-based; 0 is "before the first entry" */
typedef uint64_t raft_term;
typedef uint64_t raft_seq;  /* (boot << RAFT_SEQ_COUNTER_BITS) | counter; never used twice */
typedef uint16_t raft_node; /* member id, 1..; 0 is nobody */

enum {
    RAFT_MEMBERS_MAX = 9, /* seven voters and room for a replacement and a learner */
    RAFT_SEQ_COUNTER_BITS = 40,
    RAFT_APPEND_ENTRIES_MAX = 32, /* a 1500 B frame holds at most 21 records */
    RAFT_TERM_RUNS_MAX = 1 << 16, /* 1 MiB; each is a change of leader the log remembers. A node
                                     whose table is full takes no entry of another term, so that
                                     what it wrote can be told by its next start (persist/wal.h) */

    /* The payload of a CONFIG record (docs/formats.md). The core must know the length of the one
     * record that a new leader appends by itself. */
    RAFT_CONFIG_HEAD_BYTES = 16,
    RAFT_CONFIG_MEMBER_BYTES = 16,
};

/* Terms and indexes above this are malformed: nobody gets there in the life of a cluster, and
 * arithmetic below it cannot wrap. */
#define RAFT_WORD_MAX (UINT64_MAX >> 2)

/* A member that is neither voter nor voter_old is a learner: it gets entries and counts nowhere. */
struct raft_member {
    uint64_t incarnation; /* 0: not learned yet */
    raft_node node;
    raft_node replaces; /* learner: when it is promoted, this member goes; 0: nobody */
    uint8_t priority;   /* the higher, the rather a leader; equal for all: no preference */
    bool voter;         /* votes; in a joint configuration: in the new half */
    bool voter_old;     /* joint: votes in the old half */
    bool leaves;        /* joint: is no member any more afterwards */
    bool promote;       /* learner: becomes a voter by itself when it has caught up */
};

struct raft_config {
    uint32_t count;
    bool joint; /* between two configurations: whatever is decided needs both halves */
    struct raft_member member[RAFT_MEMBERS_MAX]; /* ascending by node */
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* One log entry as the core sees it: never its bytes. `config` is set for a CONFIG entry only, and
 * valid for the step it is passed to. */
struct raft_entry {
    raft_term term;
    uint32_t bytes; /* of the whole record, padding included */
    const struct raft_config *config;
};

#define RAFT_MSG_LIST(X)                        \
    X(PREVOTE, 1, "prevote")                    \
    X(PREVOTE_REPLY, 2, "prevote_reply")        \
    X(VOTE, 3, "vote")                          \
    X(VOTE_REPLY, 4, "vote_reply")              \
    X(APPEND, 5, "append")                      \
    X(APPEND_REPLY, 6, "append_reply")          \
    X(HEARTBEAT, 7, "heartbeat")                \
    X(HEARTBEAT_REPLY, 8, "heartbeat_reply")    \
    X(READ_INDEX, 9, "read_index")              \
    X(READ_INDEX_REPLY, 10, "read_index_reply") \
    X(TIMEOUT_NOW, 11, "timeout_now")

enum raft_msg_type {
#define RAFT_MSG_ENUM(name, value, text) RAFT_MSG_##name = value,
    RAFT_MSG_LIST(RAFT_MSG_ENUM)
#undef RAFT_MSG_ENUM
};

enum { RAFT_MSG_FIRST = RAFT_MSG_PREVOTE, RAFT_MSG_LAST = RAFT_MSG_TIMEOUT_NOW };

/* One message between cores. Which field means what in which message:
 *
 *  field      | (PRE)VOTE   | its reply   | APPEND       | its reply       | HEARTBEAT | its reply
 *  -----------+-------------+-------------+--------------+-----------------+-----------+----------
 *  term       | asked for   | the voter's | leader's     | follower's      | leader's  | follower's
 *  reject     |             | refused     |              | refused         |           |
 *  prev_index | last of log |             | before first | refused prev    |           |
 *  prev_term  | term of it  |             | term of it   |                 |           |
 *  commit     |             |             | leader's     |                 | capped    |
 *  match      |             |             |              | ok: what agrees |           |
 *  last       |             |             |              | its log's       |           | its log's
 *  hint_term  |             |             |              | at the conflict |           |
 *  hint_index |             |             |              | first of term   |           |
 *  round      |             |             |              |                 | number    | echoed
 *
 * count, bytes, entries: APPEND only. number, commit: READ_INDEX and its reply (commit: the index).
 * transfer: VOTE only, the leader wants it (TIMEOUT_NOW, which has no field but term).
 * incarnation: of the sender, in every message; the frame's header carries it.
 * A refusal with prev_index > last is a gap, any other a conflict.
 * A PREVOTE carries the term it would campaign in; a granted PREVOTE_REPLY echoes that term, a
 * refused one carries the voter's own.
 */
struct raft_msg {
    uint8_t type; /* enum raft_msg_type */
    bool reject;
    bool transfer;
    raft_node from;
    raft_node to;
    uint16_t count;
    uint32_t bytes; /* of all entries */
    uint64_t incarnation;
    raft_term term;
    raft_index prev_index;
    raft_term prev_term;
    raft_index commit;
    raft_index match;
    raft_index last;
    raft_term hint_term;
    raft_index hint_index;
    uint64_t round;
    uint64_t number;
    const struct raft_entry *entries; /* incoming APPEND: the caller's, for the step */
};

#endif
